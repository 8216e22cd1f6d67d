"""A workflow cannot close over something that it has not seen."""

from ..case import script
from ..commands import (
    cancel_timer,
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    record_marker,
    start_timer,
)


@script
def complete_with_a_signal_buffered(t):
    """The close is refused, the signal written, and the workflow gets a normal task to see it."""
    t.start()
    task = t.poll()
    t.signal()
    t.complete(task, complete_workflow())
    t.step(complete_workflow())


@script
def other_commands_are_discarded_too(t):
    """What came with the refused close is as if it had never been sent."""
    t.start()
    task = t.poll()
    t.signal()
    t.complete(task, record_marker(), start_timer(), fail_workflow())
    t.step(complete_workflow())


@script
def every_close_command(t):
    """Fail, cancel and continue-as-new are refused in the same way."""
    for close in (fail_workflow(), cancel_workflow(), continue_as_new(t)):
        t.start()
        task = t.poll()
        t.signal()
        t.complete(task, close)
        t.step(complete_workflow())


@script
def with_the_next_task_inline(t):
    """The worker may want the next task in the answer; what it gets is the error."""
    t.start()
    task = t.poll()
    t.signal()
    t.complete(task, complete_workflow(), return_new_workflow_task=True)
    t.step(complete_workflow())


@script
def signal_while_closing_is_attempted(t):
    """After a refused close, signals that meet the next started task are turned away."""
    t.start()
    task = t.poll()
    t.signal("one")
    t.complete(task, complete_workflow())
    t.signal("two")
    task = t.poll()
    t.signal("three")
    t.cancel()
    t.complete(task, start_timer())
    t.signal("four")
    t.step(complete_workflow())


@script
def on_the_second_attempt(t):
    """On a later attempt the refused close writes nothing itself; the signal is written, then a normal task."""
    t.start()
    t.fail_task(t.poll())
    task = t.poll()
    t.signal()
    t.complete(task, complete_workflow())
    t.step(complete_workflow())


@script(seconds=2)
def timer_fired_but_buffered(t):
    """Cancelling a timer that fired behind the task removes the firing, so the workflow can close."""
    t.start()
    t.step(start_timer("t", after=1))
    t.signal()
    task = t.poll()
    t.sleep(2)  # A firing that is only buffered is shown nowhere.
    t.complete(task, cancel_timer("t"), complete_workflow())


@script(seconds=2)
def timer_fired_and_not_cancelled(t):
    """A firing that the workflow has not seen keeps it from closing."""
    t.start()
    t.step(start_timer("t", after=1))
    t.signal()
    task = t.poll()
    t.sleep(2)
    t.complete(task, complete_workflow())
    t.step(complete_workflow())


@script
def cancel_request_buffered(t):
    """A request for cancellation counts like a signal."""
    t.start()
    task = t.poll()
    t.cancel()
    t.complete(task, complete_workflow())
    t.step(cancel_workflow())
