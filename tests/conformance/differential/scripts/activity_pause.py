"""Activities that are paused by hand and set going again: what is dispatched meanwhile, what workers hear."""

from ..case import script
from ..commands import complete_workflow, failure, payloads, schedule_activity, schedule_apart, seconds

FAST = {"initial_interval": seconds(0.2), "backoff_coefficient": 1}
NOBODY = "7d5a6ad4-7e3a-4a0c-9d42-000000000000"


def pause(t, activity_id="a", **fields):
    fields = {"execution": {"workflow_id": t.id}, "id": activity_id, "reason": "because", **fields}
    return t.call("PauseActivity", **fields)


def unpause(t, activity_id="a", **fields):
    fields = {"execution": {"workflow_id": t.id}, "id": activity_id, **fields}
    return t.call("UnpauseActivity", **fields)


def no_activity(t, queue=None):
    """Shows that nothing is handed out: a poll of a few seconds comes back empty."""
    t.call("PollActivityTaskQueue", timeout=4, **t.with_queue(queue, {}))


@script(seconds=5)
def before_it_is_handed_out(t):
    """A paused activity waits, though a worker polls; unpaused it is handed out at once."""
    t.start()
    t.step(schedule_activity(t))
    pause(t)
    t.describe()
    no_activity(t)
    unpause(t)
    t.describe()
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def while_a_worker_has_it(t):
    """The worker hears of it with its heartbeat; a result is taken all the same."""
    t.start()
    t.step(schedule_activity(t, heartbeat_timeout=seconds(10)))
    task = t.poll_activity()
    t.heartbeat(task, "one")
    pause(t)
    t.describe()
    t.heartbeat(task, "two")
    t.call("RecordActivityTaskHeartbeatById", workflow_id=t.id, activity_id="a", details=payloads("three"))
    t.complete_activity(task)
    t.step(complete_workflow())


@script(seconds=5)
def a_failure_while_paused(t):
    """The attempt ends, the next one waits for the unpause."""
    t.start()
    t.step(schedule_activity(t, retry_policy=FAST))
    task = t.poll_activity()
    pause(t)
    t.fail_activity(task, failure("while paused"))
    t.describe()
    no_activity(t)
    unpause(t)
    t.describe()
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def a_last_failure_while_paused(t):
    """Attempts do not run out while it is paused: there is one more after the unpause."""
    t.start()
    t.step(schedule_activity(t, retry_policy={**FAST, "maximum_attempts": 1}))
    task = t.poll_activity()
    pause(t)
    t.fail_activity(task, failure("the last"))
    t.describe()
    unpause(t)
    t.fail_activity(t.poll_activity(), failure("the very last"))
    t.step(complete_workflow())


@script
def a_final_failure_while_paused(t):
    """What may not be tried again ends it, paused or not."""
    t.start()
    t.step(schedule_activity(t, retry_policy=FAST))
    task = t.poll_activity()
    pause(t)
    t.fail_activity(task, failure("fatal", non_retryable=True))
    t.step(complete_workflow())


@script(seconds=3)
def during_the_back_off(t):
    """Paused between two attempts: the back-off passes and nothing happens; unpause does not wait for it."""
    t.start()
    policy = {"initial_interval": seconds(60), "backoff_coefficient": 1}
    t.step(schedule_activity(t, retry_policy=policy))
    t.fail_activity(t.poll_activity(), failure("first"))
    t.describe()
    pause(t)
    t.describe()
    unpause(t)
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def resets_with_the_unpause(t):
    """Attempts and heartbeat details go if the unpause says so."""
    t.start()
    policy = {"initial_interval": seconds(60), "backoff_coefficient": 1}
    t.step(schedule_activity(t, retry_policy=policy, heartbeat_timeout=seconds(10)))
    task = t.poll_activity()
    t.heartbeat(task, "beat")
    t.fail_activity(task, failure("first"))
    pause(t)
    t.describe()
    unpause(t, reset_attempts=True, reset_heartbeat=True)
    t.describe()
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def keeps_without_a_reset(t):
    """Attempts and heartbeat details stay otherwise."""
    t.start()
    policy = {"initial_interval": seconds(60), "backoff_coefficient": 1}
    t.step(schedule_activity(t, retry_policy=policy, heartbeat_timeout=seconds(10)))
    task = t.poll_activity()
    t.heartbeat(task, "beat")
    t.fail_activity(task, failure("first"))
    pause(t)
    unpause(t)
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def unpaused_while_a_worker_has_it(t):
    """The attempt goes on; heartbeats say no more of it."""
    t.start()
    t.step(schedule_activity(t, heartbeat_timeout=seconds(10)))
    task = t.poll_activity()
    pause(t)
    t.heartbeat(task, "paused")
    unpause(t)
    t.heartbeat(task, "unpaused")
    t.describe()
    t.complete_activity(task)
    t.step(complete_workflow())


@script
def resets_of_a_started_attempt(t):
    """An unpause with resets, while a worker holds a second attempt."""
    t.start()
    t.step(schedule_activity(t, retry_policy=FAST, heartbeat_timeout=seconds(10)))
    t.fail_activity(t.poll_activity(), failure("first"))
    task = t.poll_activity()
    t.heartbeat(task, "beat")
    pause(t)
    unpause(t, reset_attempts=True, reset_heartbeat=True)
    t.describe()
    t.heartbeat(task, "beat")
    t.complete_activity(task)
    t.terminate()


@script
def by_type(t):
    """All activities of a type at once; another type is left alone."""
    t.start()
    t.step(
        schedule_apart(t, "a"),
        schedule_apart(t, "b"),
        schedule_apart(t, "c", activity_type={"name": "other"}),
    )
    pause(t, None, type="work")
    t.describe()
    pause(t, None, type="nothing")
    pause(t, None)
    unpause(t, None, type="work")
    t.describe()
    pause(t, None, type="other")
    pause(t, "a")
    unpause(t, None, unpause_all=True)
    t.describe()
    unpause(t, None, type="nothing")
    unpause(t, None)
    t.terminate()


@script
def twice(t):
    """A second pause is refused, unless it is the same request; a second unpause is not."""
    t.start()
    t.step(schedule_activity(t))
    pause(t, request_id="one")
    pause(t, request_id="one")
    pause(t, request_id="two")
    pause(t)
    t.describe()
    unpause(t)
    unpause(t)
    t.describe()
    pause(t)
    pause(t)
    t.terminate()


@script
def requests_that_are_refused(t):
    """What is missing, what does not exist, what is too long."""
    pause(t)
    unpause(t)
    t.start()
    t.step(schedule_activity(t))
    pause(t, "nobody")
    unpause(t, "nobody")
    pause(t, "")
    unpause(t, "")
    pause(t, execution=None)
    unpause(t, execution=None)
    pause(t, execution={"workflow_id": ""})
    pause(t, execution={"workflow_id": t.id, "run_id": "no uuid"})
    unpause(t, execution={"workflow_id": t.id, "run_id": "no uuid"})
    pause(t, execution={"workflow_id": t.id, "run_id": NOBODY})
    pause(t, namespace="no-such-namespace")
    for length in (999, 1000, 1001):
        pause(t, reason="r" * length)
        unpause(t)
        pause(t, identity="i" * length)
        unpause(t, identity="i" * length)
        pause(t, request_id="q" * length)
        unpause(t)
        pause(t, "x" * length)
    unpause(t, jitter=seconds(-1))
    t.terminate()
    pause(t)
    unpause(t)


@script
def cancelled_while_paused(t):
    """A cancellation reaches a paused activity."""
    from ..commands import cancel_activity

    t.start()
    t.step(schedule_activity(t))
    pause(t)
    t.signal()
    t.step(cancel_activity(5))
    t.step(complete_workflow())


@script
def cancelled_and_paused_while_a_worker_has_it(t):
    """Both at once, in the worker's heartbeat and in the description."""
    from ..commands import cancel_activity

    t.start()
    t.step(schedule_activity(t, heartbeat_timeout=seconds(10)))
    task = t.poll_activity()
    t.signal()
    t.step(cancel_activity(5))
    pause(t)
    t.describe()
    t.heartbeat(task, "x")
    t.fail_activity(task, failure("gave up"))
    t.step(complete_workflow())


@script
def in_lists(t):
    """Paused activities are found by the search attribute of their workflow."""
    t.start()
    t.step(schedule_apart(t, "a"), schedule_apart(t, "b", activity_type={"name": "other"}))
    query = f"WorkflowId = '{t.id}' AND TemporalPauseInfo"

    def count(condition):
        return t.quiet("CountWorkflowExecutions", query=f"{query} {condition}").count

    pause(t, "a")
    t.until(lambda: count("IS NOT NULL"), "the row of a paused activity")
    t.note("by type", count("= 'property:activityType=work'"))
    t.note("by another type", count("= 'property:activityType=other'"))
    pause(t, "b")
    t.until(lambda: count("= 'property:activityType=other'"), "the row of the second")
    unpause(t, "a")
    unpause(t, "b")
    t.until(lambda: count("IS NULL"), "the row without")
    t.describe()
    t.terminate()


@script(seconds=4)
def schedule_to_close_while_paused(t):
    """No time-out happens while it is paused; what has fallen due meanwhile does when it goes on."""
    t.start()
    t.step(schedule_activity(t, schedule_to_close_timeout=seconds(1), start_to_close_timeout=seconds(1)))
    pause(t)
    t.sleep(2)
    t.describe()
    unpause(t)
    t.step(complete_workflow())


@script(seconds=4)
def schedule_to_start_while_paused(t):
    """The time to be taken begins anew with the unpause."""
    t.start()
    t.step(schedule_activity(t, schedule_to_start_timeout=seconds(1)))
    pause(t)
    t.sleep(2)
    t.describe()
    unpause(t)
    t.step(complete_workflow())


@script(seconds=4)
def start_to_close_while_paused(t):
    """An attempt whose worker is silent stays started for as long as it is paused."""
    t.start()
    t.step(schedule_activity(t, start_to_close_timeout=seconds(1), retry_policy=FAST))
    task = t.poll_activity()
    pause(t)
    t.sleep(2)
    t.describe()
    t.complete_activity(task)
    t.step(complete_workflow())


@script(seconds=4)
def start_to_close_after_the_unpause(t):
    """It times out when it goes on."""
    t.start()
    t.step(schedule_activity(t, start_to_close_timeout=seconds(1), retry_policy=FAST))
    t.poll_activity()
    pause(t)
    t.sleep(2)
    unpause(t)
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def completed_by_id_while_paused(t):
    """Whoever knows its id may complete it."""
    t.start()
    t.step(schedule_activity(t))
    pause(t)
    t.call("RespondActivityTaskCompletedById", workflow_id=t.id, activity_id="a", result=payloads("by hand"))
    t.step(complete_workflow())


@script
def closed_with_a_paused_activity(t):
    """What remains to be seen when the workflow ends over it."""
    t.start()
    t.step(schedule_activity(t))
    pause(t)
    t.signal()
    t.step(complete_workflow())
    t.describe()
    unpause(t)
