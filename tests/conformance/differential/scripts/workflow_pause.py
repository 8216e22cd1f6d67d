"""Workflows that are held back by hand."""

from ..case import script
from ..commands import complete_workflow, payloads, schedule_activity, seconds, start_timer


def pause(t, method="PauseWorkflowExecution", workflow_id=None, run_id="", **fields):
    fields = {"reason": "because", "request_id": "p", **fields}
    return t.call(method, workflow_id=t.named(workflow_id), run_id=run_id, **fields)


def unpause(t, **fields):
    return pause(t, "UnpauseWorkflowExecution", **fields)


@script
def requests(t):
    """What the server says with its default settings."""
    pause(t)
    unpause(t)
    t.start()
    pause(t, workflow_id="")
    pause(t, request_id="")
    pause(t, run_id="x")
    pause(t)
    t.describe()
    pause(t)
    unpause(t)
    unpause(t)
    t.describe()
