"""Activities that run on their own, cancelled, terminated, deleted, paused, reset, changed."""

from ..case import script
from ..commands import failure, payloads, seconds
from ..standalone import cancel, complete_by_id, describe, of, outcome, start, terminate, until_closed

QUICK = {"initial_interval": seconds(0.05), "backoff_coefficient": 1}
SLOW = {"initial_interval": seconds(60), "backoff_coefficient": 1}


def pause(t, activity_id=None, **fields):
    return of(t, "PauseActivityExecution", activity_id, **fields)


def unpause(t, activity_id=None, **fields):
    return of(t, "UnpauseActivityExecution", activity_id, **fields)


def reset(t, activity_id=None, **fields):
    return of(t, "ResetActivityExecution", activity_id, **fields)


def change(t, *paths, activity_id=None, **options):
    return of(
        t,
        "UpdateActivityExecutionOptions",
        activity_id,
        activity_options=options,
        update_mask={"paths": list(paths or options)},
    )


@script
def cancelled_unstarted(t):
    """Nobody holds it: it is cancelled at once."""
    start(t)
    cancel(t, reason="enough", request_id="one")
    describe(t)
    outcome(t)
    cancel(t, reason="enough", request_id="one")
    cancel(t, reason="enough", request_id="two")
    terminate(t)


@script
def cancelled_without_a_reason(t):
    """The reason becomes the details, also an empty one."""
    start(t)
    cancel(t)
    describe(t)


@script
def cancelled_during_a_back_off(t):
    """Nobody holds it, so it is cancelled at once."""
    start(t, retry_policy=SLOW)
    t.fail_activity(t.poll_activity(), failure("first"))
    cancel(t, reason="enough")
    describe(t)


@script
def cancelled_while_a_worker_has_it(t):
    """The worker hears of it and says how it ended."""
    start(t)
    task = t.poll_activity()
    t.cancel_activity_task(task)
    cancel(t, reason="enough", request_id="one")
    describe(t)
    cancel(t, reason="enough", request_id="one")
    cancel(t, reason="other", request_id="two")
    t.heartbeat(task)
    t.cancel_activity_task(task)
    describe(t)
    outcome(t)


@script
def completed_all_the_same(t):
    """A worker may complete or fail what was to be cancelled."""
    start(t)
    task = t.poll_activity()
    cancel(t)
    t.complete_activity(task)
    describe(t)
    start(t, t.other("failed"), retry_policy=QUICK)
    task = t.poll_activity()
    cancel(t, t.other("failed"))
    t.fail_activity(task, failure("no more"))
    describe(t, t.other("failed"))


@script(seconds=3)
def timed_out_all_the_same(t):
    """The attempt of an activity that is to be cancelled times out for good."""
    start(t, start_to_close_timeout=seconds(1), retry_policy=QUICK)
    t.poll_activity()
    cancel(t)
    until_closed(t)
    describe(t)


@script
def terminated(t):
    """At once, whoever holds it; a repetition is known by its request id."""
    start(t)
    task = t.poll_activity()
    terminate(t, reason="enough", request_id="one")
    describe(t)
    outcome(t)
    terminate(t, reason="enough", request_id="one")
    terminate(t, reason="enough", request_id="two")
    t.heartbeat(task)
    t.complete_activity(task)
    cancel(t)


@script
def completed_and_then(t):
    """What has closed can be neither cancelled nor terminated nor paused."""
    start(t)
    t.complete_activity(t.poll_activity())
    cancel(t)
    terminate(t)
    pause(t)
    unpause(t)
    reset(t)
    change(t, heartbeat_timeout=seconds(1))
    of(t, "UpdateActivityExecutionOptions", restore_original=True)
    start(t, t.other("failed"))
    t.fail_activity(t.poll_activity(), failure("final", non_retryable=True))
    cancel(t, t.other("failed"))
    terminate(t, t.other("failed"))
    pause(t, t.other("failed"))
    unpause(t, t.other("failed"))
    reset(t, t.other("failed"))
    change(t, activity_id=t.other("failed"), heartbeat_timeout=seconds(1))


@script(seconds=2)
def deleted(t):
    """A running one is terminated first; a closed one goes away."""

    def gone(activity_id):
        def check():
            try:
                t.quiet("DescribeActivityExecution", activity_id=activity_id)
            except Exception:
                return True

        t.until(check, "the deletion")

    start(t)
    t.poll_activity()
    of(t, "DeleteActivityExecution")
    gone(t.id)
    describe(t)
    outcome(t)
    of(t, "DeleteActivityExecution")
    start(t, t.other("closed"))
    t.complete_activity(t.poll_activity())
    of(t, "DeleteActivityExecution", t.other("closed"))
    gone(t.other("closed"))
    describe(t, t.other("closed"))
    start(t)
    describe(t)


@script(seconds=3)
def paused_unstarted(t):
    """It is not handed out until it goes on."""
    start(t)
    pause(t, reason="because", request_id="one")
    describe(t)
    pause(t, reason="because", request_id="one")
    pause(t, request_id="two")
    pause(t)
    t.poll_activity(timeout=2.5)
    unpause(t, reason="enough")
    unpause(t)
    describe(t)
    t.complete_activity(t.poll_activity())


@script
def paused_while_a_worker_has_it(t):
    """The worker hears of it; the next attempt waits."""
    start(t, retry_policy=QUICK)
    task = t.poll_activity()
    pause(t)
    describe(t)
    t.heartbeat(task)
    t.fail_activity(task, failure("first"))
    describe(t)
    unpause(t)
    t.complete_activity(t.poll_activity())
    describe(t)


@script
def unpaused_while_a_worker_has_it(t):
    """As if nothing had been."""
    start(t, retry_policy=QUICK)
    task = t.poll_activity()
    pause(t)
    unpause(t)
    describe(t)
    t.heartbeat(task)
    pause(t)
    t.complete_activity(task)
    describe(t)


@script
def paused_and_failed_for_good(t):
    """What may not be retried ends it, paused or not."""
    start(t)
    task = t.poll_activity()
    pause(t)
    t.fail_activity(task, failure("final", non_retryable=True))
    describe(t)
    start(t, t.other("last"), retry_policy={"maximum_attempts": 1})
    task = t.poll_activity()
    pause(t, t.other("last"))
    t.fail_activity(task, failure("only"))
    describe(t, t.other("last"))


@script
def paused_during_a_back_off(t):
    """After the unpause it goes on waiting."""
    start(t, retry_policy=SLOW)
    t.fail_activity(t.poll_activity(), failure("first"))
    pause(t)
    describe(t)
    unpause(t)
    describe(t)
    terminate(t)


@script
def paused_and_cancelled(t):
    """A paused one that nobody holds is cancelled at once; one to be cancelled cannot be paused."""
    start(t)
    pause(t)
    cancel(t, reason="enough")
    describe(t)
    start(t, t.other("held"))
    task = t.poll_activity()
    pause(t, t.other("held"))
    cancel(t, t.other("held"))
    describe(t, t.other("held"))
    t.heartbeat(task)
    pause(t, t.other("held"))
    unpause(t, t.other("held"))
    reset(t, t.other("held"))
    t.cancel_activity_task(task)
    describe(t, t.other("held"))


@script(seconds=4)
def paused_and_timed_out(t):
    """Which time-outs a paused activity runs into."""
    start(t, schedule_to_start_timeout=seconds(1))
    pause(t)
    start(t, t.other("close"), schedule_to_close_timeout=seconds(1))
    pause(t, t.other("close"))
    t.sleep(1.5)
    describe(t)
    describe(t, t.other("close"))
    start(t, t.other("held"), start_to_close_timeout=seconds(1), retry_policy=QUICK)
    t.poll_activity()
    pause(t, t.other("held"))
    t.sleep(1.5)
    describe(t, t.other("held"))


@script
def reset_unstarted(t):
    """Attempts are counted from one again, and it is handed out at once."""
    start(t, retry_policy=SLOW)
    t.fail_activity(t.poll_activity(), failure("first"), last_heartbeat_details=payloads("half"))
    describe(t)
    reset(t)
    describe(t)
    task = t.poll_activity()
    describe(t)
    t.fail_activity(task, failure("second"))
    reset(t, reset_heartbeat=True)
    describe(t)
    t.complete_activity(t.poll_activity())
    describe(t)


@script(seconds=2)
def reset_while_a_worker_has_it(t):
    """The worker goes on with its token and hears of it; the next attempt is the first again."""
    start(t, retry_policy=QUICK)
    t.fail_activity(t.poll_activity(), failure("first"))
    task = t.poll_activity()
    t.heartbeat(task, "half")
    reset(t, reset_heartbeat=True)
    describe(t)
    t.heartbeat(task, "half")
    reset(t)
    pause(t)
    t.fail_activity(task, failure("second"))
    describe(t)
    t.complete_activity(t.poll_activity())
    describe(t)


@script
def reset_and_completed(t):
    """The attempt that was to be reset may end the activity."""
    start(t)
    task = t.poll_activity()
    reset(t)
    t.complete_activity(task)
    describe(t)


@script
def reset_while_paused(t):
    """It goes on, or stays paused if that is asked for."""
    start(t, retry_policy=SLOW)
    t.fail_activity(t.poll_activity(), failure("first"))
    pause(t)
    reset(t, keep_paused=True)
    describe(t)
    reset(t)
    describe(t)
    t.complete_activity(t.poll_activity())
    start(t, t.other("held"), retry_policy=QUICK)
    task = t.poll_activity()
    pause(t, t.other("held"))
    reset(t, t.other("held"), keep_paused=True)
    t.heartbeat(task)
    t.fail_activity(task, failure("first"))
    describe(t, t.other("held"))
    start(t, t.other("freed"), retry_policy=QUICK)
    task = t.poll_activity()
    pause(t, t.other("freed"))
    reset(t, t.other("freed"))
    t.heartbeat(task)
    describe(t, t.other("freed"))


@script
def other_options(t):
    """New options of one that waits."""
    start(t, retry_policy=SLOW, priority={"priority_key": 2})
    t.fail_activity(t.poll_activity(), failure("first"))
    change(t, heartbeat_timeout=seconds(7))
    change(t, start_to_close_timeout=seconds(3))
    change(t, "retry_policy.maximum_attempts", retry_policy={"maximum_attempts": 9, "backoff_coefficient": 7})
    change(t, "priority.fairness_key", priority={"fairness_key": "f", "priority_key": 4})
    change(t, schedule_to_close_timeout=seconds(500))
    describe(t)
    change(t, "retry_policy", retry_policy={"initial_interval": seconds(0.01), "backoff_coefficient": 1})
    t.fail_activity(t.poll_activity(), failure("second"))
    of(t, "UpdateActivityExecutionOptions", restore_original=True)
    describe(t)
    terminate(t)


@script
def options_while_a_worker_has_it(t):
    """They hold for the running attempt too."""
    start(t, retry_policy=SLOW)
    task = t.poll_activity()
    change(t, heartbeat_timeout=seconds(7), start_to_close_timeout=seconds(70))
    describe(t)
    t.complete_activity(task)
    describe(t)


@script(seconds=3)
def shorter_options_while_a_worker_has_it(t):
    """The new time-out counts from the start of the attempt."""
    start(t, retry_policy={"maximum_attempts": 1})
    t.poll_activity()
    change(t, start_to_close_timeout=seconds(1))
    until_closed(t)
    describe(t)


@script
def options_at_every_stage(t):
    """Of one that is paused, is to be paused, is to be cancelled."""
    start(t)
    pause(t)
    change(t, heartbeat_timeout=seconds(5))
    describe(t)
    start(t, t.other("held"))
    task = t.poll_activity()
    pause(t, t.other("held"))
    change(t, activity_id=t.other("held"), heartbeat_timeout=seconds(5))
    cancel(t, t.other("held"))
    change(t, activity_id=t.other("held"), heartbeat_timeout=seconds(6))
    describe(t, t.other("held"))
    t.complete_activity(task)


@script
def another_queue(t):
    """What waits moves to the other queue."""
    start(t)
    change(t, "task_queue.name", task_queue={"name": t.queue_of("other")})
    task = t.poll_activity(t.queue_of("other"))
    t.complete_activity(task)
    describe(t)


@script
def options_that_are_refused(t):
    """What is wrong with new options, and in which order it is looked for."""
    start(t)
    method = "UpdateActivityExecutionOptions"
    options = {"heartbeat_timeout": seconds(7)}
    of(t, method)
    of(t, method, activity_options=options)
    of(t, method, activity_options=options, update_mask={})
    of(t, method, activity_options=options, update_mask={"paths": ["nothing"]})
    of(t, method, activity_options=options, update_mask={"paths": ["taskQueue"]})
    of(t, method, activity_options=options, update_mask={"paths": ["task_queue.name"]})
    of(t, method, activity_options=options, update_mask={"paths": ["heartbeat_timeout"]}, restore_original=True)
    of(t, method, activity_options=options, update_mask={"paths": ["retry_policy"]})
    of(t, method, activity_options=options, update_mask={"paths": ["retry_policy.maximum_attempts"]})
    of(t, method, activity_options=options, update_mask={"paths": ["priority"]})
    of(t, method, activity_options=options, update_mask={"paths": ["priority.priority_key"]})
    change(t, start_to_close_timeout={"seconds": -1})
    change(t, schedule_to_start_timeout={"seconds": -1})
    change(t, schedule_to_close_timeout={"seconds": -1})
    change(t, heartbeat_timeout={"seconds": -1})
    change(t, "start_to_close_timeout")
    change(t, priority={"priority_key": -1})
    change(t, "priority.fairness_weight", priority={"fairness_weight": -1})
    change(t, "priority.fairness_key", priority={"fairness_key": "x" * 65})
    change(t, retry_policy={"maximum_attempts": -1})
    change(t, "retry_policy.maximum_attempts", retry_policy={"maximum_attempts": -1})
    change(t, "retry_policy.backoff_coefficient", retry_policy={"backoff_coefficient": 0.5})
    change(t, "retry_policy.initial_interval", retry_policy={"initial_interval": {"seconds": -1}})
    change(t, "retry_policy.maximum_interval", retry_policy={"maximum_interval": {"seconds": -1}})
    change(t, "task_queue.name", task_queue={"name": "/_sys/x"})
    change(t, start_delay=seconds(1))
    unpause(t, jitter={"seconds": -1})
    reset(t, jitter={"seconds": -1})
    describe(t)


@script(seconds=2)
def delayed_and_then(t):
    """A start delay is kept by whatever happens before the first attempt."""
    start(t, start_delay=seconds(100))
    change(t, start_delay=seconds(200))
    describe(t)
    pause(t)
    describe(t)
    unpause(t)
    describe(t)
    reset(t)
    describe(t)
    terminate(t)
    start(t, t.other("cancelled"), start_delay=seconds(100))
    cancel(t, t.other("cancelled"))
    describe(t, t.other("cancelled"))


@script
def id_policies(t):
    """When a second activity may have the id of a first."""
    first = start(t, request_id="one")
    start(t, request_id="one")
    start(t, request_id="two")
    start(t, request_id="three", id_conflict_policy="ACTIVITY_ID_CONFLICT_POLICY_USE_EXISTING")
    start(t, request_id="four", id_reuse_policy="ACTIVITY_ID_REUSE_POLICY_REJECT_DUPLICATE")
    t.complete_activity(t.poll_activity())
    start(t, request_id="one")
    start(t, request_id="five", id_reuse_policy="ACTIVITY_ID_REUSE_POLICY_REJECT_DUPLICATE")
    start(t, request_id="six", id_reuse_policy="ACTIVITY_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY")
    second = start(t, request_id="seven")
    describe(t)
    describe(t, run_id=first.run_id)
    describe(t, run_id=second.run_id)
    outcome(t, run_id=first.run_id)
    t.fail_activity(t.poll_activity(), failure("final", non_retryable=True))
    start(t, request_id="eight", id_reuse_policy="ACTIVITY_ID_REUSE_POLICY_REJECT_DUPLICATE")
    start(t, request_id="nine", id_reuse_policy="ACTIVITY_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY")
    terminate(t)
    start(t, request_id="ten", id_conflict_policy="ACTIVITY_ID_CONFLICT_POLICY_USE_EXISTING")
    terminate(t, run_id=first.run_id)
    cancel(t, run_id=first.run_id)
    complete_by_id(t)
    of(t, "DeleteActivityExecution", run_id=first.run_id)


@script
def attached(t):
    """Options for the case that the id is taken."""
    link = {"workflow_event": {"namespace": "default", "workflow_id": "w", "run_id": "r"}}
    use = {"id_conflict_policy": "ACTIVITY_ID_CONFLICT_POLICY_USE_EXISTING"}
    start(t, request_id="one", links=[link])
    start(t, request_id="two", links=[link], **use)
    describe(t)
    start(t, request_id="three", links=[link], on_conflict_options={"attach_links": True}, **use)
    start(t, request_id="three", links=[link], on_conflict_options={"attach_links": True}, **use)
    describe(t)
    start(t, request_id="four", on_conflict_options={"attach_request_id": True}, **use)
    start(t, request_id="five", on_conflict_options={"attach_completion_callbacks": True}, **use)
    both = {"attach_request_id": True, "attach_links": True}
    start(t, request_id="six", links=[link], on_conflict_options=both, **use)
    start(t, request_id="six", links=[link], on_conflict_options=both)
    describe(t)
    start(t, request_id="seven", on_conflict_options=both)


@script
def workflows_of_the_same_id(t):
    """A workflow and an activity of one id are strangers."""
    start(t)
    t.start()
    t.step()
    t.complete_activity(t.poll_activity())
    t.describe()
    describe(t)
    t.terminate()


@script
def completed_by_id_unstarted(t):
    """Whoever knows the id may complete what no worker has, and nothing else."""
    start(t)
    complete_by_id(t)
    describe(t)
    start(t, t.other("paused"))
    pause(t, t.other("paused"))
    complete_by_id(t, t.other("paused"))
    describe(t, t.other("paused"))
    for name in ("beat", "failed", "cancelled"):
        start(t, t.other(name))
    of(t, "RecordActivityTaskHeartbeatById", t.other("beat"), details=payloads("half"))
    of(t, "RespondActivityTaskFailedById", t.other("failed"), failure=failure("first"))
    of(t, "RespondActivityTaskCanceledById", t.other("cancelled"))
    start(t, t.other("waits"), retry_policy=SLOW)
    start(t, t.other("late"), start_delay=seconds(100))
    complete_by_id(t, t.other("late"))
    describe(t, t.other("late"))


@script
def by_id_while_a_worker_has_it(t):
    """An id means the attempt that runs, whichever it is."""
    start(t, retry_policy=QUICK)
    t.poll_activity()
    of(t, "RecordActivityTaskHeartbeatById", details=payloads("half"))
    of(t, "RespondActivityTaskFailedById", failure=failure("first"))
    t.poll_activity()
    of(t, "RespondActivityTaskCanceledById", details=payloads("stopped"))
    cancel(t)
    of(t, "RecordActivityTaskHeartbeatById", details=payloads("more"))
    of(t, "RespondActivityTaskCanceledById", details=payloads("stopped"))
    describe(t)
    complete_by_id(t)
    of(t, "RecordActivityTaskHeartbeatById")
    of(t, "RespondActivityTaskFailedById", failure=failure("late"))
    of(t, "RespondActivityTaskCanceledById")


@script
def back_off_after_a_pause(t):
    """An attempt that fails while a pause is asked for."""
    start(t, retry_policy=SLOW)
    task = t.poll_activity()
    pause(t, request_id="one")
    pause(t, request_id="two")
    t.fail_activity(task, failure("first"))
    describe(t)
    unpause(t)
    describe(t)
    terminate(t)


@script
def back_off_after_a_reset(t):
    """An attempt that fails while a reset is asked for."""
    start(t, retry_policy=SLOW)
    task = t.poll_activity()
    t.heartbeat(task, "half")
    reset(t)
    cancel(t, t.other("nobody"))
    t.fail_activity(task, failure("first"))
    describe(t)
    t.complete_activity(task)
    t.complete_activity(t.poll_activity())


@script
def reset_and_then(t):
    """What else may happen to an attempt whose reset is asked for."""
    start(t, retry_policy=SLOW)
    task = t.poll_activity()
    reset(t)
    unpause(t)
    change(t, heartbeat_timeout=seconds(5))
    cancel(t)
    describe(t)
    t.heartbeat(task)
    t.fail_activity(task, failure("first"))
    describe(t)
    start(t, t.other("last"), retry_policy={"maximum_attempts": 1})
    task = t.poll_activity()
    reset(t, t.other("last"))
    t.fail_activity(task, failure("only"))
    describe(t, t.other("last"))


@script
def reset_with_the_original_options(t):
    """Both at once."""
    start(t, retry_policy=SLOW)
    change(t, heartbeat_timeout=seconds(5), start_to_close_timeout=seconds(100))
    t.fail_activity(t.poll_activity(), failure("first"))
    reset(t, restore_original_options=True)
    describe(t)
    task = t.poll_activity()
    change(t, heartbeat_timeout=seconds(5))
    reset(t, restore_original_options=True)
    describe(t)
    t.complete_activity(task)


@script(seconds=4)
def schedule_to_start_of_a_second_attempt(t):
    """The failure before is its cause, or not."""
    start(t, schedule_to_start_timeout=seconds(1), retry_policy=QUICK)
    t.fail_activity(t.poll_activity(), failure("first"), last_heartbeat_details=payloads("half"))
    until_closed(t)
    describe(t)


@script(seconds=5)
def schedule_to_close_of_a_second_attempt(t):
    """The failure before is its cause, or not."""
    start(t, schedule_to_close_timeout=seconds(4), retry_policy=QUICK)
    t.fail_activity(t.poll_activity(), failure("first"), last_heartbeat_details=payloads("half"))
    t.poll_activity()
    until_closed(t)
    describe(t)


@script(seconds=3)
def no_time_after_a_time_out(t):
    """An attempt timed out and the next would come too late."""
    start(t, start_to_close_timeout=seconds(1), schedule_to_close_timeout=seconds(30), retry_policy=SLOW)
    t.heartbeat(t.poll_activity(), "half")
    until_closed(t)
    describe(t)


@script(seconds=3)
def timed_out_while_a_reset_is_asked_for(t):
    """The next attempt is the first again."""
    start(t, start_to_close_timeout=seconds(1), retry_policy=SLOW)
    t.poll_activity()
    reset(t)
    t.sleep(2)
    describe(t)


@script
def after_a_delay(t):
    """What has been started once has its delay behind it."""
    start(t, start_delay=seconds(0.2), retry_policy=SLOW)
    task = t.poll_activity()
    change(t, start_delay=seconds(3))
    t.fail_activity(task, failure("first"))
    describe(t)
    change(t, start_delay=seconds(3))
    terminate(t)
