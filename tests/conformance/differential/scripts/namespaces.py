"""Namespaces: registered, described, changed, and missing."""

from harness import wire

from ..case import script
from ..commands import complete_workflow, seconds

DAY = 24 * 3600


def until_usable(t, name):
    """Servers may take a moment until a new namespace is known everywhere."""

    def usable():
        try:
            t.quiet("CountWorkflowExecutions", namespace=name)
            return True
        except wire.Failure:
            return False

    t.until(usable, f"namespace {name}")


def own_namespace(t):
    """A namespace for one script: one has room for one batch at a time, and attributes are for all who use it."""
    name = f"ns-{t.id}".replace(".", "-").replace("_", "-")
    t.quiet("RegisterNamespace", namespace=name, workflow_execution_retention_period=seconds(DAY))
    until_usable(t, name)
    t.namespace = name


@script(seconds=5)
def registered(t):
    """A new namespace is described and usable, and separate from others."""
    name = f"ns-{t.id}".replace(".", "-").replace("_", "-")
    t.call(
        "RegisterNamespace",
        namespace=name,
        description="for a test",
        owner_email="owner@example.org",
        workflow_execution_retention_period=seconds(3 * DAY),
        data={"key": "value"},
    )
    t.call("DescribeNamespace", namespace=name)
    until_usable(t, name)
    t.start()
    t.start(namespace=name)
    t.namespace = name
    t.step(complete_workflow())
    t.namespace = "default"
    t.step(complete_workflow())


@script
def registered_wrongly(t):
    """Names and retention that are refused."""
    t.call("RegisterNamespace", namespace="")
    t.call("RegisterNamespace", namespace="default", workflow_execution_retention_period=seconds(DAY))
    name = f"ns-{t.nonce}-wrong"
    t.call("RegisterNamespace", namespace=name)
    t.call("RegisterNamespace", namespace=name, workflow_execution_retention_period=seconds(1))
    t.call("RegisterNamespace", namespace=name, workflow_execution_retention_period=seconds(-DAY))
    for bad in ("has space", "has/slash", "temporal-system", "n" * 1001, "\u00fcmlaut"):
        t.call("RegisterNamespace", namespace=bad, workflow_execution_retention_period=seconds(DAY))


@script
def described_by_id(t):
    """A namespace is found by its id as well as by its name."""
    found = t.call("DescribeNamespace", namespace="default")
    t.call("DescribeNamespace", namespace="", id=found.namespace_info.id)
    t.call("DescribeNamespace", namespace="")
    t.call("DescribeNamespace", namespace="no-such-namespace")
    t.call("DescribeNamespace", namespace="", id="11111111-2222-3333-4444-555555555555")


@script(seconds=2)
def updated(t):
    """Description, owner, data and retention can be changed; what is not mentioned stays."""
    name = f"ns-{t.nonce}-updated"
    t.call(
        "RegisterNamespace",
        namespace=name,
        description="before",
        owner_email="before@example.org",
        workflow_execution_retention_period=seconds(3 * DAY),
        data={"kept": "1", "changed": "1"},
    )
    t.call("UpdateNamespace", namespace=name, update_info={"description": "after", "data": {"changed": "2"}})
    t.call(
        "UpdateNamespace",
        namespace=name,
        config={"workflow_execution_retention_ttl": seconds(5 * DAY)},
    )
    t.call("UpdateNamespace", namespace=name, config={"workflow_execution_retention_ttl": seconds(1)})
    t.call("DescribeNamespace", namespace=name)
    t.call("UpdateNamespace", namespace="no-such-namespace", update_info={"description": "x"})
    t.call("UpdateNamespace", namespace="")


@script(seconds=2)
def listed(t):
    """All namespaces, in pages, among them those just registered."""
    mine = [f"ns-{t.nonce}-listed-{number}" for number in range(3)]
    for name in mine:
        t.call("RegisterNamespace", namespace=name, workflow_execution_retention_period=seconds(DAY))
    found, token, pages = [], b"", 0
    while pages < 100:
        page = t.quiet("ListNamespaces", page_size=2, next_page_token=token)
        found += [n.namespace_info.name for n in page.namespaces]
        token = page.next_page_token
        pages += 1
        if not token:
            break
    t.note("mine are listed once", all(found.count(name) == 1 for name in mine))
    t.note("default is listed once", found.count("default") == 1)
    t.note("it took several pages", pages > 1)


@script
def unknown_to_every_call(t):
    """The same answer everywhere."""
    t.namespace = "no-such-namespace"
    for method in (
        "StartWorkflowExecution",
        "GetWorkflowExecutionHistory",
        "GetWorkflowExecutionHistoryReverse",
        "PollWorkflowTaskQueue",
        "PollActivityTaskQueue",
        "RespondWorkflowTaskCompleted",
        "RespondWorkflowTaskFailed",
        "RespondActivityTaskCompleted",
        "RespondActivityTaskFailed",
        "RespondActivityTaskCanceled",
        "RecordActivityTaskHeartbeat",
        "RespondQueryTaskCompleted",
        "QueryWorkflow",
        "DescribeWorkflowExecution",
        "DescribeTaskQueue",
        "ResetStickyTaskQueue",
        "ShutdownWorker",
        "DeleteWorkflowExecution",
        "ListWorkflowExecutions",
        "CountWorkflowExecutions",
    ):
        t.call(method)
