"""Calls to Nexus operations that run on their own, in one line each."""

from .commands import payload
from .nexus import endpoint, endpoint_name


def start(t, operation_id=None, **fields):
    """Starts an operation behind the script's own endpoint."""
    fields = {
        "operation_id": named(t, operation_id),
        "endpoint": endpoint_name(t),
        "service": "service",
        "operation": "work",
        "input": payload("in"),
        **fields,
    }
    return t.call("StartNexusOperationExecution", **fields)


def begin(t, operation_id=None, **fields):
    """The same, with the endpoint that it leads to."""
    endpoint(t)
    return start(t, operation_id, **fields)


def of(t, method, operation_id=None, **fields):
    """A call that names an operation."""
    return t.call(f"{method}NexusOperationExecution", operation_id=named(t, operation_id), **fields)


def describe(t, operation_id=None, **fields):
    return of(t, "Describe", operation_id, **{"include_input": True, "include_outcome": True, **fields})


def outcome(t, operation_id=None, **fields):
    """Waits until the operation has closed, or for the stage that is given."""
    if "stage" in fields:
        fields["wait_stage"] = f"NEXUS_OPERATION_WAIT_STAGE_{fields.pop('stage')}"
    return of(t, "Poll", operation_id, **fields)


def cancel(t, operation_id=None, **fields):
    return of(t, "RequestCancel", operation_id, **fields)


def terminate(t, operation_id=None, **fields):
    return of(t, "Terminate", operation_id, **fields)


def until_stage(t, stage="CLOSED", operation_id=None):
    """Waits for a stage without recording it."""
    stage = f"NEXUS_OPERATION_WAIT_STAGE_{stage}"
    t.quiet("PollNexusOperationExecution", operation_id=named(t, operation_id), wait_stage=stage)


def until_attempts(t, count, operation_id=None):
    """Waits until so many calls of a handler are over, unrecorded."""

    def info():
        return t.quiet("DescribeNexusOperationExecution", operation_id=named(t, operation_id)).info

    # An attempt is counted when it begins; a failure is there when it is over.
    t.until(lambda: info().state == 2 and info().attempt >= count, "the attempt's end")


def until_cancellation(t, state, operation_id=None):
    """Waits for a state of the cancellation, unrecorded: 2 is backing off, 4 failed, 5 succeeded."""

    def is_there():
        info = t.quiet("DescribeNexusOperationExecution", operation_id=named(t, operation_id)).info
        return info.cancellation_info.state == state

    t.until(is_there, "the cancellation")


def named(t, operation_id):
    return t.id if operation_id is None else operation_id
