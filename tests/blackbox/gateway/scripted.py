"""An upstream that answers with bytes, whatever HTTP's rules say of them, and what a client of sockets reads of it."""

import socket
import threading


class Scripted:
    """Answers `answers[path]` to a request for the path, and then closes the connection if `closing` has it.

    What it received is in `received`, byte for byte. An answer may be a function of the request's head and body.
    """

    def __init__(self, answers, closing=()):
        self.answers, self.closing, self.received = answers, set(closing), []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.url = f"http://127.0.0.1:{self.address[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rwb") as stream:
            while head := read_head(stream):
                fields = {line.split(b":")[0].lower(): line.split(b":", 1)[1].strip() for line in head.split(b"\r\n")[1:] if line}
                if fields.get(b"expect") == b"100-continue":
                    stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    stream.flush()
                body = read_chunks(stream) if b"transfer-encoding" in fields else stream.read(int(fields.get(b"content-length", 0)))
                self.received.append(head + body)
                path = head.split(b" ")[1].split(b"?")[0].decode()
                answer = self.answers[path]
                try:
                    stream.write(answer(head, body) if callable(answer) else answer)
                    stream.flush()
                except OSError:
                    return
                if path in self.closing:
                    return


def read_head(stream):
    """A head with the empty line at its end; nothing at the end of the connection."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        try:
            line = stream.readline()
        except OSError:
            return b""
        if not line:
            return b""
        head += line
    return head


def read_chunks(stream):
    """A body in chunks, as it was sent, trailers included."""
    body = b""
    while True:
        line = stream.readline()
        size = int(line.split(b";")[0], 16)
        body += line
        if size == 0:
            while (line := stream.readline()) not in (b"\r\n", b""):
                body += line
            return body + line
        body += stream.read(size + 2)


def exchange(address, data, timeout=10, until=None):
    """Sends bytes and reads to the end of the connection, or until what came ends with `until`."""
    with socket.create_connection(address, timeout=timeout) as connection:
        connection.sendall(data)
        got = b""
        while part := connection.recv(1 << 16):
            got += part
            if until is not None and got.endswith(until):
                break
        return got
