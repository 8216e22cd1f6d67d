"""Time-outs of a run and of a whole chain of runs."""

from ..case import script
from ..commands import complete_workflow, continue_as_new, schedule_activity, seconds, start_timer

FAST = {"initial_interval": seconds(0.2), "backoff_coefficient": 1}


@script(seconds=2)
def run(t):
    """A run that takes too long is closed; nothing is left to do in it."""
    t.start(workflow_run_timeout=seconds(1))
    t.step(start_timer(), schedule_activity(t))
    activity = t.poll_activity()
    t.until_event("WORKFLOW_EXECUTION_TIMED_OUT")
    t.complete_activity(activity)
    t.signal()
    t.cancel()
    t.describe()


@script(seconds=2)
def run_behind_a_started_task(t):
    """The started task is failed and the buffer written first."""
    t.start(workflow_run_timeout=seconds(1))
    task = t.poll()
    t.signal("kept")
    t.until_event("WORKFLOW_EXECUTION_TIMED_OUT")
    t.complete(task, complete_workflow())


@script(seconds=2)
def run_that_never_started(t):
    """No worker ever took the first task."""
    t.start(workflow_run_timeout=seconds(1))
    t.until_event("WORKFLOW_EXECUTION_TIMED_OUT")
    t.poll(timeout=3)


@script(seconds=3)
def run_retried(t):
    """A run's time-out is retried under the workflow's policy."""
    t.start(workflow_run_timeout=seconds(1), retry_policy={**FAST, "maximum_attempts": 2})
    first = next(iter(t.runs))[2]
    t.until_event("WORKFLOW_EXECUTION_TIMED_OUT", run_id=first)
    t.step(complete_workflow())


@script(seconds=4)
def run_retries_run_out(t):
    """The last attempt's time-out says why there is no other."""
    t.start(workflow_run_timeout=seconds(1), retry_policy={**FAST, "maximum_attempts": 2})
    first = next(iter(t.runs))[2]
    last = t.until_event("WORKFLOW_EXECUTION_TIMED_OUT", run_id=first)
    successor = last.workflow_execution_timed_out_event_attributes.new_execution_run_id
    t.until_event("WORKFLOW_EXECUTION_TIMED_OUT", run_id=successor)


@script(seconds=3)
def run_not_retried(t):
    """The policy may exclude time-outs."""
    policy = {**FAST, "non_retryable_error_types": ["TemporalTimeout:StartToClose"]}
    t.start(workflow_run_timeout=seconds(1), retry_policy=policy)
    first = next(iter(t.runs))[2]
    t.until_event("WORKFLOW_EXECUTION_TIMED_OUT", run_id=first)


@script(seconds=3)
def execution(t):
    """The time for the whole chain is over: the run is closed whatever its policy says."""
    t.start(workflow_execution_timeout=seconds(1), retry_policy=FAST)
    first = next(iter(t.runs))[2]
    t.step()
    t.until_event("WORKFLOW_EXECUTION_TIMED_OUT", run_id=first)
    t.describe()


@script(seconds=3)
def execution_over_a_chain(t):
    """The expiry is that of the first run, and successors inherit it."""
    t.start(workflow_execution_timeout=seconds(3))
    t.step(continue_as_new(t))
    t.step(start_timer())
    t.until_event("WORKFLOW_EXECUTION_TIMED_OUT")


@script(seconds=3)
def run_with_a_start_delay(t):
    """The delay is not part of the run's time."""
    t.start(workflow_run_timeout=seconds(1), workflow_start_delay=seconds(1))
    t.describe()
    t.step(start_timer())
    t.until_event("WORKFLOW_EXECUTION_TIMED_OUT")
