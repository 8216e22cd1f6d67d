"""The four time-outs of an activity, and the failures that they become."""

from ..case import script
from ..commands import complete_workflow, failure, payloads, schedule_activity, seconds

ONCE = {"maximum_attempts": 1}
FAST = {"initial_interval": seconds(0.2), "backoff_coefficient": 1}


@script(seconds=2)
def schedule_to_start(t):
    """Nobody takes the activity in time: written without a started event, never retried."""
    t.start()
    t.step(schedule_activity(t, schedule_to_start_timeout=seconds(1), retry_policy=FAST))
    t.step(complete_workflow())
    t.poll_activity(timeout=3)


@script(seconds=2)
def schedule_to_close_unstarted(t):
    """The time for everything is over before anybody took it."""
    t.start()
    t.step(
        schedule_activity(
            t, start_to_close_timeout=None, schedule_to_close_timeout=seconds(1), retry_policy=FAST
        )
    )
    t.step(complete_workflow())


@script(seconds=2)
def schedule_to_close_started(t):
    """The time for everything is over during the first attempt; the late completion is refused."""
    t.start()
    t.step(schedule_activity(t, schedule_to_close_timeout=seconds(1)))
    activity = t.poll_activity()
    t.step(complete_workflow())
    t.complete_activity(activity)


@script(seconds=2)
def start_to_close_once(t):
    """The attempt takes too long and there is no other."""
    t.start()
    t.step(schedule_activity(t, start_to_close_timeout=seconds(1), retry_policy=ONCE))
    activity = t.poll_activity()
    task = t.poll()
    t.complete_activity(activity)
    t.fail_activity(activity, failure("late"))
    t.heartbeat(activity)
    t.complete(task, complete_workflow())


@script(seconds=2)
def start_to_close_retried(t):
    """A time-out is retried like a failure; the next attempt knows it."""
    t.start()
    t.step(schedule_activity(t, start_to_close_timeout=seconds(1), retry_policy=FAST))
    t.poll_activity()
    activity = t.poll_activity()
    t.describe()
    t.complete_activity(activity)
    t.step(complete_workflow())


@script(seconds=3)
def start_to_close_without_time_to_retry(t):
    """With too little time left for another attempt the failure is a schedule-to-close one."""
    t.start()
    t.step(
        schedule_activity(
            t,
            start_to_close_timeout=seconds(1),
            schedule_to_close_timeout=seconds(10),
            retry_policy={"initial_interval": seconds(20)},
        )
    )
    t.poll_activity()
    t.step(complete_workflow())


@script(seconds=4)
def start_to_close_attempts_run_out(t):
    """The last attempt's time-out is written, with the attempt before as its cause or not at all."""
    t.start()
    policy = {**FAST, "maximum_attempts": 2}
    t.step(schedule_activity(t, start_to_close_timeout=seconds(1), retry_policy=policy))
    t.fail_activity(t.poll_activity(), failure("the first attempt"))
    t.poll_activity()
    t.step(complete_workflow())


@script(seconds=2)
def start_to_close_not_retryable(t):
    """A time-out can be named among the errors that are not retried."""
    t.start()
    policy = {**FAST, "non_retryable_error_types": ["TemporalTimeout:StartToClose"]}
    t.step(schedule_activity(t, start_to_close_timeout=seconds(1), retry_policy=policy))
    t.poll_activity()
    t.step(complete_workflow())


@script(seconds=3)
def heartbeat_once(t):
    """Silence for longer than the heartbeat time-out; the last details are in the failure."""
    t.start()
    t.step(schedule_activity(t, heartbeat_timeout=seconds(1), retry_policy=ONCE))
    activity = t.poll_activity()
    t.heartbeat(activity, {"progress": 1})
    t.heartbeat(activity, {"progress": 2})
    task = t.poll()
    t.heartbeat(activity, {"progress": 3})
    t.complete(task, complete_workflow())


@script(seconds=3)
def heartbeat_retried(t):
    """The next attempt gets the details of the last heartbeat."""
    t.start()
    t.step(schedule_activity(t, heartbeat_timeout=seconds(1), retry_policy=FAST))
    t.heartbeat(t.poll_activity(), "half")
    activity = t.poll_activity()
    t.describe()
    t.complete_activity(activity)
    t.step(complete_workflow())


@script(seconds=3)
def heartbeats_keep_it_alive(t):
    """Heartbeats that come in time prevent the time-out."""
    t.start()
    t.step(schedule_activity(t, heartbeat_timeout=seconds(1.5), retry_policy=ONCE))
    activity = t.poll_activity()
    for beat in range(5):
        t.sleep(0.5)
        t.heartbeat(activity, beat)
    t.describe()
    t.complete_activity(activity)
    t.step(complete_workflow())


@script(seconds=2)
def schedule_to_close_over_all_attempts(t):
    """Schedule-to-close counts from the first scheduling, over all attempts."""
    t.start()
    t.step(schedule_activity(t, schedule_to_close_timeout=seconds(1.5), retry_policy=FAST))
    t.fail_activity(t.poll_activity(), failure("one", details=payloads("d")))
    t.poll_activity()
    t.step(complete_workflow())


@script(seconds=2)
def schedule_to_start_while_backing_off(t):
    """The next attempt's wait counts anew."""
    t.start()
    t.step(
        schedule_activity(
            t,
            schedule_to_start_timeout=seconds(1),
            retry_policy={"initial_interval": seconds(0.2)},
        )
    )
    t.fail_activity(t.poll_activity(), failure("one"))
    t.step(complete_workflow())


@script(seconds=2)
def behind_a_started_task(t):
    """A time-out that meets a started workflow task is buffered like a completion."""
    t.start()
    t.step(schedule_activity(t, start_to_close_timeout=seconds(1), retry_policy=ONCE))
    t.poll_activity()
    t.signal("first")
    task = t.poll()
    t.until(lambda: not t.pending_activities(), "the activity to time out")
    t.signal("second")
    t.complete(task)
    t.step(complete_workflow())
