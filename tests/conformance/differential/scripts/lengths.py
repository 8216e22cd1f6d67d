"""Texts of all kinds: ids, names, reasons, identities, each one byte below its limit, at it and beyond.

What has no limit shows that it has none.
"""

from harness import wire

from ..case import script
from ..commands import (
    cancel_external,
    cancel_timer,
    continue_as_new,
    payloads,
    record_marker,
    schedule_activity,
    signal_external,
    start_child,
    start_timer,
    update_body,
)
from ..nexus import endpoint, endpoint_name, nexus_queue, schedule_operation
from ..sizes import ID_BYTES_MAX, all_lengths, around, each_length, placed, text_of
from . import schedules
from .deployments import name_of
from .namespaces import own_namespace

FAIRNESS_KEY_BYTES_MAX = 64
BUILD_ID_BYTES_MAX = 255
DEPLOYMENT_BYTES_MAX = 480
# The id of a schedule is a part of a workflow's, and the workflow id of its action gets a time.
SCHEDULE_ID_BYTES_MAX = 977
ACTION_ID_BYTES_MAX = 979
# The API's WORKFLOW_TASK_FAILED.
TASK_FAILED = 8
NAMES_OF_STARTS = ("workflow_id", "workflow_type.name", "task_queue.name", "task_queue.normal_name")


def workflow(t, name):
    return {
        "workflow_id": t.other(name),
        "workflow_type": {"name": "probe"},
        "task_queue": {"name": t.queue_of(name)},
    }


@script(seconds=3)
def starts(t):
    """Of workflows that are started."""
    paths = (*NAMES_OF_STARTS, "identity", "request_id", "retry_policy.non_retryable_error_types[]")
    all_lengths(t, "StartWorkflowExecution", paths, lambda name: workflow(t, name))
    for method in ("StartWorkflowExecution", "SignalWithStartWorkflowExecution"):
        more = {"signal_name": "go"} if "Signal" in method else {}
        each_length(
            t,
            method,
            "priority.fairness_key",
            lambda name: {**workflow(t, f"{method[:6]}-{name}"), **more},
            FAIRNESS_KEY_BYTES_MAX,
        )


@script(seconds=3)
def starts_with_signals(t):
    """The same of those that are signalled as well."""
    paths = (*NAMES_OF_STARTS, "identity", "request_id", "signal_name", "control")
    method = "SignalWithStartWorkflowExecution"
    all_lengths(t, method, paths, lambda name: {**workflow(t, name), "signal_name": "go"})


@script(seconds=3)
def starts_with_updates(t):
    """The same of those that are updated as well. Nobody answers the update."""

    def both(name):
        start = {"namespace": t.namespace, **workflow(t, name)}
        stage = "UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED"
        update = {
            "namespace": t.namespace,
            "workflow_execution": {"workflow_id": start["workflow_id"]},
            "request": update_body(),
            "wait_policy": {"lifecycle_stage": stage},
        }
        return start, update

    def call(path, size, start, update):
        t.note(path, size)
        operations = [{"start_workflow": start}, {"update_workflow": update}]
        t.call("ExecuteMultiOperation", operations=operations, timeout=1)

    for path in ("workflow_type.name", "task_queue.name", "identity", "request_id"):
        for size in around(ID_BYTES_MAX):
            start, update = both(f"{path}-{size}")
            call(path, size, placed(start, path, text_of(t, size)), update)
    for path in ("request.meta.update_id", "request.input.name", "request.meta.identity"):
        for size in around(ID_BYTES_MAX):
            start, update = both(f"{path}-{size}")
            call(path, size, start, placed(update, path, text_of(t, size)))


@script(seconds=10)
def messages(t):
    """Of signals, cancel requests, queries and updates. Nobody answers the latter two."""
    t.start()
    named = {"workflow_execution": {"workflow_id": t.id}}
    paths = ("signal_name", "identity", "request_id", "control")
    all_lengths(t, "SignalWorkflowExecution", paths, {**named, "signal_name": "go"})
    all_lengths(t, "RequestCancelWorkflowExecution", ("identity", "request_id", "reason"), named)

    def asked(name):
        # One at a time may wait for the first workflow task.
        t.start(t.other(name))
        return {"execution": {"workflow_id": t.other(name)}, "query": {"query_type": "state"}}

    each_length(t, "QueryWorkflow", "query.query_type", asked, timeout=1)
    stage = {"wait_policy": {"lifecycle_stage": "UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED"}}
    all_lengths(
        t,
        "UpdateWorkflowExecution",
        ("request.meta.update_id", "request.input.name", "request.meta.identity"),
        lambda name: {**named, **stage, "request": update_body(name)},
        timeout=1,
    )
    reference = {"update_ref": {**named, "update_id": "nobody"}, **stage}
    all_lengths(t, "PollWorkflowExecutionUpdate", ("update_ref.update_id", "identity"), reference)


@script(seconds=3)
def endings(t):
    """Of terminations, resets and other options, each with a workflow of its own."""

    def started(name):
        fields = workflow(t, name)
        t.start(fields["workflow_id"], task_queue=fields["task_queue"])
        return {"workflow_execution": {"workflow_id": fields["workflow_id"]}}

    def stepped(name):
        execution = started(name)
        t.complete(t.poll(t.queue_of(name)))
        return {**execution, "workflow_task_finish_event_id": 4}

    for path in ("reason", "identity"):
        each_length(t, "TerminateWorkflowExecution", path, lambda name: started(f"ended-{name}"))
    for path in ("reason", "identity", "request_id"):
        each_length(t, "ResetWorkflowExecution", path, lambda name: stepped(f"reset-{name}"))

    def other_priority(name):
        return {**started(name), "update_mask": {"paths": ["priority"]}}

    method = "UpdateWorkflowExecutionOptions"
    path = "workflow_execution_options.priority.fairness_key"
    each_length(t, method, path, lambda name: other_priority(f"key-{name}"), FAIRNESS_KEY_BYTES_MAX)
    key = {"workflow_execution_options": {"priority": {"fairness_key": "key"}}}
    each_length(t, method, "identity", lambda name: {**other_priority(f"by-{name}"), **key})


@script(seconds=2)
def of_nobody(t):
    """Ids that name no workflow, in every call that takes one."""
    for method, path in (
        ("DescribeWorkflowExecution", "execution"),
        ("GetWorkflowExecutionHistory", "execution"),
        ("GetWorkflowExecutionHistoryReverse", "execution"),
        ("QueryWorkflow", "execution"),
        ("ResetStickyTaskQueue", "execution"),
        ("SignalWorkflowExecution", "workflow_execution"),
        ("RequestCancelWorkflowExecution", "workflow_execution"),
        ("TerminateWorkflowExecution", "workflow_execution"),
        ("ResetWorkflowExecution", "workflow_execution"),
        ("DeleteWorkflowExecution", "workflow_execution"),
        ("UpdateWorkflowExecution", "workflow_execution"),
        ("PollWorkflowExecutionUpdate", "update_ref.workflow_execution"),
        ("UpdateWorkflowExecutionOptions", "workflow_execution"),
        ("PauseActivity", "execution"),
        ("UnpauseActivity", "execution"),
        ("ResetActivity", "execution"),
        ("UpdateActivityOptions", "execution"),
    ):
        more = {
            "QueryWorkflow": {"query": {"query_type": "state"}},
            "SignalWorkflowExecution": {"signal_name": "go"},
            "ResetWorkflowExecution": {"workflow_task_finish_event_id": 4, "request_id": "r"},
            "UpdateWorkflowExecution": {
                "request": update_body(),
                "wait_policy": {"lifecycle_stage": "UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED"},
            },
            "PollWorkflowExecutionUpdate": {"update_ref": {"update_id": "u"}},
            "UpdateWorkflowExecutionOptions": {
                "workflow_execution_options": {"priority": {"priority_key": 2}},
                "update_mask": {"paths": ["priority"]},
            },
            "UpdateActivityOptions": {
                "activity_options": {"start_to_close_timeout": {"seconds": 1}},
                "update_mask": {"paths": ["start_to_close_timeout"]},
            },
        }.get(method, {})
        if method.endswith(("Activity", "ActivityOptions")):
            more = {**more, "id": "a"}
        t.note("call", method)
        each_length(t, method, f"{path}.workflow_id", more)


@script(seconds=5)
def polls(t):
    """Of workers that poll, each of whom finds a task, and of what they answer."""

    def queued(name):
        t.start(t.other(name), task_queue={"name": t.queue_of(name)})
        return {"task_queue": {"name": t.queue_of(name)}}

    paths = (
        "task_queue.normal_name",
        "identity",
        "binary_checksum",
        "worker_instance_key",
        "worker_control_task_queue",
    )
    all_lengths(t, "PollWorkflowTaskQueue", paths, queued)
    for size in around(ID_BYTES_MAX):
        queue = text_of(t, size, "queue")
        t.start(t.other(f"queue-{size}"), task_queue={"name": queue})
        t.poll(queue, timeout=3)

    def taken(name):
        queued(name)
        return {"task_token": t.poll(t.queue_of(name)).task_token}

    paths = ("identity", "binary_checksum", "sticky_attributes.worker_task_queue.name")
    all_lengths(t, "RespondWorkflowTaskCompleted", paths, lambda name: taken(f"done-{name}"))
    paths = ("identity", "binary_checksum")
    all_lengths(t, "RespondWorkflowTaskFailed", paths, lambda name: taken(f"failed-{name}"))
    t.clean_up()
    # Tasks that were taken and not completed run out of time.
    t.runs = {}


@script(seconds=5)
def polls_of_activities(t):
    """The same of activities, which are completed in every way."""

    def queued(name):
        t.quiet(
            "StartActivityExecution",
            activity_id=t.other(name),
            activity_type={"name": "work"},
            task_queue={"name": t.queue_of(name)},
            start_to_close_timeout={"seconds": 60},
        )
        return {"task_queue": {"name": t.queue_of(name)}}

    paths = ("identity", "worker_instance_key", "worker_control_task_queue")
    all_lengths(t, "PollActivityTaskQueue", paths, queued)

    def taken(name):
        queued(name)
        task = t.quiet("PollActivityTaskQueue", task_queue={"name": t.queue_of(name)})
        return {"task_token": task.task_token}

    for method in (
        "RecordActivityTaskHeartbeat",
        "RespondActivityTaskCompleted",
        "RespondActivityTaskFailed",
        "RespondActivityTaskCanceled",
    ):
        t.note("call", method)
        each_length(t, method, "identity", lambda name: taken(f"{method}-{name}"))
        named = {"workflow_id": t.other("nobody"), "activity_id": "nobody"}
        t.note("call", f"{method}ById")
        all_lengths(t, f"{method}ById", ("identity", "workflow_id", "activity_id"), named)


@script(seconds=3)
def polls_of_operations(t):
    """The same of Nexus operations."""
    endpoint(t)

    def queued(name):
        t.quiet(
            "StartNexusOperationExecution",
            operation_id=t.other(name),
            endpoint=endpoint_name(t),
            service="service",
            operation="work",
        )
        return {"task_queue": {"name": nexus_queue(t)}}

    all_lengths(t, "PollNexusTaskQueue", ("identity", "worker_instance_key"), queued)

    def taken(name):
        task = t.quiet("PollNexusTaskQueue", **queued(name))
        return {"task_token": task.task_token, "response": {"start_operation": {"sync_success": {}}}}

    each_length(t, "RespondNexusTaskCompleted", "identity", lambda name: taken(f"done-{name}"))


@script(seconds=8)
def commands(t):
    """Of commands, each in a workflow of its own. One that is too long fails its workflow task."""
    endpoint(t)
    number = 0
    for given, path, limit in (
        (schedule_activity(t), "schedule_activity_task.activity_id", ID_BYTES_MAX),
        (schedule_activity(t), "schedule_activity_task.activity_type.name", ID_BYTES_MAX),
        (schedule_activity(t), "schedule_activity_task.task_queue.name", ID_BYTES_MAX),
        (schedule_activity(t), "schedule_activity_task.priority.fairness_key", FAIRNESS_KEY_BYTES_MAX),
        (schedule_activity(t), "schedule_activity_task.retry_policy.non_retryable_error_types[]", ID_BYTES_MAX),
        (start_timer(), "start_timer.timer_id", ID_BYTES_MAX),
        (cancel_timer(), "cancel_timer.timer_id", ID_BYTES_MAX),
        (record_marker(), "record_marker.marker_name", ID_BYTES_MAX),
        (cancel_external(t), "request_cancel_external_workflow_execution.workflow_id", ID_BYTES_MAX),
        (cancel_external(t), "request_cancel_external_workflow_execution.reason", ID_BYTES_MAX),
        (cancel_external(t), "request_cancel_external_workflow_execution.control", ID_BYTES_MAX),
        (signal_external(t), "signal_external_workflow_execution.execution.workflow_id", ID_BYTES_MAX),
        (signal_external(t), "signal_external_workflow_execution.signal_name", ID_BYTES_MAX),
        (signal_external(t), "signal_external_workflow_execution.control", ID_BYTES_MAX),
        (start_child(t), "start_child_workflow_execution.workflow_id", ID_BYTES_MAX),
        (start_child(t), "start_child_workflow_execution.workflow_type.name", ID_BYTES_MAX),
        (start_child(t), "start_child_workflow_execution.task_queue.name", ID_BYTES_MAX),
        (start_child(t), "start_child_workflow_execution.control", ID_BYTES_MAX),
        (start_child(t), "start_child_workflow_execution.priority.fairness_key", FAIRNESS_KEY_BYTES_MAX),
        (continue_as_new(t), "continue_as_new_workflow_execution.workflow_type.name", ID_BYTES_MAX),
        (continue_as_new(t), "continue_as_new_workflow_execution.task_queue.name", ID_BYTES_MAX),
        (schedule_operation(t), "schedule_nexus_operation.service", ID_BYTES_MAX),
        (schedule_operation(t), "schedule_nexus_operation.operation", ID_BYTES_MAX),
        (schedule_operation(t), "schedule_nexus_operation.endpoint", 200),
    ):
        kind, _, rest = path.partition(".")
        for size in around(limit):
            number += 1
            name, queue = t.other(f"{number}"), t.queue_of(f"{number}")
            t.start(name, task_queue={"name": queue})
            t.note(path, size)
            each = placed(given, f"{kind}_command_attributes.{rest}", text_of(t, size, f"{number}"))
            t.complete(t.poll(queue), each)
            t.note("task", "failed" if any(event.event_type == TASK_FAILED for event in t.events(name)) else "done")
    # What became of those that were taken depends on when one looks.
    t.clean_up()
    t.runs = {}


@script(seconds=3)
def of_schedules(t):
    """Ids, notes and comments of schedules."""

    def schedule(name):
        given = {
            "spec": {"interval": [{"interval": {"seconds": 300 * schedules.DAY}}]},
            "action": schedules.action(t),
            "state": {"paused": True},
        }
        return {"schedule_id": t.other(name), "schedule": given, "request_id": name}

    own = {"schedule_id": t.id}
    create = "CreateSchedule"
    each_length(t, create, "schedule_id", schedule, SCHEDULE_ID_BYTES_MAX)
    of_action = "schedule.action.start_workflow"
    each_length(t, create, f"{of_action}.workflow_id", schedule, ACTION_ID_BYTES_MAX)
    paths = (
        "identity",
        "request_id",
        f"{of_action}.workflow_type.name",
        f"{of_action}.task_queue.name",
        "schedule.state.notes",
        "initial_patch.pause",
        "initial_patch.unpause",
    )
    all_lengths(t, create, paths, schedule)
    calendar = {"hour": [{"start": 1}]}
    for path, limit in (
        ("schedule.spec.structured_calendar[].comment", 200),
        ("schedule.spec.exclude_structured_calendar[].comment", 200),
    ):
        place = path.removesuffix("[].comment")
        each_length(t, create, path, lambda name: placed(schedule(name), place, [calendar]), limit)
    schedules.create(t, state={"paused": True})
    update = {**schedule("update"), **own}
    each_length(t, "UpdateSchedule", f"{of_action}.workflow_id", update, ACTION_ID_BYTES_MAX)
    paths = ("identity", "request_id", f"{of_action}.workflow_type.name", f"{of_action}.task_queue.name")
    all_lengths(t, "UpdateSchedule", (*paths, "schedule.state.notes"), update)
    all_lengths(t, "PatchSchedule", ("identity", "request_id"), {**own, "patch": {"unpause": "why not"}})
    all_lengths(t, "PatchSchedule", ("patch.pause", "patch.unpause"), own)
    nobody = {"schedule": update["schedule"], "patch": {"pause": "stop"}}
    for method in (
        "DescribeSchedule",
        "UpdateSchedule",
        "PatchSchedule",
        "DeleteSchedule",
    ):
        t.note("call", method)
        wanted = {"UpdateSchedule": "schedule", "PatchSchedule": "patch"}.get(method)
        fields = {wanted: nobody[wanted]} if wanted else {}
        each_length(t, method, "schedule_id", fields, SCHEDULE_ID_BYTES_MAX)
        each_length(t, method, "schedule_id", fields)
    for size in around(SCHEDULE_ID_BYTES_MAX):
        # With the judge it is chance whether the detail of the error has the failure of its query.
        try:
            t.quiet("ListScheduleMatchingTimes", schedule_id=text_of(t, size, "times"))
        except wire.Failure as failure:
            t.note(f"times of an id of {size} bytes", f"{failure.code} {failure.message}")
    each_length(t, "DeleteSchedule", "identity", {"schedule_id": t.other("nobody")})
    schedules.delete(t)


@script(seconds=3)
def of_batches(t):
    """Ids, reasons and identities of batches, one after the other."""
    own_namespace(t)

    def batch(name):
        return {
            "job_id": name,
            "reason": "why not",
            "executions": [{"workflow_id": "nobody"}],
            "termination_operation": {},
        }

    def start(path, size):
        given = placed(batch(f"{path}-{size}"), path, text_of(t, size, path))
        t.note(path, size)
        if t.call("StartBatchOperation", **given) is not None:
            until_over(t, given["job_id"])

    for path in ("job_id", "reason", "termination_operation.identity", "executions[].workflow_id"):
        for size in around(ID_BYTES_MAX):
            start(path, size)
    all_lengths(t, "StopBatchOperation", ("job_id", "reason", "identity"), {"job_id": "nobody", "reason": "why not"})
    each_length(t, "DescribeBatchOperation", "job_id", {})


def until_over(t, job_id):
    t.until(lambda: t.quiet("DescribeBatchOperation", job_id=job_id).state != 1, "the end of the batch")

    def is_listed_so():
        listed = t.quiet("ListBatchOperations", page_size=100).operation_info
        return any(b.job_id == job_id for b in listed) and all(b.state != 1 for b in listed)

    t.until(is_listed_so, "the end of the batch in the list")


@script(seconds=3)
def of_deployments(t):
    """Names, build ids and who asks."""

    def deployment(name):
        return {"deployment_name": f"{name_of(t)}-{name}".replace(".", "-"), "request_id": "r"}

    def version(name):
        return {"deployment_version": {"deployment_name": name_of(t), "build_id": name}, "request_id": name}

    of_deployment(t, "CreateWorkerDeployment", "deployment_name", deployment("any"))
    all_lengths(t, "CreateWorkerDeployment", ("identity", "request_id"), deployment)
    t.call("CreateWorkerDeployment", deployment_name=name_of(t), request_id="r")
    create = "CreateWorkerDeploymentVersion"
    each_length(t, create, "deployment_version.build_id", version, BUILD_ID_BYTES_MAX)
    all_lengths(t, create, ("identity", "request_id"), version)
    named = {"deployment_name": name_of(t)}
    each_length(t, "SetWorkerDeploymentManager", "manager_identity", named)
    each_length(t, "SetWorkerDeploymentManager", "identity", {**named, "manager_identity": "me"})
    fields = {"deployment_version": {"deployment_name": name_of(t), "build_id": "nobody"}}
    for method in (
        "DescribeWorkerDeploymentVersion",
        "DeleteWorkerDeploymentVersion",
        "UpdateWorkerDeploymentVersionMetadata",
    ):
        t.note("call", method)
        of_deployment(t, method, "deployment_version.deployment_name", fields)
        each_length(t, method, "deployment_version.build_id", fields, BUILD_ID_BYTES_MAX)
        if "Describe" not in method:
            each_length(t, method, "identity", fields)
    for method in ("DescribeWorkerDeployment", "DeleteWorkerDeployment"):
        t.note("call", method)
        of_deployment(t, method, "deployment_name", {})
    for method in ("SetWorkerDeploymentCurrentVersion", "SetWorkerDeploymentRampingVersion"):
        t.note("call", method)
        nobody = {"deployment_name": name_of(t), "build_id": "nobody"}
        of_deployment(t, method, "deployment_name", nobody)
        each_length(t, method, "build_id", nobody, BUILD_ID_BYTES_MAX)
        each_length(t, method, "identity", nobody)


def of_deployment(t, method, path, fields):
    """A name is half of a workflow's id, with what the judge puts around it. It has no dots."""
    for size in around(DEPLOYMENT_BYTES_MAX):
        t.note(path, size)
        t.call(method, **placed(fields, path, text_of(t, size).replace(".", "-")))


@script(seconds=2)
def of_namespaces(t):
    """Names, and what is said about them."""

    def namespace(name):
        return {
            "namespace": f"ns-{t.nonce}-{name}".replace("_", "-").replace(".", "-"),
            "workflow_execution_retention_period": {"seconds": 86400},
        }

    for size in around(ID_BYTES_MAX):
        given = namespace("name")
        t.note("namespace", size)
        t.call("RegisterNamespace", **{**given, "namespace": given["namespace"].ljust(size, "x")})
    all_lengths(t, "RegisterNamespace", ("description", "owner_email"), namespace)
    for method in ("DescribeNamespace", "DescribeTaskQueue", "CountWorkflowExecutions", "ListWorkers"):
        t.note("call", method)
        each_length(t, method, "namespace", {})
    for path in ("update_info.description", "update_info.owner_email"):
        each_length(t, "UpdateNamespace", path, {"namespace": namespace("name")["namespace"].ljust(1000, "x")})


@script(seconds=2)
def of_endpoints(t):
    """Names and targets of Nexus endpoints."""

    def spec(name):
        name = endpoint_name(t, f"-{name}").replace(".", "-").replace("_", "-")
        return {"spec": {"name": name, "target": {"worker": {"namespace": "default", "task_queue": "queue"}}}}

    for size in around(200):
        name = spec("name")["spec"]["name"].ljust(size, "x")
        t.call("CreateNexusEndpoint", **placed(spec(""), "spec.name", name))
    paths = ("spec.target.worker.namespace", "spec.target.worker.task_queue")
    all_lengths(t, "CreateNexusEndpoint", paths, spec)


@script(seconds=2)
def of_task_queues(t):
    """Names and reasons of what operators set, of descriptions, and of workers."""
    rate = {"rate_limit": {"requests_per_second": 5}}
    workflows, activities = "TASK_QUEUE_TYPE_WORKFLOW", "TASK_QUEUE_TYPE_ACTIVITY"
    config = {
        "task_queue": t.queue,
        "task_queue_type": activities,
        "update_queue_rate_limit": rate,
        "update_fairness_key_rate_limit_default": rate,
    }
    paths = (
        "identity",
        "task_queue",
        "update_queue_rate_limit.reason",
        "update_fairness_key_rate_limit_default.reason",
    )
    all_lengths(t, "UpdateTaskQueueConfig", paths, config)
    for size in around(FAIRNESS_KEY_BYTES_MAX):
        key = {"set_fairness_weight_overrides": {"k" * size: 2}}
        t.call("UpdateTaskQueueConfig", task_queue=t.queue, task_queue_type=activities, **key)
    each_length(t, "DescribeTaskQueue", "task_queue.name", {"task_queue_type": workflows})
    t.quiet("ListTaskQueuePartitions", task_queue={"name": "q" * 1000})
    t.call("ListTaskQueuePartitions", task_queue={"name": "q" * 1001})
    paths = ("sticky_task_queue", "identity", "reason", "worker_instance_key", "task_queue")
    all_lengths(t, "ShutdownWorker", paths, {"sticky_task_queue": t.sticky_queue})
    beat = {"worker_heartbeat": [{"worker_instance_key": t.id}]}
    paths = ("identity", "worker_heartbeat[].worker_instance_key", "worker_heartbeat[].worker_identity")
    all_lengths(t, "RecordWorkerHeartbeat", paths, beat)
    each_length(t, "DescribeWorker", "worker_instance_key", {})


@script(seconds=3)
def of_activity_operations(t):
    """Of operations on a workflow's pending activity, and on one that runs on its own."""
    t.start()
    t.step(schedule_activity(t))
    of_workflow = {"execution": {"workflow_id": t.id}, "id": "a"}
    options = {
        "activity_options": {"priority": {"priority_key": 2}},
        "update_mask": {"paths": ["priority"]},
    }
    for method, paths in (
        ("PauseActivity", ("identity", "reason", "request_id")),
        ("UnpauseActivity", ("identity",)),
        ("ResetActivity", ("identity",)),
    ):
        t.note("call", method)
        all_lengths(t, method, paths, of_workflow)
    each_length(t, "UpdateActivityOptions", "identity", {**of_workflow, **options})
    t.call(
        "StartActivityExecution",
        activity_id=t.id,
        activity_type={"name": "work"},
        task_queue={"name": t.queue},
        start_to_close_timeout={"seconds": 60},
    )
    alone = {"activity_id": t.id}
    for method, paths in (
        ("PauseActivityExecution", ("identity", "reason", "request_id")),
        ("UnpauseActivityExecution", ("identity", "reason", "request_id")),
        ("ResetActivityExecution", ("identity", "request_id")),
        ("UpdateActivityExecutionOptions", ("identity", "request_id")),
        ("RequestCancelActivityExecution", ("identity", "reason", "request_id")),
    ):
        t.note("call", method)
        all_lengths(t, method, paths, {**alone, **(options if "Options" in method else {})})

    def another(name):
        t.quiet(
            "StartActivityExecution",
            activity_id=t.other(name),
            activity_type={"name": "work"},
            task_queue={"name": t.queue},
            start_to_close_timeout={"seconds": 60},
            input=payloads("in"),
        )
        return {"activity_id": t.other(name)}

    for path in ("identity", "reason", "request_id"):
        each_length(t, "TerminateActivityExecution", path, another)
    t.call("TerminateActivityExecution", activity_id=t.id)


@script(seconds=3)
def of_operations(t):
    """Of Nexus operations that run on their own."""
    endpoint(t)

    def operation(name):
        return {
            "operation_id": t.other(name),
            "endpoint": endpoint_name(t),
            "service": "service",
            "operation": "work",
        }

    start = "StartNexusOperationExecution"
    paths = ("operation_id", "request_id", "identity", "service", "operation")
    all_lengths(t, start, paths, operation)
    each_length(t, start, "endpoint", operation, 200)
    each_length(t, start, "endpoint", operation)

    def another(name):
        t.quiet(start, **operation(f"other-{name}"))
        return {"operation_id": t.other(f"other-{name}")}

    for method in ("RequestCancelNexusOperationExecution", "TerminateNexusOperationExecution"):
        t.note("call", method)
        for path in ("identity", "reason", "request_id"):
            each_length(t, method, path, lambda name: another(f"{method[:6]}-{name}"))
