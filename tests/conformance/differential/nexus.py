"""What scripts about Nexus share: an endpoint for the script, operations, and a worker's answers."""

from .commands import command, payload


def endpoint_name(t, suffix=""):
    return "endpoint-" + t.id.replace(".", "-").replace("_", "-") + suffix


def nexus_queue(t):
    """The queue of the handlers; the caller's workflow has another."""
    return f"nexus-{t.id}"


def endpoint(t, suffix="", **target):
    """An endpoint of the script whose target is the handlers' queue, made without recording it."""
    target = target or {"worker": {"namespace": t.namespace, "task_queue": nexus_queue(t)}}
    return t.quiet("CreateNexusEndpoint", spec={"name": endpoint_name(t, suffix), "target": target}).endpoint


def schedule_operation(t, operation="work", value="in", **fields):
    attributes = {
        "endpoint": endpoint_name(t),
        "service": "service",
        "operation": operation,
        "input": payload(value),
    }
    metadata = {"user_metadata": fields.pop("user_metadata")} if "user_metadata" in fields else {}
    attributes.update(fields)
    attributes = {k: v for k, v in attributes.items() if v is not None}
    return command("SCHEDULE_NEXUS_OPERATION", attributes, **metadata)


def cancel_operation(scheduled_event_id=5):
    return command("REQUEST_CANCEL_NEXUS_OPERATION", {"scheduled_event_id": scheduled_event_id})


def poll_nexus(t, **fields):
    """Takes a Nexus task from the handlers' queue."""
    return t.call("PollNexusTaskQueue", **{"task_queue": {"name": nexus_queue(t)}, **fields})


def respond(t, task, **response):
    return t.call("RespondNexusTaskCompleted", task_token=task.task_token, response=response)


def succeed(t, task, value="out", **fields):
    return respond(t, task, start_operation={"sync_success": {"payload": payload(value), **fields}})


def go_on(t, task, token="token", **fields):
    """The operation was started and will complete later."""
    return respond(t, task, start_operation={"async_success": {"operation_token": token, **fields}})


def fail_with(t, task, failure):
    """The operation has failed: its verdict, as a failure of Temporal's."""
    return respond(t, task, start_operation={"failure": failure})


def fail_task(t, task, failure=None, **fields):
    """The handler could not carry the task out."""
    if failure is not None:
        fields["failure"] = failure
    return t.call("RespondNexusTaskFailed", task_token=task.task_token, **fields)


def handler_failure(message, kind, **fields):
    """A handler's failure, as an SDK sends it."""
    return {"message": message, "nexus_handler_failure_info": {"type": kind}, **fields}


def pending(t):
    """The pending operations of the script's workflow, unrecorded."""
    execution = {"workflow_id": t.id}
    return t.quiet("DescribeWorkflowExecution", execution=execution).pending_nexus_operations
