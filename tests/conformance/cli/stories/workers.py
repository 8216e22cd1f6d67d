"""`temporal worker`."""

import time

from ..case import story

HEARD_WITHIN_SECONDS = 20


@story
def nobody(t):
    """Lists without a match, and a worker that is not there."""
    t.run("worker list --query \"TaskQueue='nobody-polls-this-queue'\"", text=True)
    t.run("worker list --query \"TaskQueue=\"", text=True)
    t.run("worker list --query \"TaskQueue='x' LIMIT 1\"", text=True)
    t.run("worker describe", text=True)
    t.run("worker list -n no-such-namespace", text=True)


@story
def listed(t):
    """The worker of the stories, as its SDK describes it."""
    deadline = time.monotonic() + HEARD_WITHIN_SECONDS
    while not key_of(t.quietly(f"worker list --query \"TaskQueue='{t.queue}'\" -o json")):
        if time.monotonic() > deadline:
            raise TimeoutError("waited in vain for the worker's heartbeat")
        time.sleep(0.2)
    fields = ("workerInstanceKey", "workerIdentity", "taskQueue", "sdkName", "sdkVersion", "status")
    t.keys(f"worker list --query \"TaskQueue='{t.queue}'\"", *fields, "startTime", "hostName")
    t.keys(f"worker list --limit 1 --query \"TaskQueue='{t.queue}'\"", *fields)
    key = key_of(t.quietly(f"worker list --query \"TaskQueue='{t.queue}'\" -o json"))
    t.keys(
        f"worker describe --worker-instance-key {key}",
        *fields,
        "heartbeatTime",
        "workflowTaskSlotsInfo",
        "workflowPollerInfo",
    )
    t.says(f"worker list --query \"TaskQueue='{t.queue}'\"", "Running", t.queue)


def key_of(output):
    """The instance key of the first worker in a list."""
    return output.partition('"workerInstanceKey": "')[2].partition('"')[0]


@story
def counted(t):
    """How many there are."""
    deadline = time.monotonic() + HEARD_WITHIN_SECONDS
    query = f"--query \"TaskQueue='{t.queue}'\""
    while '"count": "1"' not in t.quietly(f"worker count {query} -o json"):
        if time.monotonic() > deadline:
            raise TimeoutError("waited in vain for the worker's heartbeat")
        time.sleep(0.2)
    t.run(f"worker count {query}", text=True)
    t.run("worker count --query \"TaskQueue='nobody-polls-this-queue'\"", text=True)
    t.run("worker count --query \"TaskQueue=\"", text=True)
