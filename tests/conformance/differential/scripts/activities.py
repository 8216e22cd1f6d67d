"""Activities: handed out, finished in every way, by token and by id."""

from ..case import script
from ..commands import (
    complete_workflow,
    failure,
    payload,
    payloads,
    schedule_activity,
    schedule_apart,
    seconds,
    start_timer,
)

ONCE = {"maximum_attempts": 1}


@script
def with_everything(t):
    """Every field of the command is in the scheduled event and in the worker's task."""
    t.start(header={"fields": {"workflow": payload("w")}})
    t.step(
        {
            **schedule_activity(
                t,
                "everything",
                input=payloads(1, "two"),
                header={"fields": {"activity": payload("a")}},
                schedule_to_close_timeout=seconds(300),
                schedule_to_start_timeout=seconds(200),
                start_to_close_timeout=seconds(100),
                heartbeat_timeout=seconds(50),
                retry_policy={
                    "initial_interval": seconds(2),
                    "backoff_coefficient": 3,
                    "maximum_interval": seconds(30),
                    "maximum_attempts": 4,
                    "non_retryable_error_types": ["Fatal"],
                },
                priority={"priority_key": 1, "fairness_key": "k", "fairness_weight": 2.5},
            ),
            "user_metadata": {"summary": payload("s"), "details": payload("d")},
        }
    )
    t.describe()
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def timeouts_are_filled_in(t):
    """Missing time-outs follow from the given ones and from the run's; heartbeat is cut to start-to-close."""
    t.start(workflow_run_timeout=seconds(40))
    t.step(
        schedule_activity(t, "only schedule-to-close", start_to_close_timeout=None, schedule_to_close_timeout=seconds(30)),
        schedule_activity(t, "only start-to-close", start_to_close_timeout=seconds(20)),
        schedule_activity(t, "longer than the run", start_to_close_timeout=seconds(500)),
        schedule_activity(t, "all too long", schedule_to_close_timeout=seconds(10), start_to_close_timeout=seconds(90), schedule_to_start_timeout=seconds(80), heartbeat_timeout=seconds(70)),
        schedule_activity(t, "long heartbeat", start_to_close_timeout=seconds(5), heartbeat_timeout=seconds(6)),
        schedule_activity(t, "retry", retry_policy={"initial_interval": seconds(7)}),
    )  # fmt: skip


@script
def without_a_run_timeout(t):
    """What is filled in when the run may last for ever."""
    t.start()
    t.step(
        schedule_activity(t, "close", start_to_close_timeout=None, schedule_to_close_timeout=seconds(30)),
        schedule_activity(t, "start", start_to_close_timeout=seconds(20), heartbeat_timeout=seconds(30)),
    )
    t.terminate()


@script
def several_finish_behind_a_task(t):
    """Completions that meet a started task are written after it, behind the signals that came with them."""
    t.start()
    t.step(*(schedule_apart(t, name) for name in "abc"))
    first, second, third = (t.poll_activity(t.queue_of(name)) for name in "abc")
    t.signal("before")
    task = t.poll()
    t.complete_activity(second, "second")
    t.signal("between")
    t.fail_activity(first, failure("no", non_retryable=True))
    t.signal("after")
    t.complete(task, start_timer())
    t.complete_activity(third, "third")
    t.step(complete_workflow())


@script
def fails_for_good(t):
    """Without attempts left the failure is written as the worker gave it."""
    t.start()
    t.step(schedule_activity(t, retry_policy=ONCE))
    cause = failure("cause", "Inner", details=payloads("detail"))
    activity = t.poll_activity()
    t.fail_activity(
        activity,
        {
            **failure("broken", "Outer"),
            "stack_trace": "line 1",
            "encoded_attributes": payload("encoded"),
            "cause": cause,
        },
    )
    t.step(complete_workflow())


@script
def completed_twice(t):
    """A token is good for one answer."""
    t.start()
    t.step(schedule_activity(t))
    activity = t.poll_activity()
    t.complete_activity(activity)
    t.complete_activity(activity)
    t.fail_activity(activity, failure("late"))
    t.cancel_activity_task(activity)
    t.heartbeat(activity)
    t.step(complete_workflow())
    t.complete_activity(activity)


@script
def canceled_without_a_request(t):
    """A worker cannot report as cancelled what nobody asked to cancel."""
    t.start()
    t.step(schedule_activity(t))
    activity = t.poll_activity()
    t.cancel_activity_task(activity)
    t.complete_activity(activity)
    t.step(complete_workflow())


@script
def by_id(t):
    """Each answer can be given with workflow id and activity id instead of the token."""
    t.start()
    names = ("complete", "fail", "beat", "cancel")
    t.step(*(schedule_apart(t, name, retry_policy=ONCE) for name in names))
    for name in names:
        t.poll_activity(t.queue_of(name))
    where = {"workflow_id": t.id}
    t.call("RespondActivityTaskCompletedById", activity_id="complete", result=payloads(1), **where)
    t.call("RespondActivityTaskFailedById", activity_id="fail", failure=failure("no"), **where)
    t.call("RecordActivityTaskHeartbeatById", activity_id="beat", details=payloads(2), **where)
    t.call("RespondActivityTaskCanceledById", activity_id="cancel", **where)
    t.describe()
    t.step(complete_workflow())


@script
def by_id_wrongly(t):
    """Unknown activity, workflow, run; missing names."""
    for method in (
        "RespondActivityTaskCompletedById",
        "RespondActivityTaskFailedById",
        "RespondActivityTaskCanceledById",
        "RecordActivityTaskHeartbeatById",
    ):
        t.call(method)
        t.call(method, workflow_id=t.id)
        t.call(method, workflow_id=t.id, activity_id="a")
        t.call(method, workflow_id=t.id, activity_id="a", run_id="not-a-uuid")
        t.call(method, workflow_id=t.id, activity_id="a", namespace="no-such-namespace")
    run = t.start()
    t.step(schedule_activity(t))
    for method in ("RespondActivityTaskCompletedById", "RecordActivityTaskHeartbeatById"):
        t.call(method, workflow_id=t.id, activity_id="unknown", run_id=run.run_id)
    t.call("RespondActivityTaskFailedById", workflow_id=t.id, activity_id="a", failure=failure("early"))
    t.call("RecordActivityTaskHeartbeatById", workflow_id=t.id, activity_id="a")
    t.call("RespondActivityTaskCompletedById", workflow_id=t.id, activity_id="a", run_id=run.run_id)
    t.step(complete_workflow())


@script
def eager(t):
    """An activity that the worker wants for itself comes back with its completion, already started."""
    t.start()
    task = t.poll()
    answer = t.complete(
        task,
        schedule_activity(t, "mine", request_eager_execution=True, input=payloads(1), heartbeat_timeout=seconds(9)),
        schedule_activity(t, "anybody's"),
    )  # fmt: skip
    t.describe()
    for activity in answer.activity_tasks:
        t.complete_activity(activity)
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def eager_for_another_queue(t):
    """What the worker gets eagerly does not depend on the activity's queue."""
    t.start()
    other = {"name": t.queue + "-other"}
    answer = t.complete(t.poll(), schedule_activity(t, request_eager_execution=True, task_queue=other))
    t.complete_activity(answer.activity_tasks[0])
    t.step(complete_workflow())


@script
def on_another_queue(t):
    """An activity goes to the queue that the command names."""
    t.start()
    other = {"name": t.queue + "-other"}
    t.step(schedule_activity(t, task_queue=other))
    t.complete_activity(t.poll_activity(other))
    t.step(complete_workflow())


@script
def completed_before_it_was_started(t):
    """An id can be completed although no worker has taken the activity: it is started and completed."""
    t.start()
    t.step(schedule_activity(t))
    t.call("RespondActivityTaskCompletedById", workflow_id=t.id, activity_id="a", result=payloads(1))
    t.step(complete_workflow())
    t.poll_activity(timeout=3)


@script
def same_id_after_the_end(t):
    """An activity's id is free again when it has ended."""
    t.start()
    t.step(schedule_activity(t))
    t.complete_activity(t.poll_activity())
    t.step(schedule_activity(t))
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def odd_answers(t):
    """No result, no failure, empty payloads."""
    t.start()
    t.step(*(schedule_apart(t, name, retry_policy=ONCE) for name in "abcd"))
    a, b, c, task = (t.poll_activity(t.queue_of(name)) for name in "abcd")
    t.call("RespondActivityTaskCompleted", task_token=a.task_token)
    t.call("RespondActivityTaskCompleted", task_token=b.task_token, result={})
    t.call("RespondActivityTaskFailed", task_token=c.task_token)
    t.fail_activity(task, {"message": "no info"})
    t.fail_activity(task, {"message": "again"})
    t.step(complete_workflow())
