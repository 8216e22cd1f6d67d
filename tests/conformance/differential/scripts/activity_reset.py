"""Activities that are set back by hand: attempts, heartbeats, options."""

from ..case import script
from ..commands import complete_workflow, failure, schedule_activity, schedule_apart, seconds

FAST = {"initial_interval": seconds(0.2), "backoff_coefficient": 1}
SLOW = {"initial_interval": seconds(60), "backoff_coefficient": 1}


def pause(t, activity_id="a", **fields):
    return t.call("PauseActivity", execution={"workflow_id": t.id}, id=activity_id, **fields)


def reset(t, activity_id="a", **fields):
    fields = {"execution": {"workflow_id": t.id}, "id": activity_id, **fields}
    return t.call("ResetActivity", **fields)


@script
def during_the_back_off(t):
    """The first attempt begins again, at once."""
    t.start()
    t.step(schedule_activity(t, retry_policy=SLOW))
    t.fail_activity(t.poll_activity(), failure("first"))
    reset(t)
    t.describe()
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def heartbeats_kept_and_reset(t):
    """Details survive a reset, unless it says otherwise."""
    t.start()
    for name in ("kept", "gone"):
        t.step(schedule_activity(t, name, retry_policy=SLOW, heartbeat_timeout=seconds(10)))
        task = t.poll_activity()
        t.heartbeat(task, "beat")
        t.fail_activity(task, failure("first"))
        reset(t, name, reset_heartbeat=name == "gone")
        t.describe()
        t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def while_a_worker_has_it(t):
    """The worker hears of it with its heartbeat; when it fails the first attempt begins again."""
    t.start()
    t.step(schedule_activity(t, retry_policy=FAST, heartbeat_timeout=seconds(10)))
    t.fail_activity(t.poll_activity(), failure("first"))
    task = t.poll_activity()
    t.heartbeat(task, "before")
    reset(t)
    t.describe()
    t.heartbeat(task, "after")
    t.fail_activity(task, failure("second"))
    t.describe()
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def first_attempt_while_a_worker_has_it(t):
    """The same with nothing to be set back: the number of the attempt does not change."""
    t.start()
    t.step(schedule_activity(t, retry_policy=FAST, heartbeat_timeout=seconds(10)))
    task = t.poll_activity()
    t.heartbeat(task, "before")
    reset(t, reset_heartbeat=True)
    t.heartbeat(task, "after")
    t.describe()
    t.fail_activity(task, failure("set back"))
    task = t.poll_activity()
    t.heartbeat(task, "next")
    t.complete_activity(task)
    t.step(complete_workflow())


@script
def completed_after_a_reset(t):
    """A result of the attempt that was running is taken, if it was the first."""
    t.start()
    t.step(schedule_activity(t))
    task = t.poll_activity()
    reset(t)
    t.complete_activity(task)
    t.step(complete_workflow())


@script
def of_a_paused_activity(t):
    """A reset unpauses, unless it is told not to."""
    t.start()
    t.step(schedule_apart(t, "kept", retry_policy=SLOW), schedule_apart(t, "going", retry_policy=SLOW))
    for name in ("kept", "going"):
        t.fail_activity(t.poll_activity(t.queue_of(name)), failure("first"))
        pause(t, name)
        reset(t, name, keep_paused=name == "kept")
    t.describe()
    t.complete_activity(t.poll_activity(t.queue_of("going")))
    t.terminate()


@script
def of_an_activity_paused_in_its_workers_hands(t):
    """Does a reset unpause what a worker holds?"""
    t.start()
    t.step(schedule_activity(t, retry_policy=FAST, heartbeat_timeout=seconds(10)))
    task = t.poll_activity()
    pause(t)
    reset(t)
    t.describe()
    t.heartbeat(task, "x")
    t.fail_activity(task, failure("first"))
    t.describe()
    t.terminate()


@script
def before_it_is_handed_out(t):
    """Nothing to set back: it is offered again."""
    t.start()
    t.step(schedule_activity(t))
    reset(t)
    t.describe()
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def options_restored(t):
    """What was changed by hand is as it was scheduled."""
    t.start()
    t.step(schedule_activity(t, retry_policy=SLOW))
    t.call(
        "UpdateActivityOptions",
        execution={"workflow_id": t.id},
        id="a",
        activity_options={"start_to_close_timeout": seconds(33), "retry_policy": {"maximum_attempts": 7}},
        update_mask={"paths": ["start_to_close_timeout", "retry_policy.maximum_attempts"]},
    )
    reset(t)
    t.describe()
    reset(t, restore_original_options=True)
    t.describe()
    t.terminate()


@script
def by_type_and_all(t):
    """All of a type, or all."""
    t.start()
    t.step(
        schedule_apart(t, "a", retry_policy=SLOW),
        schedule_apart(t, "b", retry_policy=SLOW),
        schedule_apart(t, "c", retry_policy=SLOW, activity_type={"name": "other"}),
    )
    for name in ("a", "b", "c"):
        t.fail_activity(t.poll_activity(t.queue_of(name)), failure("first"))
    reset(t, None, type="work")
    t.describe()
    reset(t, None, match_all=True)
    t.describe()
    reset(t, None, type="nothing")
    reset(t, None)
    t.terminate()


@script
def requests_that_are_refused(t):
    """What is missing, what does not exist, what is too long."""
    reset(t)
    t.start()
    t.step(schedule_activity(t))
    reset(t, "nobody")
    reset(t, "")
    reset(t, execution=None)
    reset(t, execution={"workflow_id": ""})
    reset(t, execution={"workflow_id": t.id, "run_id": "no uuid"})
    for length in (999, 1000, 1001):
        reset(t, identity="i" * length)
        reset(t, "x" * length)
    t.terminate()
    reset(t)
