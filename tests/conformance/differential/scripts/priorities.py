"""Priorities: which task of a backlog is handed out first."""

from ..case import script
from ..commands import schedule_activity, seconds

# 0: none is given, which counts as the middle. Each once, since the order within a priority is chance.
KEYS = (5, 0, 1, 4, 2)


def priority(key):
    return {"priority_key": key} if key else None


@script(seconds=3)
def of_workflows(t):
    """Started while nobody works."""
    for key in KEYS:
        t.start(workflow_id=f"{t.id}-{key}", priority=priority(key), workflow_task_timeout=seconds(100))
    t.sleep(1)
    served = [t.quiet("PollWorkflowTaskQueue", task_queue={"name": t.queue}) for _ in KEYS]
    t.note("order", [task.workflow_execution.workflow_id[-1] for task in served])


@script(seconds=3)
def of_activities(t):
    """All of one workflow."""
    t.start(priority=priority(2))
    t.complete(t.poll(), *(schedule_activity(t, f"a{key}", priority=priority(key)) for key in KEYS if key != 2))
    t.sleep(1)
    served = [t.quiet("PollActivityTaskQueue", task_queue={"name": t.queue}) for _ in KEYS[1:]]
    t.note("order", [task.activity_id for task in served])
    t.terminate()


@script(seconds=3)
def described(t):
    """How many wait, in all and of each priority."""
    for key in KEYS:
        t.start(workflow_id=f"{t.id}-{key}", priority=priority(key))
    t.start(workflow_id=f"{t.id}-6", priority=priority(1))
    queue = {"name": t.queue}

    def stats():
        answer = t.quiet("DescribeTaskQueue", task_queue=queue, report_stats=True)
        return answer if answer.stats.approximate_backlog_count == len(KEYS) + 1 else None

    answer = t.until(stats, "all to wait")
    counts = {key: stats.approximate_backlog_count for key, stats in answer.stats_by_priority_key.items()}
    t.note("waiting", sorted(counts.items()))
    t.note("they come", answer.stats.tasks_add_rate > 0)
    t.note("none has gone", answer.stats.tasks_dispatch_rate == 0)
    t.note("for a while", 0 < answer.stats.approximate_backlog_age.ToMilliseconds() < 20_000)
