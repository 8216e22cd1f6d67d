"""`temporal activity` for activities that run on their own."""

import time

from ..case import story


def begin(t, name="a", more=""):
    """Starts an activity for which no worker polls."""
    t.run(
        f"activity start --activity-id {t.id}-{name} --type work --task-queue nobody-{t.id} "
        f"--start-to-close-timeout 1m -i '\"in\"' {more}",
        text=not more,
    )


def until_listed(t, query, count):
    deadline = time.monotonic() + 20
    while f'"count": "{count}"' not in t.quietly(f"activity count -q \"{query}\" -o json"):
        assert time.monotonic() < deadline, "the activities were not listed"
        time.sleep(0.2)


@story
def completed(t):
    """Started, described, completed by hand, and its result."""
    begin(t)
    of = f"--activity-id {t.id}-a"
    t.run(f"activity describe {of}", text=True)
    t.run(f"activity complete {of} --result '\"by hand\"'", text=True)
    t.run(f"activity result {of}", text=True)
    t.run(f"activity describe {of}", text=True)
    t.run(f"activity complete {of} --result '\"again\"'", text=True)


@story
def executed(t):
    """The worker does it while the CLI waits."""
    t.run(
        f"activity execute --activity-id {t.id} --type shout --task-queue {t.queue} "
        "--start-to-close-timeout 1m -i '\"hello\"'",
        text=False,
    )
    t.run(f"activity result --activity-id {t.id}")


@story
def ended_by_hand(t):
    """Cancelled, terminated, deleted."""
    for name in ("cancelled", "terminated", "deleted"):
        begin(t, name, "--priority-key 2 --retry-maximum-attempts 3")
    t.run(f"activity cancel --activity-id {t.id}-cancelled --reason enough", text=True)
    t.run(f"activity terminate --activity-id {t.id}-terminated --reason enough")
    t.run(f"activity describe --activity-id {t.id}-cancelled")
    t.run(f"activity result --activity-id {t.id}-cancelled", text=True)
    t.run(f"activity describe --activity-id {t.id}-terminated")
    t.run(f"activity result --activity-id {t.id}-terminated", text=True)
    t.run(f"activity delete --activity-id {t.id}-deleted --yes")
    t.run(f"activity terminate --activity-id {t.id}-terminated")


@story
def operated_on(t):
    """Paused, unpaused, reset, given other options."""
    begin(t)
    of = f"--activity-id {t.id}-a"
    t.run(f"activity pause {of} --reason 'not now'", text=True)
    t.run(f"activity describe {of}")
    t.run(f"activity unpause {of}", text=True)
    t.run(f"activity reset {of}", text=True)
    t.run(f"activity update-options {of} --heartbeat-timeout 7s --retry-maximum-attempts 3", text=True)
    t.run(f"activity describe {of}")
    t.run(f"activity fail {of} --reason broken", text=True)
    t.run(f"activity terminate {of}")


@story
def listed(t):
    """Lists and counts."""
    begin(t, "one", "--static-summary first")
    begin(t, "two", "--static-summary second")
    query = f"TaskQueue = 'nobody-{t.id}'"
    until_listed(t, query, 2)
    t.run(f'activity list -q "{query}"', text=True)
    t.run(f'activity count -q "{query}"', text=True)
    t.run(f'activity list -q "{query} AND ExecutionStatus = \'Completed\'"', text=True)
    t.run('activity list -q "Nonsense = 1"', text=True)
    for name in ("one", "two"):
        t.run(f"activity terminate --activity-id {t.id}-{name}")


@story
def nobody(t):
    """Every command for an activity that does not exist."""
    of = f"--activity-id {t.id}-nobody"
    for command in ("describe", "result", "cancel", "terminate", "pause", "unpause", "reset"):
        t.run(f"activity {command} {of}", text=True)
    t.run(f"activity complete {of} --result 1")
    t.run(f"activity fail {of}")
