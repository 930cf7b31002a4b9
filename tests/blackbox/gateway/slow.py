"""An upstream whose answers wait until they are let."""

import threading

from gateway.listening import Handler, Listening


class Slow(Listening):
    """An upstream that answers SQS's ListQueues when it is let."""

    def __init__(self):
        self.open, self.waiting, self.served = threading.Event(), 0, 0
        slow = self

        class Waits(Handler):
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                slow.waiting += 1
                slow.open.wait(30)
                slow.served += 1
                self.send_response(200)
                self.send_header("content-type", "application/x-amz-json-1.0")
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        super().__init__(Waits)

    def stop(self):
        self.open.set()
        super().stop()
