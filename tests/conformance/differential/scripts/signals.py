"""Signals: where they land in the history, and when they are refused."""

from ..case import script
from ..commands import complete_workflow, continue_as_new, payloads, record_marker, start_timer


@script
def between_scheduled_and_started(t):
    """With a workflow task merely scheduled, a signal is written at once and makes no second task."""
    t.start()
    t.signal("go", "early")
    t.step(complete_workflow())


@script
def makes_a_task_for_an_idle_workflow(t):
    """A signal to a workflow that waits gives it a workflow task."""
    t.start()
    t.step(start_timer())
    t.signal("go", {"amount": 3}, header={"fields": {"trace": {"data": b"abc"}}})
    t.signal("again")
    t.step(complete_workflow())


@script
def waits_for_the_started_task(t):
    """A signal that meets a started workflow task is buffered and written after its completion."""
    t.start()
    task = t.poll()
    t.signal("go", 1)
    t.signal("go", 2)
    t.describe()
    t.history()
    t.complete(task, start_timer(), record_marker())
    t.step(complete_workflow())


@script
def waits_for_the_failed_task(t):
    """Signals buffered behind a task that fails are written after the failure; the next task is attempt 1."""
    t.start()
    task = t.poll()
    t.signal("go")
    t.fail_task(task)
    t.step(complete_workflow())


@script
def repeated_with_the_same_request_id(t):
    """A repeated signal is recognised by its request id: written once, answered OK every time."""
    t.start()
    t.signal("go", 1, request_id="once")
    t.signal("go", 1, request_id="once")
    t.signal("other", 2, request_id="once")
    t.signal("go", 3, request_id="twice")
    t.signal("go", 4)
    t.signal("go", 4)
    t.step(complete_workflow())


@script
def repeated_while_buffered(t):
    """A signal whose first copy is still buffered is recognised too."""
    t.start()
    task = t.poll()
    t.signal("go", 1, request_id="once")
    t.signal("go", 1, request_id="once")
    t.complete(task)
    t.signal("go", 1, request_id="once")
    t.step(complete_workflow())


@script(seconds=2)
def repeated_to_the_next_run(t):
    """A repeat that comes when the run which took the signal has continued as new."""
    t.start()
    t.signal("go", 1, request_id="once")
    t.step(continue_as_new(t))
    t.signal("go", 1, request_id="once")
    t.step(complete_workflow())


@script
def repeated_after_the_close(t):
    """A repeat is recognised before the run is found closed: it is OK, a new signal is not."""
    t.start()
    t.signal("go", 1, request_id="once")
    t.step(complete_workflow())
    t.signal("go", 1, request_id="once")
    t.signal("go", 1, request_id="new")
    t.signal("go", 1)


@script
def to_nobody(t):
    """Signals to a workflow, run or namespace that does not exist."""
    t.signal("go")
    t.signal("go", namespace="no-such-namespace")
    t.start()
    t.signal("go", run_id="11111111-2222-3333-4444-555555555555")
    t.signal("go", run_id="not-a-uuid")
    t.signal("")
    t.signal("go", workflow_id="", run_id="")
    t.call("SignalWorkflowExecution", signal_name="go")
    t.signal("n" * 1001)
    t.signal("go", request_id="r" * 1001)


@script
def to_a_closed_run_by_its_id(t):
    """An explicit run id addresses that run, closed or not, never its successor."""
    first = t.start()
    t.step(complete_workflow())
    t.start()
    t.signal("go", run_id=first.run_id)
    t.signal("go")


@script
def many_behind_one_task(t):
    """Signals keep the order in which they were accepted."""
    t.start()
    task = t.poll()
    for number in range(20):
        t.signal("go", number)
    t.complete(task)
    t.step(complete_workflow())


@script
def over_the_buffer_limit(t):
    """Beyond 100 buffered events the started task is failed and the buffer is written; the signals are OK."""
    t.start()
    task = t.poll()
    for number in range(101):
        t.signal("go", number)
    t.complete(task)
    t.step(complete_workflow())


@script
def links_of_every_kind(t):
    """What a link may lead to, and what it may not leave out."""
    t.start()
    named = {"namespace": "default", "run_id": "r"}
    kinds = {
        "workflow_event": {**named, "workflow_id": "w"},
        "batch_job": {"job_id": "j"},
        "activity": {**named, "activity_id": "a"},
        "nexus_operation": {**named, "operation_id": "o"},
        "workflow": {**named, "workflow_id": "w", "reason": "why"},
        "callback": {"namespace": "default", "request_id": "r"},
    }
    for kind, fields in kinds.items():
        t.signal(f"with {kind}", links=[{kind: fields}])
        for left_out in fields:
            rest = {name: value for name, value in fields.items() if name != left_out}
            t.signal(f"without {left_out} of {kind}", links=[{kind: rest}])
        t.signal(f"empty {kind}", links=[{kind: {}}])
    t.terminate()


@script
def with_links_and_header(t):
    """Header and links of a signal are kept in its event."""
    t.start()
    t.signal(
        "go",
        1,
        header={"fields": {"k": {"data": b"v"}}},
        links=[
            {
                "workflow_event": {
                    "namespace": "default",
                    "workflow_id": "other",
                    "run_id": "11111111-2222-3333-4444-555555555555",
                    "event_ref": {"event_id": 7, "event_type": "EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED"},
                }
            }
        ],
    )
    t.call(
        "SignalWorkflowExecution",
        workflow_execution={"workflow_id": t.id},
        signal_name="empty",
        input={"payloads": [{}]},
        control="kept for old clients",
    )
    t.signal("several", input=payloads(1, "two", None))
    t.step(complete_workflow())
