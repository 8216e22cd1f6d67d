"""`temporal nexus operation` for operations that run on their own."""

import time

from ..case import story


def made(t):
    """An endpoint that leads to the worker; unrecorded, since the other stories show it."""
    name = "cli-" + t.id.replace(".", "-").replace("_", "-")
    t.quietly(
        f"operator nexus endpoint create --name {name} --target-namespace default --target-task-queue {t.queue}"
    )
    return f"--endpoint {name} --service desk"


def until(t, command, word):
    deadline = time.monotonic() + 20
    while word not in t.quietly(command):
        assert time.monotonic() < deadline, f"waited in vain for {word}"
        time.sleep(0.2)


@story
def answered_at_once(t):
    """Started, and its result; executed while the CLI waits."""
    at = made(t)
    t.run(f"nexus operation start {at} --operation shout --operation-id {t.id} -i '\"hello\"'", text=False)
    t.run(f"nexus operation result --operation-id {t.id}", text=True)
    t.run(f"nexus operation describe --operation-id {t.id}", text=True)
    t.run(f"nexus operation execute {at} --operation shout --operation-id {t.id}-b -i '\"again\"'", text=False)


@story
def carried_out_by_a_workflow(t):
    """Described while it runs, and ended by the workflow."""
    at = made(t)
    of = f"--operation-id {t.id}"
    more = "--schedule-to-close-timeout 1h --start-to-close-timeout 30m --static-summary sum"
    t.run(f"nexus operation start {at} --operation box {of} {more} -i '\"{t.id}\"'", text=False)
    until(t, f"nexus operation describe {of} -o json", "operationToken")
    t.run(f"nexus operation describe {of}", text=True)
    t.run(f"workflow signal -w {t.id} --name finish", json=False)
    t.run(f"nexus operation result {of}", text=True)
    t.run(f"nexus operation describe {of}")


@story
def ended_by_hand(t):
    """Cancelled, which its handler hears, and terminated, which it does not."""
    at = made(t)
    for name in ("cancelled", "terminated"):
        start = f"nexus operation start {at} --operation box --operation-id {t.id}-{name}"
        t.run(f"{start} -i '\"{t.id}-{name}\"'", text=False)
        until(t, f"nexus operation describe --operation-id {t.id}-{name} -o json", "operationToken")
    t.run(f"nexus operation cancel --operation-id {t.id}-cancelled --reason enough", text=False)
    t.run(f"nexus operation result --operation-id {t.id}-cancelled", text=True)
    t.run(f"nexus operation describe --operation-id {t.id}-cancelled")
    t.run(f"nexus operation terminate --operation-id {t.id}-terminated --reason enough", text=False)
    t.run(f"nexus operation result --operation-id {t.id}-terminated", text=True)
    t.run(f"nexus operation terminate --operation-id {t.id}-terminated", text=True)
    t.run(f"nexus operation cancel --operation-id {t.id}-terminated", text=True)
    t.run(f"workflow terminate -w {t.id}-terminated", json=False)


@story
def found(t):
    """Listed and counted."""
    at = made(t)
    endpoint = at.split()[1]
    for name in ("one", "two"):
        t.quietly(f"nexus operation execute {at} --operation shout --operation-id {t.id}-{name} -i '\"x\"'")
    query = f"Endpoint = '{endpoint}' AND ExecutionStatus = 'Completed'"
    until(t, f'nexus operation count -q "{query}" -o json', '"count": "2"')
    t.run(f'nexus operation count -q "{query}"', text=True)
    t.run(f'nexus operation count -q "{query} GROUP BY ExecutionStatus"', text=True)
    t.run(f'nexus operation list -q "{query}"', text=True)


@story
def nobody(t):
    """What does not exist, and what is wrong."""
    at = made(t)
    for command in ("describe", "result", "cancel", "terminate"):
        t.run(f"nexus operation {command} --operation-id {t.id}-nobody", text=True)
    t.run(f"nexus operation start {at} --operation shout --operation-id {t.id} -i '\"a\"'", text=False)
    t.run(f"nexus operation result --operation-id {t.id}")
    again = f"nexus operation start {at} --operation shout --operation-id {t.id} -i '\"a\"'"
    t.run(f"{again} --id-reuse-policy RejectDuplicate", text=True)
    t.run(f"{again.replace(at, '--endpoint nowhere --service desk')}", text=True)
    t.run('nexus operation list -q "Nonsense = 1"', text=True)
