"""Listing and counting: by filter, in pages, in order.

The judge indexes a workflow a little after it has answered for it, so each
script first waits until the judge shows what is to be listed; a server that
shows its own writes at once passes without waiting.
"""

from harness import wire

from ..case import script
from ..commands import (
    command,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    modify_properties,
    payload,
    start_child,
    upsert_search_attributes,
)
from .namespaces import own_namespace


def several(t):
    """Four workflows of two types, one running, the others closed in different ways."""
    for name, kind in (("a", "red"), ("b", "red"), ("c", "blue"), ("d", "blue")):
        t.start(
            t.other(name),
            workflow_type={"name": f"{kind}-{t.id}"},
            memo={"fields": {"name": payload(name)}},
            task_queue={"name": f"{t.queue}-{name}"},
        )
        t.sleep(0.02)  # Start times that differ, so that the order is a fact.
    t.complete(t.poll(f"{t.queue}-a"), complete_workflow())
    t.complete(t.poll(f"{t.queue}-b"), fail_workflow())
    t.terminate(t.other("c"))
    until_listed(t, 1, "ExecutionStatus = 'Running'")
    until_listed(t, 3, "ExecutionStatus != 'Running'")


def mine(t, condition=""):
    query = f"WorkflowId STARTS_WITH '{t.id}'"
    return f"{query} AND ({condition})" if condition else query


def until_listed(t, count, condition=""):
    def shown():
        return t.quiet("CountWorkflowExecutions", query=mine(t, condition)).count == count

    t.until(shown, f"{count} x {condition}")


def names(t, condition):
    """Records which of the script's workflows a filter finds."""
    answer = t.quiet("ListWorkflowExecutions", query=mine(t, condition))
    found = [e.execution.workflow_id.rpartition("-")[2] for e in answer.executions]
    t.note(condition, " ".join(found) or "none")


@script(seconds=2)
def list_everything(t):
    """The rows themselves, newest first."""
    several(t)
    t.call("ListWorkflowExecutions", query=mine(t))


@script(seconds=2)
def filters(t):
    """The grammar on the fields of every workflow."""
    several(t)
    kinds = f"'red-{t.id}'", f"'blue-{t.id}'"
    for condition in (
        f"WorkflowType = {kinds[0]}",
        f"WorkflowType != {kinds[0]}",
        f"WorkflowType IN ({kinds[0]}, {kinds[1]})",
        f"WorkflowType NOT IN ({kinds[0]}, 'other')",
        "WorkflowType STARTS_WITH 'red'",
        "WorkflowType NOT STARTS_WITH 'red'",
        "ExecutionStatus = 'Completed'",
        "ExecutionStatus = 'Failed' OR ExecutionStatus = 'Terminated'",
        "ExecutionStatus IN ('Running', 'Failed')",
        "NOT ExecutionStatus = 'Running'",
        "NOT (ExecutionStatus = 'Running' OR ExecutionStatus = 'Failed')",
        "ExecutionStatus = 1",
        "CloseTime IS NULL",
        "CloseTime IS NOT NULL",
        "CloseTime is null and executionstatus = 'x'",
        "StartTime > '2020-01-01T00:00:00Z'",
        "StartTime < '2020-01-01T00:00:00Z'",
        "StartTime BETWEEN '2020-01-01T00:00:00Z' AND '2100-01-01T00:00:00Z'",
        "StartTime NOT BETWEEN '2020-01-01T00:00:00Z' AND '2100-01-01T00:00:00Z'",
        f"TaskQueue = '{t.queue}-b'",
        f'WorkflowId = "{t.other("c")}"',
        f"`WorkflowId` = '{t.other('d')}'",
        "HistoryLength = 5",
        "HistoryLength >= 3 AND HistoryLength < 5",
        "ExecutionDuration >= 0",
        "RunId = 'nobody'",
    ):
        try:
            names(t, condition)
        except wire.Failure as failure:
            t.record(condition, t.renderer.failure(failure))


@script(seconds=2)
def pages(t):
    """A list in pages: every workflow once, the last page without a token."""
    several(t)
    page = t.call("ListWorkflowExecutions", query=mine(t), page_size=3)
    t.call("ListWorkflowExecutions", query=mine(t), page_size=3, next_page_token=page.next_page_token)


@script(seconds=2)
def count(t):
    """Counting, alone and by status."""
    several(t)
    t.call("CountWorkflowExecutions", query=mine(t))
    t.call("CountWorkflowExecutions", query=mine(t, "ExecutionStatus = 'Nonsense'"))
    grouped = t.quiet("CountWorkflowExecutions", query=mine(t) + " GROUP BY ExecutionStatus")
    t.note("count", grouped.count)
    for group in sorted(grouped.groups, key=lambda g: g.group_values[0].data):
        t.record("group", t.renderer.message(group))


@script
def queries_that_are_refused(t):
    """Each mistake has its own message."""
    for query in (
        "nonsense",
        "WorkflowId = ",
        "WorkflowId = 'x' ORDER BY StartTime",
        "WorkflowId = 'x' LIMIT 3",
        "NoSuchField = 'x'",
        "ExecutionStatus = 'Nonsense'",
        "WorkflowId = 'x' AND ExecutionStatus > 'Running'",
        "StartTime > 'yesterday'",
        "StartTime = 'x'",
        "HistoryLength = 'x'",
        "HistoryLength STARTS_WITH 'x'",
        "WorkflowId LIKE 'x%'",
        "WorkflowId BETWEEN 'a'",
        "(WorkflowId = 'x'",
        "WorkflowId = WorkflowType",
        "WorkflowId = 'x' AND",
        "GROUP BY WorkflowType",
        "WorkflowId IS 'x'",
    ):
        t.call("ListWorkflowExecutions", query=query.replace("'x'", f"'{t.id}'"))
    t.call("CountWorkflowExecutions", query="GROUP BY WorkflowType")
    t.call("CountWorkflowExecutions", query="nonsense")


@script
def requests_that_are_refused(t):
    """Pages and namespaces."""
    t.call("ListWorkflowExecutions", query="WorkflowId = 'x'", page_size=-1)
    t.call("ListWorkflowExecutions", namespace="no-such-namespace")
    t.call("CountWorkflowExecutions", namespace="no-such-namespace")
    t.call("ListWorkflowExecutions", namespace="")


@script(seconds=2)
def row_of_a_continued_chain(t):
    """Each run has its row."""
    t.start()
    t.step(continue_as_new(t))
    t.step(complete_workflow())
    until_listed(t, 2, "ExecutionStatus != 'Running'")
    names(t, "ExecutionStatus = 'ContinuedAsNew'")
    t.call("ListWorkflowExecutions", query=mine(t))


@script(seconds=2)
def changed_attributes_are_found(t):
    """What a workflow changes about itself can be searched for and is listed."""
    t.start()
    t.step(upsert_search_attributes(TemporalChangeVersion=[f"v-{t.id}"]), modify_properties(memo="new"))
    until_listed(t, 1, f"TemporalChangeVersion = 'v-{t.id}'")
    t.call("ListWorkflowExecutions", query=mine(t))


@script(seconds=5)
def last_pages(t):
    """A full page comes with a token, even if it is the last."""
    own_namespace(t)
    for i in range(4):
        t.start(t.other(str(i)))
        action = {"workflow_id": "w", "workflow_type": {"name": "probe"}, "task_queue": {"name": t.queue}}
        t.call(
            "CreateSchedule",
            schedule_id=t.other(str(i)),
            request_id="r",
            schedule={"spec": {}, "action": {"start_workflow": action}},
        )
        t.call(
            "StartActivityExecution",
            activity_id=t.other(str(i)),
            request_id="r",
            activity_type={"name": "work"},
            task_queue={"name": t.queue},
            start_to_close_timeout={"seconds": 100},
        )
        t.call("CreateWorkerDeployment", deployment_name=f"d{i}", request_id="r")
    since = {"earliest_time": {"seconds": 1}, "latest_time": {"seconds": 1 << 32}}
    lists = (
        ("ListWorkflowExecutions", "executions", "page_size", {}),
        ("ListWorkflowExecutions", "executions", "page_size", {"query": "WorkflowType = 'probe'"}),
        ("ScanWorkflowExecutions", "executions", "page_size", {}),
        ("ListOpenWorkflowExecutions", "executions", "maximum_page_size", {"start_time_filter": since}),
        ("ListSchedules", "schedules", "maximum_page_size", {}),
        ("ListActivityExecutions", "executions", "page_size", {}),
        ("ListWorkerDeployments", "worker_deployments", "page_size", {}),
    )
    for method, field, size, fields in lists:
        t.until(lambda: len(getattr(t.quiet(method, **fields), field)) == 4, method)
        for rows in (1, 2, 3, 4, 5):
            t.note(f"{method} by {rows}", page_sizes(t, method, field, {size: rows, **fields}))


def page_sizes(t, method, field, fields):
    """How many rows each page has, until one has no token."""
    sizes, token = [], b""
    while not sizes or token:
        page = t.quiet(method, next_page_token=token, **fields)
        sizes.append(len(getattr(page, field)))
        token = page.next_page_token
    return sizes


@script(seconds=2)
def nulls(t):
    """What says "null" is left out of what a workflow begins with, and takes away what there was."""
    memo = {"fields": {"kept": payload(1), **dict(enumerated_nulls())}}
    changes = {"indexed_fields": {"TemporalChangeVersion": NULL}}
    t.start(memo=memo, search_attributes=changes)
    t.describe()
    upsert = {"upserted_memo": {"fields": {"kept": NULL, "other": payload(2), **dict(enumerated_nulls())}}}
    t.step(command("MODIFY_WORKFLOW_PROPERTIES", upsert), force_create_new_workflow_task=True)
    t.describe()
    t.step(upsert_search_attributes(TemporalChangeVersion=["a"]), force_create_new_workflow_task=True)
    attributes = {"search_attributes": changes}
    t.step(command("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", attributes), force_create_new_workflow_task=True)
    t.describe()
    t.step(start_child(t, memo=memo, search_attributes=changes), force_create_new_workflow_task=True)
    t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED")
    t.describe(t.other("child"))
    t.step(continue_as_new(t, memo=memo, search_attributes=changes))
    t.step(complete_workflow())
    t.describe()
    t.signal_with_start(workflow_id=t.other("signalled"), memo={"fields": {"n": NULL}}, search_attributes=changes)
    t.start(t.other("refused"), search_attributes={"indexed_fields": {"NoSuchAttribute": NULL}})
    t.call(
        "CreateSchedule",
        schedule_id=t.id,
        request_id="r",
        memo=memo,
        search_attributes=changes,
        schedule={
            "spec": {},
            "action": {
                "start_workflow": {
                    "workflow_id": t.other("scheduled"),
                    "workflow_type": {"name": "probe"},
                    "task_queue": {"name": t.queue},
                    "memo": memo,
                }
            },
        },
    )
    t.call("DescribeSchedule", schedule_id=t.id)
    t.quiet("DeleteSchedule", schedule_id=t.id)


NULL = {"metadata": {"encoding": b"binary/null"}}


def enumerated_nulls():
    """Null and nothing in all encodings; the last two are neither."""
    for encoding, data in (
        (b"binary/null", b""),
        (b"json/plain", b"null"),
        (b"json/plain", b"[]"),
        (b"json/plain", b""),
        (b"binary/plain", b"null"),
        (b"json/plain", b"{}"),
        (b"binary/null", b"x"),
    ):
        yield f"{encoding.decode()} {data.decode()}", {"metadata": {"encoding": encoding}, "data": data}
