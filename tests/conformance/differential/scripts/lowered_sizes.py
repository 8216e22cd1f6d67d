"""Payloads and numbers of things one below their limit, at it and beyond, on servers whose limits are low."""

from harness import wire

from ..case import script
from ..commands import (
    accept,
    at,
    command,
    continue_as_new,
    fail_workflow,
    failure,
    modify_properties,
    record_marker,
    respond,
    schedule_activity,
    signal_external,
    start_child,
    start_timer,
)
from ..lowered import (
    BLOB_BYTES,
    BUFFERED_EVENTS,
    CALLBACKS,
    DEPLOYMENTS,
    HISTORY_EVENTS,
    MEMO_BYTES,
    PAGE_ROWS,
    UPDATES_IN_FLIGHT_BYTES,
    VERSIONS,
)
from ..nexus import endpoint, poll_nexus, schedule_operation
from ..nexus import respond as answer
from ..sizes import around, payload_of, payloads_of
from . import schedules
from .lowered_limits import memo_of
from .namespaces import own_namespace
from .updates import resting


@script(lowered=True)
def of_clients(t):
    """What clients send to workflows."""
    for size in around(BLOB_BYTES):
        t.start(t.other(f"input-{size}"), input=payloads_of(size))
        t.start(t.other(f"header-{size}"), header={"fields": {"h": payload_of(size)}})
        t.start(t.other(f"summary-{size}"), user_metadata={"summary": payload_of(size)})
        t.start(t.other(f"details-{size}"), user_metadata={"details": payload_of(size)})
        t.start(t.other(f"last-{size}"), last_completion_result=payloads_of(size))
        t.signal_with_start(workflow_id=t.other(f"signal-{size}"), signal_input=payloads_of(size))
        t.signal_with_start(workflow_id=t.other(f"both-{size}"), input=payloads_of(size))
        t.signal(workflow_id=t.other(f"input-{BLOB_BYTES - 1}"), input=payloads_of(size))
        t.signal(workflow_id=t.other(f"input-{BLOB_BYTES - 1}"), header={"fields": {"h": payload_of(size)}})
        t.start(t.other(f"ended-{size}"))
        t.terminate(t.other(f"ended-{size}"), details=payloads_of(size))


@script(lowered=True, seconds=4)
def of_queries(t):
    """Their arguments, and what workers answer."""
    t.start()
    t.step()
    for size in around(BLOB_BYTES):
        t.note("size", size)
        query = t.ask(query={"query_args": payloads_of(size)})
        if size <= BLOB_BYTES:
            t.answer(t.poll())
        query.join()
        query = t.ask()
        t.answer(t.poll(), query_result=payloads_of(size))
        query.join()
        query = t.ask()
        failed = {"completed_type": "QUERY_RESULT_TYPE_FAILED", "query_result": None}
        t.answer(t.poll(), error_message="x" * size, **failed)
        query.join()
    t.terminate()


@script(lowered=True, seconds=4)
def of_updates(t):
    """Their arguments, and what workers answer."""
    resting(t)
    for size in around(BLOB_BYTES)[1:]:
        t.note("size", size)
        body = {"meta": {"update_id": f"in-{size}", "identity": "tester"}, "input": {"name": "change"}}
        body["input"]["args"] = payloads_of(size)
        update = t.update(f"in-{size}", request=body)
        if size <= BLOB_BYTES:
            messages = [accept(f"in-{size}"), respond(f"in-{size}")]
            t.complete(t.poll(), *map(at, messages), messages=messages)
        update.join()
        update = t.update(f"out-{size}")
        messages = [accept(f"out-{size}"), respond(f"out-{size}", outcome={"success": payloads_of(size)})]
        t.complete(t.poll(), *map(at, messages), messages=messages)
        update.join()
    t.terminate()


@script(lowered=True, seconds=3)
def of_updates_that_wait(t):
    """What the requests of updates weigh together that nobody has accepted."""
    resting(t)

    def refused(size):
        first = t.update("first", request=body(900))
        t.until_admitted("first")
        second = t.send("UpdateWorkflowExecution", t.request("UpdateWorkflowExecution", asked(t, size)), 0.7, None)
        try:
            wire.finish(second)
        except wire.Failure as failure:
            answer = failure.code
        t.quiet("TerminateWorkflowExecution", workflow_execution={"workflow_id": t.id})
        first.future.cancel()
        t.quiet("StartWorkflowExecution", **fresh(t))
        t.quiet_step()
        return answer == "ResourceExhausted"

    low, high = UPDATES_IN_FLIGHT_BYTES - 1100, UPDATES_IN_FLIGHT_BYTES - 700
    while high - low > 1:
        size = (low + high) // 2
        low, high = (low, size) if refused(size) else (size, high)
    t.note("too much beside 900 bytes", high)
    t.quiet("TerminateWorkflowExecution", workflow_execution={"workflow_id": t.id})
    t.runs = {}


def fresh(t):
    return {"workflow_id": t.id, "workflow_type": {"name": "probe"}, "task_queue": {"name": t.queue}}


def body(size, name="first"):
    return {
        "meta": {"update_id": name, "identity": "tester"},
        "input": {"name": "change", "args": payloads_of(size)},
    }


def asked(t, size):
    return t.update_request("second", "change", None, "", "COMPLETED", {"request": body(size, "second")})


@script(lowered=True, seconds=4)
def of_commands(t):
    """What workers decide: a workflow for each. One beyond the limit ends it, or fails its task."""
    endpoint(t)
    for kind, made in (
        ("activity", lambda size: schedule_activity(t, input=payloads_of(size))),
        ("activity-header", lambda size: schedule_activity(t, header={"fields": {"h": payload_of(size)}})),
        ("marker", lambda size: record_marker(details={"d": payloads_of(size - 5)})),
        ("completion", lambda size: command("COMPLETE_WORKFLOW_EXECUTION", {"result": payloads_of(size)})),
        ("cancellation", lambda size: command("CANCEL_WORKFLOW_EXECUTION", {"details": payloads_of(size)})),
        ("failure", lambda size: fail_workflow("x" * (size - 60))),
        ("child", lambda size: start_child(t, f"child-{size}", input=payloads_of(size))),
        ("successor", lambda size: continue_as_new(t, input=payloads_of(size))),
        ("signal", lambda size: signal_external(t, input=payloads_of(size))),
        ("operation", lambda size: schedule_operation(t, input=payload_of(size))),
        ("properties", lambda size: modify_properties(m="x" * (size - 1100))),
    ):
        for size in around(BLOB_BYTES):
            t.note(kind, size)
            name, queue = t.other(f"{kind}-{size}"), t.queue_of(f"{kind}-{size}")
            t.start(name, task_queue={"name": queue})
            t.complete(t.poll(queue), made(size))
            if size > BLOB_BYTES:
                t.history(name)
    # What became of those that were taken depends on when one looks.
    t.runs = {}


@script(lowered=True, seconds=3)
def of_failures(t):
    """What a workflow may fail with, byte by byte: messages, types, traces and details count together."""
    for size in around(BLOB_BYTES):
        for kind, made in (
            ("message", lambda count: fail_workflow("x" * count)),
            ("kind", lambda count: fail_workflow("m", "x" * count)),
            ("details", lambda count: fail_workflow("m", "Kind", details=payloads_of(count))),
        ):
            attributes = "fail_workflow_execution_command_attributes"
            type_of = wire.METHODS.by_name["RespondWorkflowTaskCompleted"][1]

            def weight(count):
                completed = type_of(commands=[made(count)])
                return getattr(completed.commands[0], attributes).failure.ByteSize()

            count = next(count for count in range(size, 0, -1) if weight(count) <= size)
            name, queue = t.other(f"{kind}-{size}"), t.queue_of(f"{kind}-{size}")
            t.start(name, task_queue={"name": queue})
            t.complete(t.poll(queue), made(count))


@script(lowered=True, seconds=4)
def of_activities(t):
    """What workers of activities answer."""
    t.start()
    once = {"maximum_attempts": 1}
    for size in around(BLOB_BYTES):
        for kind in ("result", "beat", "failure", "cancellation", "by-id"):
            t.note(kind, size)
            t.step(schedule_activity(t, f"{kind}-{size}", retry_policy=once))
            token = {"task_token": t.poll_activity().task_token}
            if kind == "result":
                t.call("RespondActivityTaskCompleted", **token, result=payloads_of(size))
            elif kind == "by-id":
                named = {"workflow_id": t.id, "activity_id": f"{kind}-{size}"}
                t.call("RecordActivityTaskHeartbeatById", **named, details=payloads_of(size - 1000))
                t.call("RespondActivityTaskCompletedById", **named, result=payloads_of(size))
            elif kind == "beat":
                t.call("RecordActivityTaskHeartbeat", **token, details=payloads_of(size))
                if size <= BLOB_BYTES:
                    t.complete_activity(token["task_token"])
            elif kind == "failure":
                t.call("RespondActivityTaskFailed", **token, failure=failure("m", "K", details=payloads_of(size - 40)))
            else:
                t.call("RespondActivityTaskCanceled", **token, details=payloads_of(size))
                t.complete_activity(token["task_token"])
        t.terminate()
        t.start()
    t.terminate()


@script(lowered=True, seconds=2)
def of_operations(t):
    """What handlers of Nexus operations answer."""
    endpoint(t)
    for size in around(BLOB_BYTES):
        name, queue = t.other(f"{size}"), t.queue_of(f"{size}")
        t.start(name, task_queue={"name": queue})
        t.complete(t.poll(queue), schedule_operation(t))
        answer(t, poll_nexus(t), start_operation={"sync_success": {"payload": payload_of(size)}})
        t.until_event("NEXUS_OPERATION_COMPLETED" if size <= BLOB_BYTES else "NEXUS_OPERATION_FAILED", 1, name)


@script(lowered=True, seconds=6)
def of_schedules(t):
    """Memos of actions, and whole definitions: how much input of an action is too much for them, byte by byte."""
    for size in around(MEMO_BYTES):
        fields = {"memo": memo_of(size)}
        schedules.create(t, schedule_id=t.other(f"action-{size}"), action_fields=fields)
    long = "x" * 500
    for name, fields in (
        ("plain", {}),
        ("patched", {"initial_patch": {"pause": long}}),
        ("with-memo", {"memo": memo_of(MEMO_BYTES // 2)}),
        ("long" + long, {}),
        ("noted", {"state": {"notes": long, "paused": True}}),
    ):
        t.note(name, first_refused(creation(t, name, **fields)))


def creation(t, name, **fields):
    """Creates a schedule whose action has so much input."""

    def create(size):
        schedule = {
            "spec": {"interval": [{"interval": {"seconds": 300 * schedules.DAY}}]},
            "action": schedules.action(t, input=payloads_of(size)),
        }
        if "state" in fields:
            schedule["state"] = fields["state"]
        more = {key: value for key, value in fields.items() if key != "state"}
        id = t.other(f"{name}-{size:05}")
        t.quiet("CreateSchedule", schedule_id=id, schedule=schedule, request_id="r", **more)

    return create


def first_refused(call):
    """The smallest size that is refused, and with which words."""
    low, high, why = BLOB_BYTES // 2, BLOB_BYTES + 1, "never"
    while high - low > 1:
        size = (low + high) // 2
        try:
            call(size)
            low = size
        except wire.Failure as failure:
            high, why = size, failure.message
    return high, why


@script(lowered=True, seconds=2)
def of_standalone(t):
    """Inputs, answers and the like of activities and operations that run on their own."""
    endpoint(t)
    for size in around(BLOB_BYTES):
        fields = {
            "activity_id": t.other(f"{size}"),
            "activity_type": {"name": "work"},
            "task_queue": {"name": t.queue_of(f"{size}")},
            "start_to_close_timeout": {"seconds": 60},
        }
        apart = {**fields, "activity_id": t.other(f"in-{size}"), "task_queue": {"name": t.queue_of("apart")}}
        t.call("StartActivityExecution", **apart, input=payloads_of(size))
        t.call("StartActivityExecution", **fields)
        task = t.poll_activity(t.queue_of(f"{size}"))
        t.call("RecordActivityTaskHeartbeat", task_token=task.task_token, details=payloads_of(size))
        t.call("RespondActivityTaskCompleted", task_token=task.task_token, result=payloads_of(size))
        t.call("PollActivityExecution", activity_id=t.other(f"{size}"))


@script(lowered=True, seconds=3)
def callbacks(t):
    """Completion callbacks of a workflow: of its start, and those that others attach."""
    given = {"nexus": {"url": "temporal://system"}}
    for count in around(CALLBACKS):
        t.start(t.other(f"{count}"), completion_callbacks=[given] * count)
    attach = {
        "workflow_id_conflict_policy": "WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING",
        "on_conflict_options": {"attach_request_id": True, "attach_completion_callbacks": True},
    }
    for count in range(1, CALLBACKS + 2):
        t.start(completion_callbacks=[given], request_id=f"r{count}", **attach)
    t.terminate()


@script(lowered=True, seconds=2)
def buffered_events(t):
    """Events that wait for a running workflow task; one too many fails it."""
    for count in around(BUFFERED_EVENTS):
        name, queue = t.other(f"{count}"), t.queue_of(f"{count}")
        t.start(name, task_queue={"name": queue})
        task = t.poll(queue)
        for number in range(count):
            t.signal(f"s{number}", workflow_id=name)
        t.complete(task)


@script(lowered=True, seconds=2)
def pages(t):
    """Rows of a page of a list."""
    for name in ("0", "1", "2", "3", "4"):
        t.start(t.other(name))
    query = f"WorkflowId STARTS_WITH '{t.id}'"
    t.until(lambda: t.quiet("CountWorkflowExecutions", query=query).count == 5, "the list")
    for method in ("ListWorkflowExecutions", "ScanWorkflowExecutions"):
        for size in (0, 1, *around(PAGE_ROWS), 1000):
            page = t.quiet(method, query=query, page_size=size)
            t.note(f"{method}, {size}", (len(page.executions), bool(page.next_page_token)))
    t.until(lambda: len(t.quiet("ListSchedules", maximum_page_size=5).schedules) <= PAGE_ROWS, "a short page")


@script(lowered=True, seconds=4)
def history_events(t):
    """What would make a history too long is not written: the workflow is terminated, and whoever asked is refused."""

    def of_size(name, size, *commands):
        """A workflow with so many events: a start and a task are four."""
        markers = [record_marker(f"m{number}") for number in range(size - 4 - len(commands))]
        queue = t.queue_of(name)
        t.quiet("StartWorkflowExecution", **{**workflow, "workflow_id": t.other(name), "task_queue": {"name": queue}})
        token = t.quiet("PollWorkflowTaskQueue", task_queue={"name": queue}).task_token
        t.call("RespondWorkflowTaskCompleted", task_token=token, commands=[*markers, *commands])

    def ends(name):
        t.note(name, [(event.event_id, event.event_type) for event in t.events(t.other(name))[-4:]])

    workflow = {"workflow_type": {"name": "probe"}}
    most = HISTORY_EVENTS
    for size in around(most):
        of_size(f"task-{size}", size)
        ends(f"task-{size}")
    of_size("closing", most + 2, command("COMPLETE_WORKFLOW_EXECUTION", {}))
    ends("closing")
    for size in (most - 2, most - 1, most):
        of_size(f"signal-{size}", size)
        t.signal(workflow_id=t.other(f"signal-{size}"))
        ends(f"signal-{size}")
    for name in ("one-more", "polled", "terminated"):
        of_size(name, most - 2)
        t.signal(workflow_id=t.other(name))
    # A signal that a workflow task has to wait for is not counted yet.
    for _ in range(3):
        t.signal(workflow_id=t.other("one-more"))
    ends("one-more")
    t.poll(t.queue_of("polled"), timeout=3)
    ends("polled")
    t.terminate(t.other("terminated"))
    ends("terminated")
    of_size("buffered", most - 3)
    t.signal(workflow_id=t.other("buffered"))
    task = t.quiet("PollWorkflowTaskQueue", task_queue={"name": t.queue_of("buffered")})
    t.signal(workflow_id=t.other("buffered"))
    t.complete(task)
    ends("buffered")
    of_size("cancelled", most)
    t.cancel(t.other("cancelled"))
    ends("cancelled")
    of_size("timer", most - 1, start_timer("timer", 1))
    t.until(lambda: not t.is_running(t.other("timer")), "the end")
    ends("timer")
    t.runs = {}


@script(lowered=True, seconds=10)
def deployments(t):
    """Deployments of a namespace, versions of a deployment. With so low limits the judge itself can do no more."""
    own_namespace(t)
    for number in range(DEPLOYMENTS):
        t.call("CreateWorkerDeployment", deployment_name=f"d{number}", request_id="r")
    # How many there are the judge asks of a list that lags behind.
    t.until(lambda: len(t.quiet("ListWorkerDeployments").worker_deployments) == DEPLOYMENTS, "the list")
    t.call("CreateWorkerDeployment", deployment_name="one-more", request_id="r")
    # One that no worker has polled for gives way.
    for number in range(VERSIONS + 1):
        version = {"deployment_name": "d0", "build_id": f"{number}"}
        t.call("CreateWorkerDeploymentVersion", deployment_version=version, request_id="r")
