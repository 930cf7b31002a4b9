"""A little HTTP server for upstreams that are written by hand."""

import http.server
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    """Keeps connections open and logs nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass


class Serving:
    """Lets a server of the standard library's kind take requests until it is stopped."""

    def __init__(self, server):
        self.server = server
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Listening(Serving):
    """Serves requests by a handler class, on a port of its own."""

    def __init__(self, handler):
        super().__init__(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
