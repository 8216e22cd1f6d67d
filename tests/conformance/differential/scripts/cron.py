"""Cron: runs that follow each other by the calendar."""

from ..case import script
from ..commands import (
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    payload,
    payloads,
    seconds,
    start_child,
)

EVERY = "@every 2s"


@script(seconds=5)
def completed(t):
    """A completed run is followed by the next, which has its result."""
    t.start(cron_schedule=EVERY, input=payloads("in"), memo={"fields": {"m": payload(1)}})
    t.describe()
    t.step(complete_workflow("first"))
    t.step(complete_workflow("second"))
    t.describe()
    t.terminate()


@script(seconds=5)
def failed(t):
    """A failed run is followed too; the next has its failure, and the last result that there was."""
    t.start(cron_schedule=EVERY)
    t.step(complete_workflow("good"))
    t.step(fail_workflow("bad"))
    t.step(complete_workflow("better"))
    t.terminate()


@script(seconds=5)
def failed_and_retried(t):
    """Retries come before the next time."""
    t.start(
        cron_schedule=EVERY,
        retry_policy={"initial_interval": seconds(0.2), "maximum_attempts": 2},
    )
    t.step(fail_workflow("first"))
    t.step(fail_workflow("second"))
    t.step(complete_workflow())
    t.terminate()


@script(seconds=5)
def timed_out(t):
    t.start(cron_schedule=EVERY, workflow_run_timeout=seconds(1))
    t.poll()
    t.until_event("WORKFLOW_EXECUTION_TIMED_OUT", run_id=t.runs_of_id()[0])
    t.step(complete_workflow())
    t.terminate()


@script(seconds=5)
def canceled(t):
    """A cancelled run is the last one."""
    t.start(cron_schedule=EVERY)
    t.cancel()
    t.step(cancel_workflow())
    t.describe()


@script(seconds=5)
def continued_by_command(t):
    """A run that continues as new keeps the schedule, and its successor begins at once."""
    t.start(cron_schedule=EVERY)
    t.step(continue_as_new(t))
    t.step(complete_workflow("done"))
    t.note("waits", t.quiet_backoff() in (1, 2))
    t.terminate()


@script(seconds=5)
def a_child_with_a_schedule(t):
    """A child runs on while its parent does."""
    t.start()
    t.step(start_child(t, cron_schedule=EVERY))
    t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED")
    task = t.poll(t.queue_of("child"))
    t.complete(task, complete_workflow("child's"))
    t.terminate()
    t.until(lambda: not t.is_running(t.other("child")), "the child's end")


@script
def refused(t):
    """What is no schedule, and what cannot be combined with one."""
    for schedule in ["x", "* * * *", "61 * * * *", "@sometimes", "CRON_TZ=Nowhere/Land 0 0 * * *", "@every x"]:
        t.start(cron_schedule=schedule)
    t.start(cron_schedule="* * * * *", workflow_start_delay=seconds(1))
    t.start(cron_schedule="* * * * *", request_eager_execution=True)
    t.terminate()


@script
def far_away(t):
    """Zones, names, ranges, steps: all of them wait."""
    for number, schedule in enumerate(["CRON_TZ=Europe/Berlin 0 12 * * MON-FRI", "*/15 3,4 1-7 JAN *", "@yearly"]):
        t.start(t.other(f"w{number}"), cron_schedule=schedule)
        t.note("waits", t.quiet_backoff(t.other(f"w{number}")) > 0)
        t.terminate(t.other(f"w{number}"))
