"""Completion callbacks: whoever started a workflow is told how it ended, once the whole chain has."""

from ..case import script
from ..commands import (
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    seconds,
)
from ..nexus import endpoint, go_on, poll_nexus, schedule_operation

HANDLER = "handler"

# States of a callback.
FAILED, SUCCEEDED = 4, 5


def callback_of(task):
    """The callback that a handler hands on to the workflow that it starts."""
    start = task.request.start_operation
    return {"nexus": {"url": start.callback, "header": dict(start.callback_header)}}


def link_of(t):
    """The link to the operation, as SDKs have it in the callback and in the request."""
    run_id = t.runs_of_id()[0]
    reference = {"event_id": 5, "event_type": "EVENT_TYPE_NEXUS_OPERATION_SCHEDULED"}
    return {
        "workflow_event": {
            "namespace": t.namespace,
            "workflow_id": t.id,
            "run_id": run_id,
            "event_ref": reference,
        }
    }


def start_handler(t, callbacks, name=HANDLER, **fields):
    return t.start(
        t.other(name),
        task_queue={"name": t.queue_of(name)},
        completion_callbacks=callbacks,
        **fields,
    )


def handler_step(t, *commands, name=HANDLER):
    task = t.poll(t.queue_of(name))
    t.complete(task, *commands)


def operation_of_a_workflow(t, **fields):
    """An operation that was started and that a workflow will complete."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t))
    task = poll_nexus(t)
    start_handler(t, [callback_of(task)], **fields)
    go_on(t, task)
    t.until_event("NEXUS_OPERATION_STARTED")


def callbacks(t, name=HANDLER, run_id=""):
    execution = {"workflow_id": t.other(name), "run_id": run_id}
    return t.quiet("DescribeWorkflowExecution", execution=execution).callbacks


def delivered(t, name=HANDLER, count=1):
    t.until(lambda: sum(c.state == SUCCEEDED for c in callbacks(t, name)) == count, "the callback to be delivered")


@script
def completed(t):
    """A workflow's result is the operation's."""
    operation_of_a_workflow(t)
    t.describe(t.other(HANDLER))
    handler_step(t, complete_workflow("handled"))
    t.until_event("NEXUS_OPERATION_COMPLETED")
    delivered(t)
    t.describe(t.other(HANDLER))
    t.step(complete_workflow())


@script
def failed(t):
    """A workflow's failure is the cause of the operation's."""
    operation_of_a_workflow(t)
    handler_step(t, fail_workflow("broken", "Broken", non_retryable=True))
    t.until_event("NEXUS_OPERATION_FAILED")
    delivered(t)
    t.step(complete_workflow())


@script
def cancelled(t):
    """A workflow that is cancelled cancels the operation."""
    operation_of_a_workflow(t)
    handler_step(t, cancel_workflow("details"))
    t.until_event("NEXUS_OPERATION_CANCELED")
    delivered(t)
    t.step(complete_workflow())


@script
def terminated(t):
    """A workflow that is terminated fails the operation."""
    operation_of_a_workflow(t)
    t.terminate(t.other(HANDLER), reason="enough")
    t.until_event("NEXUS_OPERATION_FAILED")
    delivered(t)
    t.step(complete_workflow())


@script(seconds=2)
def timed_out(t):
    """A workflow that times out fails the operation."""
    operation_of_a_workflow(t, workflow_run_timeout=seconds(1))
    t.until_event("NEXUS_OPERATION_FAILED")
    delivered(t)
    t.step(complete_workflow())


@script(seconds=2)
def of_a_chain(t):
    """Runs that go on hand their callbacks on; the last run's end is told."""
    operation_of_a_workflow(t, retry_policy={"maximum_attempts": 2})
    handler_step(t, fail_workflow())
    policy = {"maximum_attempts": 2}
    handler_step(t, continue_as_new(t, task_queue={"name": t.queue_of(HANDLER)}, retry_policy=policy))
    t.until_event("WORKFLOW_TASK_SCHEDULED", workflow_id=t.other(HANDLER))
    t.describe(t.other(HANDLER))
    handler_step(t, complete_workflow("third"))
    t.until_event("NEXUS_OPERATION_COMPLETED")
    delivered(t)
    t.step(complete_workflow())


@script
def completed_before_it_started(t):
    """The end of an operation may be told before its start; both are written."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t))
    task = poll_nexus(t)
    callback = callback_of(task)
    callback["nexus"]["header"]["nexus-operation-token"] = "the-token"
    start_handler(t, [callback])
    handler_step(t, complete_workflow("early"))
    t.until_event("NEXUS_OPERATION_COMPLETED")
    go_on(t, task)
    delivered(t)
    t.step(complete_workflow())


@script
def completed_without_a_token(t):
    """Without a token no start is written."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t))
    task = poll_nexus(t)
    start_handler(t, [callback_of(task)])
    handler_step(t, complete_workflow("early"))
    t.until_event("NEXUS_OPERATION_COMPLETED")
    delivered(t)
    t.step(complete_workflow())


@script(seconds=3)
def told_to_nobody(t):
    """Callbacks to an operation that is over fail for good."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t, schedule_to_close_timeout=seconds(1.9)))
    task = poll_nexus(t)
    start_handler(t, [callback_of(task)])
    go_on(t, task)
    t.until_event("NEXUS_OPERATION_TIMED_OUT")
    handler_step(t, complete_workflow("late"))
    t.until(lambda: callbacks(t)[0].state == FAILED, "the callback to fail")
    t.describe(t.other(HANDLER))


@script
def told_to_a_closed_workflow(t):
    """The same for a workflow that has closed."""
    operation_of_a_workflow(t)
    t.step(complete_workflow())
    handler_step(t, complete_workflow("late"))
    t.until(lambda: callbacks(t)[0].state == FAILED, "the callback to fail")
    t.describe(t.other(HANDLER))


@script
def linked(t):
    """As SDKs start a handler's workflow: with links, in the request and in the callback."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t))
    task = poll_nexus(t)
    link = link_of(t)
    other = {"workflow_event": {**link["workflow_event"], "workflow_id": "another"}}
    options = {"attach_request_id": True, "attach_completion_callbacks": True, "attach_links": True}
    start_handler(
        t,
        [{**callback_of(task), "links": [link]}],
        links=[link, other],
        request_id=task.request.start_operation.request_id,
        on_conflict_options=options,
    )
    start_handler(
        t,
        [{**callback_of(task), "links": [link]}],
        links=[link, other],
        request_id="another",
        on_conflict_options=options,
        workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING",
    )
    t.describe(t.other(HANDLER))


@script
def attached(t):
    """A start that uses the running workflow can add its callbacks to it."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t))
    one = poll_nexus(t)
    another = t.other("another")
    t.start(another)
    t.step(schedule_operation(t))
    two = poll_nexus(t)
    start_handler(t, [callback_of(one)], request_id="first")
    options = {"attach_request_id": True, "attach_completion_callbacks": True, "attach_links": True}
    again = {
        "workflow_id_conflict_policy": "WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING",
        "on_conflict_options": options,
    }
    start_handler(t, [callback_of(two)], request_id="second", **again)
    start_handler(t, [callback_of(two)], request_id="second", **again)
    go_on(t, one)
    go_on(t, two)
    t.until_event("NEXUS_OPERATION_STARTED")
    t.until_event("NEXUS_OPERATION_STARTED", workflow_id=another)
    t.describe(t.other(HANDLER))
    handler_step(t, complete_workflow("both"))
    t.until_event("NEXUS_OPERATION_COMPLETED")
    t.until_event("NEXUS_OPERATION_COMPLETED", workflow_id=another)
    delivered(t, count=2)


@script
def callbacks_that_are_refused(t):
    """What a start may not ask for."""
    def nexus(url, **header):
        return {"nexus": {"url": url, "header": header}}

    for number, given in enumerate(
        (
            [{}],
            [nexus("")],
            [nexus("temporal://system")],
            [nexus("temporal://other")],
            [nexus("temporal://system/path")],
            [nexus("ftp://host")],
            [nexus("no url")],
            [nexus("http://host:port/")],
            [nexus("http://" + "u" * 993)],
            [nexus("http://" + "u" * 994)],
            [nexus("http://localhost:1", **{"k" * 4000: "v" * 4192})],
            [nexus("http://localhost:1", **{"k" * 4000: "v" * 4193})],
            [nexus("http://localhost:1", K="v")],
            [{"internal": {"data": b"x"}}],
            [nexus("temporal://system", **{"k" * 4000: "v" * 4192})],
            [nexus("temporal://system", **{"k" * 4000: "v" * 4193})],
            [nexus("temporal://system", K="v")],
            [nexus("temporal://system")] * 2001,
        )
    ):
        name = f"c{number}"
        start_handler(t, given, name)
        t.terminate(t.other(name))


@script
def damaged_tokens(t):
    """Tokens that nobody made."""
    for number, token in enumerate(("", "rubbish", "{}", '{"v":1,"d":"xx"}')):
        name = f"d{number}"
        header = {"temporal-callback-token": token}
        start_handler(t, [{"nexus": {"url": "temporal://system", "header": header}}], name)
        handler_step(t, complete_workflow("handled"), name=name)
        t.until(lambda: callbacks(t, name) and callbacks(t, name)[0].attempt, "an attempt")
        t.describe(t.other(name))
