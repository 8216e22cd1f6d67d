"""Queries: answered by workers, written nowhere."""

import time

from ..case import script
from ..commands import (
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    failure,
    payloads,
    record_marker,
    seconds,
    start_timer,
)
from .sticky import announce, sticky

REJECT = "QUERY_REJECT_CONDITION_"


def answered(value):
    return {"result_type": "QUERY_RESULT_TYPE_ANSWERED", "answer": payloads(value)}


@script
def direct(t):
    """A workflow at rest: the query comes to a worker as a task of its own, with the whole history."""
    t.start()
    t.step(start_timer())
    query = t.ask("state", query={"query_args": payloads(1), "header": {"fields": {"h": {"data": b"v"}}}})
    task = t.poll()
    t.answer(task, {"now": 1})
    query.join()
    t.answer(task, "again")


@script
def direct_on_a_closed_workflow(t):
    """Closed workflows answer too."""
    t.start()
    t.step(complete_workflow())
    query = t.ask()
    t.answer(t.poll())
    query.join()


@script(seconds=2)
def direct_on_the_sticky_queue(t):
    """A query on the sticky queue brings no history."""
    t.start()
    announce(t)
    t.step(start_timer(), **sticky(t))
    query = t.ask()
    t.answer(t.poll_sticky())
    query.join()


@script(seconds=3)
def direct_when_the_sticky_worker_is_silent(t):
    """Nobody takes the query from the sticky queue in time: it goes to the normal one."""
    t.start()
    announce(t)
    t.step(start_timer(), **sticky(t, after=1))
    query = t.ask()
    t.answer(t.poll())
    query.join()
    t.describe()


@script
def with_the_waiting_task(t):
    """With a workflow task pending, the query travels in it and is answered with its completion."""
    t.start()
    t.step(start_timer())
    t.signal()
    query = t.ask()
    t.sleep(0.5)
    task = t.poll()
    key = next(iter(task.queries))
    t.complete(task, record_marker(), query_results={key: answered("with the task")})
    query.join()


@script
def with_the_next_task(t):
    """With a workflow task started, the query waits; when no other task follows it is asked directly."""
    t.start()
    t.step(start_timer())
    t.signal()
    task = t.poll()
    query = t.ask()
    t.sleep(0.5)
    t.complete(task)
    t.answer(t.poll())
    query.join()


@script
def with_the_next_task_inline(t):
    """A next task that is given inline brings the waiting query."""
    t.start()
    t.step(start_timer())
    t.signal()
    task = t.poll()
    t.signal()
    query = t.ask()
    t.sleep(0.5)
    answer = t.complete(task, return_new_workflow_task=True)
    next_task = answer.workflow_task
    results = {key: answered("inline") for key in next_task.queries}
    t.complete(next_task, query_results=results)
    query.join()


@script
def with_the_first_task(t):
    """A workflow that no worker has seen yet: the query waits for its first task."""
    t.start()
    query = t.ask()
    t.sleep(0.5)
    task = t.poll()
    results = {key: answered("first") for key in task.queries}
    t.complete(task, start_timer(), query_results=results)
    if not results:
        t.answer(t.poll())
    query.join()


@script
def with_the_task_that_closes(t):
    """The answer may come with the end of the workflow."""
    t.start()
    t.step(start_timer())
    t.signal()
    query = t.ask()
    t.sleep(0.5)
    task = t.poll()
    results = {key: answered("last words") for key in task.queries}
    t.complete(task, complete_workflow(), query_results=results)
    query.join()


@script
def not_answered_by_the_task(t):
    """A task that closes the workflow without answering: the query is asked directly."""
    t.start()
    t.step(start_timer())
    t.signal()
    query = t.ask()
    t.sleep(0.5)
    t.complete(t.poll(), complete_workflow())
    t.answer(t.poll())
    query.join()


@script
def failed_with_the_task(t):
    """A failed handler's message and failure reach the caller."""
    t.start()
    t.step(start_timer())
    t.signal()
    query = t.ask()
    t.sleep(0.5)
    task = t.poll()
    result = {
        "result_type": "QUERY_RESULT_TYPE_FAILED",
        "error_message": "no such state",
        "failure": failure("no such state", "Unknown"),
    }
    t.complete(task, query_results={key: result for key in task.queries})
    query.join()


@script
def failed_directly(t):
    """The same for a query of its own."""
    t.start()
    t.step(start_timer())
    query = t.ask("unknown type")
    t.answer(
        t.poll(),
        completed_type="QUERY_RESULT_TYPE_FAILED",
        query_result=None,
        error_message="unknown query type, known: [state]",
        failure=failure("unknown query type", "Unknown", details=payloads("d")),
    )
    query.join()


@script
def answered_wrongly(t):
    """An answer without a kind is a mistake of the worker."""
    t.start()
    t.step(start_timer())
    query = t.ask(timeout=3)
    t.answer(t.poll(), completed_type=0)
    query.join()


@script
def rejected(t):
    """The caller may refuse answers of workflows that are closed, or did not close well."""
    t.start()
    t.step(complete_workflow())
    t.ask(query_reject_condition=REJECT + "NOT_OPEN").join()
    query = t.ask(query_reject_condition=REJECT + "NOT_COMPLETED_CLEANLY")
    t.answer(t.poll())
    query.join()
    for close in (fail_workflow(), cancel_workflow(), continue_as_new(t)):
        run = t.start()
        t.step(close)
        t.ask(query_reject_condition=REJECT + "NOT_COMPLETED_CLEANLY", run_id=run.run_id).join()
        t.ask(query_reject_condition=REJECT + "NOT_OPEN", run_id=run.run_id).join()
    t.terminate()
    t.ask(query_reject_condition=REJECT + "NOT_COMPLETED_CLEANLY").join()


@script
def not_rejected_while_running(t):
    """The conditions concern only workflows that are closed."""
    t.start()
    t.step(start_timer())
    for condition in ("NOT_OPEN", "NOT_COMPLETED_CLEANLY", "NONE"):
        query = t.ask(query_reject_condition=REJECT + condition)
        t.answer(t.poll(), condition)
        query.join()


@script(seconds=4)
def without_a_worker(t):
    """Nobody polls: the query ends with its caller's deadline."""
    t.start()
    t.step(start_timer())
    t.ask(timeout=3).join()


@script
def not_ready(t):
    """Closed before any worker saw it; delayed start; a task that fails again and again."""
    t.start()
    t.terminate()
    t.ask().join()
    t.start(t.other("delayed"), workflow_start_delay=seconds(60))
    t.ask(workflow_id=t.other("delayed"), timeout=3).join()
    t.start()
    for _ in range(3):
        t.fail_task(t.poll())
    t.ask().join()


@script(seconds=3)
def before_the_first_task(t):
    """A first task that is due before the caller's deadline carries the query; one that is due later does not."""
    t.start(workflow_start_delay=seconds(2))
    t.ask(timeout=1).join()
    query = t.ask(timeout=20)
    task = t.poll()
    t.complete(task, start_timer(), query_results={name: answered("here") for name in task.queries})
    query.join()
    t.start(t.other("later"), workflow_start_delay=seconds(50))
    t.ask(workflow_id=t.other("later"), timeout=60).join()


@script(seconds=2)
def between_runs(t):
    """A run that follows the one before too soon begins late, and a query of it waits."""
    t.start()
    t.step(continue_as_new(t))
    query = t.ask(timeout=20)
    task = t.poll()
    t.complete(task, complete_workflow(), query_results={name: answered("here") for name in task.queries})
    query.join()


@script
def of_nobody(t):
    """Unknown workflow, run, namespace; missing fields."""
    t.ask().join()
    t.ask(namespace="no-such-namespace").join()
    t.ask(workflow_id="").join()
    t.call("QueryWorkflow")
    t.call("QueryWorkflow", execution={"workflow_id": t.id})
    t.start()
    t.ask(run_id="11111111-2222-3333-4444-555555555555").join()
    t.ask(run_id="not-a-uuid").join()
    t.ask("").join()


@script
def behind_a_failing_task(t):
    """A query that travels in a task that fails is asked again with the next."""
    t.start()
    t.step(start_timer())
    t.signal()
    query = t.ask()
    t.sleep(0.5)
    t.fail_task(t.poll())
    task = t.poll()
    results = {key: answered("second try") for key in task.queries}
    t.complete(task, query_results=results)
    query.join()


@script(seconds=31)
def nobody_in_time(t):
    """A query waits for thirty seconds at most, however long its caller would."""
    t.start()
    query = t.ask(timeout=40)
    begun = time.monotonic()
    query.join()
    t.note("after half a minute", 25 < time.monotonic() - begun < 35)


@script(seconds=32)
def nobody_polls(t):
    """If no worker has polled for twenty seconds, a query is refused a second before its time is up."""
    t.start()
    t.step()
    t.ask(timeout=3).join()
    t.sleep(22)
    begun = time.monotonic()
    t.ask(timeout=4).join()
    t.note("a second before the end", 2 < time.monotonic() - begun < 3.9)
    t.ask(timeout=0.7).join()
    t.signal()
    t.ask(timeout=2).join()
    t.step(complete_workflow())
    query = t.ask(timeout=5)
    t.answer(t.poll())
    query.join()
