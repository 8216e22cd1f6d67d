"""What the server says about itself, and how it meets nonsense."""

import grpc

from harness import wire

from ..case import script
from ..commands import complete_workflow, payloads


@script
def system_info(t):
    """The capabilities that SDKs look at when they connect."""
    info = t.quiet("GetSystemInfo")
    t.note("a version is reported", bool(info.server_version))
    for name in (
        "signal_and_query_header",
        "internal_error_differentiation",
        "activity_failure_include_heartbeat",
        "encoded_failure_attributes",
        "upsert_memo",
        "eager_workflow_start",
        "sdk_metadata",
        "count_group_by_execution_status",
    ):
        t.note(name, getattr(info.capabilities, name))


@script
def cluster_info(t):
    """Fields that the CLI and the UI read."""
    info = t.quiet("GetClusterInfo")
    for name in ("supported_clients", "server_version", "cluster_id", "cluster_name", "history_shard_count"):
        t.note(f"{name} is set", bool(getattr(info, name)))


@script
def clients_that_are_too_old(t):
    """A client says which servers it supports; a server says which clients it does."""
    info = {"workflow_execution": {"workflow_id": t.id}}
    t.start()
    for metadata in (
        {"client-name": "temporal-go", "client-version": "0.1.0", "supported-server-versions": "<0.5.0"},
        {"client-name": "temporal-go", "client-version": "99.0.0"},
        {"client-name": "temporal-go", "client-version": "nonsense"},
        {"client-name": "unknown", "client-version": "1.0.0"},
        {"client-name": "temporal-go"},
        {},
    ):
        t.call("SignalWorkflowExecution", signal_name="go", metadata=metadata, **info)
    t.terminate()


@script
def malformed(t):
    """Bytes that are no message: an error, and the server goes on."""
    for method in ("StartWorkflowExecution", "PollWorkflowTaskQueue", "RespondWorkflowTaskCompleted"):
        future = t.send(method, b"\xff\xff\xff\xff", 10, None)
        try:
            wire.finish(future)
            t.note(method, "accepted")
        except wire.Failure as failure:
            t.note(method, failure.code)
    t.start()
    t.step(complete_workflow())


@script
def unknown_methods(t):
    """A method that no server has."""
    channel = t.connection.channels[0]
    for path in (
        "/temporal.api.workflowservice.v1.WorkflowService/NoSuchMethod",
        "/no.such.Service/Method",
    ):
        try:
            channel.unary_unary(path)(b"", timeout=5)
        except grpc.RpcError as error:
            t.note(path, error.code().name)


@script
def compressed(t):
    """Official clients compress; the server understands gzip."""
    path, request, response = wire.METHODS.by_name["StartWorkflowExecution"]
    stub = t.connection.channels[0].unary_unary(
        path, request_serializer=lambda m: m.SerializeToString(), response_deserializer=response.FromString
    )
    fields = {
        "workflow_id": t.id,
        "workflow_type": {"name": "probe"},
        "task_queue": {"name": t.queue},
        "input": payloads("x" * 10000),
    }
    answer = stub(t.request("StartWorkflowExecution", fields), timeout=10, compression=grpc.Compression.Gzip)
    t.note("started", answer.started)
    t.step(complete_workflow())
    t.describe()


@script
def health(t):
    """The standard health service, as a whole and by service."""
    channel = t.connection.channels[0]
    check = channel.unary_unary("/grpc.health.v1.Health/Check")
    for service in (b"", b"temporal.api.workflowservice.v1.WorkflowService", b"no.such.Service"):
        request = bytes([0x0A, len(service)]) + service if service else b""
        try:
            t.note(service.decode() or "all", check(request, timeout=5).hex())
        except grpc.RpcError as error:
            t.note(service.decode() or "all", error.code().name)


@script(seconds=4)
def deadlines(t):
    """Long polls need a deadline that leaves the server time to answer."""
    t.poll(timeout=1)
    t.poll_activity(timeout=1)
    t.start()
    t.poll(timeout=1)
    t.step(complete_workflow())


@script
def long_poll_that_is_abandoned(t):
    """A poll whose caller went away does not swallow the task that comes after."""
    waiting = t.background("PollWorkflowTaskQueue", timeout=30, task_queue={"name": t.queue})
    t.sleep(0.5)
    waiting.cancel()
    t.sleep(0.5)
    t.start()
    t.step(complete_workflow())


@script
def long_poll_that_is_served(t):
    """A poll that waits gets the task the moment it exists."""
    waiting = t.background("PollWorkflowTaskQueue", timeout=30, task_queue={"name": t.queue})
    t.sleep(0.5)
    t.start()
    task = waiting.join()
    t.complete(task, complete_workflow())


@script
def many_pollers_one_task(t):
    """Of several polls exactly one gets the task."""
    waiting = [
        t.background("PollWorkflowTaskQueue", timeout=4, task_queue={"name": t.queue}) for _ in range(4)
    ]
    t.sleep(0.5)
    t.start()
    tasks = [wire.finish(w.future) for w in waiting]
    served = [task for task in tasks if task.task_token]
    t.note("served", len(served))
    t.complete(served[0], complete_workflow())
