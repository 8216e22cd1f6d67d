"""Nexus tasks as workers see them: polled for, completed, failed."""

from ..case import script
from ..commands import complete_workflow, failure, payloads
from ..nexus import (
    endpoint,
    fail_task,
    fail_with,
    go_on,
    nexus_queue,
    pending,
    poll_nexus,
    respond,
    schedule_operation,
    succeed,
)


def waiting(t):
    """A workflow whose operation waits for a handler; its task."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t))
    return poll_nexus(t)


@script(seconds=4)
def polls(t):
    """A poll without a task is answered empty, before its caller gives up."""
    poll_nexus(t, timeout=3)
    t.call("PollNexusTaskQueue")
    t.call("PollNexusTaskQueue", task_queue={})
    poll_nexus(t, task_queue={"name": "q" * 1001})
    poll_nexus(t, task_queue={"name": "/_sys/x"})
    poll_nexus(t, namespace="nobody-has-this")
    poll_nexus(t, namespace="")
    poll_nexus(t, timeout=1)
    poll_nexus(t, identity="i" * 1001)


@script(seconds=2)
def a_worker_stops(t):
    """The polls of a worker that shuts down are answered empty."""
    poll = t.background(
        "PollNexusTaskQueue", task_queue={"name": nexus_queue(t)}, worker_instance_key="instance", timeout=30
    )
    t.sleep(1)
    t.call(
        "ShutdownWorker",
        task_queue=nexus_queue(t),
        worker_instance_key="instance",
        task_queue_types=["TASK_QUEUE_TYPE_NEXUS"],
    )
    poll.join()


@script
def completions_that_are_refused(t):
    """Answers that make no sense leave the task where it is."""
    task = waiting(t)
    t.call("RespondNexusTaskCompleted")
    t.call("RespondNexusTaskCompleted", task_token=b"")
    t.call("RespondNexusTaskCompleted", task_token=b"rubbish")
    t.call("RespondNexusTaskCompleted", task_token=task.task_token, namespace="")
    t.call("RespondNexusTaskFailed")
    t.call("RespondNexusTaskFailed", task_token=b"rubbish")
    error = {"operation_state": "failed", "failure": {"message": "no", "details": b"not json"}}
    respond(t, task, start_operation={"operation_error": error})
    error = {"operation_state": "odd", "failure": {"message": "no"}}
    respond(t, task, start_operation={"operation_error": error})
    respond(t, task, start_operation={"operation_error": {"operation_state": "failed"}})
    respond(t, task, start_operation={"async_success": {"operation_token": ""}})
    respond(t, task, start_operation={"async_success": {"operation_token": "t" * 4096}})
    respond(t, task, start_operation={"async_success": {"operation_token": "t" * 4097}})
    t.until(lambda: not pending(t) or pending(t)[0].attempt, "an answer to arrive")
    t.describe()


@script
def failures_that_are_refused(t):
    """A failed task has a handler's failure."""
    task = waiting(t)
    fail_task(t, task)
    fail_task(t, task, failure("why"))
    fail_task(t, task, error={"failure": {"message": "no", "details": b"not json"}})
    fail_task(t, task, error={"error_type": "ODD"})
    t.until(lambda: pending(t)[0].attempt, "an answer to arrive")
    t.describe()


@script
def completions_of_another_kind(t):
    """The answer to a cancel request is none to a start."""
    task = waiting(t)
    respond(t, task, cancel_operation={})
    t.until(lambda: not pending(t) or pending(t)[0].attempt, "an answer to arrive")
    t.describe()


@script
def no_completion_at_all(t):
    """Neither is nothing."""
    task = waiting(t)
    t.call("RespondNexusTaskCompleted", task_token=task.task_token)
    t.until(lambda: not pending(t) or pending(t)[0].attempt, "an answer to arrive")
    t.describe()


@script
def failures_of_another_kind(t):
    """A start that fails with a failure that is no application failure."""
    endpoint(t)
    t.start()
    for cause in (
        {"message": "late", "timeout_failure_info": {"timeout_type": "TIMEOUT_TYPE_START_TO_CLOSE"}},
        {"message": "plain"},
        {"message": "ended", "terminated_failure_info": {}},
        {
            "message": "deep",
            "application_failure_info": {"type": "Deep", "non_retryable": True, "details": payloads("d")},
            "cause": failure("cause", "Cause"),
            "stack_trace": "here",
        },
        {"message": "handler", "nexus_handler_failure_info": {"type": "BAD_REQUEST"}},
        {"message": "stopped", "canceled_failure_info": {"details": payloads("d")}, "stack_trace": "there"},
    ):
        t.step(schedule_operation(t))
        fail_with(t, poll_nexus(t), cause)
        t.until(lambda: not pending(t), "the operation to end")
    t.step(complete_workflow())


@script
def links(t):
    """Links of the handler are those of the events; only links to workflows are kept."""
    endpoint(t)
    t.start()
    kind = "temporal.api.common.v1.Link.WorkflowEvent"
    run = "11111111-2222-4333-8444-555555555555"
    at = f"temporal:///namespaces/default/workflows/some%20id%2F/{run}/history"
    given = [
        {"url": f"{at}?eventID=1&eventType=WorkflowExecutionStarted&referenceType=EventReference", "type": kind},
        {
            "url": f"{at}?referenceType=RequestIdReference&requestID=r"
            "&eventType=WorkflowExecutionOptionsUpdated",
            "type": kind,
        },
        {"url": "http://somewhere/else", "type": "other"},
        {"url": "http://somewhere/else", "type": kind},
    ]
    t.step(schedule_operation(t))
    go_on(t, poll_nexus(t), links=given)
    t.until_event("NEXUS_OPERATION_STARTED")
    t.step(schedule_operation(t))
    succeed(t, poll_nexus(t), links=given)
    t.until_event("NEXUS_OPERATION_COMPLETED")
    t.step(complete_workflow())
