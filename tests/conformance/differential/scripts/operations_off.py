"""What a server with its default settings does not do."""

from ..case import script
from ..commands import payloads, seconds, start_timer


@script
def rules(t):
    """Workflow rules."""
    t.call("CreateWorkflowRule", spec={"id": "r", "visibility_query": "WorkflowType='x'"}, request_id="q")
    t.call("CreateWorkflowRule")
    t.call("DescribeWorkflowRule", rule_id="r")
    t.call("DeleteWorkflowRule", rule_id="r")
    t.call("ListWorkflowRules")
    t.call("TriggerWorkflowRule", execution={"workflow_id": t.id}, id="r")
    t.call("TriggerWorkflowRule", namespace="no-such-namespace")
    t.call("ListWorkflowRules", namespace="no-such-namespace")


@script
def time_skipping(t):
    """Time that is skipped."""
    t.call("PollWorkflowExecutionTimeSkipping", workflow_execution={"workflow_id": t.id})
    t.start()
    t.call("PollWorkflowExecutionTimeSkipping", workflow_execution={"workflow_id": t.id})
    t.call("PollWorkflowExecutionTimeSkipping", workflow_execution={"workflow_id": t.id}, fast_forward_id="x")
    t.call("PollWorkflowExecutionTimeSkipping", namespace="no-such-namespace")


@script
def worker_config(t):
    """Settings of workers."""
    t.call("FetchWorkerConfig", reason="x")
    t.call("UpdateWorkerConfig", reason="x")
    t.call("FetchWorkerConfig", namespace="no-such-namespace")
    t.call("UpdateWorkerConfig", namespace="no-such-namespace")


@script
def archive(t):
    """Archived workflows."""
    t.call("ListArchivedWorkflowExecutions")
    t.call("ListArchivedWorkflowExecutions", query="WorkflowId='x'", page_size=10)
    t.call("ListArchivedWorkflowExecutions", page_size=-1)
    t.call("ListArchivedWorkflowExecutions", page_size=10000)
    t.call("ListArchivedWorkflowExecutions", namespace="no-such-namespace")


@script(by_default=True)
def standalone_nexus_operations(t):
    """Nexus operations that run on their own."""
    t.call("StartNexusOperationExecution", operation_id=t.id, endpoint="e", service="s", operation="o")
    for method in ("Start", "Describe", "Poll", "RequestCancel", "Terminate", "Delete"):
        t.call(f"{method}NexusOperationExecution")
        t.call(f"{method}NexusOperationExecution", operation_id=t.id)
        t.call(f"{method}NexusOperationExecution", operation_id=t.id, namespace="no-such-namespace")
    for method in ("List", "Count"):
        t.call(f"{method}NexusOperationExecutions")
        t.call(f"{method}NexusOperationExecutions", query="Nonsense = 'x'")
        t.call(f"{method}NexusOperationExecutions", namespace="no-such-namespace")
    t.http("GET", f"NS/nexus-operations/{t.id}")


@script
def remote_clusters(t):
    """Other clusters."""
    t.call("RemoveRemoteCluster", cluster_name="x")
    t.call("RemoveRemoteCluster")
    t.call("RemoveRemoteCluster", cluster_name="active")
