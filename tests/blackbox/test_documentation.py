"""The commands that the documentation shows work, in the order in which it shows them."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from conftest import BINARY, REPOSITORY

BLOCK = re.compile(r"<!-- test(-python)? -->\n```\w+\n(.*?)```", re.S)


def script(*pages):
    """All tested blocks of some pages as one shell script."""
    parts = ["set -euo pipefail"]
    for page in pages:
        for python, body in BLOCK.findall((REPOSITORY / page).read_text()):
            parts.append(f"python - <<'PYTHON'\n{body}PYTHON\n" if python else body)
    return "\n".join(parts)


@pytest.mark.parametrize("pages", [("README.md", "docs/operations.md", "docs/towpath-api.md")])
def test_documented_commands_work(new_server, tmp_path, pages):
    server = new_server("towpath-data")
    text = script(*pages)
    assert text.count("towpath ") > 5 and text.count("aws ") > 5
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "towpath").symlink_to(BINARY.resolve())
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TOWPATH_"))}
    environment["PATH"] = f"{programs}:{pathlib.Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", text.replace("http://127.0.0.1:4747", server.endpoint).replace("http://127.0.0.1:4748", server.s3_endpoint)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "RefundOrder" in done.stdout and "DeleteCustomer" in done.stdout and "auditor" in done.stdout


def test_the_help_of_make_lists_its_targets():
    if shutil.which("make") is None:
        pytest.fail("make is needed to run the documented commands")
    done = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert "run" in done.stdout and "test" in done.stdout


def test_links_between_pages_lead_somewhere():
    for page in [REPOSITORY / "README.md", *REPOSITORY.glob("docs/*.md")]:
        for target in re.findall(r"\]\(((?!http)[^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
