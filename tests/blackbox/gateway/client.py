"""A client that remembers its calls: what it asked, what it was answered, and what the record must say of it."""

import dataclasses
import itertools

import boto3
import botocore.config
import botocore.exceptions
import botocore.model

HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
REGION = "us-east-1"
NUMBERS = itertools.count(1)


@dataclasses.dataclass
class Made:
    """A call that was made."""

    mark: str
    service: str
    operation: botocore.model.OperationModel
    parameters: dict
    expected: dict
    output: dict = None
    error: tuple = None
    sent: object = None
    status: int = None
    headers: dict = None
    content: bytes = None

    @property
    def name(self):
        return self.expected.get("eventName", self.operation.name)


class Calls:
    """Makes calls at an endpoint, each with a mark of its own in the user agent."""

    def __init__(self, endpoint, key, token=None, region=REGION, verify=None):
        self.made, self.clients = [], {}
        self.arguments = dict(
            endpoint_url=endpoint, region_name=region, verify=verify,
            aws_access_key_id=key[0], aws_secret_access_key=key[1], aws_session_token=token,
        )

    def client(self, service):
        if service not in self.clients:
            config = botocore.config.Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
            client = boto3.client(service, config=config, **self.arguments)
            client.meta.events.register("before-send", self.mark)
            client.meta.events.register("after-call", self.answered)
            self.clients[service] = client
        return self.clients[service]

    def mark(self, request, **_):
        made = self.made[-1]
        request.headers["User-Agent"] = f"blackbox call/{made.mark}"
        made.sent = request

    def answered(self, http_response, model, **_):
        made = self.made[-1]
        made.status, made.headers = http_response.status_code, http_response.headers
        if not (model.has_streaming_output or model.has_event_stream_output):
            made.content = http_response.content

    def __call__(self, service, operation, error=None, record=None, **parameters):
        """Makes a call; `error` is the code that it must fail with, `record` members of the record that are particular."""
        client = self.client(service)
        made = Made(f"c{next(NUMBERS)}", service, client.meta.service_model.operation_model(operation), parameters, record or {})
        self.made.append(made)
        try:
            made.output = client._make_api_call(operation, parameters)
        except botocore.exceptions.ClientError as caught:
            made.error = (caught.response["Error"]["Code"], caught.response["Error"]["Message"])
        code = made.error[0] if made.error else None
        assert code == error, f"{service} {operation} {parameters}: {made.error}"
        return made.output
