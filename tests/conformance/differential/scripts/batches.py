"""Operations on many workflows at once."""

from ..case import script
from ..commands import payloads, schedule_activity, seconds, start_timer
from .namespaces import own_namespace


def start_batch(t, job_id="job", **fields):
    fields = {"reason": "spring cleaning", "job_id": job_id, **fields}
    return t.call("StartBatchOperation", **fields)


def describe(t, job_id="job"):
    return t.call("DescribeBatchOperation", job_id=job_id)


def done(t, job_id="job"):
    """Waits for the end of a batch, and records its description."""
    t.until(lambda: t.quiet("DescribeBatchOperation", job_id=job_id).state != 1, "the end of the batch")
    # Whether there is room for another one the judge asks of a list that lags behind.
    until_none_is_listed(t)
    return describe(t, job_id)


def until_none_is_listed(t):
    """Waits until the list has the batches, and none of them runs; on the judge it lags behind."""

    def are_over():
        listed = t.quiet("ListBatchOperations").operation_info
        return listed and all(batch.state != 1 for batch in listed)

    t.until(are_over, "the end of the batch in the list")


def several(t, count=3, command=None):
    """Starts a few workflows and waits until a list has them all. Returns the query.

    A command is given by one after the other, since nobody promises which of two tasks comes first.
    """
    own_namespace(t)
    for i in range(count):
        t.start(workflow_id=t.other(str(i)))
        if command:
            t.step(command())
    query = f"WorkflowId STARTS_WITH '{t.id}' AND ExecutionStatus = 'Running'"
    t.until(lambda: t.quiet("CountWorkflowExecutions", query=query).count == count, "the list")
    return query


def executions(t, count=3):
    return [{"workflow_id": t.other(str(i))} for i in range(count)]


def endings(t):
    """The last event of each run. Who signs it is a process of the judge's own."""
    for _, workflow_id, run_id in list(t.runs):
        t.note(workflow_id, t.events(workflow_id, run_id)[-1].event_type)
    t.runs = {}


@script(seconds=3)
def terminate_by_query(t):
    """All that a filter finds."""
    query = several(t)
    start_batch(t, visibility_query=query, termination_operation={"identity": "me", "details": payloads("d")})
    done(t)
    endings(t)


@script(seconds=3)
def terminate_by_list(t):
    """All that are named, here by the newer field."""
    several(t)
    targets = [{"type": 1, "business_id": t.other(str(i))} for i in range(3)]
    start_batch(t, target_executions=targets, termination_operation={"identity": "me"})
    done(t)
    endings(t)
    t.call("ListBatchOperations")


@script(seconds=3)
def cancel(t):
    """Each is asked to stop."""
    query = several(t)
    start_batch(t, visibility_query=query, cancellation_operation={"identity": "me"})
    done(t)
    endings(t)


@script(seconds=3)
def signal(t):
    """Each is signalled once."""
    query = several(t)
    start_batch(
        t,
        visibility_query=query,
        signal_operation={
            "signal": "go",
            "input": payloads(1),
            "identity": "me",
        },
    )
    done(t)


@script(seconds=3)
def delete(t):
    """None is left."""
    several(t)
    start_batch(t, executions=executions(t), deletion_operation={"identity": "me"})
    done(t)
    t.until(lambda: t.quiet("CountWorkflowExecutions").count == 0, "the end of the workflows")
    t.runs = {}


@script(seconds=3)
def reset(t):
    """Each goes back to its first task."""
    several(t, 2, start_timer)
    start_batch(
        t,
        executions=executions(t, 2),
        reset_operation={"identity": "me", "options": {"first_workflow_task": {}, "reset_reapply_exclude_types": [1]}},
    )
    done(t)
    for i in range(2):
        t.history(t.other(str(i)))


@script(seconds=3)
def reset_of_older_kinds(t):
    """The older way to say where to."""
    several(t, 1)
    t.step(start_timer())
    start_batch(
        t, executions=executions(t, 1), reset_operation={"reset_type": "RESET_TYPE_LAST_WORKFLOW_TASK"}
    )
    done(t)
    t.history(t.other("0"))


@script(seconds=3)
def options(t):
    """Each has other options afterwards."""
    several(t)
    start_batch(
        t,
        executions=executions(t),
        update_workflow_options_operation={
            "identity": "me",
            "workflow_execution_options": {"priority": {"priority_key": 2}},
            "update_mask": {"paths": ["priority"]},
        },
    )
    done(t)


@script(seconds=3)
def some_fail(t):
    """Those that are closed or unknown count as failures, or not."""
    several(t)
    t.terminate(t.other("1"))
    names = [*executions(t), {"workflow_id": t.other("nobody")}]
    start_batch(t, executions=names, signal_operation={"signal": "go"})
    done(t)


@script(seconds=3)
def none(t):
    """A filter that finds nobody."""
    own_namespace(t)
    start_batch(t, visibility_query=f"WorkflowId = '{t.id}-nobody'", termination_operation={})
    done(t)


@script(seconds=3)
def repeated(t):
    """A job id is used once."""
    several(t, 1)
    start_batch(t, executions=executions(t, 1), signal_operation={"signal": "go"})
    done(t)
    start_batch(t, executions=executions(t, 1), signal_operation={"signal": "again"})
    done(t)
    t.call("StopBatchOperation", job_id="job", reason="late")
    t.call("ListBatchOperations")


@script
def requests_that_are_refused(t):
    """What is missing, contradictory or unknown."""
    own_namespace(t)
    op = {"termination_operation": {}}
    start_batch(t, visibility_query="x = 1", reason="", **op)
    t.call("StartBatchOperation", reason="r", visibility_query="x = 1", **op)
    start_batch(t, **op)
    start_batch(t, visibility_query="WorkflowId='x'", executions=[{"workflow_id": "x"}], **op)
    start_batch(t, visibility_query="WorkflowId='x'")
    start_batch(t, visibility_query="WorkflowId='x'", signal_operation={})
    start_batch(t, visibility_query="WorkflowId='x'", reset_operation={})
    start_batch(t, visibility_query="WorkflowId='x'", reset_operation={"options": {}})
    start_batch(t, visibility_query="WorkflowId='x'", update_workflow_options_operation={})
    start_batch(t, visibility_query="WorkflowId='x'", unpause_activities_operation={})
    start_batch(t, visibility_query="WorkflowId='x'", reset_activities_operation={})
    start_batch(t, visibility_query="WorkflowId='x'", update_activity_options_operation={})
    start_batch(t, namespace="no-such-namespace", visibility_query="WorkflowId='x'", **op)
    t.call("StopBatchOperation", job_id="nothing", reason="r")
    t.call("StopBatchOperation", job_id="nothing")
    t.call("StopBatchOperation", reason="r")
    t.call("DescribeBatchOperation", job_id="nothing")
    t.call("DescribeBatchOperation")
    t.call("ListBatchOperations", namespace="no-such-namespace")


@script(seconds=3)
def stopped(t):
    """A batch that is stopped has failed."""
    several(t)
    start_batch(t, executions=executions(t) * 30, max_operations_per_second=1, signal_operation={"signal": "go"})
    t.call("StopBatchOperation", job_id="job", reason="enough", identity="me")
    t.until(lambda: t.quiet("DescribeBatchOperation", job_id="job").state == 3, "the end of the batch")
    until_none_is_listed(t)
    t.call("ListBatchOperations")
    t.runs = {}


@script(seconds=3)
def activities(t):
    """Paused activities of several workflows are let go on."""
    several(t, 2, lambda: schedule_activity(t))
    for i in range(2):
        t.call("PauseActivity", execution={"workflow_id": t.other(str(i))}, type="work", request_id="p")
    start_batch(t, "a", executions=executions(t, 2), unpause_activities_operation={"identity": "me", "type": "work"})
    done(t, "a")
    t.describe(t.other("0"))
    start_batch(t, "b", executions=executions(t, 2), reset_activities_operation={"match_all": True})
    done(t, "b")
    start_batch(
        t,
        "c",
        executions=executions(t, 2),
        update_activity_options_operation={
            "type": "work",
            "activity_options": {"start_to_close_timeout": seconds(7)},
            "update_mask": {"paths": ["start_to_close_timeout"]},
        },
    )
    done(t, "c")
    t.describe(t.other("1"))


@script
def refused_lists(t):
    """Targets that will not do."""
    own_namespace(t)
    op = {"termination_operation": {}}
    start_batch(t, "c", target_executions=[{"type": 2, "business_id": "x"}], **op)
    start_batch(t, "d", target_executions=[{"business_id": "x"}], **op)
    t.call("ListBatchOperations", page_size=-1)


@script(seconds=3)
def queries(t):
    """A filter that cannot be read is refused, one that makes no sense fails the batch."""
    own_namespace(t)
    for query in ("not a query", "  a b", "a = 'x' 'y'", "(a = 1", "a in", "order by a", " ", "a = $"):
        start_batch(t, visibility_query=query, termination_operation={})
    for query in ("x", "NoSuchAttribute = 1", "WorkflowId = 'x' limit 1"):
        start_batch(t, query, visibility_query=query, termination_operation={})
        done(t, query)


@script(seconds=3)
def one_at_a_time(t):
    """There is room for one batch in a namespace. It is long: the judge is quick."""
    several(t)
    long = {"executions": executions(t) * 300, "max_operations_per_second": 1}
    start_batch(t, "a", **long, signal_operation={"signal": "go"})
    t.until(lambda: t.quiet("ListBatchOperations").operation_info, "the batch in the list")
    start_batch(t, "b", executions=executions(t), signal_operation={"signal": "go"})
    t.call("StopBatchOperation", job_id="a", reason="enough")
    t.until(lambda: t.quiet("DescribeBatchOperation", job_id="a").state == 3, "the end of the batch")
    until_none_is_listed(t)
    start_batch(t, "c", executions=executions(t), cancellation_operation={})
    t.until(lambda: t.quiet("DescribeBatchOperation", job_id="c").state != 1, "the end of the batch")
    t.runs = {}
