"""Asking a workflow to stop, and stopping it."""

from ..case import script
from ..commands import (
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    payloads,
    schedule_activity,
    seconds,
    start_timer,
)


@script
def cancel_is_written_once(t):
    """A second request is OK and changes nothing; the worker decides what cancellation means."""
    t.start()
    t.step(start_timer())
    t.cancel(reason="enough", request_id="one")
    t.cancel(reason="really", request_id="two")
    t.cancel(reason="enough", request_id="one")
    t.step(cancel_workflow())
    t.cancel()
    t.describe()


@script
def cancel_behind_a_started_task(t):
    """A request for cancellation is buffered like a signal."""
    t.start()
    task = t.poll()
    t.cancel(reason="now")
    t.cancel(reason="again")
    t.complete(task)
    t.cancel(reason="third")
    t.step(cancel_workflow())


@script
def cancel_during_a_start_delay(t):
    """Cancelling a workflow whose start is delayed gives it a task at once."""
    t.start(workflow_start_delay=seconds(60))
    t.cancel()
    t.step(cancel_workflow())


@script
def cancel_nobody(t):
    """Unknown workflow, run, namespace; closed runs are OK."""
    t.cancel()
    t.cancel(workflow_id="")
    t.cancel(namespace="no-such-namespace")
    first = t.start()
    t.cancel(run_id="11111111-2222-3333-4444-555555555555")
    t.cancel(run_id="not-a-uuid")
    t.step(complete_workflow())
    t.cancel()
    t.cancel(run_id=first.run_id)
    t.call("RequestCancelWorkflowExecution")


@script
def cancel_by_the_first_run_of_a_chain(t):
    """With `first_execution_run_id` the current run is meant, if the chain is the right one."""
    first = t.start()
    t.step(continue_as_new(t))
    t.cancel(run_id=first.run_id)
    t.cancel(first_execution_run_id="11111111-2222-3333-4444-555555555555")
    t.cancel(first_execution_run_id=first.run_id)
    t.cancel(run_id=first.run_id, first_execution_run_id=first.run_id)
    t.step(cancel_workflow())


@script
def terminate(t):
    """Reason and details are kept; a second termination finds nothing to end."""
    t.start()
    t.step(start_timer(), schedule_activity(t))
    t.terminate(reason="because", details=payloads("d", 1), identity="operator")
    t.terminate(reason="again")
    t.cancel()
    t.signal()
    t.describe()


@script
def terminate_behind_a_started_task(t):
    """The started task is failed first and the buffer written, so that no signal is lost."""
    t.start()
    task = t.poll()
    t.signal("kept")
    t.cancel(reason="kept too")
    t.terminate(reason="because")
    t.complete(task, complete_workflow())
    t.fail_task(task)


@script
def terminate_before_the_first_task(t):
    """A task that nobody took is simply forgotten."""
    t.start()
    t.terminate()
    t.poll(timeout=3)


@script
def terminate_nobody(t):
    """Unknown workflow, run, namespace, chain."""
    t.terminate()
    t.terminate(workflow_id="")
    t.terminate(namespace="no-such-namespace")
    first = t.start()
    t.terminate(run_id="11111111-2222-3333-4444-555555555555")
    t.terminate(run_id="not-a-uuid")
    t.terminate(first_execution_run_id="11111111-2222-3333-4444-555555555555")
    t.terminate(run_id=first.run_id, first_execution_run_id=first.run_id)


@script
def terminate_during_an_activity(t):
    """The activity's worker learns of it by its heartbeat and by its completion."""
    t.start()
    t.step(schedule_activity(t, heartbeat_timeout=seconds(20)))
    activity = t.poll_activity()
    t.terminate(reason="because")
    t.heartbeat(activity, "still here")
    t.complete_activity(activity)
