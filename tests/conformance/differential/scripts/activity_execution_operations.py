"""The newer methods for the same operations, given a workflow's id."""

from ..case import script
from ..commands import complete_workflow, failure, schedule_activity, seconds

SLOW = {"initial_interval": seconds(60), "backoff_coefficient": 1}


def of(t, method, activity_id="a", **fields):
    return t.call(method, **{"workflow_id": t.id, "activity_id": activity_id, **fields})


@script(seconds=2)
def all_four(t):
    """Pause, unpause, reset and new options of a workflow's activity."""
    t.start()
    t.step(schedule_activity(t, retry_policy=SLOW))
    t.fail_activity(t.poll_activity(), failure("first"))
    of(t, "PauseActivityExecution", reason="because", request_id="one")
    of(t, "PauseActivityExecution", reason="because", request_id="one")
    of(t, "PauseActivityExecution", reason="because", request_id="two")
    t.describe()
    of(
        t,
        "UpdateActivityExecutionOptions",
        activity_options={"heartbeat_timeout": seconds(7)},
        update_mask={"paths": ["heartbeat_timeout"]},
    )
    of(t, "ResetActivityExecution", keep_paused=True)
    t.describe()
    of(t, "UnpauseActivityExecution", reason="enough")
    of(t, "ResetActivityExecution", restore_original_options=True, reset_heartbeat=True)
    t.describe()
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def twice_without_a_request_id(t):
    """Nobody can tell that it is the same request."""
    t.start()
    t.step(schedule_activity(t))
    of(t, "PauseActivityExecution")
    of(t, "PauseActivityExecution")
    t.terminate()


@script
def restored(t):
    """A mask without paths is none."""
    t.start()
    t.step(schedule_activity(t))
    options = {"activity_options": {"heartbeat_timeout": seconds(7)}}
    method = "UpdateActivityExecutionOptions"
    of(t, method, update_mask={"paths": ["heartbeat_timeout"]}, **options)
    of(t, method, update_mask={"paths": []}, restore_original=True)
    of(t, method, update_mask={"paths": ["heartbeat_timeout"]}, restore_original=True, **options)
    of(t, method, restore_original=True, **options)
    of(t, method, **options)
    of(t, method, update_mask={"paths": ["heartbeat_timeout"]})
    t.terminate()


@script
def requests_that_are_refused(t):
    """What is missing or does not exist."""
    t.start()
    t.step(schedule_activity(t))
    options = {
        "activity_options": {"heartbeat_timeout": seconds(7)},
        "update_mask": {"paths": ["heartbeat_timeout"]},
    }
    for method, fields in (
        ("PauseActivityExecution", {}),
        ("UnpauseActivityExecution", {}),
        ("ResetActivityExecution", {}),
        ("UpdateActivityExecutionOptions", options),
    ):
        of(t, method, "nobody", **fields)
        of(t, method, "", **fields)
        of(t, method, workflow_id=t.other("nobody"), **fields)
        of(t, method, run_id="no uuid", **fields)
        of(t, method, resource_id="resource", **fields)
    for length in (999, 1000, 1001):
        of(t, "PauseActivityExecution", reason="r" * length)
        of(t, "UnpauseActivityExecution", reason="r" * length)
    t.terminate()
    of(t, "PauseActivityExecution")
