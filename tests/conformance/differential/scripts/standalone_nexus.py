"""Nexus operations that run on their own: started, carried out, described, ended."""

from ..case import script
from ..commands import (
    cancel_workflow,
    command,
    complete_workflow,
    fail_workflow,
    failure,
    payload,
    seconds,
)
from ..nexus import (
    endpoint,
    endpoint_name,
    fail_task,
    fail_with,
    go_on,
    handler_failure,
    poll_nexus,
    respond,
    succeed,
)
from ..operations import (
    begin,
    cancel,
    describe,
    of,
    outcome,
    start,
    terminate,
    until_attempts,
    until_cancellation,
    until_stage,
)

ALLOW = "NEXUS_OPERATION_ID_REUSE_POLICY_ALLOW_DUPLICATE"
FAILED_ONLY = "NEXUS_OPERATION_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY"
REJECT = "NEXUS_OPERATION_ID_REUSE_POLICY_REJECT_DUPLICATE"
USE_EXISTING = "NEXUS_OPERATION_ID_CONFLICT_POLICY_USE_EXISTING"


@script
def answered_at_once(t):
    """From the start to the result, with a description at each step."""
    begin(t)
    describe(t)
    task = poll_nexus(t)
    describe(t)
    succeed(t, task)
    outcome(t)
    describe(t)
    outcome(t, stage="STARTED")
    outcome(t, stage="CLOSED")
    succeed(t, task)


@script
def with_everything(t):
    """All that a start may say is shown again, and given to the handler."""
    event = {"workflow_event": {"namespace": "default", "workflow_id": "w", "run_id": "r"}}
    begin(
        t,
        nexus_header={"Key": "value", "other": "x"},
        user_metadata={"summary": payload("summary"), "details": payload("details")},
        schedule_to_close_timeout=seconds(100),
        schedule_to_start_timeout=seconds(50),
        start_to_close_timeout=seconds(40),
        request_id="the request",
        links=[event],
    )
    describe(t)
    describe(t, include_input=False, include_outcome=False)
    task = poll_nexus(t)
    go_on(t, task)
    outcome(t, stage="STARTED")
    describe(t)
    terminate(t)
    describe(t, include_outcome=False)


@script
def without_anything(t):
    """An operation without an input, and a handler who answers nothing."""
    begin(t, input=None)
    describe(t)
    respond(t, poll_nexus(t), start_operation={"sync_success": {}})
    outcome(t)
    describe(t)


@script
def started(t):
    """The handler goes on with it; the operation keeps its token."""
    begin(t)
    go_on(t, poll_nexus(t))
    outcome(t, stage="STARTED")
    describe(t)
    outcome(t, timeout=2)
    waiting = t.background("PollNexusOperationExecution", operation_id=t.id)
    terminate(t)
    waiting.join()
    outcome(t, stage="STARTED")


@script(seconds=2)
def completed_by_a_workflow(t):
    """A workflow that was started with the callback of the task ends the operation, however it ends."""
    endpoint(t)
    for end in ("complete", "nothing", "fail", "cancel", "terminate"):
        operation_id = t.other(end)
        start(t, operation_id)
        workflow = t.other(f"handler-{end}")
        task = poll_nexus(t)
        request = task.request.start_operation
        t.start(
            workflow,
            task_queue={"name": f"{t.queue}-{end}"},
            completion_callbacks=[
                {"nexus": {"url": request.callback, "header": dict(request.callback_header)}}
            ],
        )
        go_on(t, task)
        until_stage(t, "STARTED", operation_id)
        finish(t, workflow, end)
        outcome(t, operation_id)
        describe(t, operation_id)


def finish(t, workflow, end):
    queue = {"name": f"{t.queue}-{end}"}
    if end == "terminate":
        t.terminate(workflow, reason="enough")
        return
    if end == "cancel":
        t.cancel(workflow)
    task = t.poll(queue)
    commands = {
        "complete": complete_workflow(),
        "nothing": command("COMPLETE_WORKFLOW_EXECUTION", {}),
        "fail": fail_workflow(),
        "cancel": cancel_workflow(),
    }
    t.complete(task, commands[end])


@script(seconds=2)
def completed_before_it_was_started(t):
    """The workflow ends before the handler has said that it goes on."""
    begin(t)
    task = poll_nexus(t)
    request = task.request.start_operation
    t.start(
        completion_callbacks=[
            {
                "nexus": {
                    "url": request.callback,
                    "header": {**dict(request.callback_header), "Nexus-Operation-Token": "early"},
                }
            }
        ],
    )
    t.step(complete_workflow())
    outcome(t)
    describe(t)
    go_on(t, task)
    describe(t)


@script(seconds=2)
def completed_while_it_backs_off(t):
    """The handler has failed and its workflow goes on all the same."""
    begin(t)
    task = poll_nexus(t)
    request = task.request.start_operation
    t.start(
        completion_callbacks=[
            {
                "nexus": {
                    "url": request.callback,
                    "header": {**dict(request.callback_header), "Nexus-Operation-Token": "early"},
                }
            }
        ],
    )
    workflow_task = t.poll()
    fail_task(t, task, handler_failure("busy", "INTERNAL"))
    until_attempts(t, 1)
    t.complete(workflow_task, complete_workflow())
    outcome(t)
    describe(t)


@script(seconds=3)
def completed_too_late(t):
    """Nobody waits any more for what a workflow has to say."""
    endpoint(t)
    for case in ("terminated", "deleted", "completed", "other"):
        start(t, t.other(case))
        task = poll_nexus(t)
        request = task.request.start_operation
        header = dict(request.callback_header)
        if case == "other":
            header["temporal-callback-token"] = "nonsense"
        t.start(
            t.other(f"handler-{case}"),
            task_queue={"name": f"{t.queue}-{case}"},
            completion_callbacks=[{"nexus": {"url": request.callback, "header": header}}],
        )
        if case == "terminated":
            terminate(t, t.other(case))
        elif case == "deleted":
            of(t, "Delete", t.other(case))
            until_gone(t, t.other(case))
        elif case == "completed":
            succeed(t, task)
            until_stage(t, "CLOSED", t.other(case))
        t.complete(t.poll({"name": f"{t.queue}-{case}"}), complete_workflow())
        until_callback(t, t.other(f"handler-{case}"))
        t.describe(t.other(f"handler-{case}"))
    terminate(t, t.other("other"))


def until_callback(t, workflow_id):
    """Waits until the callback of a workflow was tried once, unrecorded."""

    def tried():
        described = t.quiet("DescribeWorkflowExecution", execution={"workflow_id": workflow_id})
        return described.callbacks[0].last_attempt_complete_time.seconds

    t.until(tried, "the callback")


def until_gone(t, operation_id):
    """Waits until an operation is deleted, unrecorded."""

    def gone():
        try:
            t.quiet("DescribeNexusOperationExecution", operation_id=operation_id)
        except Exception:
            return True

    t.until(gone, "the deletion")


@script
def with_links(t):
    """Links of handlers are kept."""
    endpoint(t)
    link = {
        "url": "temporal:///namespaces/default/workflows/w/r/history?eventID=1"
        "&eventType=WorkflowExecutionStarted&referenceType=EventReference",
        "type": "temporal.api.common.v1.Link.WorkflowEvent",
    }
    operation = {
        "url": "temporal:///namespaces/default/nexus-operations/o/r/details",
        "type": "temporal.api.common.v1.Link.NexusOperation",
    }
    other = {"url": "http://somewhere/else", "type": "other"}
    for name, links in (("event", [link]), ("operation", [operation]), ("both", [link, other, operation])):
        start(t, t.other(name))
        succeed(t, poll_nexus(t), links=links)
        until_stage(t, "CLOSED", t.other(name))
        describe(t, t.other(name))
    start(t)
    go_on(t, poll_nexus(t), links=[link, operation])
    until_stage(t, "STARTED")
    describe(t)
    terminate(t)


@script
def failed(t):
    """The handler's verdict, in whatever form."""
    endpoint(t)
    start(t)
    fail_with(t, poll_nexus(t), failure("no", "Kind", non_retryable=False))
    outcome(t)
    describe(t)
    start(t, t.other("cancelled"))
    fail_with(t, poll_nexus(t), {"message": "stopped", "canceled_failure_info": {}})
    outcome(t, t.other("cancelled"))
    describe(t, t.other("cancelled"))
    start(t, t.other("older"))
    error = {
        "operation_state": "failed",
        "failure": {"message": "no", "metadata": {"k": "v"}, "details": b'{"a": 1}'},
    }
    respond(t, poll_nexus(t), start_operation={"operation_error": error})
    outcome(t, t.other("older"))
    start(t, t.other("older-cancelled"))
    error = {"operation_state": "canceled", "failure": {"message": "stopped"}}
    respond(t, poll_nexus(t), start_operation={"operation_error": error})
    outcome(t, t.other("older-cancelled"))
    describe(t, t.other("older-cancelled"))
    start(t, t.other("older-details"))
    error["failure"] = {
        "message": "stopped",
        "stack_trace": "here",
        "metadata": {"k": "v"},
        "details": b'{"a": 1}',
        "cause": {"message": "cause", "metadata": {"c": "d"}},
    }
    respond(t, poll_nexus(t), start_operation={"operation_error": error})
    outcome(t, t.other("older-details"))
    for name, failure_of_nexus in (
        ("older-plain", {"message": "no"}),
        ("older-stack", {"message": "no", "stack_trace": "here"}),
        ("older-cause", {"message": "no", "cause": {"message": "cause"}}),
        ("older-empty", {}),
    ):
        for state in ("failed", "canceled"):
            start(t, t.other(f"{name}-{state}"))
            error = {"operation_state": state, "failure": failure_of_nexus}
            respond(t, poll_nexus(t), start_operation={"operation_error": error})
            outcome(t, t.other(f"{name}-{state}"))
    start(t, t.other("older-handler"))
    error = {"error_type": "BAD_REQUEST", "failure": {"message": "bad", "metadata": {"k": "v"}}}
    t.call("RespondNexusTaskFailed", task_token=poll_nexus(t).task_token, error=error)
    outcome(t, t.other("older-handler"))
    describe(t, t.other("older-handler"))
    for name, failure_of_nexus in (("plain", {"message": "bad", "cause": {"message": "why"}}), ("empty", {})):
        start(t, t.other(f"older-handler-{name}"))
        error = {"error_type": "BAD_REQUEST", "failure": failure_of_nexus}
        t.call("RespondNexusTaskFailed", task_token=poll_nexus(t).task_token, error=error)
        outcome(t, t.other(f"older-handler-{name}"))


@script
def handler_errors_for_good(t):
    """An error of the handler that is not worth another attempt."""
    endpoint(t)
    start(t)
    fail_task(t, poll_nexus(t), handler_failure("bad", "BAD_REQUEST"))
    outcome(t)
    describe(t)
    start(t, t.other("empty"))
    respond(t, poll_nexus(t))
    until_attempts(t, 1, t.other("empty"))
    describe(t, t.other("empty"))


@script(seconds=3)
def retried(t):
    """An error of the handler that may pass is followed by another attempt."""
    begin(t)
    fail_task(t, poll_nexus(t), handler_failure("busy", "INTERNAL"))
    until_attempts(t, 1)
    describe(t)
    task = poll_nexus(t)
    describe(t)
    succeed(t, task)
    outcome(t)
    describe(t)


@script(seconds=3)
def ended_while_it_backs_off(t):
    """What waits for its next attempt may be terminated, or asked to stop."""
    endpoint(t)
    start(t)
    fail_task(t, poll_nexus(t), handler_failure("busy", "INTERNAL"))
    until_attempts(t, 1)
    terminate(t, reason="enough")
    describe(t)
    outcome(t)
    start(t, t.other("cancel"))
    fail_task(t, poll_nexus(t), handler_failure("busy", "INTERNAL"))
    until_attempts(t, 1, t.other("cancel"))
    cancel(t, t.other("cancel"))
    describe(t, t.other("cancel"))
    succeed(t, poll_nexus(t))
    outcome(t, t.other("cancel"))
    describe(t, t.other("cancel"))


@script
def cancelled_unstarted(t):
    """Before the handler has it, a cancel request waits."""
    begin(t)
    cancel(t, reason="enough", request_id="one")
    describe(t)
    cancel(t, reason="enough", request_id="one")
    cancel(t, reason="other", request_id="two")
    go_on(t, poll_nexus(t))
    respond(t, poll_nexus(t), cancel_operation={})
    until_cancellation(t, 3)
    describe(t)
    terminate(t)


@script
def cancelled(t):
    """The handler is told, and the operation goes on until it says more."""
    begin(t, nexus_header={"key": "value"})
    go_on(t, poll_nexus(t))
    until_stage(t, "STARTED")
    cancel(t, reason="enough")
    describe(t)
    respond(t, poll_nexus(t), cancel_operation={})
    until_cancellation(t, 3)
    describe(t)
    cancel(t)
    terminate(t)
    cancel(t)
    describe(t)


@script(seconds=4)
def cancellation_is_retried(t):
    """A handler that fails to cancel is asked again; one that refuses is not."""
    endpoint(t)
    start(t)
    go_on(t, poll_nexus(t))
    until_stage(t, "STARTED")
    cancel(t)
    fail_task(t, poll_nexus(t), handler_failure("busy", "INTERNAL"))
    until_cancellation(t, 2)
    describe(t)
    respond(t, poll_nexus(t), cancel_operation={})
    until_cancellation(t, 3)
    describe(t)
    start(t, t.other("refused"))
    go_on(t, poll_nexus(t))
    until_stage(t, "STARTED", t.other("refused"))
    cancel(t, t.other("refused"))
    fail_task(t, poll_nexus(t), handler_failure("no", "NOT_IMPLEMENTED"))
    until_cancellation(t, 4, t.other("refused"))
    describe(t, t.other("refused"))
    terminate(t)
    terminate(t, t.other("refused"))


@script
def terminated(t):
    """At once, without a word to the handler; a repetition is known by its request id."""
    begin(t)
    task = poll_nexus(t)
    terminate(t, reason="enough", request_id="one")
    describe(t)
    outcome(t)
    terminate(t, reason="enough", request_id="one")
    terminate(t, reason="enough", request_id="two")
    succeed(t, task)
    cancel(t)
    describe(t)


@script
def completed_and_then(t):
    """What has closed can be neither cancelled nor terminated."""
    begin(t)
    succeed(t, poll_nexus(t))
    until_stage(t)
    cancel(t)
    terminate(t)
    start(t, t.other("failed"))
    fail_with(t, poll_nexus(t), failure("no"))
    until_stage(t, "CLOSED", t.other("failed"))
    cancel(t, t.other("failed"))
    terminate(t, t.other("failed"))
    start(t, t.other("cancelled"))
    fail_with(t, poll_nexus(t), {"message": "stopped", "canceled_failure_info": {}})
    until_stage(t, "CLOSED", t.other("cancelled"))
    cancel(t, t.other("cancelled"))
    terminate(t, t.other("cancelled"), request_id="one", reason="after all")
    describe(t, t.other("cancelled"))


@script(seconds=2)
def deleted(t):
    """A running one is terminated first; a closed one goes away."""
    begin(t)
    poll_nexus(t)
    of(t, "Delete")
    until_gone(t, t.id)
    describe(t)
    outcome(t)
    of(t, "Delete")
    cancel(t)
    terminate(t)
    start(t, t.other("closed"))
    succeed(t, poll_nexus(t))
    until_stage(t, "CLOSED", t.other("closed"))
    of(t, "Delete", t.other("closed"))
    until_gone(t, t.other("closed"))
    describe(t, t.other("closed"))
    start(t)
    describe(t)
    terminate(t)


@script(seconds=7)
def timed_out(t):
    """Three time-outs, each with its name."""
    endpoint(t)
    for name, timeout in (
        ("run", {"start_to_close_timeout": seconds(1)}),
        ("all", {"schedule_to_close_timeout": seconds(4)}),
    ):
        start(t, t.other(name), **timeout)
        go_on(t, poll_nexus(t))
        outcome(t, t.other(name))
        describe(t, t.other(name))
    terminate(t, t.other("all"))
    cancel(t, t.other("all"))
    # How many calls these have made by then is chance.
    start(t, t.other("unheard"), schedule_to_close_timeout=seconds(1))
    start(t, t.other("unstarted"), schedule_to_start_timeout=seconds(1))
    outcome(t, t.other("unheard"))
    outcome(t, t.other("unstarted"))


@script(seconds=3)
def too_late_for_another_attempt(t):
    """The time that is left is too short for the next call."""
    begin(t, schedule_to_close_timeout=seconds(2.2))
    fail_task(t, poll_nexus(t), handler_failure("busy", "INTERNAL"))
    until_stage(t)
    outcome(t)
    describe(t)


@script
def timeouts_are_trimmed(t):
    """None is longer than the whole operation may take."""
    endpoint(t)
    start(
        t,
        schedule_to_close_timeout=seconds(20),
        schedule_to_start_timeout=seconds(30),
        start_to_close_timeout=seconds(40),
    )
    describe(t)
    start(
        t,
        t.other("zero"),
        schedule_to_close_timeout=seconds(0),
        schedule_to_start_timeout=seconds(0),
        start_to_close_timeout=seconds(0),
    )
    describe(t, t.other("zero"))
    terminate(t)
    terminate(t, t.other("zero"))


@script
def same_id(t):
    """What the policies say of an id that runs, or has run."""
    begin(t, request_id="first")
    start(t, request_id="first")
    start(t, request_id="second")
    start(t, request_id="second", id_conflict_policy=USE_EXISTING)
    start(t, request_id="second", id_reuse_policy=REJECT)
    succeed(t, poll_nexus(t))
    until_stage(t)
    start(t, request_id="first")
    start(t, request_id="third", id_reuse_policy=REJECT)
    start(t, request_id="third", id_reuse_policy=FAILED_ONLY)
    start(t, request_id="third", id_conflict_policy=USE_EXISTING, id_reuse_policy=REJECT)
    start(t, request_id="fourth", id_reuse_policy=ALLOW)
    terminate(t)
    start(t, request_id="fifth", id_reuse_policy=FAILED_ONLY)
    describe(t)
    terminate(t)
    start(t, request_id="sixth", id_reuse_policy=9)
    start(t, request_id="seventh", id_conflict_policy=9)
    start(t, t.other("reuse"), id_reuse_policy=9)
    start(t, t.other("conflict"), id_conflict_policy=9)


@script
def attached_on_conflict(t):
    """What a start brings to a run that is used instead of its own."""
    event = {"workflow_event": {"namespace": "default", "workflow_id": "w", "run_id": "r"}}
    callback = {"nexus": {"url": "http://localhost:1/", "header": {}}}
    begin(t, request_id="first", links=[event])
    start(t, request_id="second", id_conflict_policy=USE_EXISTING, links=[event])
    for options in (
        {"attach_request_id": True},
        {"attach_links": True},
        {"attach_request_id": True, "attach_links": True},
        {"attach_completion_callbacks": True},
        {"attach_request_id": True, "attach_completion_callbacks": True, "attach_links": True},
    ):
        start(
            t,
            request_id=f"request {options}",
            id_conflict_policy=USE_EXISTING,
            on_conflict_options=options,
            links=[event],
        )
    start(t, request_id="none", id_conflict_policy=USE_EXISTING, on_conflict_options={"attach_links": True})
    describe(t)
    start(t, t.other("callbacks"), completion_callbacks=[callback])
    terminate(t)


@script
def runs_are_told_apart(t):
    """By their run ids."""
    first = begin(t).run_id
    terminate(t)
    second = start(t).run_id
    describe(t, run_id=first)
    describe(t, run_id=second)
    outcome(t, run_id=first)
    terminate(t, run_id=first)
    cancel(t, run_id=second)
    terminate(t, run_id=second)
    of(t, "Delete", run_id=first)
    describe(t, run_id=second)


@script
def waiting_for_changes(t):
    """A description that waits until something has happened."""
    run_id = begin(t).run_id
    token = t.quiet("DescribeNexusOperationExecution", operation_id=t.id, run_id=run_id).long_poll_token
    task = poll_nexus(t)
    describe(t, run_id=run_id, long_poll_token=token, timeout=2)
    waiting = t.background(
        "DescribeNexusOperationExecution",
        operation_id=t.id,
        run_id=run_id,
        long_poll_token=token,
        include_outcome=True,
    )
    succeed(t, task)
    waiting.join()
    token = t.quiet("DescribeNexusOperationExecution", operation_id=t.id, run_id=run_id).long_poll_token
    t.note("token of what has closed", bool(token))
    describe(t, run_id=run_id, long_poll_token=token, timeout=2)


@script(seconds=2)
def waiting_for_the_next_attempt(t):
    """That it may be tried again is news."""
    run_id = begin(t).run_id
    fail_task(t, poll_nexus(t), handler_failure("busy", "INTERNAL"))
    until_attempts(t, 1)
    token = describe(t, run_id=run_id).long_poll_token
    token = describe(t, run_id=run_id, long_poll_token=token).long_poll_token
    waiting = t.background(
        "DescribeNexusOperationExecution", operation_id=t.id, run_id=run_id, long_poll_token=token
    )
    fail_task(t, poll_nexus(t), handler_failure("busy", "INTERNAL"))
    waiting.join()
    terminate(t)


@script
def refused_tokens(t):
    """Tokens that are none, or another's."""
    run_id = begin(t).run_id
    token = t.quiet("DescribeNexusOperationExecution", operation_id=t.id, run_id=run_id).long_poll_token
    other = start(t, t.other("other")).run_id
    describe(t, long_poll_token=token)
    describe(t, run_id=run_id, long_poll_token=b"nonsense")
    describe(t, t.other("other"), run_id=other, long_poll_token=token)
    terminate(t)
    terminate(t, t.other("other"))


@script
def refused_starts(t):
    """Each fault by itself, and in which order they are noticed."""
    endpoint(t)
    start(t, "")
    start(t, endpoint="")
    start(t, endpoint="no-such-endpoint")
    start(t, service="")
    start(t, operation="")
    start(t, "", endpoint="", service="", operation="")
    start(t, endpoint="", service="")
    start(t, service="", operation="")
    start(t, service="", endpoint="no-such-endpoint")
    for name in ("schedule_to_close_timeout", "schedule_to_start_timeout", "start_to_close_timeout"):
        start(t, **{name: seconds(-1)})
    start(t, nexus_header={"Request-Timeout": "1s"})
    reserved = ("request-timeout", "xdc-redirection-api", "xdc-redirection", "caller-name", "caller-type")
    for name in (*reserved, "call-initiation", "principal-type", "operation-timeout", "content-type"):
        start(t, t.other(name), nexus_header={name: "1s"})
    start(t, nexus_header={"k": "x" * 9000})
    start(t, nexus_header={"k": "x" * 9000, "request-timeout": "1"}, schedule_to_close_timeout=seconds(-1))
    start(t, search_attributes={"indexed_fields": {"NoSuchAttribute": payload("x")}})
    start(t, search_attributes={"indexed_fields": {"NoSuchAttribute": payload("x")}}, endpoint="no-such")
    start(t, links=[{}])
    large = {"summary": {"data": b"x" * 500}}
    bad = {"indexed_fields": {"NoSuchAttribute": payload("x")}}
    start(t, user_metadata=large, endpoint="no-such-endpoint")
    start(t, user_metadata=large, search_attributes=bad)
    start(t, user_metadata=large, nexus_header={"caller-name": "x"})
    start(t, user_metadata=large, schedule_to_close_timeout=seconds(-1))
    start(t, user_metadata=large, input={"data": b"x" * (3 << 20)})
    start(t, nexus_header={"caller-name": "x"}, input={"data": b"x" * (3 << 20)})
    start(t, nexus_header={"caller-name": "x"}, search_attributes=bad)
    start(t, user_metadata={"summary": {"data": b"x" * 500}, "details": {"data": b"x" * 30000}})
    start(t, namespace="no-such-namespace")
    start(t, namespace="")
    for method in ("Describe", "Poll", "RequestCancel", "Terminate", "Delete"):
        of(t, method, "")
        of(t, method, "no-such-operation")
        of(t, method, run_id="no run id")
        of(t, method, run_id="11111111-2222-3333-4444-555555555555")
        of(t, method, namespace="no-such-namespace")
        of(t, method, "", namespace="no-such-namespace")
    outcome(t, wait_stage=7)
    outcome(t, "", wait_stage=7)


@script
def endpoint_that_goes_away(t):
    """An operation whose endpoint is deleted before it is called again fails."""
    made = endpoint(t)
    start(t)
    fail_task(t, poll_nexus(t), handler_failure("busy", "INTERNAL"))
    t.quiet("DeleteNexusEndpoint", id=made.id, version=made.version)
    until_stage(t)
    outcome(t)
    describe(t)


@script
def as_json(t):
    """The same over HTTP."""
    endpoint(t)
    body = {"endpoint": endpoint_name(t), "service": "service", "operation": "work"}
    t.http("POST", f"NS/nexus-operations/{t.id}", body)
    t.http("GET", f"NS/nexus-operations/{t.id}")
    t.http("POST", f"NS/nexus-operations/{t.id}/cancel", {})
    t.http("POST", f"NS/nexus-operations/{t.id}/terminate", {"reason": "enough"})
    t.http("GET", f"NS/nexus-operations/{t.id}/poll")
