"""Limits at n - 1, n and n + 1, on servers whose limits are low (`lowered.py`)."""

from temporalio.api.common.v1 import Memo, SearchAttributes

from ..case import script
from ..commands import (
    accept,
    at,
    cancel_external,
    command,
    complete_workflow,
    modify_properties,
    payload,
    reject,
    respond,
    schedule_activity,
    signal_external,
    start_child,
    upsert_search_attributes,
)
from ..lowered import (
    ATTRIBUTE_BYTES,
    ATTRIBUTES_BYTES,
    MEMO_BYTES,
    NEXUS_HEADER_BYTES,
    PENDING,
    SIGNALS,
    UPDATES_IN_FLIGHT,
    UPDATES_TOTAL,
)
from ..nexus import endpoint, schedule_operation
from .updates import resting


def around(limit):
    return (limit - 1, limit, limit + 1)


def each_alone(t, commands_of, limit=PENDING):
    """One workflow for each number of commands in a task."""
    for count in around(limit):
        name, queue = t.other(str(count)), t.queue_of(str(count))
        t.start(name, task_queue={"name": queue})
        t.complete(t.poll(queue), *commands_of(name, count))
        if count > limit:
            # A task that failed is tried again.
            t.complete(t.poll(queue), complete_workflow())
            t.history(name)


@script(lowered=True)
def pending_activities(t):
    """In one task, and in two."""
    each_alone(t, lambda name, count: [schedule_activity(t, str(n)) for n in range(count)])
    t.start()
    t.complete(t.poll(), *[schedule_activity(t, str(n)) for n in range(PENDING)])
    t.signal()
    t.complete(t.poll(), schedule_activity(t, "one more"))
    t.step(complete_workflow())


@script(lowered=True)
def pending_children(t):
    """Children that run count, those that are only about to be started too."""
    each_alone(
        t,
        lambda name, count: [
            start_child(t, str(n), workflow_id=f"{name}-child-{n}", parent_close_policy="PARENT_CLOSE_POLICY_ABANDON")
            for n in range(count)
        ],
    )
    for name in list(t.runs):
        running = [] if name[1].endswith(str(PENDING + 1)) else range(int(name[1][-1]))
        if running:
            t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED", len(running), name[1])
    t.runs = {}


@script(lowered=True)
def pending_signals(t):
    """Signals to other workflows, none of which is there."""
    each_alone(t, lambda name, count: [signal_external(t, f"nobody-{n}") for n in range(count)])
    for count in around(PENDING)[:2]:
        t.until_event("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED", count, t.other(str(count)))
    t.runs = {}


@script(lowered=True)
def pending_cancel_requests(t):
    """The same of requests to cancel."""
    each_alone(t, lambda name, count: [cancel_external(t, f"nobody-{n}") for n in range(count)])
    for count in around(PENDING)[:2]:
        t.until_event("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED", count, t.other(str(count)))
    t.runs = {}


@script(lowered=True)
def pending_nexus_operations(t):
    """The same of Nexus operations, which nobody takes."""
    endpoint(t)
    each_alone(t, lambda name, count: [schedule_operation(t, str(n)) for n in range(count)])


@script(lowered=True)
def nexus_headers(t):
    """Names and values count together."""
    endpoint(t)
    for size in around(NEXUS_HEADER_BYTES):
        name, queue = t.other(str(size)), t.queue_of(str(size))
        t.start(name, task_queue={"name": queue})
        t.complete(t.poll(queue), schedule_operation(t, nexus_header={"k" * 10: "v" * (size - 10)}))


@script(lowered=True)
def nexus_endpoint_names(t):
    """As long as they may be, and one more. This limit is as it always is."""
    for size in around(200):
        t.call(
            "CreateNexusEndpoint",
            spec={
                "name": "n" * (size - len(t.nonce)) + t.nonce,
                "target": {"worker": {"namespace": "default", "task_queue": "queue"}},
            },
        )


@script(lowered=True)
def signals(t):
    """Of one run, by clients; one that is repeated does not count."""
    t.start()
    for number in range(SIGNALS):
        t.signal(request_id=f"r{number}")
    t.signal(request_id="r0")
    t.signal(request_id="one more")
    t.signal_with_start(request_id="another")
    t.step(complete_workflow())


@script(lowered=True)
def signals_of_other_workflows(t):
    """A workflow that has had its signals refuses those of others too."""
    t.start(t.other("full"), task_queue={"name": t.queue_of("full")})
    for _ in range(SIGNALS):
        t.signal(workflow_id=t.other("full"))
    t.start()
    t.step(signal_external(t, "full"))
    t.until_event("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED")
    t.step(complete_workflow())


@script(lowered=True)
def updates_in_flight(t):
    """Updates that are accepted and not completed yet. The judge forgets those that wait when it refuses one."""
    resting(t)
    for number in range(UPDATES_IN_FLIGHT):
        update = t.update(str(number), stage="ACCEPTED")
        message = accept(str(number))
        t.complete(t.poll(), at(message), messages=[message])
        update.join()
    t.update("one more").join()
    t.signal()
    message = respond("1")
    t.complete(t.poll(), at(message), messages=[message])
    room = t.update("room", stage="ACCEPTED")
    message = accept("room")
    t.complete(t.poll(), at(message), messages=[message])
    room.join()
    t.update("no room").join()
    t.terminate()


@script(lowered=True)
def updates_of_a_run(t):
    """All that were ever accepted, and those that wait; rejected ones do not count."""
    resting(t)
    for number in range(UPDATES_TOTAL):
        update = t.update(str(number))
        messages = [accept(str(number)), respond(str(number))]
        task = t.poll()
        t.note("continue as new is suggested", suggested(task))
        t.complete(task, *map(at, messages), messages=messages)
        update.join()
        if number == 0:
            refused = t.update("refused")
            t.complete(t.poll(), messages=[reject("refused")])
            refused.join()
    t.update("one more").join()
    t.update("0").join()
    t.terminate()


def suggested(task):
    started = task.history.events[-1].workflow_task_started_event_attributes
    return started.suggest_continue_as_new, list(started.suggest_continue_as_new_reasons)


def memo_of(size, name="m"):
    """A memo of so many bytes."""

    def filled(count):
        return {name: {"data": b"x" * count}}

    # The more there is, the longer is what says how long it is.
    return {"fields": filled(size - (Memo(fields=filled(150)).ByteSize() - 150))}


@script(lowered=True)
def memos(t):
    """Of starts, children and successors, and as they are changed."""
    for size in around(MEMO_BYTES):
        t.start(t.other(str(size)), memo=memo_of(size))
        t.signal_with_start(workflow_id=t.other(f"signalled-{size}"), memo=memo_of(size))
    for size in around(MEMO_BYTES):
        for kind, attributes in (
            ("MODIFY_WORKFLOW_PROPERTIES", {"upserted_memo": memo_of(size)}),
            ("CONTINUE_AS_NEW_WORKFLOW_EXECUTION", {"memo": memo_of(size)}),
        ):
            name = t.other(f"{kind[:6]}-{size}")
            queue = f"{t.queue}-{kind[:6]}-{size}"
            t.start(name, task_queue={"name": queue})
            t.complete(t.poll(queue), command(kind, attributes))
        t.start(t.other(f"parent-{size}"), task_queue={"name": t.queue_of(str(size))})
        t.complete(t.poll(t.queue_of(str(size))), start_child(t, f"child-{size}", memo=memo_of(size)))
    for size in around(MEMO_BYTES)[:2]:
        t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED", workflow_id=t.other(f"parent-{size}"))
        # The successor waits for a moment.
        t.until_event("WORKFLOW_TASK_SCHEDULED", workflow_id=t.other(f"CONTIN-{size}"))


@script(lowered=True)
def memos_that_grow(t):
    """What a run has and what is added count together."""
    t.start(memo=memo_of(MEMO_BYTES - 50))
    t.step(modify_properties(m="y" * (MEMO_BYTES - 60)), force_create_new_workflow_task=True)
    t.step(modify_properties(n="y" * 100))
    t.describe()


@script(lowered=True)
def search_attributes_that_grow(t):
    """The same of search attributes."""
    t.start(search_attributes=attributes_of(ATTRIBUTES_BYTES))
    more = upsert_search_attributes(TemporalReportedProblems=["x" * 10])
    t.step(more, force_create_new_workflow_task=True)
    t.describe()


NAMES = ("TemporalChangeVersion", "BuildIds", "BinaryChecksums", "TemporalReportedProblems")


def attributes_of(size):
    """As many search attributes as there may be, of so many bytes."""

    def filled(chars):
        values = ["x" * (ATTRIBUTE_BYTES - 4)] * 2 + ["x" * chars]
        return {name: payload([value]) for name, value in zip(NAMES, values)}

    return {"indexed_fields": filled(size - SearchAttributes(indexed_fields=filled(0)).ByteSize())}


@script(lowered=True)
def search_attributes(t):
    """How many, how large, and how large together."""
    for count in range(1, len(NAMES) + 1):
        fields = {"indexed_fields": {name: payload(["a"]) for name in NAMES[:count]}}
        t.start(t.other(f"keys-{count}"), search_attributes=fields)
    for size in around(ATTRIBUTE_BYTES):
        fields = {"indexed_fields": {NAMES[0]: payload(["x" * (size - 4)])}}
        t.start(t.other(f"value-{size}"), search_attributes=fields)
    for size in around(ATTRIBUTES_BYTES):
        t.start(t.other(f"all-{size}"), search_attributes=attributes_of(size))
    name, queue = t.other("upserted"), t.queue_of("upserted")
    t.start(name, task_queue={"name": queue})
    for size in around(ATTRIBUTE_BYTES):
        upsert = upsert_search_attributes(TemporalChangeVersion=["x" * (size - 4)])
        t.complete(t.poll(queue), upsert, force_create_new_workflow_task=True)
    for size in around(ATTRIBUTES_BYTES):
        fields = {"search_attributes": attributes_of(size)}
        name, queue = t.other(f"parent-{size}"), t.queue_of(f"parent-{size}")
        t.start(name, task_queue={"name": queue})
        t.complete(t.poll(queue), start_child(t, f"child-{size}", **fields))
        name, queue = t.other(f"continued-{size}"), t.queue_of(f"continued-{size}")
        t.start(name, task_queue={"name": queue})
        t.complete(t.poll(queue), command("CONTINUE_AS_NEW_WORKFLOW_EXECUTION", fields))
    for size in around(ATTRIBUTES_BYTES)[:2]:
        t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED", workflow_id=t.other(f"parent-{size}"))
        # The successor waits for a moment.
        t.until_event("WORKFLOW_TASK_SCHEDULED", workflow_id=t.other(f"continued-{size}"))
