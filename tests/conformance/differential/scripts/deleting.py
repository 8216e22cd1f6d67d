"""DeleteWorkflowExecution: a closed run goes, a running one is terminated first."""

from harness import wire

from ..case import script
from ..commands import complete_workflow, start_timer


def until_gone(t, run_id):
    def gone():
        try:
            t.events(run_id=run_id)
            return False
        except wire.Failure as failure:
            return failure.code == "NotFound"

    t.until(gone, "the run to be gone")


def delete(t, workflow_id=None, run_id="", **fields):
    return t.call(
        "DeleteWorkflowExecution",
        workflow_execution={"workflow_id": t.named(workflow_id), "run_id": run_id},
        **fields,
    )


@script(seconds=3)
def closed(t):
    """A deleted run is not found by anything any more; its id is free."""
    run = t.start()
    t.step(complete_workflow())
    delete(t)
    until_gone(t, run.run_id)
    t.describe()
    t.signal()
    delete(t)
    t.start()
    t.step(complete_workflow())


@script(seconds=3)
def running(t):
    """A running workflow is terminated and then deleted."""
    run = t.start()
    t.step(start_timer())
    delete(t)
    until_gone(t, run.run_id)
    t.describe()


@script(seconds=3)
def an_old_run(t):
    """Deleting an old run leaves the current one alone."""
    first = t.start()
    t.step(complete_workflow())
    t.start()
    delete(t, run_id=first.run_id)
    until_gone(t, first.run_id)
    t.describe(run_id=first.run_id)
    t.step(complete_workflow())


@script
def nobody(t):
    """What does not exist cannot be deleted."""
    delete(t)
    delete(t, "")
    delete(t, namespace="no-such-namespace")
    t.call("DeleteWorkflowExecution")
    t.start()
    delete(t, run_id="11111111-2222-3333-4444-555555555555")
    delete(t, run_id="not-a-uuid")
    t.terminate()
