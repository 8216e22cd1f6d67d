"""Raw gRPC: any method of the two services, by name, with plain keyword arguments.

The SDKs hide what this suite is about (retries, default values, decoded
errors), so nothing of them is used here but the message classes they ship.
"""

import dataclasses
import http.client
import itertools
import os

# Servers are started while connections are open, and a child is only itself for an instant before it becomes another
# program. gRPC would build its threads anew in that instant, and now and then end the child.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import grpc  # noqa: E402
from google.protobuf import symbol_database
from google.protobuf.message_factory import GetMessageClass
from temporalio.api.common.v1 import GrpcStatus
from temporalio.api.errordetails.v1 import message_pb2  # noqa: F401  (registers the detail types)
from temporalio.api.operatorservice.v1 import service_pb2 as operator
from temporalio.api.workflowservice.v1 import service_pb2 as workflow

MESSAGE_BYTES_MAX = 64 << 20

# What an SDK sends with every call; the server looks at these.
SDK_METADATA = {
    "client-name": "temporal-python",
    "client-version": "1.35.0",
    "supported-server-versions": ">=1.0.0 <2.0.0",
}
# The CLI is told apart from an SDK when histories are read.
CLI_METADATA = {"client-name": "temporal-cli", "client-version": "1.9.1"}


@dataclasses.dataclass
class Failure(Exception):
    """An answer that is not OK, with its typed details decoded."""

    code: str
    message: str
    details: list


class Methods:
    """All methods of both services, with their message classes."""

    def __init__(self):
        self.by_name = {}
        for module, name in ((workflow, "WorkflowService"), (operator, "OperatorService")):
            service = module.DESCRIPTOR.services_by_name[name]
            for method in service.methods:
                request = GetMessageClass(method.input_type)
                response = GetMessageClass(method.output_type)
                self.by_name[method.name] = (f"/{service.full_name}/{method.name}", request, response)

    def request(self, method, fields):
        return self.by_name[method][1](**fields)

    def request_has(self, method, field) -> bool:
        return field in self.by_name[method][1].DESCRIPTOR.fields_by_name


METHODS = Methods()


class Connection:
    """Channels to all nodes of one server; calls take the nodes in turn."""

    def __init__(self, addresses, http=()):
        self.http = itertools.cycle(http)
        options = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),
            # Long texts of errors come as metadata.
            ("grpc.max_metadata_size", MESSAGE_BYTES_MAX),
            ("grpc.absolute_max_metadata_size", MESSAGE_BYTES_MAX),
        ]
        self.channels = [grpc.insecure_channel(a, options=options) for a in addresses]
        self.turn = itertools.count()

    def start(self, method, request, *, timeout, metadata):
        """Begins a call and returns grpc's future; `request` is a message or bytes as they are."""
        path, _, response = METHODS.by_name[method]
        raw = isinstance(request, bytes)
        stub = self.channels[next(self.turn) % len(self.channels)].unary_unary(
            path,
            request_serializer=None if raw else lambda m: m.SerializeToString(),
            response_deserializer=response.FromString,
        )
        return stub.future(request, timeout=timeout, metadata=tuple(metadata.items()))

    def close(self):
        for channel in self.channels:
            channel.close()


def over_http(address, verb, path, body=None, headers=(), seconds=15):
    """A request over HTTP: status, headers and body of the answer."""
    connection = http.client.HTTPConnection(address, timeout=seconds)
    try:
        connection.request(verb, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def finish(future):
    """Waits for a call and returns its response, or raises `Failure`."""
    try:
        return future.result()
    except grpc.RpcError as error:
        raise Failure(pascal(error.code().name), error.details() or "", details_of(error)) from None


def details_of(error) -> list:
    """The typed details of an error: the messages packed in `grpc-status-details-bin`."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return [unpack(any_) for any_ in GrpcStatus.FromString(value).details]
    return []


def unpack(any_):
    name = any_.type_url.rpartition("/")[2]
    try:
        message = GetMessageClass(symbol_database.Default().pool.FindMessageTypeByName(name))()
    except KeyError:
        return any_
    message.ParseFromString(any_.value)
    return message


def pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def is_ready(address) -> bool:
    """Whether the server answers and knows the namespace `default`."""
    connection = Connection([address])
    try:
        request = METHODS.request("DescribeNamespace", {"namespace": "default"})
        finish(connection.start("DescribeNamespace", request, timeout=2, metadata=SDK_METADATA))
        return True
    except Failure:
        return False
    finally:
        connection.close()
