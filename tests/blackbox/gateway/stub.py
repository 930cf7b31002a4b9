"""An upstream for services that moto lacks, driven by botocore's models.

It finds the operation that a request is, by the request's protocol, and answers with an output that the model allows:
every member is set, values follow from the member's shape, so that the same call always has the same answer. A test may
set an error or members of an answer. What was received is kept, for comparing with what was sent.
"""

import datetime
import gzip
import json
import re
import urllib.parse
import zlib

import botocore.loaders
import botocore.model
import botocore.serialize

from gateway.listening import Handler, Listening

DEPTH = 6
MOMENT = datetime.datetime(2026, 11, 21, 5, 6, 7, 123000, tzinfo=datetime.timezone.utc)


class Operations:
    """The operations of one service: which one a request is, and what it answers."""

    def __init__(self, service, protocol=None):
        loader = botocore.loaders.Loader()
        self.model = botocore.model.ServiceModel(loader.load_service_model(service, "service-2"), service)
        self.signing_name = self.model.signing_name
        self.protocol = protocol or self.model.metadata["protocol"]
        self.routes = []
        for name in self.model.operation_names:
            operation = self.model.operation_model(name)
            path = operation.http["requestUri"].split("?")[0]
            pattern = re.sub(r"\\\{(\w+)(\\\+)?\\\}", r"(?P<\1>[^/]+)", re.escape(path))
            self.routes.append((path.count("{"), operation.http["method"], re.compile(f"{pattern}/?$"), operation))
        self.routes.sort(key=lambda route: route[0])

    def find(self, method, path, headers):
        if self.protocol == "json":
            name = headers.get("x-amz-target", "").rpartition(".")[2]
            return self.model.operation_model(name) if name in self.model.operation_names else None
        if self.protocol == "smithy-rpc-v2-cbor":
            name = path.rpartition("/operation/")[2]
            return self.model.operation_model(name) if name in self.model.operation_names else None
        return next((route[3] for route in self.routes if route[1] == method and route[2].match(path)), None)

    def output(self, operation):
        """A valid output, as it goes over the wire: a JSON body and headers."""
        shape, headers, body = operation.output_shape, {}, {}
        if shape is None:
            return body, headers
        for name, member in shape.members.items():
            place = member.serialization.get("location")
            if place == "header":
                headers[member.serialization.get("name", name)] = str(value(member, (name,)))
            elif place is None:
                body[member.serialization.get("name", name)] = value(member, (name,))
        return body, headers


    def encode(self, shape, output):
        """An answer's body; errors have no shape."""
        if self.protocol != "smithy-rpc-v2-cbor":
            return "application/json", json.dumps(output).encode()
        if shape is None:
            return "application/cbor", texts(output)
        data = bytearray()
        botocore.serialize.create_serializer(self.protocol, False)._serialize_data_item(data, output, shape)
        return "application/cbor", bytes(data)


def texts(members):
    """A CBOR map of texts."""
    text = lambda of: b"\x79" + len(of.encode()).to_bytes(2, "big") + of.encode()
    return bytes([0xA0 + len(members)]) + b"".join(text(name) + text(value) for name, value in members.items())


def value(shape, path, depth=0):
    """A value of a shape that the model's limits allow; the same for the same path."""
    kind = shape.type_name
    if kind == "structure":
        members = shape.members.items() if depth < DEPTH else []
        if getattr(shape, "is_tagged_union", False):
            members = list(members)[:1]
        return {
            member.serialization.get("name", name): value(member, (*path, name), depth + 1) for name, member in members
        }
    if kind == "list":
        return [value(shape.member, (*path, "0"), depth + 1)] if depth < DEPTH else []
    if kind == "map":
        return {"key": value(shape.value, (*path, "key"), depth + 1)} if depth < DEPTH else {}
    if kind == "timestamp":
        form = shape.serialization.get("timestampFormat")
        if form == "iso8601":
            return MOMENT.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return MOMENT if depth < 0 else MOMENT.timestamp()
    if kind in ("integer", "long", "float", "double"):
        return max(shape.metadata.get("min", 0), 7)
    if kind == "boolean":
        return True
    if kind == "blob":
        return "Ynl0ZXM="
    text = shape.enum[0] if shape.enum else "-".join(path)
    return text.ljust(shape.metadata.get("min", 0), "x")[: shape.metadata.get("max") or None]


class Stub(Listening):
    """A server for several services, on a port of its own."""

    def __init__(self, *services):
        named = [Operations(*([service] if isinstance(service, str) else service)) for service in services]
        self.services = {operations.signing_name: operations for operations in named}
        self.answers, self.errors, self.streams, self.calls = {}, {}, {}, []
        stub = self

        class Answers(Handler):
            def answer(self):
                length = int(self.headers.get("content-length") or 0)
                stub.answer(self, self.rfile.read(length))

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer

        super().__init__(Answers)

    def fail(self, operation, status, code, message):
        """Makes an operation answer with an error."""
        self.errors[operation] = (status, code, message)

    def set(self, operation, **members):
        """Sets members of an operation's answer in place of generated ones; None leaves one out."""
        self.answers[operation] = members

    def stream(self, operation, *messages):
        """Makes an operation answer with these messages of a stream of events, one after the other."""
        self.streams[operation] = messages

    def answer(self, handler, body):
        if handler.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", handler.headers.get("authorization", ""))
        service = self.services.get(scope.group(1)) if scope else None
        path = urllib.parse.urlsplit(handler.path).path
        operation = service and service.find(handler.command, path, handler.headers)
        if operation is None:
            content = ("application/json", json.dumps({"message": f"no operation at {path}"}).encode())
            return self.send(handler, 404, content, {"x-amzn-errortype": "UnknownOperationException"})
        self.calls.append((operation.name, path, body))
        if operation.name in self.errors:
            status, code, message = self.errors[operation.name]
            content = service.encode(None, {"__type": code, "message": message})
            return self.send(handler, status, content, {"x-amzn-errortype": code})
        if operation.name in self.streams:
            return self.send_stream(handler, self.streams[operation.name])
        output, headers = service.output(operation)
        for name, given in self.answers.get(operation.name, {}).items():
            output.pop(name, None)
            if given is not None:
                output[name] = given
        content = service.encode(operation.output_shape, output)
        if service.protocol == "smithy-rpc-v2-cbor":
            headers["smithy-protocol"] = "rpc-v2-cbor"
        self.send(handler, operation.http.get("responseCode", 200), content, headers)

    def send(self, handler, status, content, headers):
        kind, body = content
        if status == 204:
            body = b""
        handler.send_response(status)
        handler.send_header("content-type", kind)
        handler.send_header("content-length", str(len(body)))
        handler.send_header("x-amzn-requestid", f"stub-{len(self.calls)}")
        for name, text in headers.items():
            handler.send_header(name, text)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    def send_stream(self, handler, messages):
        handler.send_response(200)
        handler.send_header("content-type", "application/vnd.amazon.eventstream")
        handler.send_header("transfer-encoding", "chunked")
        handler.send_header("x-amzn-requestid", f"stub-{len(self.calls)}")
        handler.end_headers()
        for message in [*messages, b""]:
            handler.wfile.write(f"{len(message):x}\r\n".encode() + message + b"\r\n")
            handler.wfile.flush()


def message(payload=b"", **headers):
    """A message of a stream of events; headers by their names without the colon, underscores for hyphens."""
    head = b""
    for name, text in headers.items():
        name = f":{name.replace('_', '-')}".encode()
        head += bytes([len(name)]) + name + b"\x07" + len(text).to_bytes(2, "big") + text.encode()
    prelude = (16 + len(head) + len(payload)).to_bytes(4, "big") + len(head).to_bytes(4, "big")
    whole = prelude + zlib.crc32(prelude).to_bytes(4, "big") + head + payload
    return whole + zlib.crc32(whole).to_bytes(4, "big")
