"""A server that takes objects as S3 does, and answers otherwise when it is told to."""

import http.server
import threading
import time
import urllib.parse


class FakeS3:
    """Keeps what is put in `objects`, by bucket and key. `mood(bucket, key)` may answer instead: a status, or nothing."""

    def __init__(self):
        self.objects, self.requests, self.mood = {}, [], lambda bucket, key: None
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                self.answer(lambda place: fake.objects.__setitem__(place, body))

            def do_GET(self):
                self.answer(lambda place: fake.objects[place])

            do_HEAD = do_GET

            def do_POST(self):
                # Deletions of several objects; the tests look at none of them.
                self.rfile.read(int(self.headers.get("content-length") or 0))
                self.answer(lambda _: b"<DeleteResult/>")

            def answer(self, work):
                path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).lstrip("/")
                bucket, _, key = path.partition("/")
                headers = {name.lower(): value for name, value in self.headers.items()}
                fake.requests.append((self.command, key, headers))
                status, body = fake.mood(bucket, key) or 200, b""
                if status == 200:
                    try:
                        body = work((bucket, key)) or b""
                    except KeyError:
                        status = 404
                if status >= 400:
                    code = {403: "AccessDenied", 404: "NoSuchBucket", 503: "SlowDown"}.get(status, "InternalError")
                    body = f"<Error><Code>{code}</Code><Message>as told</Message></Error>".encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.send_header("etag", '"etag"')
                self.send_header("last-modified", "Sat, 21 Nov 2026 00:00:00 GMT")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """Clients that give up leave a broken connection, which is what some tests are about."""

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def keys(self, bucket, folder):
        """The keys of files below a folder of a bucket; the probe of a new trail is none."""
        found = (key for place, key in list(self.objects) if place == bucket and key.endswith(".json.gz"))
        return sorted(key for key in found if f"/{folder}/" in f"/{key}")

    def config(self, region):
        """The lines of a configuration with which a server delivers here."""
        return (
            f'[[import.endpoint]]\nname = "fake"\nendpoint = "{self.endpoint}"\nregion = "{region}"\nallow_http = true\n'
            'access_key_id = "k"\nsecret_access_key = "s"\n'
        )

    def stop(self):
        self.server.shutdown()


def always(status):
    """A mood: every request has this status."""
    return lambda bucket, key: status


def slow(seconds):
    """A mood: every request is answered, late."""

    def wait(bucket, key):
        time.sleep(seconds)

    return wait
