"""Nexus operations of workflows: scheduled by a command, carried out by a handler, written into the history."""

from ..case import script
from ..commands import complete_workflow, failure, payload, seconds
from ..nexus import (
    cancel_operation,
    endpoint,
    fail_task,
    fail_with,
    go_on,
    handler_failure,
    pending,
    poll_nexus,
    respond,
    schedule_operation,
    succeed,
)


@script
def answered_at_once(t):
    """A synchronous operation is scheduled and completed; nothing is written in between."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t))
    t.describe()
    task = poll_nexus(t)
    succeed(t, task)
    t.until_event("NEXUS_OPERATION_COMPLETED")
    t.describe()
    succeed(t, task)
    t.step(complete_workflow())


@script
def started(t):
    """An asynchronous operation is written as started, with the token that the handler gave it."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t, user_metadata={"summary": payload("sum")}, nexus_header={"Key": "value"}))
    go_on(t, poll_nexus(t))
    t.until_event("NEXUS_OPERATION_STARTED")
    t.describe()
    t.step(complete_workflow())


@script
def failed(t):
    """An operation that fails is over, whatever kind of failure it is."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t))
    fail_with(t, poll_nexus(t), failure("no", "Kind", non_retryable=False))
    t.until_event("NEXUS_OPERATION_FAILED")
    t.step(schedule_operation(t))
    fail_with(t, poll_nexus(t), {"message": "stopped", "canceled_failure_info": {}})
    t.until_event("NEXUS_OPERATION_CANCELED")
    t.step(complete_workflow())


@script
def failed_plainly_as_older_workers_say(t):
    """The same without anything but a message, with a cause, and with everything."""
    endpoint(t)
    t.start()
    full = {"message": "no", "stack_trace": "here", "metadata": {"k": "v"}, "details": b'{"a": 1}'}
    for failure_of_nexus in (
        {"message": "no"},
        {"message": "no", "cause": {"message": "why"}},
        {**full, "cause": {"message": "why", "stack_trace": "there", "metadata": {"c": "d"}}},
    ):
        t.step(schedule_operation(t))
        error = {"operation_state": "failed", "failure": failure_of_nexus}
        respond(t, poll_nexus(t), start_operation={"operation_error": error})
        t.step(schedule_operation(t))
        error = {"operation_state": "canceled", "failure": failure_of_nexus}
        respond(t, poll_nexus(t), start_operation={"operation_error": error})
        t.step(schedule_operation(t))
        error = {"error_type": "BAD_REQUEST", "failure": failure_of_nexus}
        t.call("RespondNexusTaskFailed", task_token=poll_nexus(t).task_token, error=error)
    t.step(complete_workflow())


@script(seconds=3)
def too_late_for_another_attempt(t):
    """The time that is left is too short for the next call."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t, schedule_to_close_timeout=seconds(2.2)))
    fail_task(t, poll_nexus(t), handler_failure("busy", "INTERNAL"))
    t.until_event("NEXUS_OPERATION_TIMED_OUT")
    poll_nexus(t, timeout=2.5)
    t.step(complete_workflow())


@script
def failed_as_older_workers_say(t):
    """The same in the form before failures were Temporal's own."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t))
    error = {
        "operation_state": "failed",
        "failure": {"message": "no", "metadata": {"k": "v"}, "details": b'{"a": 1}'},
    }
    respond(t, poll_nexus(t), start_operation={"operation_error": error})
    t.until_event("NEXUS_OPERATION_FAILED")
    t.step(schedule_operation(t))
    error = {"operation_state": "canceled", "failure": {"message": "stopped"}}
    respond(t, poll_nexus(t), start_operation={"operation_error": error})
    t.until_event("NEXUS_OPERATION_CANCELED")
    t.step(complete_workflow())


@script
def handler_errors(t):
    """Errors of handlers that may not be retried fail the operation."""
    endpoint(t)
    t.start()
    for kind in ("BAD_REQUEST", "UNAUTHENTICATED", "UNAUTHORIZED", "NOT_FOUND", "NOT_IMPLEMENTED", "CONFLICT"):
        t.step(schedule_operation(t))
        cause = failure("why", "Why")
        fail_task(t, poll_nexus(t), handler_failure("bad", kind, cause=cause))
        t.until(lambda: not pending(t), "the operation to end")
    t.step(complete_workflow())


@script
def handler_errors_of_older_workers(t):
    """The same in the form before failures were Temporal's own."""
    endpoint(t)
    t.start()
    for error in (
        {
            "error_type": "BAD_REQUEST",
            "failure": {"message": "bad", "metadata": {"k": "v"}, "details": b'{"a": 1}'},
        },
        {"error_type": "NOT_FOUND"},
        {"error_type": "INTERNAL", "retry_behavior": "NEXUS_HANDLER_ERROR_RETRY_BEHAVIOR_NON_RETRYABLE"},
    ):
        t.step(schedule_operation(t))
        fail_task(t, poll_nexus(t), error=error)
        t.until(lambda: not pending(t), "the operation to end")
    t.step(complete_workflow())


@script(seconds=4)
def retried(t):
    """Other errors are retried after a while, and only a description tells of them."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t))
    cause = failure("why", "Why")
    fail_task(t, poll_nexus(t), handler_failure("busy", "UNAVAILABLE", cause=cause))
    t.until(lambda: pending(t)[0].attempt == 1, "the first attempt to fail")
    t.describe()
    behavior = "NEXUS_HANDLER_ERROR_RETRY_BEHAVIOR_RETRYABLE"
    worse = {"type": "BAD_REQUEST", "retry_behavior": behavior}
    fail_task(t, poll_nexus(t), {"message": "worse", "nexus_handler_failure_info": worse})
    t.until(lambda: pending(t)[0].attempt == 2, "the second attempt to fail")
    t.describe()
    succeed(t, poll_nexus(t))
    t.until_event("NEXUS_OPERATION_COMPLETED")
    t.step(complete_workflow())


@script(seconds=3)
def timed_out(t):
    """An operation that takes longer than it may is timed out, by any of three limits."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t, schedule_to_close_timeout=seconds(1.2)))
    t.until_event("NEXUS_OPERATION_TIMED_OUT")
    t.step(schedule_operation(t, schedule_to_start_timeout=seconds(1.2)))
    t.until_event("NEXUS_OPERATION_TIMED_OUT", 2)
    t.step(schedule_operation(t, start_to_close_timeout=seconds(1)))
    go_on(t, poll_nexus(t))
    t.until_event("NEXUS_OPERATION_TIMED_OUT", 3)
    t.describe()
    t.step(complete_workflow())


@script
def cancelled(t):
    """A cancel request goes to the handler, once the operation is started."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t))
    go_on(t, poll_nexus(t))
    t.until_event("NEXUS_OPERATION_STARTED")
    t.step(cancel_operation())
    task = poll_nexus(t)
    t.describe()
    respond(t, task, cancel_operation={})
    t.until_event("NEXUS_OPERATION_CANCEL_REQUEST_COMPLETED")
    t.describe()
    t.step(complete_workflow())


@script
def cancel_refused(t):
    """A cancel request that the handler refuses is written as failed."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t))
    go_on(t, poll_nexus(t))
    t.until_event("NEXUS_OPERATION_STARTED")
    t.step(cancel_operation())
    fail_task(t, poll_nexus(t), handler_failure("never", "NOT_IMPLEMENTED"))
    t.until_event("NEXUS_OPERATION_CANCEL_REQUEST_FAILED")
    t.describe()
    t.step(complete_workflow())


@script
def cancelled_before_it_started(t):
    """A cancel request waits for the start; two are one too many."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t), cancel_operation())
    t.describe()
    go_on(t, poll_nexus(t))
    respond(t, poll_nexus(t), cancel_operation={})
    t.until_event("NEXUS_OPERATION_CANCEL_REQUEST_COMPLETED")
    task = t.poll()
    t.complete(task, cancel_operation())
    t.step(complete_workflow())


@script
def cancel_of_what_is_over(t):
    """A cancel request for an operation that has ended, or never was, is a bad command."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t))
    task = poll_nexus(t)
    succeed(t, task)
    t.until_event("NEXUS_OPERATION_COMPLETED")
    t.step(cancel_operation())
    t.step(complete_workflow())


@script
def buffered(t):
    """What happens while a workflow task runs is written behind it, ends of operations last."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t))
    one = poll_nexus(t)
    t.signal("more")
    t.step(schedule_operation(t, "other"))
    two = poll_nexus(t)
    t.signal("first")
    task = t.poll()
    succeed(t, one)
    go_on(t, two)
    t.until(lambda: len(pending(t)) == 1, "an operation to end")
    t.signal("second")
    t.complete(task)
    t.step(complete_workflow())


@script
def bad_commands(t):
    """Attributes that are refused."""
    endpoint(t)
    for number, fields in enumerate(
        (
            {"endpoint": ""},
            {"endpoint": "nobody"},
            {"service": ""},
            {"service": "s" * 1000},
            {"service": "s" * 1001},
            {"operation": ""},
            {"operation": "o" * 1000},
            {"operation": "o" * 1001},
            {"schedule_to_close_timeout": seconds(-1)},
            {"schedule_to_start_timeout": seconds(-1)},
            {"start_to_close_timeout": seconds(-1)},
            {"nexus_header": {"k" * 4096: "v" * 4096}},
            {"nexus_header": {"k" * 4096: "v" * 4097}},
            {"nexus_header": {"Request-Timeout": "1s"}},
            {"nexus_header": {"content-type": "text"}},
            {"nexus_header": {"nexus-callback-x": "text"}},
            {"nexus_header": {"operation-timeout": "1s"}},
            {"nexus_header": {"temporal-callback-token": "1s"}},
            {"input": None},
        )
    ):
        name = t.other(str(number))
        t.start(name, task_queue={"name": t.queue_of(str(number))})
        task = t.poll(t.queue_of(str(number)))
        t.complete(task, schedule_operation(t, **fields))


@script
def trimmed_timeouts(t):
    """No time-out is longer than the run's, and the others are not longer than schedule-to-close."""
    endpoint(t)
    t.start(workflow_run_timeout=seconds(100))
    t.step(
        schedule_operation(t),
        schedule_operation(t, schedule_to_close_timeout=seconds(200)),
        schedule_operation(
            t,
            schedule_to_close_timeout=seconds(50),
            schedule_to_start_timeout=seconds(60),
            start_to_close_timeout=seconds(70),
        ),
        schedule_operation(t, schedule_to_start_timeout=seconds(300), start_to_close_timeout=seconds(10)),
    )
    t.history()


@script
def too_many(t):
    """A workflow may have only so many operations at once."""
    endpoint(t)
    t.start()
    task = t.poll()
    t.complete(task, *[schedule_operation(t, f"o{n}") for n in range(31)])
    t.step(*[schedule_operation(t, f"o{n}") for n in range(30)])
    t.signal()
    t.step(schedule_operation(t))


@script(seconds=12)
def nobody_takes_it(t):
    """A request that no worker takes in time is made again."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t))
    t.until(lambda: pending(t)[0].attempt, "the first attempt to fail")
    t.describe()


@script(seconds=12)
def nobody_answers(t):
    """A worker that takes a request and does not answer is too late after a while."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t))
    task = poll_nexus(t)
    t.until(lambda: pending(t)[0].attempt, "the first attempt to fail")
    succeed(t, task)


@script
def without_a_name(t):
    """An operation without a name is found nowhere."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t, ""))
    t.until_event("NEXUS_OPERATION_FAILED")
    t.step(complete_workflow())


@script(seconds=3)
def endpoint_deleted(t):
    """An endpoint that is gone fails what was scheduled to it."""
    made = endpoint(t)
    t.start()
    t.step(schedule_operation(t))
    fail_task(t, poll_nexus(t), handler_failure("busy", "UNAVAILABLE"))
    t.until(lambda: pending(t)[0].attempt == 1, "the first attempt to fail")
    t.quiet("DeleteNexusEndpoint", id=made.id, version=made.version)
    t.until_event("NEXUS_OPERATION_FAILED")
    t.step(complete_workflow())


@script
def reserved_headers(t):
    """Headers that are the server's own."""
    endpoint(t)
    for number, name in enumerate(
        ("Caller-Name", "caller-type", "call-initiation", "xdc-redirection-api", "nexus-request-id")
    ):
        queue = t.queue_of(str(number))
        t.start(t.other(str(number)), task_queue={"name": queue})
        t.complete(t.poll(queue), schedule_operation(t, nexus_header={name: "x"}))


@script(seconds=2)
def no_time_left(t):
    """What leaves no time for a call times out without one."""
    endpoint(t)
    t.start()
    t.step(schedule_operation(t, schedule_to_close_timeout=seconds(0.5)))
    t.until_event("NEXUS_OPERATION_TIMED_OUT")
    t.step(schedule_operation(t, schedule_to_start_timeout=seconds(0.9)))
    t.until_event("NEXUS_OPERATION_TIMED_OUT", 2)
    both = {"schedule_to_start_timeout": seconds(20), "schedule_to_close_timeout": seconds(0.9)}
    t.step(schedule_operation(t, **both))
    t.until_event("NEXUS_OPERATION_TIMED_OUT", 3)
    t.step(complete_workflow())
