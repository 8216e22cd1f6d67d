"""Sizes: what is just allowed, and what happens one byte beyond."""

from ..case import script
from ..commands import (
    command,
    complete_workflow,
    fail_workflow,
    failure,
    modify_properties,
    payload,
    record_marker,
    schedule_activity,
    start_timer,
)

PAYLOAD_BYTES_MAX = 2 << 20


def blob(size):
    return {"payloads": [{"data": b"x" * size}]}


TOO_LARGE = blob(PAYLOAD_BYTES_MAX + 1)


@script
def start(t):
    """Too large an input, memo or header; a large one is fine."""
    t.start(input=TOO_LARGE)
    t.start(memo={"fields": {"m": TOO_LARGE["payloads"][0]}})
    t.start(t.other("header"), header={"fields": {"h": TOO_LARGE["payloads"][0]}})
    t.start(t.other("summary"), user_metadata={"summary": payload("s" * 1000)})
    t.start(t.other("details"), user_metadata={"details": payload("d" * 30000)})
    t.start(input=blob(1 << 20))


@script
def signal(t):
    """Too large a signal changes nothing."""
    t.start()
    t.signal(input=TOO_LARGE)
    t.signal_with_start(signal_input=TOO_LARGE)
    t.signal_with_start(input=TOO_LARGE)
    t.signal(input=blob(100))
    t.step(complete_workflow())


@script
def terminate_and_cancel(t):
    """Details that are too large, reasons and request ids that are too long."""
    t.start(t.other("details"))
    t.terminate(t.other("details"), details=TOO_LARGE)
    t.start(t.other("reason"))
    t.cancel(t.other("reason"), reason="r" * 1001)
    t.cancel(t.other("reason"), request_id="r" * 1001)
    t.terminate(t.other("reason"), reason="r" * 1001)
    t.start(t.other("identity"))
    t.terminate(t.other("identity"), identity="i" * 1001)


@script(seconds=2)
def activity_answers(t):
    """Results, heartbeats and failures that are too large fail the activity or are cut."""
    t.start()
    once = {"maximum_attempts": 1}
    for name in ("result", "failure", "heartbeat"):
        t.step(schedule_activity(t, name, retry_policy=once))
        activity = t.poll_activity()
        if name == "result":
            t.complete_activity(activity, "x" * PAYLOAD_BYTES_MAX)
        elif name == "failure":
            t.fail_activity(activity, failure("m" * 5000, "T", details=blob(1 << 20)))
        else:
            t.heartbeat(activity, "x" * PAYLOAD_BYTES_MAX)
            t.heartbeat(activity, "small")
    t.step(complete_workflow())


@script
def failure_of_an_activity(t):
    """A failure beyond the limit is cut, wrapped in one that says so, and still decides about a retry."""
    t.start()
    once = {"maximum_attempts": 1}
    t.step(schedule_activity(t, retry_policy=once))
    t.fail_activity(t.poll_activity(), failure("m" * 3000, "Large", details=TOO_LARGE))
    t.step(schedule_activity(t, retry_policy=once))
    too_long = failure("x" * (PAYLOAD_BYTES_MAX + 1), "Long", non_retryable=True)
    t.fail_activity(t.poll_activity(), too_long)
    t.step(complete_workflow())


@script(seconds=2)
def query_answer(t):
    """An answer that is too large fails the query only."""
    t.start()
    t.step(start_timer())
    query = t.ask()
    t.answer(t.poll(), query_result=TOO_LARGE)
    query.join()
    query = t.ask()
    t.answer(t.poll())
    query.join()


@script(seconds=3)
def commands(t):
    """A command with too large a payload ends the workflow, with the reason."""
    for each in (
        schedule_activity(t, input=TOO_LARGE),
        record_marker(details={"d": TOO_LARGE}),
        command("COMPLETE_WORKFLOW_EXECUTION", {"result": TOO_LARGE}),
        command("CANCEL_WORKFLOW_EXECUTION", {"details": TOO_LARGE}),
        fail_workflow("x" * (PAYLOAD_BYTES_MAX + 1)),
        modify_properties(memo="x" * PAYLOAD_BYTES_MAX),
        command("CONTINUE_AS_NEW_WORKFLOW_EXECUTION", {"input": TOO_LARGE}),
    ):
        t.start()
        t.step(each)
        t.describe()


@script
def names_of_commands(t):
    """Long user metadata on a command."""
    t.start()
    t.step({**start_timer(), "user_metadata": {"summary": payload("s" * 1000)}})
    t.signal()
    t.step(complete_workflow())


@script
def message(t):
    """More than a message may hold is refused before anybody looks at it."""
    t.start()
    t.signal(input=blob(5 << 20))
    t.signal()
    t.step(complete_workflow())


@script(seconds=4)
def many_events(t):
    """From 4,096 events on a workflow task suggests to continue as new."""
    t.start()
    t.quiet_step(*(record_marker(str(number)) for number in range(4080)))
    for _ in range(2):
        t.signal()
        task = t.quiet_poll()
        started = task.history.events[-1].workflow_task_started_event_attributes
        t.note("events before", task.started_event_id)
        t.note("continue as new is suggested", started.suggest_continue_as_new)
        t.note("because", list(started.suggest_continue_as_new_reasons))
        markers = [record_marker(str(number)) for number in range(10)]
        t.quiet("RespondWorkflowTaskCompleted", task_token=task.task_token, commands=markers)


@script(seconds=2)
def large_history(t):
    """From 4 MiB on too."""
    t.start()
    for _ in range(5):
        t.signal(input=blob(1 << 20))
    task = t.quiet_poll()
    started = task.history.events[-1].workflow_task_started_event_attributes
    t.note("continue as new is suggested", started.suggest_continue_as_new)
    t.note("because", list(started.suggest_continue_as_new_reasons))


@script(seconds=8)
def pending_activities(t):
    """A workflow has at most 2,000 activities pending."""
    t.start()
    t.complete(t.poll(), *(schedule_activity(t, str(number)) for number in range(2001)))
    t.signal()
    t.step(complete_workflow())
