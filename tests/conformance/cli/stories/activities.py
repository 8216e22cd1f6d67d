"""`temporal activity`: operations on an activity that nobody works on."""

import time

from ..case import story


def waiting(t):
    """Starts a workflow whose activity `elsewhere` waits for a worker."""
    t.run(f"workflow start --type Box --task-queue {t.queue} -w {t.id} -i '\"elsewhere\"'")
    deadline = time.monotonic() + 20
    while "ACTIVITY_TASK_SCHEDULED" not in t.quietly(f"workflow show -w {t.id} -o json"):
        assert time.monotonic() < deadline, "the activity was not scheduled"
        time.sleep(0.2)


@story
def paused(t):
    """Paused, described, unpaused, completed."""
    waiting(t)
    of = f"-w {t.id} --activity-id elsewhere"
    t.run(f"activity pause {of} --reason 'not now'", text=True)
    t.run(f"workflow describe -w {t.id}", text=True)
    t.run(f"activity unpause {of}", text=True)
    t.run(f"workflow describe -w {t.id}", text=True)
    t.run(f"activity complete {of} --result '\"by hand\"'")
    t.run(f"workflow result -w {t.id}")
    t.run(f"activity pause {of}", text=True)


@story
def reset(t):
    """Reset, and reset with its own options."""
    waiting(t)
    of = f"-w {t.id} --activity-id elsewhere"
    t.run(f"activity reset {of}", text=True)
    t.run(f"activity reset {of} --keep-paused --clear-heartbeat-details --restore-original-options", text=True)
    t.run(f"workflow describe -w {t.id}")
    t.run(f"activity complete {of} --result '\"by hand\"'")


@story
def options(t):
    """Other options, and the old ones again."""
    waiting(t)
    of = f"-w {t.id} --activity-id elsewhere"
    t.run(f"activity update-options {of} --heartbeat-timeout 7s --retry-maximum-attempts 3", text=True)
    t.run(f"workflow describe -w {t.id}")
    t.run(f"activity update-options {of} --restore-original-options", text=True)
    t.run(f"workflow describe -w {t.id}")
    t.run(f"activity complete {of} --result '\"by hand\"'")


@story
def nobody(t):
    """Every operation on an activity that does not exist."""
    waiting(t)
    of = f"-w {t.id} --activity-id nobody"
    for command in ("pause", "unpause", "reset", "update-options --heartbeat-timeout 7s"):
        t.run(f"activity {command} {of}", text=True)
        t.run(f"activity {command} -w {t.id}-nobody --activity-id elsewhere", text=True)
    t.run(f"activity complete -w {t.id} --activity-id elsewhere --result '\"by hand\"'")


@story
def failed(t):
    """Failed by hand, with a reason and a detail: only what somebody has started can fail."""
    waiting(t)
    t.run(f"activity fail -w {t.id} --activity-id elsewhere --reason 'too early'", text=True)
    t.run(f"activity complete -w {t.id} --activity-id elsewhere --result '\"by hand\"'")
    t.run(f"workflow start --type Box --task-queue {t.queue} -w {t.id}-later -i '\"later\"'")
    deadline = time.monotonic() + 20
    while "PENDING_ACTIVITY_STATE_STARTED" not in t.quietly(f"workflow describe -w {t.id}-later -o json"):
        assert time.monotonic() < deadline, "the activity was not started"
        time.sleep(0.2)
    of = f"-w {t.id}-later --activity-id later"
    t.run(f"activity fail {of} --reason 'no luck' --detail '{{\"a\": 1}}'")
    t.run(f"workflow result -w {t.id}-later", text=True)
    t.run(f"workflow show -w {t.id}-later", json=False)
    t.run(f"activity fail {of} --reason 'too late'", text=True)
