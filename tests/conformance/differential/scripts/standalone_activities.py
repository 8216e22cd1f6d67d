"""Activities that run on their own: started, handed out, described, ended."""

from ..case import script
from ..commands import failure, payload, payloads, seconds
from ..standalone import complete_by_id, describe, of, outcome, start, terminate, until_closed

QUICK = {"initial_interval": seconds(0.05), "backoff_coefficient": 1}
SLOW = {"initial_interval": seconds(60), "backoff_coefficient": 1}


@script
def completed(t):
    """From the start to the result, with a description at each step."""
    start(t, input=payloads("in", 2))
    describe(t)
    task = t.poll_activity()
    describe(t)
    t.complete_activity(task)
    describe(t)
    outcome(t)
    t.complete_activity(task)


@script
def with_everything(t):
    """All that a start may say is shown again, and given to the worker."""
    start(
        t,
        input=payloads("in"),
        header={"fields": {"h": payload("header")}},
        user_metadata={"summary": payload("summary"), "details": payload("details")},
        priority={"priority_key": 2, "fairness_key": "f", "fairness_weight": 1.5},
        retry_policy={"maximum_attempts": 3, "non_retryable_error_types": ["Fatal"]},
        heartbeat_timeout=seconds(5),
        schedule_to_start_timeout=seconds(100),
        schedule_to_close_timeout=seconds(200),
        request_id="the request",
    )
    describe(t)
    describe(t, include_input=False, include_outcome=False)
    describe(t, include_heartbeat_details=False, include_last_failure=False)
    task = t.poll_activity()
    t.heartbeat(task, "half")
    describe(t)
    describe(t, include_heartbeat_details=False, include_last_failure=False)
    t.complete_activity(task)
    describe(t)


@script
def timeouts_are_filled_in(t):
    """Time-outs that are left open follow from those that are given."""
    start(t, start_to_close_timeout=None, schedule_to_close_timeout=seconds(20))
    describe(t)
    start(
        t,
        t.other("capped"),
        start_to_close_timeout=seconds(30),
        schedule_to_close_timeout=seconds(20),
        schedule_to_start_timeout=seconds(30),
        heartbeat_timeout=seconds(30),
    )
    describe(t, t.other("capped"))
    start(t, t.other("heartbeat"), heartbeat_timeout=seconds(30))
    describe(t, t.other("heartbeat"))
    start(t, t.other("zero"), schedule_to_close_timeout=seconds(0), heartbeat_timeout=seconds(0))
    describe(t, t.other("zero"))


@script(seconds=2)
def retried(t):
    """The second attempt succeeds; descriptions show the first one's failure."""
    start(t, retry_policy=QUICK)
    t.fail_activity(t.poll_activity(), failure("first", "Passing"))
    task = t.poll_activity()
    describe(t)
    describe(t, include_last_failure=False)
    t.complete_activity(task)
    describe(t)
    outcome(t)


@script
def waits_for_its_next_attempt(t):
    """During a back-off nobody holds the activity."""
    start(t, retry_policy=SLOW)
    t.fail_activity(t.poll_activity(), failure("first"))
    describe(t)
    terminate(t)
    describe(t)


@script
def next_delay_of_the_failure(t):
    """A failure may say when it is to be tried again."""
    start(t, retry_policy=QUICK)
    t.fail_activity(t.poll_activity(), failure("first", next_retry_delay=seconds(77)))
    describe(t)
    terminate(t)


@script
def out_of_attempts(t):
    """The last failure is the outcome."""
    start(t, retry_policy={**QUICK, "maximum_attempts": 2})
    t.fail_activity(t.poll_activity(), failure("first"))
    t.fail_activity(t.poll_activity(), failure("second"))
    describe(t)
    outcome(t)


@script
def not_to_be_retried(t):
    """By its own word, by its type, and where only one attempt is allowed."""
    start(t)
    t.fail_activity(t.poll_activity(), failure("final", non_retryable=True))
    describe(t)
    outcome(t)
    start(t, t.other("type"), retry_policy={"non_retryable_error_types": ["Fatal"]})
    t.fail_activity(t.poll_activity(), failure("fatal", "Fatal"))
    outcome(t, t.other("type"))
    start(t, t.other("one"), retry_policy={"maximum_attempts": 1})
    t.fail_activity(t.poll_activity(), failure("only"))
    outcome(t, t.other("one"))


@script
def no_time_for_another_attempt(t):
    """The next attempt would come after the time for all of them."""
    start(t, schedule_to_close_timeout=seconds(30), retry_policy=SLOW)
    t.fail_activity(t.poll_activity(), failure("late"))
    describe(t)
    outcome(t)


@script
def failures_of_other_kinds(t):
    """A failure that is no application's."""
    start(t, retry_policy=SLOW)
    task = t.poll_activity()
    t.fail_activity(task, {"message": "server", "server_failure_info": {}})
    t.fail_activity(task, {"message": "nothing"})
    t.fail_activity(task, None)
    describe(t)
    outcome(t, timeout=3)


@script
def details_of_the_last_heartbeat(t):
    """A failure may bring them, and the next attempt gets them."""
    start(t, retry_policy=QUICK, heartbeat_timeout=seconds(8))
    task = t.poll_activity()
    t.heartbeat(task, "one")
    t.heartbeat(task)
    describe(t)
    t.fail_activity(task, failure("first"), last_heartbeat_details=payloads("last"))
    task = t.poll_activity()
    describe(t)
    t.fail_activity(task, failure("final", non_retryable=True), last_heartbeat_details=payloads("very last"))
    describe(t)


@script
def by_id_and_run(t):
    """The run of an activity, if one is named, has to be the right one."""
    first = start(t)
    t.poll_activity()
    complete_by_id(t, run_id="00000000-0000-4000-8000-000000000000")
    complete_by_id(t, run_id="no uuid")
    complete_by_id(t, run_id=first.run_id)
    outcome(t, run_id=first.run_id)
    complete_by_id(t, "", run_id=first.run_id)
    of(t, "RespondActivityTaskFailedById", "", failure=failure("x"))
    of(t, "RecordActivityTaskHeartbeatById", "")


@script
def tokens_of_the_past(t):
    """A token of an attempt that is over is of no use."""
    start(t, retry_policy=QUICK)
    first = t.poll_activity()
    t.fail_activity(first, failure("first"))
    second = t.poll_activity()
    t.complete_activity(first)
    t.fail_activity(first, failure("again"))
    t.heartbeat(first)
    t.cancel_activity_task(first)
    t.cancel_activity_task(second)
    t.complete_activity(second)
    t.complete_activity(second)
    t.fail_activity(second, failure("again"))
    t.heartbeat(second)
    t.cancel_activity_task(second)


@script(seconds=3)
def timed_out_unstarted(t):
    """Nobody takes the activity in time."""
    start(t, schedule_to_start_timeout=seconds(1))
    until_closed(t)
    describe(t)
    outcome(t)


@script(seconds=3)
def schedule_to_close_unstarted(t):
    """Nobody takes the activity, and the time for all attempts ends."""
    start(t, schedule_to_close_timeout=seconds(1))
    until_closed(t)
    describe(t)


@script(seconds=3)
def schedule_to_close_started(t):
    """The time for all attempts ends while a worker has one."""
    start(t, schedule_to_close_timeout=seconds(1), retry_policy={"maximum_attempts": 1})
    task = t.poll_activity()
    until_closed(t)
    describe(t)
    t.complete_activity(task)


@script(seconds=3)
def start_to_close(t):
    """The attempt that timed out is followed by another."""
    start(t, start_to_close_timeout=seconds(1), retry_policy={**QUICK, "maximum_attempts": 3})
    first = t.poll_activity()
    t.heartbeat(t.poll_activity(), "half")
    describe(t)
    t.poll_activity()
    describe(t)
    t.complete_activity(first)
    until_closed(t)
    describe(t)
    outcome(t)


@script(seconds=3)
def heartbeat_timeout(t):
    """A worker falls silent."""
    start(t, heartbeat_timeout=seconds(1), retry_policy={"maximum_attempts": 1})
    t.heartbeat(t.poll_activity(), "half")
    until_closed(t)
    describe(t)
    outcome(t)


@script(seconds=5)
def schedule_to_close_while_it_waits(t):
    """The time for all attempts ends during a back-off."""
    start(t, schedule_to_close_timeout=seconds(4), retry_policy={"initial_interval": seconds(1)})
    t.fail_activity(t.poll_activity(), failure("first"))
    until_closed(t)
    describe(t)


@script(seconds=2)
def polled_while_it_runs(t):
    """A poll that comes before the end is answered by it."""
    start(t)
    waiting = t.background("PollActivityExecution", activity_id=t.id)
    t.complete_activity(t.poll_activity())
    waiting.join()


@script(seconds=4)
def polled_in_vain(t):
    """Nothing has happened: the answer is empty and comes before the caller's deadline."""
    start(t)
    outcome(t, timeout=3)
    outcome(t, timeout=1)


@script(seconds=4)
def described_when_something_changes(t):
    """A description with a token waits until there is something new."""
    first = start(t)
    token = describe(t).long_poll_token
    waiting = t.background(
        "DescribeActivityExecution", activity_id=t.id, run_id=first.run_id, long_poll_token=token
    )
    task = t.poll_activity()
    token = waiting.join().long_poll_token
    describe(t, run_id=first.run_id, long_poll_token=token, timeout=2)
    t.complete_activity(task)
    describe(t, run_id=first.run_id, long_poll_token=token)
    describe(t, long_poll_token=token)
    describe(t, run_id=first.run_id, long_poll_token=b"nonsense")
    second = start(t, t.other("second"))
    describe(t, t.other("second"), run_id=second.run_id, long_poll_token=token)


@script
def nobody(t):
    """Whoever is not there is told so in the same words by every method."""
    nobody = t.other("nobody")
    run = "00000000-0000-4000-8000-000000000000"
    for method in ("DescribeActivityExecution", "PollActivityExecution", "DeleteActivityExecution"):
        of(t, method, nobody)
        of(t, method, nobody, run_id=run)
        of(t, method, nobody, run_id="no uuid")
        of(t, method, "")
    for method in (
        "RequestCancelActivityExecution",
        "TerminateActivityExecution",
        "PauseActivityExecution",
        "UnpauseActivityExecution",
        "ResetActivityExecution",
        "UpdateActivityExecutionOptions",
        "RespondActivityTaskCompletedById",
        "RespondActivityTaskFailedById",
        "RespondActivityTaskCanceledById",
        "RecordActivityTaskHeartbeatById",
    ):
        more = {}
        if method == "UpdateActivityExecutionOptions":
            more = {"activity_options": {}, "update_mask": {"paths": ["priority"]}}
        of(t, method, nobody, **more)
        of(t, method, nobody, run_id=run, **more)
        of(t, method, nobody, run_id="no uuid", **more)
        of(t, method, "", **more)


@script
def other_run(t):
    """A run id that is not this activity's."""
    start(t)
    run = "00000000-0000-4000-8000-000000000000"
    describe(t, run_id=run)
    outcome(t, run_id=run)
    of(t, "RequestCancelActivityExecution", run_id=run)
    terminate(t, run_id=run)
    of(t, "DeleteActivityExecution", run_id=run)


@script(seconds=2)
def delayed(t):
    """A start delay puts the first attempt off."""
    start(t, start_delay=seconds(1), schedule_to_start_timeout=seconds(3), schedule_to_close_timeout=seconds(5))
    describe(t)
    task = t.poll_activity()
    describe(t)
    t.complete_activity(task)
    start(t, t.other("negative"), start_delay={"seconds": -1})


@script
def eagerly(t):
    """The real server takes the wish and hands nothing out with the start."""
    start(t, request_eager_execution=True)
    t.complete_activity(t.poll_activity())
    describe(t)


@script
def starts_that_are_refused(t):
    """What is wrong with a start, and in which order it is looked for."""
    start(t, "")
    start(t, activity_type=None)
    start(t, activity_type={"name": ""})
    start(t, task_queue=None)
    start(t, task_queue={"name": ""})
    start(t, task_queue={"name": "/_sys/x"})
    start(t, start_to_close_timeout=None)
    start(t, start_to_close_timeout=seconds(0))
    start(t, start_to_close_timeout={"seconds": -1})
    start(t, schedule_to_start_timeout={"seconds": -1})
    start(t, schedule_to_close_timeout={"seconds": -1})
    start(t, heartbeat_timeout={"seconds": -1})
    start(t, retry_policy={"maximum_attempts": -1})
    start(t, retry_policy={"backoff_coefficient": 0.5})
    start(t, priority={"priority_key": -1})
    start(t, priority={"fairness_weight": -1})
    start(t, priority={"fairness_key": "x" * 65})
    start(t, search_attributes={"indexed_fields": {"NoSuchAttribute": payload("k")}})
    start(t, search_attributes={"indexed_fields": {"CustomIntField": payload("k")}})
    start(t, search_attributes={"indexed_fields": {"ActivityType": payload("k")}})
    start(t, id_reuse_policy=9)
    start(t, id_conflict_policy=9)
    start(t, namespace="")
    start(t, namespace="no-such-namespace")
    start(t, "", activity_type=None, task_queue=None, start_to_close_timeout=None, start_delay={"seconds": -1})
    start(t, activity_type=None, retry_policy={"maximum_attempts": -1}, start_to_close_timeout=None)


@script(seconds=2)
def links_and_callbacks(t):
    """Links are shown; callbacks are for Nexus."""
    link = {"workflow_event": {"namespace": "default", "workflow_id": "w", "run_id": "r"}}
    callback = {"nexus": {"url": "http://localhost:1/nothing"}}
    start(t, links=[link])
    describe(t)
    start(t, t.other("callback"), completion_callbacks=[callback])
    describe(t, t.other("callback"))
    start(t, t.other("both"), completion_callbacks=[{}], links=[{}])
    terminate(t, t.other("callback"))
    terminate(t)
