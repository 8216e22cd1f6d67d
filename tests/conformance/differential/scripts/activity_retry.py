"""Activities that fail and are tried again: when, with what, and when no more."""

from ..case import script
from ..commands import cancel_activity, complete_workflow, failure, payloads, schedule_activity, seconds

FAST = {"initial_interval": seconds(0.2), "backoff_coefficient": 1}


@script
def succeeds_at_last(t):
    """Retries write nothing; the started event has the last attempt and the failure before it."""
    t.start()
    t.step(schedule_activity(t, retry_policy=FAST))
    t.fail_activity(t.poll_activity(), failure("first"))
    t.fail_activity(t.poll_activity(identity="second worker"), failure("second", "Kind"))
    t.history()
    activity = t.poll_activity()
    t.describe()
    t.complete_activity(activity)
    t.step(complete_workflow())


@script(seconds=4)
def backs_off(t):
    """The time between attempts grows by the coefficient, up to the maximum."""
    t.start()
    policy = {
        "initial_interval": seconds(1),
        "backoff_coefficient": 2,
        "maximum_interval": seconds(3),
    }
    t.step(schedule_activity(t, retry_policy=policy))
    for _ in range(3):
        t.fail_activity(t.poll_activity(), failure("again"))
        interval = t.pending_activities()[0].current_retry_interval.ToMilliseconds()
        t.note("interval in seconds", round(interval / 1000))
    t.terminate()


@script(seconds=2)
def delay_given_by_the_worker(t):
    """`next_retry_delay` of the failure replaces what the policy says, even above its maximum."""
    t.start()
    policy = {"initial_interval": seconds(60), "maximum_interval": seconds(60)}
    t.step(schedule_activity(t, retry_policy=policy))
    t.fail_activity(t.poll_activity(), failure("soon", next_retry_delay=seconds(0.3)))
    activity = t.poll_activity()
    t.fail_activity(activity, failure("later", next_retry_delay=seconds(500)))
    t.describe()
    t.terminate()


@script
def attempts_run_out(t):
    """The last attempt's failure ends the activity."""
    t.start()
    t.step(schedule_activity(t, retry_policy={**FAST, "maximum_attempts": 2}))
    t.fail_activity(t.poll_activity(), failure("first"))
    t.fail_activity(t.poll_activity(), failure("second"))
    t.step(complete_workflow())


@script
def failures_that_are_not_retried(t):
    """By the failure's own flag, and by its type when the policy names it."""
    t.start()
    policy = {**FAST, "non_retryable_error_types": ["Fatal"]}
    for name, kind in (("flag", failure("x", "Some", non_retryable=True)), ("type", failure("x", "Fatal"))):
        t.step(schedule_activity(t, name, retry_policy=policy))
        t.fail_activity(t.poll_activity(), kind)
    t.step(complete_workflow())


@script
def failures_of_other_kinds(t):
    """A worker may only report failures of the application; other kinds are the server's."""
    t.start()
    t.step(schedule_activity(t, retry_policy=FAST))
    activity = t.poll_activity()
    for kind in (
        {"message": "canceled", "canceled_failure_info": {"details": payloads(1)}},
        {"message": "terminated", "terminated_failure_info": {}},
        {"message": "server", "server_failure_info": {"non_retryable": True}},
        {"message": "timeout", "timeout_failure_info": {"timeout_type": "TIMEOUT_TYPE_START_TO_CLOSE"}},
        {"message": "activity", "activity_failure_info": {"activity_id": "other"}},
        {"message": "no kind at all"},
    ):
        t.fail_activity(activity, kind)
    t.call("RespondActivityTaskFailed", task_token=activity.task_token)
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def no_time_for_another_attempt(t):
    """An attempt that would begin after schedule-to-close is not made."""
    t.start()
    t.step(
        schedule_activity(
            t,
            schedule_to_close_timeout=seconds(20),
            retry_policy={"initial_interval": seconds(30)},
        )
    )
    t.fail_activity(t.poll_activity(), failure("too late"))
    t.step(complete_workflow())


@script
def stale_attempt(t):
    """The token of an earlier attempt is refused, by every call."""
    t.start()
    t.step(schedule_activity(t, retry_policy=FAST, heartbeat_timeout=seconds(9)))
    stale = t.poll_activity()
    t.fail_activity(stale, failure("first"))
    current = t.poll_activity()
    t.complete_activity(stale)
    t.fail_activity(stale, failure("late"))
    t.cancel_activity_task(stale)
    t.heartbeat(stale, 1)
    t.complete_activity(current)
    t.step(complete_workflow())


@script
def heartbeat_details_survive(t):
    """What the last heartbeat said is in the next attempt's task, and a failure may say more."""
    t.start()
    t.step(schedule_activity(t, retry_policy=FAST, heartbeat_timeout=seconds(9)))
    first = t.poll_activity()
    t.heartbeat(first, "half")
    t.fail_activity(first, failure("first"))
    second = t.poll_activity()
    t.fail_activity(second, failure("second"), last_heartbeat_details=payloads("two thirds"))
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def cancelled_while_backing_off(t):
    """An activity that waits for its next attempt is cancelled at once, like one never started."""
    t.start()
    t.step(schedule_activity(t, retry_policy={"initial_interval": seconds(60)}))
    t.fail_activity(t.poll_activity(), failure("first"))
    t.describe()
    t.signal()
    t.step(cancel_activity(5))
    t.step(complete_workflow())


@script
def fails_after_a_cancel_request(t):
    """A failure after the request for cancellation is not retried."""
    t.start()
    t.step(schedule_activity(t, retry_policy=FAST))
    activity = t.poll_activity()
    t.signal()
    t.step(cancel_activity(5))
    t.fail_activity(activity, failure("while cancelling"))
    t.step(complete_workflow())


@script(seconds=2)
def describe_while_backing_off(t):
    """A pending activity shows its last failure, the next attempt and when that is due."""
    t.start()
    policy = {"initial_interval": seconds(40), "backoff_coefficient": 2, "maximum_attempts": 7}
    t.step(schedule_activity(t, retry_policy=policy, schedule_to_close_timeout=seconds(900)))
    t.describe()
    t.fail_activity(t.poll_activity(), failure("first", "Kind", details=payloads("d")))
    t.describe()
    t.terminate()
