"""Fairness keys: whose task of a backlog is handed out next."""

from ..case import script
from ..commands import seconds


def started(t, *keys):
    """Starts a workflow for each key and weight, while nobody works."""
    for number, (key, weight) in enumerate(keys):
        fairness = {"fairness_key": key, "fairness_weight": weight}
        # Nothing shall time out before the script ends.
        t.start(workflow_id=f"{t.id}-{key}{number}", priority=fairness, workflow_task_timeout=seconds(100))
    t.sleep(1)


def note_shares(t, count, of_b):
    """Takes the tasks, and notes whether the key `b` has its share of them at every moment, give or take 1.5.

    Which of two tasks that are due comes first, the judge does not always decide alike. In the order in which they
    came, or with other weights, the tasks would be off by more.
    """
    served = [t.quiet("PollWorkflowTaskQueue", task_queue={"name": t.queue}) for _ in range(count)]
    keys = [task.workflow_execution.workflow_id.rpartition("-")[2][0] for task in served]
    off = max(abs(keys[:n].count("b") - n * of_b) for n in range(1, count + 1))
    t.note("shares", "kept" if off <= 1.5 else keys)


def update(t, kind, **fields):
    kind = f"TASK_QUEUE_TYPE_{kind}"
    return t.call("UpdateTaskQueueConfig", task_queue=t.queue, task_queue_type=kind, **fields)


@script(seconds=3)
def in_turn(t):
    """Two keys of the same weight, one of which came first."""
    started(t, *[("a", 0)] * 4, *[("b", 0)] * 4)
    note_shares(t, 8, 1 / 2)


@script(seconds=3)
def weighted(t):
    """Three tasks of one key for each of the other."""
    started(t, *[("a", 0)] * 3, *[("b", 3)] * 9)
    note_shares(t, 12, 3 / 4)


@script(seconds=3)
def weighted_by_the_operator(t):
    """What is set for the queue counts, and not what the tasks say."""
    update(t, "WORKFLOW", set_fairness_weight_overrides={"b": 2})
    started(t, *[("a", 0)] * 4, *[("b", 0.1)] * 8)
    note_shares(t, 12, 2 / 3)
