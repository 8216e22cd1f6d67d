"""`temporal operator` and `temporal task-queue`."""

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
def nexus_endpoints(t):
    """Created, changed, listed, deleted; and what is refused."""
    name = f"cli-{t.nonce}"
    create = f"operator nexus endpoint create --name {name}"
    t.run(f"{create} --target-namespace default --target-task-queue q --description 'about *it*'", json=False)
    t.run(f"operator nexus endpoint get --name {name}", text=True)
    t.run(f"operator nexus endpoint update --name {name} --target-task-queue other", json=False)
    t.run(f"operator nexus endpoint update --name {name} --unset-description", json=False)
    t.run(f"operator nexus endpoint get --name {name}", text=False)
    t.run(f"{create} --target-namespace default --target-task-queue q", json=False)
    t.run(f"operator nexus endpoint create --name {name}-url --target-url http://localhost:1/x", json=False)
    t.run(f"operator nexus endpoint create --name {name}-bad --target-url ftp://localhost", json=False)
    t.run(f"operator nexus endpoint create --name 1 --target-namespace default --target-task-queue q", json=False)
    t.run(f"operator nexus endpoint delete --name {name}", json=False)
    t.run(f"operator nexus endpoint delete --name {name}-url", json=False)
    t.run(f"operator nexus endpoint get --name {name}", json=False)
