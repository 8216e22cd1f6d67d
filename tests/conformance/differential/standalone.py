"""Calls to activities that run on their own, in one line each."""

from .commands import payloads, seconds


def start(t, activity_id=None, **fields):
    """Starts an activity on the script's own queue, with ten seconds for each attempt."""
    fields = {
        "activity_id": named(t, activity_id),
        "activity_type": {"name": "work"},
        "task_queue": {"name": t.queue},
        "start_to_close_timeout": seconds(10),
        **fields,
    }
    return t.call("StartActivityExecution", **fields)


def of(t, method, activity_id=None, **fields):
    """A call that names an activity."""
    return t.call(method, activity_id=named(t, activity_id), **fields)


def describe(t, activity_id=None, **fields):
    include = ("include_input", "include_outcome", "include_heartbeat_details", "include_last_failure")
    return of(t, "DescribeActivityExecution", activity_id, **{**dict.fromkeys(include, True), **fields})


def outcome(t, activity_id=None, **fields):
    """Waits until the activity has closed."""
    return of(t, "PollActivityExecution", activity_id, **fields)


def cancel(t, activity_id=None, **fields):
    return of(t, "RequestCancelActivityExecution", activity_id, **fields)


def terminate(t, activity_id=None, **fields):
    return of(t, "TerminateActivityExecution", activity_id, **fields)


def complete_by_id(t, activity_id=None, result="result", **fields):
    return of(t, "RespondActivityTaskCompletedById", activity_id, result=payloads(result), **fields)


def until_closed(t, activity_id=None):
    """Waits for the end without recording it."""
    t.quiet("PollActivityExecution", activity_id=named(t, activity_id))


def named(t, activity_id):
    return t.id if activity_id is None else activity_id
