"""How many and how large: what has a limit of its own, one below it, at it and beyond. These are as they always are."""

from harness import wire

from ..case import script
from ..commands import cancel_workflow, complete_workflow, record_marker, schedule_activity, start_child
from ..nexus import endpoint, schedule_operation
from ..sizes import around, payload_of
from . import schedules
from .namespaces import own_namespace

LINKS_MAX = 10
LINK_BYTES_MAX = 4000
EXECUTIONS_MAX = 1000
ERROR_BYTES_MAX = 4000
BLOB_BYTES_MAX = 2 << 20
# Names of encoding and type, and the lengths of everything.
UPDATE_BYTES_AROUND = 109
SUMMARY_BYTES_MAX = 400
DETAILS_BYTES_MAX = 20_000


@script(seconds=2)
def links(t):
    """How many, and how large."""

    def link(size=None):
        event = {"namespace": "default", "workflow_id": "w", "run_id": t.nonce}
        kind = wire.METHODS.by_name["SignalWorkflowExecution"][1]
        if size:
            bare = kind(links=[{"workflow_event": {**event, "workflow_id": "w" * 3000}}]).links[0].ByteSize()
            event["workflow_id"] = "w" * (size - bare + 3000)
        return {"workflow_event": event}

    t.start()
    named = {"workflow_execution": {"workflow_id": t.id}}
    number = [[link()] * count for count in around(LINKS_MAX)]
    sizes = [[link(size)] for size in around(LINK_BYTES_MAX)]
    for many in number + sizes:
        t.call("SignalWorkflowExecution", **named, signal_name="go", links=many)
        t.call("RequestCancelWorkflowExecution", **named, links=many)
        t.start(t.other(f"{len(t.lines)}"), links=many)
        t.signal_with_start(workflow_id=t.other(f"{len(t.lines)}"), links=many)
        t.start(t.other("ended"))
        t.terminate(t.other("ended"), links=many)
        t.call(
            "StartActivityExecution",
            activity_id=t.other(f"{len(t.lines)}"),
            activity_type={"name": "work"},
            task_queue={"name": t.queue},
            start_to_close_timeout={"seconds": 60},
            links=many,
        )


@script(seconds=3)
def executions_of_a_batch(t):
    """How many workflows a batch may name."""
    own_namespace(t)
    for count in around(EXECUTIONS_MAX):
        t.call(
            "StartBatchOperation",
            job_id=f"{count}",
            reason="why not",
            executions=[{"workflow_id": "nobody"}] * count,
            signal_operation={"signal": "go"},
            max_operations_per_second=10_000,
        )
        t.until(is_over(t, f"{count}"), "the end of the batch")


def is_over(t, job_id):
    def over():
        try:
            t.quiet("StopBatchOperation", job_id=job_id, reason="enough")
        except wire.Failure:
            pass
        listed = t.quiet("ListBatchOperations", page_size=100).operation_info
        return all(batch.state != 1 for batch in listed)

    return over


@script(seconds=3)
def metadata_of_users(t):
    """Summaries and details of everything that takes them."""
    endpoint(t)
    for part, limit in (("summary", SUMMARY_BYTES_MAX), ("details", DETAILS_BYTES_MAX)):
        for size in around(limit):
            given = {"user_metadata": {part: payload_of(size)}}
            name = f"{part}-{size}"
            t.start(t.other(name), **given)
            t.signal_with_start(workflow_id=t.other(f"with-{name}"), **given)
            t.call(
                "StartActivityExecution",
                activity_id=t.other(name),
                activity_type={"name": "work"},
                task_queue={"name": t.queue},
                start_to_close_timeout={"seconds": 60},
                **given,
            )
            schedules.create(t, schedule_id=t.other(name), action_fields=given, state={"paused": True})
            if part == "summary":
                for kind, each in (
                    ("activity", schedule_activity(t)),
                    ("marker", record_marker()),
                    ("child", start_child(t, f"child-{size}")),
                    ("operation", schedule_operation(t)),
                    ("end", complete_workflow()),
                    ("cancel", cancel_workflow()),
                ):
                    own, queue = t.other(f"{kind}-{name}"), t.queue_of(f"{kind}-{name}")
                    t.start(own, task_queue={"name": queue})
                    t.complete(t.poll(queue), {**each, **given})
    t.runs = {}


@script(seconds=3)
def texts_of_errors(t):
    """A text that is too long is cut."""
    t.start()
    t.step()
    failed = {"completed_type": "QUERY_RESULT_TYPE_FAILED", "query_result": None}
    for size in (*around(ERROR_BYTES_MAX), 100_000):
        query = t.ask()
        t.answer(t.poll(), error_message="x" * size, **failed)
        query.join()
    t.terminate()


@script(seconds=4)
def definition_of_a_schedule(t):
    """What an update may weigh, as the judge counts it: with what it puts around the schedule."""
    schedules.create(t, state={"paused": True})
    kind = wire.METHODS.by_name["UpdateSchedule"][1]

    def schedule(count):
        action = schedules.action(t, input={"payloads": [{"data": b"x" * count}]})
        return {"action": action, "spec": {"interval": [{"interval": {"seconds": 300 * schedules.DAY}}]}}

    room = BLOB_BYTES_MAX - UPDATE_BYTES_AROUND
    empty = BLOB_BYTES_MAX - kind(schedule=schedule(BLOB_BYTES_MAX)).schedule.ByteSize()
    for size in around(room):
        t.call("UpdateSchedule", schedule_id=t.id, request_id=f"{size}", schedule=schedule(size + empty))
    schedules.delete(t)
