"""Lists and counts of Nexus operations that run on their own, and limits of what is asked."""

from ..case import script
from ..commands import failure, payload, seconds
from ..nexus import endpoint, endpoint_name, fail_with, poll_nexus, respond, succeed
from ..operations import begin, cancel, describe, of, start, terminate, until_stage
from .namespaces import own_namespace
from .standalone_lists import attribute_exists

ID_BYTES_MAX = 1000
BLOB_BYTES_MAX = 2 << 20


def mine(t, more=""):
    return f"Endpoint = '{endpoint_name(t)}'" + (f" AND {more}" if more else "")


def until_listed(t, count, query=None):
    """Lists lag behind on the judge."""
    query = query or mine(t)
    t.until(lambda: t.quiet("CountNexusOperationExecutions", query=query).count >= count, "the list")


def listed(t, query, **fields):
    return t.call("ListNexusOperationExecutions", query=query, **fields)


def counted(t, query):
    return t.call("CountNexusOperationExecutions", query=query)


def one_of_each(t):
    """One operation in each status; the newest comes first."""
    own_namespace(t)
    t.attribute, t.typed = f"StandaloneNexus{t.nonce}", f"StandaloneNexusTyped{t.nonce}"
    attribute_exists(t, t.attribute)
    attribute_exists(t, t.typed)
    endpoint(t)
    start(t, t.other("done"))
    succeed(t, poll_nexus(t))
    until_stage(t, "CLOSED", t.other("done"))
    start(t, t.other("failed"))
    fail_with(t, poll_nexus(t), failure("no"))
    until_stage(t, "CLOSED", t.other("failed"))
    start(t, t.other("cancelled"))
    fail_with(t, poll_nexus(t), {"message": "stopped", "canceled_failure_info": {}})
    until_stage(t, "CLOSED", t.other("cancelled"))
    start(t, t.other("terminated"))
    terminate(t, t.other("terminated"))
    start(
        t,
        t.other("open"),
        operation="other",
        service="another",
        search_attributes={
            "indexed_fields": {
                t.attribute: payload("k"),
                t.typed: {"metadata": {"encoding": b"json/plain", "type": b"Keyword"}, "data": b'"b"'},
            }
        },
    )


@script(seconds=3)
def filters(t):
    """What a list may ask for."""
    one_of_each(t)
    until_listed(t, 4, mine(t, "ExecutionStatus != 'Running'"))
    until_listed(t, 5)
    listed(t, mine(t))
    request_id = t.quiet("DescribeNexusOperationExecution", operation_id=t.other("open")).info.request_id
    for more in (
        "ExecutionStatus = 'Running'",
        "ExecutionStatus = 'Completed'",
        "ExecutionStatus IN ('Failed', 'Canceled')",
        "ExecutionStatus != 'Running'",
        "ExecutionStatus = 'TimedOut'",
        "ExecutionStatus = 'Terminated'",
        "Operation = 'other'",
        "Operation STARTS_WITH 'oth'",
        "Operation IN ('other', 'work')",
        "Operation != 'other'",
        "Service = 'another'",
        "Endpoint IS NOT NULL",
        "Endpoint IS NULL",
        f"RequestId = '{request_id}'",
        f"OperationId = '{t.other('failed')}'",
        f"OperationId STARTS_WITH '{t.id}'",
        f"{t.attribute} = 'k'",
        f"{t.attribute} IS NULL",
        "CloseTime IS NULL",
        "CloseTime IS NOT NULL",
        "StartTime > '2020-01-01T00:00:00Z'",
        "ExecutionTime > '2020-01-01T00:00:00Z'",
        "ExecutionDuration < '1h'",
        "StateTransitionCount > 0",
        f"(Operation = 'other' OR Service = 'service') AND NOT OperationId = '{t.other('done')}'",
    ):
        counted(t, mine(t, more))
    describe(t, t.other("open"))
    terminate(t, t.other("open"))


@script(seconds=2)
def grouped(t):
    """Counts by status."""
    one_of_each(t)
    until_listed(t, 4, mine(t, "ExecutionStatus != 'Running'"))
    until_listed(t, 5)
    counted(t, mine(t) + " GROUP BY ExecutionStatus")
    counted(t, mine(t) + " GROUP BY Operation")
    counted(t, mine(t) + " GROUP BY Endpoint")
    terminate(t, t.other("open"))


@script
def queries_that_are_refused(t):
    """What a list may not ask for."""
    for query in (
        "Nonsense = 'x'",
        "WorkflowId = 'x'",
        "WorkflowType = 'x'",
        "ActivityId = 'x'",
        "ActivityType = 'x'",
        "TaskQueue = 'x'",
        "RunId = 'x'",
        "OperationId = 3",
        "Endpoint = 3",
        "Operation > 'a'",
        "Service BETWEEN 'a' AND 'b'",
        "ExecutionStatus = 'Nonsense'",
        "ExecutionStatus = 'Paused'",
        "ExecutionStatus = 'ContinuedAsNew'",
        "ExecutionStatus = 1",
        "ExecutionStatus > 'Running'",
        "ExecutionStatus STARTS_WITH 'Run'",
        "ScheduleTime > '2020-01-01T00:00:00Z'",
        "this is no query",
        "ExecutionStatus = 'Running' ORDER BY StartTime",
        "ExecutionStatus = 'Running' GROUP BY StartTime",
        "ExecutionStatus = 'Running' LIMIT 1",
        "TemporalNamespaceDivision = 'x'",
        "ParentWorkflowId = 'x'",
        "HistoryLength > 0",
    ):
        counted(t, mine(t, query))
    listed(t, "Nonsense = 'x'")
    listed(t, "OperationId = 'x'", namespace="no-such-namespace")
    t.call("CountNexusOperationExecutions", namespace="no-such-namespace")
    t.call("CountWorkflowExecutions", query="Endpoint = 'x'")


@script(seconds=2)
def not_among_workflows(t):
    """Operations are in no list of workflows or activities."""
    begin(t)
    t.start()
    t.call(
        "StartActivityExecution",
        activity_id=t.id,
        activity_type={"name": "work"},
        task_queue={"name": t.queue},
        start_to_close_timeout=seconds(10),
    )
    until_listed(t, 1)
    own = f"WorkflowId = '{t.id}'"
    t.until(lambda: t.quiet("CountWorkflowExecutions", query=own).count >= 1, "the list of workflows")
    t.call("CountWorkflowExecutions", query=own)
    counted(t, mine(t))
    counted(t, f"OperationId = '{t.id}'")
    t.until(
        lambda: t.quiet("CountActivityExecutions", query=f"ActivityId = '{t.id}'").count >= 1,
        "the list of activities",
    )
    t.call("CountActivityExecutions", query=f"ActivityId = '{t.id}'")
    t.call("TerminateActivityExecution", activity_id=t.id)
    terminate(t)


@script(seconds=2)
def pages(t):
    """Page by page, newest first."""
    endpoint(t)
    for name in ("one", "two", "three"):
        start(t, t.other(name))
    until_listed(t, 3)
    page = listed(t, mine(t), page_size=2)
    listed(t, mine(t), page_size=2, next_page_token=page.next_page_token)
    listed(t, mine(t), page_size=-1)
    for name in ("one", "two", "three"):
        terminate(t, t.other(name))


@script(seconds=2)
def long_names(t):
    """Names at their limits."""
    endpoint(t)
    for length in (ID_BYTES_MAX, ID_BYTES_MAX + 1):
        start(t, (t.id + "x" * length)[:length])
        start(t, t.other(f"request{length}"), request_id="x" * length)
        start(t, t.other(f"identity{length}"), identity="x" * length)
        start(t, t.other(f"service{length}"), service="x" * length)
        start(t, t.other(f"operation{length}"), operation="x" * length)
        start(t, t.other(f"endpoint{length}"), endpoint="x" * length)
    for method in ("Describe", "Poll", "Delete", "RequestCancel", "Terminate"):
        for length in (ID_BYTES_MAX, ID_BYTES_MAX + 1):
            long = "x" * length
            of(t, method, long)
            if method in ("RequestCancel", "Terminate"):
                of(t, method, request_id=long)
                of(t, method, identity=long)
                of(t, method, reason=long)
                of(t, method, long, identity=long, request_id=long, run_id="none", reason=long)


@script(seconds=3)
def large_answers(t):
    """A handler's answers that are too large."""
    endpoint(t)
    for name, answer in (
        ("result", {"sync_success": {"payload": {"data": b"x" * (BLOB_BYTES_MAX + 1)}}}),
        ("token", {"async_success": {"operation_token": "x" * 4096}}),
    ):
        start(t, t.other(name))
        respond(t, poll_nexus(t), start_operation=answer)
        until_stage(t, "STARTED", t.other(name))
        describe(t, t.other(name))
    terminate(t, t.other("token"))
    start(t, t.other("long token"))
    respond(t, poll_nexus(t), start_operation={"async_success": {"operation_token": "x" * 4097}})
    terminate(t, t.other("long token"))


@script(seconds=2)
def large_values(t):
    """Payloads at their limits."""
    endpoint(t)
    over = 10
    start(t, t.other("fits"), input={"data": b"x" * (BLOB_BYTES_MAX - over)})
    start(t, t.other("too large"), input={"data": b"x" * BLOB_BYTES_MAX})
    cancel(t, t.other("fits"), reason="x" * 1001)
    terminate(t, t.other("fits"), reason="x" * 1001)
    terminate(t, t.other("fits"), reason="x" * 1000)
    start(t, t.other("metadata"), user_metadata={"summary": {"data": b"x" * 500}})
    start(t, t.other("details"), user_metadata={"details": {"data": b"x" * 30000}})
