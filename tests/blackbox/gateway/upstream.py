"""moto's server as an upstream that keeps what it received and what it answered, byte for byte."""

import re

import pytest
import werkzeug.serving
from moto.server import DomainDispatcherApplication, create_backend_app

from gateway.listening import Serving

MARK = re.compile(r"call/(\w+)")


class Seen:
    """One call as the upstream saw it."""

    def __init__(self, environ, body):
        self.method = environ["REQUEST_METHOD"]
        self.target = environ.get("RAW_URI") or environ["REQUEST_URI"]
        self.headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
        self.request_body, self.status, self.answer_headers, self.answer_body = body, None, [], b""


class Moto(Serving):
    """A moto server. `seen` has the last call of each mark that a client put into its user agent."""

    def __init__(self):
        self.seen = {}
        moto = DomainDispatcherApplication(create_backend_app)

        def application(environ, start_response):
            mark = MARK.search(environ.get("HTTP_USER_AGENT", ""))
            if mark is None:
                return moto(environ, start_response)
            length = environ.get("CONTENT_LENGTH")
            chunked = environ.get("wsgi.input_terminated")
            # Without either there is no body, and reading would wait for the next request.
            body = environ["wsgi.input"].read(int(length)) if length else environ["wsgi.input"].read() if chunked else b""
            environ["wsgi.input"] = Replay(body)
            seen = Seen(environ, body)

            def start(status, headers, exc_info=None):
                seen.status, seen.answer_headers = int(status.split()[0]), headers
                return start_response(status, headers, exc_info)

            # Kept before the client can have the last byte.
            chunks = list(moto(environ, start))
            seen.answer_body = b"".join(chunks)
            self.seen[mark.group(1)] = seen
            return chunks

        super().__init__(werkzeug.serving.make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet))


class Replay:
    """A body that was read already."""

    def __init__(self, body):
        self.body, self.at = body, 0

    def read(self, size=-1):
        end = len(self.body) if size is None or size < 0 else self.at + size
        part, self.at = self.body[self.at : end], min(end, len(self.body))
        return part

    def readline(self, size=-1):
        end = self.body.find(b"\n", self.at) + 1 or len(self.body)
        return self.read(min(end - self.at, size) if size and size > 0 else end - self.at)

    def readlines(self, hint=-1):
        return list(self)

    def __iter__(self):
        while line := self.readline():
            yield line


class Quiet(werkzeug.serving.WSGIRequestHandler):
    """Logs nothing and keeps connections open."""

    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


@pytest.fixture(scope="module")
def moto():
    """A moto of the module's own; import it by this name."""
    moto = Moto()
    yield moto
    moto.stop()
