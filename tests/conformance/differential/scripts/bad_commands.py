"""Commands that a server must refuse: which failure cause, which message, and nothing else changed.

Each refused command fails its workflow task; the signal after it makes the next
task a normal one, so that one workflow serves for a whole table of commands.
"""

from ..case import script
from ..commands import (
    cancel_activity,
    cancel_timer,
    cancel_workflow,
    command,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    modify_properties,
    payloads,
    record_marker,
    schedule_activity,
    seconds,
    start_timer,
    upsert_search_attributes,
)


def try_each(t, *commands):
    t.start()
    for each in commands:
        t.complete(t.poll(), record_marker("discarded with the rest"), each)
        t.signal()
    t.step(complete_workflow())


@script(seconds=2)
def activity_names(t):
    """An activity needs an id, a type and a queue, none of them too long or reserved."""
    try_each(
        t,
        command("SCHEDULE_ACTIVITY_TASK"),
        command("SCHEDULE_ACTIVITY_TASK", {}),
        schedule_activity(t, ""),
        schedule_activity(t, "i" * 1001),
        schedule_activity(t, activity_type={"name": ""}),
        schedule_activity(t, activity_type={"name": "t" * 1001}),
        schedule_activity(t, task_queue=None),
        schedule_activity(t, task_queue={}),
        schedule_activity(t, task_queue={"name": "q" * 1001}),
        schedule_activity(t, task_queue={"name": "/_sys/x"}),
        schedule_activity(t, task_queue={"name": "temporal-sys-x"}),
        schedule_activity(t, task_queue={"name": t.queue, "kind": "TASK_QUEUE_KIND_STICKY"}),
    )


@script(seconds=2)
def activity_timeouts(t):
    """An activity needs a time-out that ends it; none may be negative."""
    try_each(
        t,
        schedule_activity(t, start_to_close_timeout=None),
        schedule_activity(t, start_to_close_timeout=seconds(0), schedule_to_start_timeout=seconds(5)),
        schedule_activity(t, start_to_close_timeout=seconds(-1)),
        schedule_activity(t, schedule_to_close_timeout=seconds(-1)),
        schedule_activity(t, schedule_to_start_timeout=seconds(-1)),
        schedule_activity(t, heartbeat_timeout=seconds(-1)),
    )


@script(seconds=2)
def activity_retry_policies(t):
    """The rules for retry policies are the same as at the start of a workflow."""
    try_each(
        t,
        schedule_activity(t, retry_policy={"initial_interval": seconds(-1)}),
        schedule_activity(t, retry_policy={"backoff_coefficient": 0.5}),
        schedule_activity(t, retry_policy={"maximum_interval": seconds(-1)}),
        schedule_activity(t, retry_policy={"initial_interval": seconds(5), "maximum_interval": seconds(1)}),
        schedule_activity(t, retry_policy={"maximum_attempts": -1}),
    )


@script
def timers(t):
    """A timer needs an id and a time that is not negative."""
    try_each(
        t,
        command("START_TIMER"),
        command("START_TIMER", {}),
        start_timer(""),
        start_timer("i" * 1001),
        start_timer(after=-1),
        command("CANCEL_TIMER"),
        cancel_timer(""),
        cancel_timer("i" * 1001),
        cancel_timer("unknown"),
    )


@script
def activity_cancellations(t):
    """Only an activity that was scheduled and is not finished can be cancelled."""
    try_each(
        t,
        command("REQUEST_CANCEL_ACTIVITY_TASK"),
        cancel_activity(0),
        cancel_activity(-1),
        cancel_activity(1),
        cancel_activity(4711),
    )


@script
def closing_commands(t):
    """The commands that close a workflow need their attributes."""
    try_each(
        t,
        command("COMPLETE_WORKFLOW_EXECUTION"),
        command("FAIL_WORKFLOW_EXECUTION"),
        command("FAIL_WORKFLOW_EXECUTION", {}),
        command("CANCEL_WORKFLOW_EXECUTION"),
        command("CONTINUE_AS_NEW_WORKFLOW_EXECUTION"),
    )


@script(seconds=2)
def continuing_as_new(t):
    """The next run's fields follow the rules of a start."""
    try_each(
        t,
        continue_as_new(t, workflow_type={"name": "t" * 1001}),
        continue_as_new(t, task_queue={"name": "q" * 1001}),
        continue_as_new(t, task_queue={"name": "/_sys/x"}),
        continue_as_new(t, workflow_run_timeout=seconds(-1)),
        continue_as_new(t, workflow_task_timeout=seconds(-1)),
        continue_as_new(t, backoff_start_interval=seconds(-1)),
        continue_as_new(t, retry_policy={"initial_interval": seconds(-1)}),
        continue_as_new(t, search_attributes={"indexed_fields": {"NoSuch": {"data": b"1"}}}),
    )


@script
def markers_and_properties(t):
    """A marker needs a name; changes of properties must change something that exists."""
    try_each(
        t,
        command("RECORD_MARKER"),
        record_marker(""),
        record_marker("m" * 1001),
        command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES"),
        command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", {}),
        upsert_search_attributes(NoSuchAttribute="x"),
        upsert_search_attributes(WorkflowId="x"),
        command("MODIFY_WORKFLOW_PROPERTIES"),
        command("MODIFY_WORKFLOW_PROPERTIES", {}),
        modify_properties(),
    )


def raw_attribute(name, **raw):
    fields = {"search_attributes": {"indexed_fields": {name: raw}}}
    return command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", fields)


@script
def attributes_without_an_encoding(t):
    """A payload that says nothing of how to read it, as the Rust SDK sends it to unset an attribute."""
    try_each(
        t,
        raw_attribute("TemporalSchedulePaused"),
        raw_attribute("TemporalSchedulePaused", metadata={"type": b"Bool"}),
        raw_attribute("TemporalSchedulePaused", data=b"true"),
        raw_attribute("TemporalSchedulePaused", metadata={"type": b"Bool", "a": b"b"}, data=b"true"),
        raw_attribute("TemporalScheduledStartTime"),
        raw_attribute("TemporalChangeVersion"),
        raw_attribute("TemporalScheduledById"),
    )


@script
def unknown_kinds(t):
    """A command of no known kind is refused without failing the task."""
    t.start()
    task = t.poll()
    t.complete(task, {"command_type": 0})
    t.complete(task, {"command_type": 999})
    t.complete(task, {})
    t.complete(task, complete_workflow())


@script
def mismatched_attributes(t):
    """A kind with another kind's attributes has no attributes."""
    t.start()
    t.complete(
        t.poll(),
        {
            "command_type": "COMMAND_TYPE_START_TIMER",
            "record_marker_command_attributes": {"marker_name": "m"},
        },
    )


@script
def after_a_closing_command(t):
    """Nothing may follow the command that closes; the task stays started."""
    t.start()
    task = t.poll()
    t.complete(task, complete_workflow(), start_timer())
    t.complete(task, complete_workflow(), complete_workflow())
    t.complete(task, fail_workflow(), record_marker())
    t.complete(task, continue_as_new(t), cancel_workflow())
    t.complete(task, complete_workflow(), {"command_type": 999})
    t.complete(task, cancel_workflow())


@script
def duplicate_timer(t):
    """Two timers of one id, in one task and in two."""
    t.start()
    t.step(start_timer("a"), start_timer("a"))
    t.signal()
    t.step(start_timer("a"))
    t.signal()
    t.step(start_timer("a"))
    t.signal()
    t.step(complete_workflow())


@script
def duplicate_activity(t):
    """Two pending activities of one id, in one task and in two."""
    t.start()
    t.step(schedule_activity(t), schedule_activity(t))
    t.signal()
    t.step(schedule_activity(t))
    t.signal()
    t.step(schedule_activity(t))
    t.signal()
    t.step(complete_workflow())


@script
def again_on_the_second_attempt(t):
    """From the second attempt on a refused command writes nothing, not even the failure."""
    t.start(workflow_task_timeout=seconds(1))
    t.step(start_timer(""))
    t.step(start_timer(""))
    t.step(complete_workflow())


@script
def with_events_buffered(t):
    """What was buffered behind the refused task is written after the failure."""
    t.start()
    task = t.poll()
    t.signal()
    t.complete(task, start_timer(""), return_new_workflow_task=True)
    t.step(complete_workflow())


@script
def first_refused_command_decides(t):
    """Of two refused commands the first gives cause and message."""
    t.start()
    t.step(cancel_timer("unknown"), start_timer(""), complete_workflow())
    t.signal()
    t.step(record_marker("m", details={"d": payloads(1)}), cancel_activity(7), start_timer(""))
