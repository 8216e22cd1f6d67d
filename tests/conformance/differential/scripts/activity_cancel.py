"""Cancelling activities: before, during and after their work."""

from ..case import script
from ..commands import (
    cancel_activity,
    complete_workflow,
    failure,
    payloads,
    schedule_activity,
    schedule_apart,
    seconds,
    start_timer,
)


@script
def not_started(t):
    """Cancelled before any worker took it: at once, and with a workflow task to see it."""
    t.start()
    t.step(schedule_activity(t))
    t.signal()
    t.step(cancel_activity(5))
    t.step(complete_workflow())
    t.poll_activity(timeout=3)


@script
def not_started_in_the_same_task(t):
    """Scheduled and cancelled by the same workflow task."""
    t.start()
    t.step(schedule_activity(t), cancel_activity(5))
    t.step(complete_workflow())


@script
def not_started_and_completed_at_once(t):
    """The workflow may end in the task that cancels; the cancellation itself is then not written."""
    t.start()
    t.step(schedule_activity(t))
    t.signal()
    t.step(cancel_activity(5), complete_workflow())
    t.poll_activity(timeout=3)


@script
def not_started_inline(t):
    """The forced workflow task comes back in the answer when the worker wants it."""
    t.start()
    t.step(schedule_activity(t))
    t.signal()
    answer = t.complete(t.poll(), cancel_activity(5), return_new_workflow_task=True)
    t.complete(answer.workflow_task, complete_workflow())


@script
def started(t):
    """The worker is told by its heartbeat and may report the cancellation."""
    t.start()
    t.step(schedule_activity(t, heartbeat_timeout=seconds(20)))
    activity = t.poll_activity()
    t.heartbeat(activity, 1)
    t.signal()
    t.step(cancel_activity(5))
    t.describe()
    t.heartbeat(activity, 2)
    t.call("RecordActivityTaskHeartbeatById", workflow_id=t.id, activity_id="a")
    t.cancel_activity_task(activity, "cleaned up")
    t.step(complete_workflow())


@script
def started_but_completes(t):
    """A worker may also finish what it was asked to cancel, or fail."""
    t.start()
    t.step(schedule_apart(t, "a"), schedule_apart(t, "b"))
    first, second = t.poll_activity(t.queue_of("a")), t.poll_activity(t.queue_of("b"))
    t.signal()
    t.step(cancel_activity(5), cancel_activity(6))
    t.complete_activity(first)
    t.fail_activity(second, failure("no"))
    t.step(complete_workflow())


@script
def by_id(t):
    """The report of a cancellation by id."""
    t.start()
    t.step(schedule_activity(t))
    t.poll_activity()
    t.signal()
    t.step(cancel_activity(5))
    t.call("RespondActivityTaskCanceledById", workflow_id=t.id, activity_id="a", details=payloads("by id"))
    t.step(complete_workflow())


@script
def twice(t):
    """Asking a second time, in the same task and in the next."""
    t.start()
    t.step(schedule_activity(t))
    t.poll_activity()
    t.signal()
    t.step(cancel_activity(5))
    t.signal()
    t.step(cancel_activity(5), start_timer())
    t.signal()
    t.step(complete_workflow())


@script
def finished_but_unseen(t):
    """The activity ended behind the workflow's back: asking to cancel it is legal."""
    t.start()
    t.step(schedule_activity(t))
    activity = t.poll_activity()
    t.signal()
    task = t.poll()
    t.complete_activity(activity)
    t.complete(task, cancel_activity(5))
    t.step(complete_workflow())


@script
def finished_and_seen(t):
    """The activity ended and the workflow saw it: asking to cancel it is a mistake."""
    t.start()
    t.step(schedule_activity(t))
    t.complete_activity(t.poll_activity())
    t.step(cancel_activity(5))
    t.signal()
    t.step(complete_workflow())


@script(seconds=2)
def time_out_after_the_request(t):
    """A time-out after the request for cancellation is not retried."""
    t.start()
    t.step(schedule_activity(t, start_to_close_timeout=seconds(1)))
    t.poll_activity()
    t.signal()
    t.step(cancel_activity(5))
    t.step(complete_workflow())
