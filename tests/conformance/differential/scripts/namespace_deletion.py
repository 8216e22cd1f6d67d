"""Namespaces that are deleted."""

from ..case import script
from ..commands import seconds
from .namespaces import DAY, until_usable


def own(t, suffix=""):
    name = f"ns-{t.id}{suffix}".replace(".", "-").replace("_", "-")
    t.quiet("RegisterNamespace", namespace=name, workflow_execution_retention_period=seconds(DAY))
    until_usable(t, name)
    return name


@script(seconds=20)
def deleted(t):
    """The name is free at once, what was there goes in the background."""
    name = own(t)
    t.start(namespace=name)
    t.runs = {}
    answer = t.call("DeleteNamespace", namespace=name)
    t.call("DescribeNamespace", namespace=name)
    t.call("DeleteNamespace", namespace=name)
    t.start(namespace=name)
    t.call("DescribeNamespace", namespace=answer.deleted_namespace)
    t.call("DeleteNamespace", namespace=answer.deleted_namespace)


@script
def requests_that_are_refused(t):
    """Nobody, the system's own, both a name and an id."""
    t.call("DeleteNamespace", namespace=None)
    t.call("DeleteNamespace", namespace="no-such-namespace")
    t.call("DeleteNamespace", namespace="temporal-system")
    t.call("DeleteNamespace", namespace="default", namespace_id="x")
    t.call("DeleteNamespace", namespace=None, namespace_id="11111111-2222-3333-4444-555555555555")
    t.call("DeleteNamespace", namespace=None, namespace_id="x")
    t.call("DeleteNamespace", namespace="no-such-namespace", namespace_delete_delay=seconds(-1))


@script
def by_id(t):
    """With a delay."""
    name = own(t)
    described = t.quiet("DescribeNamespace", namespace=name)
    answer = t.call(
        "DeleteNamespace",
        namespace=None,
        namespace_id=described.namespace_info.id,
        namespace_delete_delay=seconds(3600),
    )
    t.call("DescribeNamespace", namespace=answer.deleted_namespace)
