"""`temporal operator` and `temporal task-queue`."""

import time

from ..case import story


@story
def namespaces(t):
    """Created, described, changed, listed; and what is refused."""
    name = f"cli-{t.nonce}"
    t.run(
        f"operator namespace create -n {name} --description first --email a@example.org --retention 48h --data k=v"
    )
    t.run(f"operator namespace describe -n {name}", text=False)
    t.run(f"operator namespace update -n {name} --description second --retention 96h", text=True)
    t.run(f"operator namespace describe -n {name}", text=False)
    t.run(f"operator namespace create -n {name}", text=True)
    t.run("operator namespace describe -n no-such-namespace", text=True)
    t.run("operator namespace update -n no-such-namespace --description x", text=True)
    listed = t.quietly("operator namespace list -o json")
    t.lines.append(f"  listed: {name in listed and 'default' in listed}")


@story
def default_namespace(t):
    """The namespace that is there from the start."""
    t.keys(
        "operator namespace describe -n default",
        "namespaceInfo",
        "name",
        "id",
        "state",
        "limits",
        "blobSizeLimitError",
        "memoSizeLimitError",
        "config",
        "workflowExecutionRetentionTtl",
        "replicationConfig",
        "activeClusterName",
    )


@story
def cluster(t):
    """Health, description, system."""
    t.run("operator cluster health", text=True)
    t.keys(
        "operator cluster describe",
        "clusterId",
        "clusterName",
        "historyShardCount",
        "persistenceStore",
        "visibilityStore",
        "serverVersion",
        "supportedClients",
    )
    t.keys("operator cluster system", "serverVersion", "capabilities", "upsertMemo", "eagerWorkflowStart")


@story
def task_queue(t):
    """Who works on a queue."""
    t.run(f"workflow execute --type Box --task-queue {t.queue} -w {t.id} -i '\"x\"'", json=False)
    fields = ("taskQueueType", "buildId", "stats", "approximateBacklogCount", "pollers")
    t.keys(f"task-queue describe --task-queue {t.queue}", *fields, "identity", "lastAccessTime")
    t.keys(f"task-queue describe --task-queue {t.queue}-empty", *fields, "identity", "lastAccessTime")


@story
def clusters(t):
    """There is one."""
    t.keys("operator cluster list", "clusterName", "clusterId", "address", "historyShardCount")


@story
def search_attributes(t):
    """Created, listed, created again, removed."""
    name = f"Cli{t.nonce}"
    t.run(f"operator search-attribute create --name {name} --type Keyword", text=True)
    deadline = time.monotonic() + 20
    while name not in t.quietly("operator search-attribute list -o json"):
        assert time.monotonic() < deadline, "it is not in the list"
        time.sleep(0.2)
    t.says("operator search-attribute list", name, "WorkflowType", "ExecutionStatus")
    t.run(f"operator search-attribute create --name {name} --type Int", text=True)
    t.run(f"operator search-attribute remove --name {name} --yes", text=True)
    t.run(f"operator search-attribute remove --name {name}-nobody --yes", text=True)


@story
def partitions(t):
    """A queue has one part, on a node of its own."""
    t.keys(
        f"task-queue list-partition --task-queue {t.queue}",
        "workflowTaskQueuePartitions",
        "activityTaskQueuePartitions",
        "key",
        "ownerHostName",
    )


@story
def task_queue_config(t):
    """Rates and weights of a queue."""
    of = f"--task-queue {t.id} --task-queue-type activity"
    t.run(f"task-queue config get {of}", text=True)
    t.run(f"task-queue config set {of} --queue-rps-limit 5 --queue-rps-limit-reason 'too many'", text=True)
    t.run(f"task-queue config set {of} --fairness-key-rps-limit-default 2 --fairness-key-weight a=2.5", text=True)
    t.run(f"task-queue config get {of}", text=True)
    t.run(f"task-queue config set {of} --queue-rps-limit default --fairness-key-weight a=default", text=True)
    t.run(f"task-queue config set {of} --fairness-key-weight-clear-all", text=True)
    t.run(f"task-queue config set --task-queue {t.id} --task-queue-type workflow --queue-rps-limit 1", text=True)
    t.run(f"task-queue config set {of} --queue-rps-limit=-1", text=True)
