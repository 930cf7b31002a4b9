"""A disk without room: what is told, that nothing is lost, and that it goes on by itself once there is room."""

import os
import subprocess

import pytest

from conftest import Server, error_of, unique
from trails import QUICK, assert_valid, keys, named, new_trail, records, stop, validate, wait_for, wait_for_record

pytestmark = pytest.mark.timeout(300)


class SmallDisk:
    """A disk of its own for a folder, with a file that takes what is left of it."""

    def __init__(self, folder, size):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.ballast = folder, folder / "ballast"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", folder], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"needs the right to mount a disk: {done.stderr.strip()}")

    def fill(self):
        with open(self.ballast, "wb", buffering=0) as file:
            try:
                for _ in range(100_000):
                    file.write(b"x" * 4096)
            except OSError:
                return
        raise AssertionError("the disk is larger than it should be")

    def empty(self):
        self.ballast.unlink(missing_ok=True)

    def remove(self):
        subprocess.run(["umount", "-l", self.folder], check=True, capture_output=True)


@pytest.fixture
def small(tmp_path):
    """Starts a server whose data directory has one folder on a small disk."""
    made = []

    def start(folder, size):
        # The first start makes the directory.
        Server(tmp_path / "data", QUICK).start().stop()
        disk = SmallDisk(tmp_path / "data" / folder, size)
        server = Server(tmp_path / "data", QUICK)
        made.extend([(server, disk)])
        return server.start(), disk

    yield start
    for server, disk in made:
        disk.empty()
        if server.process and server.process.poll() is None:
            server.stop()
        disk.remove()


def status_of(server, trail):
    return server.client().get_trail_status(Name=trail["TrailARN"])


@pytest.mark.parametrize("folder, size", [("trails", "512k"), ("buckets", "4m")])
def test_a_trail_waits_for_room_and_loses_nothing(small, folder, size):
    server, disk = small(folder, size)
    trail = new_trail(server, EnableLogFileValidation=True)
    bucket = trail["S3BucketName"]
    wait_for("a delivery", lambda: keys(server, bucket, "CloudTrail"))
    disk.fill()
    tags = [unique("mark") for _ in range(20)]
    for tag in tags:
        error_of(server.client().get_trail, Name=tag)
    wait_for("the status", lambda: status_of(server, trail).get("LatestDeliveryError") == "StorageFull")
    if folder == "buckets":
        s3 = server.client("s3")
        code, _ = error_of(s3.put_object, Bucket=bucket, Key="k", Body=os.urandom(100_000))
        assert code == "StorageFull"
    assert server.client().list_trails()["Trails"], "everything else goes on"
    disk.empty()
    wait_for("the recovery", lambda: "LatestDeliveryError" not in status_of(server, trail), timeout=60)
    for tag in tags:
        wait_for_record(server, bucket, named("GetTrail", name=tag))
    stop(server, trail)
    ids = [record["eventID"] for record in records(server, bucket)]
    assert len(ids) == len(set(ids)), "an event was delivered twice"
    assert_valid(validate(server, trail))


def test_a_server_that_is_killed_with_a_full_disk_goes_on_when_there_is_room(small):
    server, disk = small("trails", "512k")
    trail = new_trail(server, EnableLogFileValidation=True)
    bucket = trail["S3BucketName"]
    wait_for("a delivery", lambda: keys(server, bucket, "CloudTrail"))
    disk.fill()
    tag = unique("mark")
    error_of(server.client().get_trail, Name=tag)
    wait_for("the status", lambda: status_of(server, trail).get("LatestDeliveryError") == "StorageFull")
    server.kill()
    # What does not belong into the folder of staged files is removed at the start: the ballast too.
    server.start()
    wait_for_record(server, bucket, named("GetTrail", name=tag))
    stop(server, trail)
    assert_valid(validate(server, trail))
