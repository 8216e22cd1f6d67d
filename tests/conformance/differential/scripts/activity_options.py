"""Options of a pending activity, changed by hand."""

from ..case import script
from ..commands import complete_workflow, failure, schedule_activity, seconds

FAST = {"initial_interval": seconds(0.2), "backoff_coefficient": 1}
SLOW = {"initial_interval": seconds(60), "backoff_coefficient": 1}


def update(t, paths, activity_id="a", **fields):
    """`paths` is the mask, separated by spaces; None leaves the mask out."""
    mask = None if paths is None else {"paths": paths.split()}
    fields = {"execution": {"workflow_id": t.id}, "id": activity_id, "update_mask": mask, **fields}
    return t.call("UpdateActivityOptions", **fields)


@script
def every_field(t):
    """Each is changed if the mask names it, and only then."""
    t.start()
    t.step(schedule_activity(t))
    options = {
        "task_queue": {"name": t.queue_of("new")},
        "schedule_to_close_timeout": seconds(1000),
        "schedule_to_start_timeout": seconds(800),
        "start_to_close_timeout": seconds(600),
        "heartbeat_timeout": seconds(400),
        "retry_policy": {
            "initial_interval": seconds(5),
            "backoff_coefficient": 1.5,
            "maximum_interval": seconds(50),
            "maximum_attempts": 9,
        },
        "priority": {"priority_key": 3, "fairness_key": "f", "fairness_weight": 2},
    }
    paths = (
        "task_queue.name schedule_to_close_timeout schedule_to_start_timeout start_to_close_timeout"
        " heartbeat_timeout retry_policy.initial_interval retry_policy.backoff_coefficient"
        " retry_policy.maximum_interval retry_policy.maximum_attempts retry_policy priority"
        " priority.priority_key priority.fairness_key priority.fairness_weight task_queue"
    )
    for path in paths.split():
        update(t, path, activity_options=options)
        t.describe()
    t.complete_activity(t.poll_activity(t.queue_of("new")))
    t.step(complete_workflow())


@script
def restored(t):
    """As it was scheduled."""
    t.start()
    t.step(schedule_activity(t, retry_policy=SLOW, priority={"priority_key": 2}))
    options = {
        "task_queue": {"name": t.queue_of("new")},
        "start_to_close_timeout": seconds(600),
        "heartbeat_timeout": seconds(400),
        "retry_policy": {"maximum_attempts": 9},
        "priority": {"priority_key": 4},
    }
    paths = "task_queue.name start_to_close_timeout heartbeat_timeout retry_policy.maximum_attempts"
    update(t, f"{paths} priority", activity_options=options)
    t.describe()
    update(t, None, restore_original=True)
    t.describe()
    update(t, paths, activity_options=options, restore_original=True)
    update(t, paths, restore_original=True)
    update(t, "", activity_options=options, restore_original=True)
    update(t, "", restore_original=True)
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def of_a_waiting_task(t):
    """A task that waits in a queue is found in the new queue afterwards."""
    t.start()
    t.step(schedule_activity(t))
    update(t, "task_queue.name", activity_options={"task_queue": {"name": t.queue_of("new")}})
    t.complete_activity(t.poll_activity(t.queue_of("new")))
    t.step(complete_workflow())


@script(seconds=2)
def of_the_back_off(t):
    """A shorter interval counts for the back-off that is under way."""
    t.start()
    t.step(schedule_activity(t, retry_policy=SLOW))
    t.fail_activity(t.poll_activity(), failure("first"))
    update(t, "retry_policy.initial_interval", activity_options={"retry_policy": {"initial_interval": seconds(1)}})
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def of_the_next_back_off(t):
    """With a coefficient the interval is counted for the attempt that is to come."""
    t.start()
    t.step(schedule_activity(t, retry_policy={**SLOW, "backoff_coefficient": 2}))
    t.fail_activity(t.poll_activity(), failure("first"))
    update(t, "schedule_to_close_timeout", activity_options={"schedule_to_close_timeout": seconds(500)})
    t.describe()
    t.terminate()


@script
def while_a_worker_has_it(t):
    """The attempt that runs goes on under the new options."""
    t.start()
    t.step(schedule_activity(t, retry_policy=FAST))
    task = t.poll_activity()
    update(t, "heartbeat_timeout start_to_close_timeout",
           activity_options={"heartbeat_timeout": seconds(7), "start_to_close_timeout": seconds(8)})
    t.describe()
    t.heartbeat(task, "x")
    t.fail_activity(task, failure("first"))
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script(seconds=3)
def a_shorter_timeout_of_a_running_attempt(t):
    """It counts from the attempt's start."""
    t.start()
    t.step(schedule_activity(t, retry_policy={"maximum_attempts": 1}))
    t.poll_activity()
    update(t, "start_to_close_timeout", activity_options={"start_to_close_timeout": seconds(1)})
    t.step(complete_workflow())


@script
def fewer_attempts(t):
    """Attempts that were made count against the new maximum."""
    t.start()
    t.step(schedule_activity(t, retry_policy=FAST))
    t.fail_activity(t.poll_activity(), failure("first"))
    task = t.poll_activity()
    update(t, "retry_policy.maximum_attempts", activity_options={"retry_policy": {"maximum_attempts": 2}})
    t.fail_activity(task, failure("second"))
    t.step(complete_workflow())


@script
def whole_messages(t):
    """Which fields that have fields of their own can be named as one."""
    t.start()
    t.step(schedule_activity(t))
    options = {"task_queue": {"name": t.queue_of("new")}, "retry_policy": {"maximum_attempts": 3}}
    update(t, "task_queue", activity_options=options)
    update(t, "retry_policy", activity_options=options)
    t.terminate()


@script
def by_type_and_all(t):
    """All of a type, or all."""
    t.start()
    t.step(
        schedule_activity(t, "a"),
        schedule_activity(t, "b"),
        schedule_activity(t, "c", activity_type={"name": "other"}),
    )
    options = {"heartbeat_timeout": seconds(5)}
    update(t, "heartbeat_timeout", None, type="work", activity_options=options)
    t.describe()
    update(t, "heartbeat_timeout", None, match_all=True, activity_options={"heartbeat_timeout": seconds(6)})
    t.describe()
    update(t, "heartbeat_timeout", None, type="nothing", activity_options=options)
    update(t, "heartbeat_timeout", None, activity_options=options)
    t.terminate()


@script
def of_a_paused_activity(t):
    """It stays paused."""
    t.start()
    t.step(schedule_activity(t))
    t.call("PauseActivity", execution={"workflow_id": t.id}, id="a")
    update(t, "heartbeat_timeout", activity_options={"heartbeat_timeout": seconds(5)})
    t.describe()
    t.terminate()


@script
def requests_that_are_refused(t):
    """What is missing, what does not exist, what is too long."""
    options = {"heartbeat_timeout": seconds(5)}
    update(t, "heartbeat_timeout", activity_options=options)
    t.start()
    t.step(schedule_activity(t))
    update(t, "heartbeat_timeout", "nobody", activity_options=options)
    update(t, "heartbeat_timeout", "", activity_options=options)
    update(t, "heartbeat_timeout", activity_options=options, execution=None)
    update(t, "heartbeat_timeout", activity_options=options, execution={"workflow_id": ""})
    update(t, "heartbeat_timeout", activity_options=options, execution={"workflow_id": t.id, "run_id": "no uuid"})
    update(t, "heartbeat_timeout")
    update(t, None, activity_options=options)
    update(t, "", activity_options=options)
    update(t, "nonsense", activity_options=options)
    update(t, "heartbeatTimeout", activity_options=options)
    update(t, "task_queue.name", activity_options=options)
    update(t, "task_queue.name", activity_options={"task_queue": {"name": ""}})
    update(t, "retry_policy.initial_interval", activity_options=options)
    update(t, "retry_policy.maximum_attempts", activity_options={"retry_policy": {"maximum_attempts": -1}})
    update(t, "retry_policy.backoff_coefficient", activity_options={"retry_policy": {"backoff_coefficient": 0.5}})
    update(t, "retry_policy.maximum_interval", activity_options={"retry_policy": {"maximum_interval": seconds(0.5)}})
    update(t, "start_to_close_timeout", activity_options={})
    update(t, "start_to_close_timeout", activity_options={"start_to_close_timeout": seconds(-1)})
    update(t, "priority", activity_options={"priority": {"priority_key": -1}})
    update(t, "priority", activity_options={"priority": {"fairness_key": "k" * 65}})
    update(t, "priority.priority_key", activity_options={})
    for length in (999, 1000, 1001):
        update(t, "task_queue.name", activity_options={"task_queue": {"name": "q" * length}})
    t.terminate()
    update(t, "heartbeat_timeout", activity_options=options)
