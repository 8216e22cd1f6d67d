"""Values for requests, short enough to read in a script: payloads, durations, commands."""

import json

from google.protobuf.any_pb2 import Any
from temporalio.api.update.v1 import message_pb2 as update


def payload(value):
    return {"metadata": {"encoding": b"json/plain"}, "data": json.dumps(value).encode()}


def payloads(*values):
    return {"payloads": [payload(v) for v in values]}


def seconds(value):
    return {"seconds": int(value), "nanos": round((value - int(value)) * 1e9)}


def failure(message, kind="", **application):
    """An application failure, as an SDK sends for an exception."""
    return {
        "message": message,
        "source": "Tester",
        "application_failure_info": {"type": kind, **application},
    }


def command(kind, attributes=None, **rest):
    """A command by its name, e.g. `command("START_TIMER", {...})`."""
    field = {
        "CANCEL_WORKFLOW_EXECUTION": "cancel_workflow_execution",
        "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES": "upsert_workflow_search_attributes",
    }.get(kind, kind.lower())
    fields = {"command_type": f"COMMAND_TYPE_{kind}", **rest}
    if attributes is not None:
        fields[f"{field}_command_attributes"] = attributes
    return fields


def schedule_activity(t, activity_id="a", **fields):
    """An activity on the script's own queue, with ten seconds for each attempt."""
    attributes = {
        "activity_id": activity_id,
        "activity_type": {"name": "work"},
        "task_queue": {"name": t.queue},
        "start_to_close_timeout": seconds(10),
    }
    attributes.update(fields)
    return command("SCHEDULE_ACTIVITY_TASK", {k: v for k, v in attributes.items() if v is not None})


def schedule_apart(t, activity_id, **fields):
    """An activity on a queue of its own: which of several on one queue is handed out first is chance."""
    return schedule_activity(t, activity_id, task_queue={"name": t.queue_of(activity_id)}, **fields)


def cancel_activity(scheduled_event_id):
    return command("REQUEST_CANCEL_ACTIVITY_TASK", {"scheduled_event_id": scheduled_event_id})


def start_timer(timer_id="timer", after=60):
    return command("START_TIMER", {"timer_id": timer_id, "start_to_fire_timeout": seconds(after)})


def cancel_timer(timer_id="timer"):
    return command("CANCEL_TIMER", {"timer_id": timer_id})


def complete_workflow(result="done"):
    return command("COMPLETE_WORKFLOW_EXECUTION", {"result": payloads(result)})


def fail_workflow(message="broken", kind="Broken", **application):
    return command("FAIL_WORKFLOW_EXECUTION", {"failure": failure(message, kind, **application)})


def cancel_workflow(details="cancelled"):
    return command("CANCEL_WORKFLOW_EXECUTION", {"details": payloads(details)})


def continue_as_new(t, **fields):
    attributes = {
        "workflow_type": {"name": "probe"},
        "task_queue": {"name": t.queue},
        "input": payloads("next"),
    }
    attributes.update(fields)
    return command(
        "CONTINUE_AS_NEW_WORKFLOW_EXECUTION", {k: v for k, v in attributes.items() if v is not None}
    )


def record_marker(name="marker", **fields):
    return command("RECORD_MARKER", {"marker_name": name, **fields})


def upsert_search_attributes(**values):
    return command(
        "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
        {"search_attributes": {"indexed_fields": {k: payload(v) for k, v in values.items()}}},
    )


def modify_properties(**memo):
    fields = {k: payload(v) for k, v in memo.items()}
    return command("MODIFY_WORKFLOW_PROPERTIES", {"upserted_memo": {"fields": fields}})


def start_child(t, name="child", **fields):
    """A child workflow on a queue of its own."""
    attributes = {
        "workflow_id": t.other(name),
        "workflow_type": {"name": "childish"},
        "task_queue": {"name": t.queue_of(name)},
        "input": payloads("in"),
    }
    attributes.update(fields)
    return command("START_CHILD_WORKFLOW_EXECUTION", {k: v for k, v in attributes.items() if v is not None})


def signal_external(t, name="other", signal="go", run_id="", **fields):
    attributes = {
        "execution": {"workflow_id": t.other(name), "run_id": run_id},
        "signal_name": signal,
        "input": payloads("signal"),
    }
    attributes.update(fields)
    return command("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION", {k: v for k, v in attributes.items() if v is not None})


def cancel_external(t, name="other", run_id="", **fields):
    attributes = {"workflow_id": t.other(name), "run_id": run_id, "reason": "enough", **fields}
    return command("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION", attributes)


def update_body(update_id="u", name="change", args=("in",)):
    """What a client asks of the workflow in an update."""
    return {
        "meta": {"update_id": update_id, "identity": "tester"},
        "input": {"name": name, "args": payloads(*args)},
    }


def message(kind, update_id, message_id, **fields):
    """A message of a worker about an update, e.g. `message("Response", "u", "u/done", ..)`."""
    body = Any()
    body.Pack(getattr(update, kind)(**fields))
    return {"id": message_id, "protocol_instance_id": update_id, "body": body}


def accept(update_id="u", name="change", **fields):
    fields = {
        "accepted_request_message_id": f"{update_id}/request",
        "accepted_request_sequencing_event_id": 2,
        "accepted_request": update_body(update_id, name),
        **fields,
    }
    return message("Acceptance", update_id, f"{update_id}/accept", **fields)


def respond(update_id="u", result="out", **fields):
    fields = {
        "meta": {"update_id": update_id, "identity": "tester"},
        "outcome": {"success": payloads(result)},
        **fields,
    }
    return message("Response", update_id, f"{update_id}/complete", **fields)


def reject(update_id="u", why="unwanted", name="change", **fields):
    fields = {
        "rejected_request_message_id": f"{update_id}/request",
        "rejected_request_sequencing_event_id": 2,
        "rejected_request": update_body(update_id, name),
        "failure": failure(why, "Unwanted"),
        **fields,
    }
    return message("Rejection", update_id, f"{update_id}/reject", **fields)


def at(message):
    """The command that gives a message its place among the commands."""
    return command("PROTOCOL_MESSAGE", {"message_id": message["id"]})
