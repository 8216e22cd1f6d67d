"""Signals and cancel requests from one workflow to another."""

from ..case import script
from ..commands import (
    cancel_external,
    complete_workflow,
    continue_as_new,
    payload,
    payloads,
    signal_external,
    start_child,
)


def other(t, name="other"):
    t.start(t.other(name), task_queue={"name": t.queue_of(name)})


@script
def signaled(t):
    """The receiver's event names the sender; the sender's says that it arrived."""
    other(t)
    t.start()
    t.step(signal_external(t, header={"fields": {"h": payload(1)}}, control="control"))
    t.until_event("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED")
    t.describe(t.other("other"))
    t.step(complete_workflow())


@script
def signaled_by_run(t):
    """A run that is named must be the one."""
    run_id = t.start(t.other("other"), task_queue={"name": t.queue_of("other")}).run_id
    t.start()
    t.step(signal_external(t, run_id=run_id))
    t.until_event("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED")
    t.step(complete_workflow())


@script
def nobody_to_signal(t):
    t.start()
    t.step(signal_external(t, control="control"))
    t.until_event("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED")
    t.step(complete_workflow())


@script
def signaling_a_closed_workflow(t):
    other(t)
    t.terminate(t.other("other"))
    t.start()
    t.step(signal_external(t))
    t.until_event("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED")
    t.step(complete_workflow())


@script
def signaling_itself(t):
    t.start()
    t.step(signal_external(t, execution={"workflow_id": t.id}))
    t.until_event("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED")
    t.step(complete_workflow())


@script
def signaling_children_only(t):
    """A child may be reached; another workflow may not."""
    other(t)
    t.start()
    t.step(start_child(t))
    t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED")
    t.step(signal_external(t, "child", child_workflow_only=True))
    t.until_event("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED")
    t.step(signal_external(t, "other", child_workflow_only=True))
    t.until_event("SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED")
    t.step(complete_workflow())
    t.until_event("WORKFLOW_EXECUTION_TERMINATED", workflow_id=t.other("child"))


@script
def signaled_and_closed(t):
    """What becomes of a signal whose sender closes with the same task."""
    other(t)
    t.start()
    t.step(signal_external(t), complete_workflow())
    t.sleep(1)


@script
def canceled(t):
    other(t)
    t.start()
    t.step(cancel_external(t, control="control"))
    t.until_event("EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED")
    t.step(complete_workflow())


@script
def canceled_twice(t):
    """The second request changes nothing, and is a success."""
    other(t)
    t.start()
    t.step(cancel_external(t))
    t.until_event("EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED")
    t.step(cancel_external(t))
    t.until_event("EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED", 2)
    t.step(complete_workflow())


@script
def canceling_a_closed_workflow(t):
    other(t)
    t.terminate(t.other("other"))
    t.start()
    t.step(cancel_external(t))
    t.until_event("EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED")
    t.step(complete_workflow())


@script
def nobody_to_cancel(t):
    t.start()
    t.step(cancel_external(t, control="control"))
    t.until_event("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED")
    t.step(complete_workflow())


@script
def canceling_itself(t):
    t.start()
    t.step(cancel_external(t, workflow_id=t.id))
    t.until_event("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED")
    t.step(complete_workflow())


@script(seconds=2)
def the_current_run_is_meant(t):
    """Without a run id a signal goes to whichever run is current."""
    other(t)
    task = t.poll(t.queue_of("other"))
    t.complete(task, continue_as_new(t, task_queue={"name": t.queue_of("other")}))
    t.start()
    t.step(signal_external(t))
    t.until_event("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED")
    # A run that continues one of less than a second waits before its first task.
    t.until_event("WORKFLOW_TASK_SCHEDULED", workflow_id=t.other("other"))
    t.step(complete_workflow())


@script
def refused_signal_without_name(t):
    t.start()
    t.step(signal_external(t, signal=""))
    t.step(complete_workflow())


@script
def refused_signal_without_id(t):
    t.start()
    t.step(signal_external(t, execution={}))
    t.step(complete_workflow())


@script
def refused_signal_without_execution(t):
    t.start()
    t.step(signal_external(t, execution=None))
    t.step(complete_workflow())


@script
def refused_signal_to_a_strange_run(t):
    t.start()
    t.step(signal_external(t, run_id="no-uuid"))
    t.step(complete_workflow())


@script
def refused_cancel_without_id(t):
    t.start()
    t.step(cancel_external(t, workflow_id=""))
    t.step(complete_workflow())


@script
def refused_cancel_of_a_strange_run(t):
    t.start()
    t.step(cancel_external(t, run_id="no-uuid"))
    t.step(complete_workflow())


@script
def another_namespace(t):
    """Commands stay in their namespace."""
    t.start()
    task = t.poll()
    t.complete(task, signal_external(t, namespace="temporal-system"))
    t.step(complete_workflow())


@script
def too_large_input(t):
    t.start()
    t.step(signal_external(t, input=payloads("x" * (2 * 1024 * 1024))))
