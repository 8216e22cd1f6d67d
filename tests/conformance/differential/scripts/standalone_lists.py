"""Lists and counts of activities that run on their own, and limits of what is asked."""

from ..case import script
from ..commands import failure, payload, seconds
from ..standalone import cancel, describe, of, outcome, start, terminate
from .namespaces import own_namespace

ID_BYTES_MAX = 1000
BLOB_BYTES_MAX = 2 << 20


def mine(t, more=""):
    return f"TaskQueue = '{t.queue}'" + (f" AND {more}" if more else "")


def until_listed(t, count, query=None):
    """Lists lag behind on the judge."""
    query = query or mine(t)
    t.until(lambda: t.quiet("CountActivityExecutions", query=query).count >= count, "the list")


def listed(t, query, **fields):
    return t.call("ListActivityExecutions", query=query, **fields)


def counted(t, query):
    return t.call("CountActivityExecutions", query=query)


def attribute_exists(t, name):
    """Adds a search attribute, which takes a moment on the judge."""
    try:
        t.quiet("AddSearchAttributes", search_attributes={name: "INDEXED_VALUE_TYPE_KEYWORD"})
    except Exception:
        pass  # Another script has added it.
    t.until(
        lambda: name in t.quiet("ListSearchAttributes").custom_attributes,
        "the search attribute",
    )


def one_of_each(t):
    """One activity in each status; the newest comes first."""
    own_namespace(t)
    t.attribute = "Standalone" + t.nonce
    attribute_exists(t, t.attribute)
    start(t, t.other("done"))
    t.complete_activity(t.poll_activity())
    start(t, t.other("failed"))
    t.fail_activity(t.poll_activity(), failure("final", non_retryable=True))
    start(t, t.other("cancelled"))
    cancel(t, t.other("cancelled"))
    start(t, t.other("terminated"))
    terminate(t, t.other("terminated"))
    start(
        t,
        t.other("open"),
        activity_type={"name": "other"},
        search_attributes={"indexed_fields": {t.attribute: payload("k")}},
    )


@script(seconds=3)
def filters(t):
    """What a list may ask for."""
    one_of_each(t)
    until_listed(t, 4, mine(t, "ExecutionStatus != 'Running'"))
    until_listed(t, 5)
    listed(t, mine(t))
    for more in (
        "ExecutionStatus = 'Running'",
        "ExecutionStatus = 'Completed'",
        "ExecutionStatus IN ('Failed', 'Canceled')",
        "ExecutionStatus != 'Running'",
        "ExecutionStatus = 'TimedOut'",
        "ExecutionStatus = 'Terminated'",
        "ActivityType = 'other'",
        f"ActivityId = '{t.other('failed')}'",
        f"ActivityId STARTS_WITH '{t.id}'",
        f"{t.attribute} = 'k'",
        "CloseTime IS NULL",
        "CloseTime IS NOT NULL",
        "StartTime > '2020-01-01T00:00:00Z'",
        "ExecutionDuration < '1h'",
        "StateTransitionCount > 0",
    ):
        counted(t, mine(t, more))


@script(seconds=2)
def grouped(t):
    """Counts by status."""
    one_of_each(t)
    until_listed(t, 4, mine(t, "ExecutionStatus != 'Running'"))
    until_listed(t, 5)
    counted(t, mine(t) + " GROUP BY ExecutionStatus")
    counted(t, mine(t) + " GROUP BY ActivityType")


@script
def queries_that_are_refused(t):
    """What a list may not ask for."""
    for query in (
        "Nonsense = 'x'",
        "WorkflowId = 'x'",
        "WorkflowType = 'x'",
        "RunId = 'x'",
        "ActivityId = 3",
        "ExecutionStatus = 'Nonsense'",
        "ExecutionStatus = 1",
        "ActivityType > 'a'",
        "ScheduleTime > '2020-01-01T00:00:00Z'",
        "ExecutionTime > '2020-01-01T00:00:00Z'",
        "this is no query",
        "ExecutionStatus = 'Running' ORDER BY StartTime",
        "ExecutionStatus = 'Running' GROUP BY StartTime",
        "ExecutionStatus = 'Running' LIMIT 1",
        "TemporalNamespaceDivision = 'x'",
        "ParentWorkflowId = 'x'",
        "HistoryLength > 0",
        "ExecutionStatus = 'Paused'",
    ):
        counted(t, mine(t, query))


@script(seconds=2)
def not_among_workflows(t):
    """Activities are in no list of workflows, and workflows in none of activities."""
    start(t)
    t.start()
    until_listed(t, 1)
    t.until(
        lambda: t.quiet("CountWorkflowExecutions", query=mine(t)).count >= 1,
        "the list of workflows",
    )
    t.call("CountWorkflowExecutions", query=mine(t))
    counted(t, mine(t))
    t.call("CountWorkflowExecutions", query=f"WorkflowId = '{t.id}'")


@script(seconds=2)
def pages(t):
    """Page by page, newest first."""
    for name in ("one", "two", "three"):
        start(t, t.other(name))
    until_listed(t, 3)
    page = listed(t, mine(t), page_size=2)
    page = listed(t, mine(t), page_size=2, next_page_token=page.next_page_token)
    listed(t, mine(t), page_size=-1)


@script(seconds=2)
def long_names(t):
    """Names at their limits."""
    for length in (ID_BYTES_MAX - 1, ID_BYTES_MAX, ID_BYTES_MAX + 1):
        start(t, (t.id + "x" * length)[:length])
        start(t, t.other(f"type{length}"), activity_type={"name": "x" * length})
        start(t, t.other(f"request{length}"), request_id="x" * length)
        start(t, t.other(f"identity{length}"), identity="x" * length)
        start(t, t.other(f"queue{length}"), task_queue={"name": (t.queue + "x" * length)[:length]})
    long = "x" * (ID_BYTES_MAX + 1)
    more = {"activity_options": {}, "update_mask": {"paths": ["priority"]}}
    for method in (
        "DescribeActivityExecution",
        "PollActivityExecution",
        "DeleteActivityExecution",
        "RequestCancelActivityExecution",
        "TerminateActivityExecution",
        "PauseActivityExecution",
        "UnpauseActivityExecution",
        "ResetActivityExecution",
        "UpdateActivityExecutionOptions",
        "RespondActivityTaskCompletedById",
    ):
        rest = more if method.startswith("Update") else {}
        of(t, method, long, **rest)
        if method.endswith("Execution") and "Describe" not in method and "Delete" not in method:
            if "Poll" not in method:
                of(t, method, request_id=long)
                of(t, method, identity=long)
    of(t, "UpdateActivityExecutionOptions", request_id=long, **more)
    of(t, "UpdateActivityExecutionOptions", identity=long, **more)
    of(t, "RespondActivityTaskCompletedById", identity=long)


@script(seconds=3)
def large_values(t):
    """Payloads at their limits."""

    def blob(size):
        # Frames of the payload, of its metadata and of the list around it.
        return {"payloads": [{"data": b"x" * size}]}

    over = 10
    start(t, t.other("fits"), input=blob(BLOB_BYTES_MAX - over))
    start(t, t.other("too large"), input=blob(BLOB_BYTES_MAX))
    start(t, t.other("reason"))
    cancel(t, t.other("reason"), reason="x" * (BLOB_BYTES_MAX + 1))
    terminate(t, t.other("reason"), reason="x" * (BLOB_BYTES_MAX + 1))
    of(t, "PauseActivityExecution", t.other("reason"), reason="x" * (BLOB_BYTES_MAX + 1))
    terminate(t, t.other("reason"), reason="x" * 100)
    terminate(t, t.other("fits"))


@script(seconds=3)
def large_answers(t):
    """A worker's answers that are too large end the activity."""

    def blob(size):
        return {"payloads": [{"data": b"x" * size}]}

    start(t)
    task = t.poll_activity()
    t.call("RespondActivityTaskCompleted", task_token=task.task_token, result=blob(BLOB_BYTES_MAX + 1))
    describe(t)
    start(t, t.other("beat"))
    task = t.poll_activity()
    t.call("RecordActivityTaskHeartbeat", task_token=task.task_token, details=blob(BLOB_BYTES_MAX + 1))
    describe(t, t.other("beat"))
    start(t, t.other("cancel"))
    task = t.poll_activity()
    cancel(t, t.other("cancel"))
    t.call("RespondActivityTaskCanceled", task_token=task.task_token, details=blob(BLOB_BYTES_MAX + 1))
    outcome(t, t.other("cancel"), timeout=3)
    start(t, t.other("failure"))
    task = t.poll_activity()
    t.fail_activity(task, failure("x" * (BLOB_BYTES_MAX + 1)))
    outcome(t, t.other("failure"), timeout=3)
    start(t, t.other("kept"), retry_policy={"initial_interval": seconds(60)})
    task = t.poll_activity()
    t.fail_activity(task, failure("x" * 5000))
    describe(t, t.other("kept"))


@script(seconds=2)
def at_the_limits_of_an_answer(t):
    """A result of exactly the limit is taken."""
    start(t)
    task = t.poll_activity()
    frames = 8
    t.call(
        "RespondActivityTaskCompleted",
        task_token=task.task_token,
        result={"payloads": [{"data": b"x" * (BLOB_BYTES_MAX - 2 * frames)}]},
    )
    of(t, "DescribeActivityExecution")
