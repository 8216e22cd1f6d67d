"""`temporal workflow list` and `count`."""

import time

from ..case import story

NOBODY = "--task-queue nobody-polls-this-queue"


def several(t):
    """Two done and one running, once the server lists them."""
    for word in ("a", "b"):
        t.quietly(
            f"workflow execute --type Box --task-queue {t.queue} -w {t.id}-{word} -i '\"{word}\"' -o json"
        )
    t.quietly(f"workflow start --type Lonely {NOBODY} -w {t.id}-c")
    deadline = time.monotonic() + 20
    for condition, count in (("CloseTime IS NOT NULL", 2), ("CloseTime IS NULL", 1)):
        query = f"WorkflowId STARTS_WITH '{t.id}' AND {condition}"
        while f'"count": "{count}"' not in t.quietly(f'workflow count --query "{query}" -o json'):
            assert time.monotonic() < deadline, f"{condition} is not {count}"
            time.sleep(0.2)


@story
def listed(t):
    """Found by a filter, newest first; as a table and as JSON."""
    several(t)
    mine = f"WorkflowId STARTS_WITH '{t.id}'"
    t.run(f'workflow list --query "{mine}"', text=True)
    t.run(f'workflow list --query "{mine}" --limit 2', text=True)
    t.run(f"workflow list --query \"{mine} AND ExecutionStatus = 'Running'\"", text=True)
    t.run(f"workflow list --query \"{mine} AND WorkflowType = 'nobody'\"", text=True)


@story
def counted(t):
    """Counted, and counted by status."""
    several(t)
    mine = f"WorkflowId STARTS_WITH '{t.id}'"
    t.run(f'workflow count --query "{mine}"', text=True)
    t.run(f"workflow count --query \"{mine} AND ExecutionStatus = 'Completed'\"", text=True)
    groups = ("Total: 3", "Group total: 1, values: Running", "Group total: 2, values: Completed")
    t.says(f'workflow count --query "{mine} GROUP BY ExecutionStatus"', *groups)


@story
def bad_filters(t):
    """Mistakes are told."""
    t.run("workflow list --query nonsense", text=True)
    t.run("workflow count --query \"WorkflowId = 'x' ORDER BY StartTime\"", text=True)
