"""UpdateTaskQueueConfig: rates and weights of a queue, and what DescribeTaskQueue shows of them."""

from ..case import script
from ..commands import schedule_activity


def update(t, kind="ACTIVITY", **fields):
    """Updates, and waits until it is seen: the judge's queues learn of it a moment later."""
    name = fields.pop("task_queue", t.queue)
    kind = f"TASK_QUEUE_TYPE_{kind}"
    answer = t.call("UpdateTaskQueueConfig", task_queue=name, task_queue_type=kind, **fields)
    if answer is None or name != t.queue or kind.endswith("UNSPECIFIED"):
        return

    def is_seen():
        queue = {"name": name}
        seen = t.quiet("DescribeTaskQueue", task_queue=queue, task_queue_type=kind, report_config=True)
        return str(seen.config) == str(answer.config)

    t.until(is_seen, "the update to be seen")


def rate(per_second, reason="why not"):
    return {"rate_limit": {"requests_per_second": per_second}, "reason": reason}


def describe(t, kind="ACTIVITY", **fields):
    queue, kind = {"name": t.queue}, f"TASK_QUEUE_TYPE_{kind}"
    return t.call("DescribeTaskQueue", task_queue=queue, task_queue_type=kind, report_config=True, **fields)


@script
def queue_rate(t):
    """Set, replaced, removed."""
    describe(t)
    update(t, update_queue_rate_limit=rate(5))
    describe(t)
    update(t, update_queue_rate_limit=rate(0, ""), identity="")
    update(t, update_queue_rate_limit=rate(7.5, "other"), identity="another")
    describe(t)
    describe(t, "WORKFLOW")
    update(t, update_queue_rate_limit={"reason": "no more"})
    describe(t)
    update(t, update_queue_rate_limit={})
    update(t)


@script
def fairness(t):
    """The rate of each key, and weights."""
    update(t, update_fairness_key_rate_limit_default=rate(3))
    update(t, set_fairness_weight_overrides={"a": 2.5, "b": 0.5})
    describe(t)
    update(t, set_fairness_weight_overrides={"b": 7, "c": 1})
    update(t, unset_fairness_weight_overrides=["a", "nobody"])
    update(t, set_fairness_weight_overrides={"a": 1}, unset_fairness_weight_overrides=["c"])
    describe(t)
    update(t, update_fairness_key_rate_limit_default={"reason": "gone"})
    update(t, update_fairness_key_rate_limit_default=rate(1), update_queue_rate_limit=rate(2))
    describe(t)


@script
def of_a_workflow_queue(t):
    """Workflow tasks have rates as well."""
    update(t, "WORKFLOW", update_queue_rate_limit=rate(5))
    update(t, "WORKFLOW", update_fairness_key_rate_limit_default=rate(5))
    update(t, "WORKFLOW", set_fairness_weight_overrides={"a": 2.5})
    describe(t, "WORKFLOW")
    update(t, "NEXUS", update_queue_rate_limit=rate(5))
    update(t, "NEXUS", update_fairness_key_rate_limit_default=rate(5))
    describe(t, "NEXUS")


@script
def mistakes(t):
    """What is refused."""
    update(t, "UNSPECIFIED", update_queue_rate_limit=rate(5))
    t.call("UpdateTaskQueueConfig")
    t.call("UpdateTaskQueueConfig", task_queue=t.queue)
    t.call("UpdateTaskQueueConfig", task_queue_type="TASK_QUEUE_TYPE_ACTIVITY", update_queue_rate_limit=rate(5))
    t.call("UpdateTaskQueueConfig", namespace="no-such-namespace", task_queue=t.queue)
    t.call("UpdateTaskQueueConfig", namespace="", task_queue=t.queue)
    update(t, task_queue="q" * 1001, update_queue_rate_limit=rate(5))
    update(t, task_queue="/_sys/x/1", update_queue_rate_limit=rate(5))
    update(t, update_queue_rate_limit=rate(-1))
    update(t, update_queue_rate_limit=rate(float("inf")))
    update(t, update_queue_rate_limit=rate(float("nan")))
    update(t, update_fairness_key_rate_limit_default=rate(-0.5))
    update(t, update_queue_rate_limit=rate(1, "r" * 1000))
    update(t, update_queue_rate_limit=rate(1, "r" * 1001))
    update(t, update_queue_rate_limit=rate(1, "r" * 100000))
    update(t, update_queue_rate_limit=rate(1), identity="i" * 1001)
    update(t, set_fairness_weight_overrides={"a": 0})
    update(t, set_fairness_weight_overrides={"a": -1})
    update(t, set_fairness_weight_overrides={"a": 0.0001})
    update(t, set_fairness_weight_overrides={"a": 1e9})
    update(t, set_fairness_weight_overrides={"": 1})
    update(t, set_fairness_weight_overrides={"k" * 64: 1})
    update(t, set_fairness_weight_overrides={"k" * 65: 1})
    update(t, unset_fairness_weight_overrides=["k" * 65])
    update(t, unset_fairness_weight_overrides=["", "x"])
    update(t, set_fairness_weight_overrides={"a": 1}, unset_fairness_weight_overrides=["a"])
    update(t, set_fairness_weight_overrides={str(n): 1 for n in range(998)})
    update(t, unset_fairness_weight_overrides=[str(n) for n in range(998)])
    update(t, set_fairness_weight_overrides={str(n): 1 for n in range(999)})
    update(t, set_fairness_weight_overrides={str(n): 1 for n in range(1000)})
    update(t, set_fairness_weight_overrides={str(n): 1 for n in range(1001)})
    update(t, unset_fairness_weight_overrides=[str(n) for n in range(1001)])


@script
def order_of_refusals(t):
    """Which of several mistakes is told."""
    update(t, "WORKFLOW", update_queue_rate_limit=rate(-1), update_fairness_key_rate_limit_default=rate(1))
    update(t, "WORKFLOW", update_queue_rate_limit=rate(1), identity="i" * 1001)
    update(t, update_queue_rate_limit=rate(-1, "r" * 1001), identity="i" * 1001)
    update(t, update_queue_rate_limit=rate(1, "r" * 1001), update_fairness_key_rate_limit_default=rate(-1))
    update(t, update_queue_rate_limit=rate(1, "r" * 1001), identity="i" * 1001)
    update(t, update_fairness_key_rate_limit_default=rate(1, "r" * 1001), identity="i" * 1001)
    update(t, update_fairness_key_rate_limit_default=rate(1, "r" * 1001))
    update(t, set_fairness_weight_overrides={"a": -1}, identity="i" * 1001)
    update(t, set_fairness_weight_overrides={"a": -1}, update_queue_rate_limit=rate(-1))
    update(t, set_fairness_weight_overrides={"": -1})
    update(t, set_fairness_weight_overrides={"a": -1}, unset_fairness_weight_overrides=["a", ""])
    update(t, set_fairness_weight_overrides={"a": 1}, unset_fairness_weight_overrides=["a", ""])
    many = [str(n) for n in range(1001)]
    update(t, set_fairness_weight_overrides={"a": -1}, unset_fairness_weight_overrides=many)
    update(t, task_queue="/_sys/x", update_queue_rate_limit=rate(-1))
    update(t, "WORKFLOW", task_queue="/_sys/x", update_queue_rate_limit=rate(-1))


@script
def unspecified_type(t):
    """Which queue is it?"""
    update(t, "UNSPECIFIED", update_queue_rate_limit=rate(5))
    describe(t)
    describe(t, "WORKFLOW")
    describe(t, "UNSPECIFIED")
    describe(t, "NEXUS")
    update(t)
    update(t, "WORKFLOW")
    update(t, "NEXUS")
    describe(t)
    t.call("DescribeTaskQueue", task_queue={"name": t.queue}, task_queue_type="TASK_QUEUE_TYPE_ACTIVITY")
    t.call("DescribeTaskQueue", task_queue={"name": t.queue}, task_queue_type=17)
    t.call("UpdateTaskQueueConfig", task_queue=t.queue, task_queue_type=17, update_queue_rate_limit=rate(1))


@script
def effective_rate(t):
    """What is in force: the API's before the worker's before the system's."""
    t.poll_activity(timeout=3, task_queue_metadata={"max_tasks_per_second": {"value": 12}})
    describe(t)
    update(t, update_queue_rate_limit=rate(5))
    describe(t)
    update(t, update_queue_rate_limit=rate(0))
    describe(t)
    update(t, update_queue_rate_limit={})
    describe(t)
    describe(t, include_task_queue_status=True)
    update(t, update_queue_rate_limit=rate(5))
    describe(t, include_task_queue_status=True)
    describe(t, api_mode="DESCRIBE_TASK_QUEUE_MODE_ENHANCED")


@script(seconds=6)
def rate_of_nothing(t):
    """At no tasks a second nothing is handed out, until the rate is taken away."""
    update(t, update_queue_rate_limit=rate(0))
    t.start()
    t.complete(t.poll(), schedule_activity(t, "a"))
    t.poll_activity(timeout=3)
    update(t, update_queue_rate_limit={})
    t.poll_activity(timeout=8)
    t.terminate()
