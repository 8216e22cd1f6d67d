"""Workflows that are held back by hand."""

import time

from ..case import script
from ..commands import (
    accept,
    at,
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    failure,
    payloads,
    schedule_activity,
    schedule_apart,
    seconds,
    start_child,
    start_timer,
)
from .deleting import until_gone
from .queries import answered
from .sticky import announce, sticky

ID_BYTES_MAX = 1000
TIMED_OUT = 4  # Its type as an event.
NOBODY = "7d5a6ad4-7e3a-4a0c-9d42-000000000000"
FAST = {"initial_interval": seconds(0.2), "backoff_coefficient": 1}


def pause(t, method="PauseWorkflowExecution", workflow_id=None, run_id="", **fields):
    fields = {"reason": "because", "request_id": "p", **fields}
    return t.call(method, workflow_id=t.named(workflow_id), run_id=run_id, **fields)


def unpause(t, **fields):
    return pause(t, "UnpauseWorkflowExecution", **fields)


def accepted(t, task, update_id="u"):
    message = accept(update_id)
    t.complete(task, at(message), messages=[message])


def no_task(t, queue=None):
    """Shows that no workflow task is handed out: a poll of a few seconds comes back empty."""
    t.call("PollWorkflowTaskQueue", timeout=4, **t.with_queue(queue, {}))


def no_activity(t, queue=None):
    t.call("PollActivityTaskQueue", timeout=4, **t.with_queue(queue, {}))


@script(by_default=True)
def requests(t):
    """What the server says with its default settings."""
    pause(t)
    unpause(t)
    t.start()
    pause(t, workflow_id="")
    pause(t, request_id="")
    pause(t, run_id="x")
    pause(t)
    t.describe()
    pause(t)
    unpause(t)
    unpause(t)
    t.describe()
    t.call("DescribeNamespace")
    t.http("POST", f"NS/workflows/{t.id}/pause", {"reason": "x"})
    t.http("POST", f"NS/workflows/{t.id}/unpause", {"reason": "x"})
    unpause(t, reason="x" * (ID_BYTES_MAX + 1))
    pause(t, reason="x" * (ID_BYTES_MAX + 1))


@script
def refused(t):
    """What cannot be paused or let go on."""
    t.call("DescribeNamespace")
    for call in (pause, unpause):
        call(t)
        call(t, namespace="no-such-namespace")
        call(t, namespace="")
        call(t, workflow_id="")
        call(t, run_id="x")
        call(t, run_id=NOBODY)
        for field in ("reason", "request_id", "identity"):
            call(t, **{field: "x" * (ID_BYTES_MAX + 1)})
            call(t, **{field: "x" * ID_BYTES_MAX})
        call(t, workflow_id="x" * (ID_BYTES_MAX + 1))
        call(t, workflow_id="", reason="x" * (ID_BYTES_MAX + 1))
        call(t, reason="x" * (ID_BYTES_MAX + 1), request_id="x" * (ID_BYTES_MAX + 1), identity="x" * 1001)
    t.start()
    unpause(t)
    pause(t, run_id="x")
    pause(t, run_id=NOBODY)
    unpause(t, run_id=NOBODY)
    t.step(complete_workflow())
    pause(t)
    unpause(t)
    pause(t, run_id=t.runs_of_id()[0])


@script
def repeated(t):
    """A pause is repeated under its id; another one is refused, and so is to go on twice."""
    t.start()
    t.step(start_timer())
    pause(t, reason="", request_id="", identity="")
    t.describe()
    pause(t, reason="", request_id="", identity="")
    pause(t, request_id="q", reason="another", identity="other")
    t.describe()
    unpause(t, reason="", request_id="", identity="")
    t.describe()
    unpause(t)
    unpause(t, reason="", request_id="", identity="")
    t.step()
    # An id that was used before is as good as any.
    pause(t, request_id="q")
    pause(t, request_id="q")
    unpause(t, request_id="q")
    pause(t, request_id="q", run_id=t.runs_of_id()[0])
    t.terminate()
    t.describe()
    pause(t, request_id="q")


@script(seconds=5)
def before_the_first_task(t):
    """The task that waits is not handed out before the workflow goes on."""
    t.start()
    pause(t)
    t.describe()
    no_task(t)
    unpause(t)
    t.describe()
    t.step(complete_workflow())


@script(seconds=5)
def a_task_that_waits(t):
    """A later task waits as well; signals come after it."""
    t.start()
    t.step(start_timer())
    t.signal("one")
    pause(t)
    t.signal("two")
    t.describe()
    t.history()
    no_task(t)
    unpause(t)
    t.signal("three")
    t.describe()
    t.step(complete_workflow())


@script(seconds=5)
def nothing_waits(t):
    """What happens while the workflow is paused leads to no task; going on leads to one in any case."""
    t.start()
    t.step(start_timer())
    pause(t)
    t.signal("one")
    t.signal("two")
    t.describe()
    no_task(t)
    unpause(t)
    t.describe()
    t.step(start_timer("other"))
    pause(t)
    unpause(t)
    t.step(complete_workflow())


@script(seconds=5)
def a_task_in_flight(t):
    """A worker may complete the task that it has; the event gets its place behind it."""
    t.start()
    task = t.poll()
    pause(t)
    t.describe()
    t.history()
    t.signal()
    t.complete(task, start_timer(), schedule_activity(t))
    t.describe()
    no_activity(t)
    no_task(t)
    unpause(t)
    t.describe()
    t.step()
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def a_task_in_flight_that_closes(t):
    """The pause is an event that the worker has not seen."""
    t.start()
    task = t.poll()
    pause(t)
    t.complete(task, complete_workflow())
    t.describe()
    unpause(t)
    t.step(complete_workflow())


@script
def a_task_in_flight_that_continues(t):
    """The same for a new run."""
    t.start()
    task = t.poll()
    pause(t)
    t.complete(task, continue_as_new(t))
    t.describe()
    unpause(t)
    t.step(continue_as_new(t))
    t.step(complete_workflow())
    t.describe()


@script
def a_task_in_flight_that_fails(t):
    """No other attempt before the workflow goes on."""
    t.start()
    task = t.poll()
    pause(t)
    t.fail_task(task)
    t.describe()
    t.history()
    unpause(t)
    t.describe()
    t.step(complete_workflow())


@script
def a_task_in_flight_that_fails_later(t):
    """The same for a second attempt."""
    t.start()
    t.fail_task(t.poll())
    task = t.poll()
    pause(t)
    t.describe()
    t.fail_task(task)
    t.describe()
    t.history()
    unpause(t)
    t.describe()
    t.step(complete_workflow())


@script(seconds=4)
def a_task_in_flight_that_times_out(t):
    """Its time runs."""
    t.start(workflow_task_timeout=seconds(1))
    t.poll()
    pause(t)
    t.until_event("WORKFLOW_TASK_TIMED_OUT")
    t.describe()
    unpause(t)
    t.step(complete_workflow())


@script
def a_task_in_flight_when_it_goes_on(t):
    """Paused and let go on while a worker has the task."""
    t.start()
    task = t.poll()
    pause(t)
    t.describe()
    unpause(t)
    t.describe()
    t.history()
    t.complete(task, start_timer())
    t.describe()
    t.step(complete_workflow())


@script
def a_task_in_flight_and_another_asked_for(t):
    """A worker may not ask for another task."""
    t.start()
    task = t.poll()
    pause(t)
    t.complete(task, force_create_new_workflow_task=True)
    t.complete(task, start_timer(), force_create_new_workflow_task=True, return_new_workflow_task=True)
    t.describe()
    t.complete(task, start_timer(), return_new_workflow_task=True)
    t.describe()
    unpause(t)
    t.step(complete_workflow())


@script(seconds=5)
def a_sticky_task(t):
    """A task of a sticky worker waits; its time for being taken does not run."""
    t.start()
    announce(t)
    task = t.poll()
    t.complete(task, start_timer(), **sticky(t, 1))
    t.signal()
    pause(t)
    t.describe()
    t.poll_sticky(timeout=4)
    t.history()
    t.describe()
    unpause(t)
    t.describe()
    t.complete(t.poll(), complete_workflow())


@script(seconds=5)
def a_sticky_worker(t):
    """Goes on with its sticky worker."""
    t.start()
    announce(t)
    task = t.poll()
    t.complete(task, start_timer(), **sticky(t))
    pause(t)
    t.signal()
    unpause(t)
    t.complete(t.poll_sticky(), complete_workflow())


@script(seconds=5)
def an_activity_that_waits(t):
    """It is not handed out."""
    t.start()
    t.step(schedule_activity(t))
    pause(t)
    t.describe()
    no_activity(t)
    unpause(t)
    t.describe()
    t.step()
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def an_activity_in_flight(t):
    """Its worker does not hear of it; what it reports counts."""
    t.start()
    long = {"initial_interval": seconds(60)}
    t.step(schedule_apart(t, "a", heartbeat_timeout=seconds(10)), schedule_apart(t, "b", retry_policy=long))
    task, other = t.poll_activity(t.queue_of("a")), t.poll_activity(t.queue_of("b"))
    t.heartbeat(task, "one")
    pause(t)
    t.heartbeat(task, "two")
    t.describe()
    t.call("RecordActivityTaskHeartbeatById", workflow_id=t.id, activity_id="a", details=payloads("three"))
    t.complete_activity(task)
    t.fail_activity(other, failure("while paused"))
    t.describe()
    unpause(t)
    t.describe()
    t.step(complete_workflow())


@script(seconds=5)
def an_activity_that_backs_off(t):
    """The back-off passes, and nothing is handed out."""
    t.start()
    t.step(schedule_activity(t, retry_policy={**FAST, "initial_interval": seconds(1)}))
    t.fail_activity(t.poll_activity(), failure("first"))
    pause(t)
    t.describe()
    no_activity(t)
    t.describe()
    unpause(t)
    t.describe()
    t.step()
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def an_activity_that_backs_off_for_long(t):
    """Going on does not cut the back-off short."""
    t.start()
    t.step(schedule_activity(t, retry_policy={**FAST, "initial_interval": seconds(3)}))
    t.fail_activity(t.poll_activity(), failure("first"))
    pause(t)
    unpause(t)
    t.describe()
    t.step()
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def time_outs_of_activities(t):
    """They run."""
    t.start()
    once = {"maximum_attempts": 1}
    t.step(
        schedule_apart(t, "a", schedule_to_start_timeout=seconds(1)),
        schedule_apart(t, "b", start_to_close_timeout=seconds(1.5), retry_policy=once),
        schedule_apart(t, "c", heartbeat_timeout=seconds(2), retry_policy=once),
        schedule_apart(t, "d", schedule_to_close_timeout=seconds(2.5), start_to_close_timeout=None),
    )
    t.poll_activity(t.queue_of("b"))
    t.poll_activity(t.queue_of("c"))
    pause(t)
    t.until_event("ACTIVITY_TASK_TIMED_OUT", 4)
    t.describe()
    unpause(t)
    t.step(complete_workflow())


@script
def operations_on_activities(t):
    """Activities are paused, reset and changed all the same."""
    t.start()
    t.step(schedule_activity(t))
    of = {"execution": {"workflow_id": t.id}, "id": "a"}
    pause(t)
    t.call("PauseActivity", **of, reason="too")
    t.describe()
    t.call("UnpauseActivity", **of)
    t.call("ResetActivity", **of)
    t.call(
        "UpdateActivityOptions",
        **of,
        activity_options={"heartbeat_timeout": seconds(7)},
        update_mask={"paths": ["heartbeat_timeout"]},
    )
    t.describe()
    t.call("PauseActivity", **of, reason="too")
    unpause(t)
    t.describe()
    t.call("UnpauseActivity", **of)
    t.step()
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def eager_activities(t):
    """None is handed out with the completion."""
    t.start()
    task = t.poll()
    pause(t)
    t.complete(task, schedule_activity(t, request_eager_execution=True))
    unpause(t)
    t.step()
    t.complete_activity(t.poll_activity())
    t.step(complete_workflow())


@script
def timers(t):
    """They fire."""
    t.start()
    t.step(start_timer("t", 1))
    pause(t)
    t.until_event("TIMER_FIRED")
    t.describe()
    unpause(t)
    t.step(complete_workflow())


@script
def queries(t):
    """They are refused."""
    t.start()
    pause(t)
    t.ask().join()
    unpause(t)
    t.step(start_timer())
    pause(t)
    for condition in ("NONE", "NOT_OPEN", "NOT_COMPLETED_CLEANLY"):
        t.ask(query_reject_condition=f"QUERY_REJECT_CONDITION_{condition}").join()
    t.ask(run_id=NOBODY).join()
    unpause(t)
    t.step()
    asked = t.ask()
    t.answer(t.poll())
    asked.join()
    t.terminate()



@script
def updates(t):
    """They are refused."""
    t.start()
    t.step(start_timer())
    update = t.update("before", stage="ACCEPTED")
    task = t.poll()
    accepted(t, task, "before")
    update.join()
    pause(t)
    t.update("new").join()
    t.update("before", stage="ACCEPTED").join()
    t.poll_update("before", stage="ACCEPTED").join()
    t.poll_update("new", stage="ACCEPTED").join()
    t.update("new", first_execution_run_id=NOBODY).join()
    t.update_with_start("new", workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING").join()
    t.update_with_start("new", workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_FAIL").join()
    unpause(t)
    t.step()
    t.terminate()


@script
def an_update_that_waits(t):
    """The task that it needed is failed as if it had been started."""
    t.start()
    t.step(start_timer())
    t.update("u", stage="ACCEPTED")
    t.until_admitted("u")
    pause(t)
    t.describe()
    t.history()
    unpause(t)
    t.describe()
    t.terminate()


@script
def an_update_in_flight(t):
    """One that a worker has can be accepted and completed."""
    t.start()
    t.step(start_timer())
    update = t.update("u", stage="ACCEPTED")
    t.until_admitted("u")
    task = t.poll()
    pause(t)
    t.describe()
    t.history()
    accepted(t, task)
    update.join()
    t.describe()
    unpause(t)
    t.step()
    t.terminate()


@script
def cancellation(t):
    """The request is noted, the worker hears of it later."""
    t.start()
    t.step(start_timer())
    pause(t)
    t.cancel()
    t.cancel()
    t.describe()
    unpause(t)
    t.step(cancel_workflow())
    t.describe()


@script
def termination(t):
    """At once."""
    t.start()
    t.step(schedule_activity(t))
    pause(t)
    t.terminate()
    t.describe()
    unpause(t)


@script
def termination_of_a_task_in_flight(t):
    """At once, with the pause before it."""
    t.start()
    t.poll()
    pause(t)
    t.terminate()
    t.describe()


@script
def starts(t):
    """The workflow's id is taken."""
    t.start(request_id="s")
    pause(t)
    t.start(request_id="s")
    t.start()
    t.start(workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING")
    t.start(
        workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING",
        request_id="r",
        on_conflict_options={"attach_request_id": True},
    )
    t.start(request_id="r")
    t.signal_with_start()
    t.describe()
    t.start(workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING")
    t.describe()
    t.step(complete_workflow())


@script
def before_any_task(t):
    """The judge cannot pause what has never had a task."""
    t.start(workflow_start_delay=seconds(60))
    pause(t)
    t.signal()
    t.describe()
    unpause(t)
    t.terminate()


@script(seconds=4)
def run_time_out(t):
    """It runs."""
    t.start(workflow_run_timeout=seconds(1))
    pause(t)
    t.until_event("WORKFLOW_EXECUTION_TIMED_OUT")
    t.describe()


@script(seconds=4)
def the_next_run(t):
    """Nobody has paused the run that follows."""
    t.start(workflow_run_timeout=seconds(1), retry_policy={"initial_interval": seconds(1)})
    pause(t)
    first = t.runs_of_id()[0]
    t.until(lambda: t.events(run_id=first)[-1].event_type == TIMED_OUT, "the end")
    t.describe(run_id=first)
    t.step(complete_workflow())


@script
def children(t):
    """A child that ends is heard of; one that is paused is no less a child."""
    t.start()
    t.step(start_child(t))
    t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED")
    pause(t)
    pause(t, workflow_id=t.other("child"))
    t.describe(t.other("child"))
    unpause(t, workflow_id=t.other("child"))
    task = t.poll(t.queue_of("child"))
    t.complete(task, complete_workflow())
    t.until_event("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    t.describe()
    unpause(t)
    t.step(complete_workflow())


@script
def resets(t):
    """The run that a reset makes is not paused."""
    t.start()
    t.step(start_timer())
    t.signal("one")
    pause(t)
    t.signal("two")
    t.call(
        "ResetWorkflowExecution",
        workflow_execution={"workflow_id": t.id},
        reason="again",
        workflow_task_finish_event_id=4,
        request_id="r",
    )
    t.describe()
    t.describe(run_id=t.runs_of_id()[0])
    t.step(complete_workflow())


@script
def resets_behind_a_pause(t):
    """Of a run that was paused and goes on."""
    t.start()
    t.step(start_timer())
    pause(t)
    t.signal("one")
    unpause(t)
    t.step(start_timer("u"))
    t.call(
        "ResetWorkflowExecution",
        workflow_execution={"workflow_id": t.id},
        reason="again",
        workflow_task_finish_event_id=10,
        request_id="r",
    )
    t.describe()
    t.step(complete_workflow())


@script
def resets_inside_a_pause(t):
    """To a task that waited while the run was paused."""
    t.start()
    t.step(start_timer())
    t.signal("one")
    pause(t)
    t.history()
    t.call(
        "ResetWorkflowExecution",
        workflow_execution={"workflow_id": t.id},
        reason="again",
        workflow_task_finish_event_id=8,
        request_id="r",
    )
    t.describe()
    unpause(t)
    t.describe()
    t.step(complete_workflow())


@script
def lists(t):
    """A status of its own, and what the search attribute says."""
    t.start(workflow_type={"name": t.id})
    t.step(schedule_activity(t))
    pause(t)
    t.call("PauseActivity", execution={"workflow_id": t.id}, id="a", reason="too")
    queries = (
        f"WorkflowType='{t.id}' AND ExecutionStatus='Paused'",
        f"WorkflowType='{t.id}' AND ExecutionStatus='Running'",
        f"WorkflowType='{t.id}' AND ExecutionStatus!='Running'",
        f"WorkflowType='{t.id}' AND TemporalPauseInfo='Workflow:{t.id}'",
        f"WorkflowType='{t.id}' AND TemporalPauseInfo='Reason:because'",
        f"WorkflowType='{t.id}' AND CloseTime IS NULL",
    )
    t.until(lambda: listed(t, f"WorkflowType='{t.id}' AND TemporalPauseInfo='property:activityType=work'"), "the row")
    for query in queries:
        t.call("ListWorkflowExecutions", query=query)
        t.call("CountWorkflowExecutions", query=query)
    t.call("CountWorkflowExecutions", query=f"WorkflowType='{t.id}' GROUP BY ExecutionStatus")
    of_type = {"type_filter": {"name": t.id}, "start_time_filter": {}}
    t.call("ListOpenWorkflowExecutions", **of_type)
    t.call("ListClosedWorkflowExecutions", **of_type)
    unpause(t)
    t.until(lambda: listed(t, queries[1]), "the row")
    for query in queries:
        t.call("ListWorkflowExecutions", query=query)
    t.terminate()


def listed(t, query):
    return t.quiet("ListWorkflowExecutions", query=query).executions


@script
def over_http(t):
    """The same, as JSON."""
    t.start()
    t.step(start_timer())
    t.http("POST", f"NS/workflows/{t.id}/pause", {"reason": "because", "requestId": "p", "identity": "me"})
    t.http("GET", f"NS/workflows/{t.id}")
    t.http("POST", f"NS/workflows/{t.id}/pause")
    t.http("POST", f"NS/workflows/{t.id}/unpause", {"reason": "because", "requestId": "p", "identity": "me"})
    t.http("POST", f"NS/workflows/{t.id}/unpause", {})
    t.http("GET", f"NS/workflows/{t.id}/history")
    t.http("POST", f"NS/workflows/{t.other('nobody')}/pause", {})


@script
def options(t):
    """Options are changed while the workflow is paused."""
    t.start()
    t.step(start_timer())
    pause(t)
    t.call(
        "UpdateWorkflowExecutionOptions",
        workflow_execution={"workflow_id": t.id},
        workflow_execution_options={"priority": {"priority_key": 2}},
        update_mask={"paths": ["priority"]},
    )
    t.call("ResetStickyTaskQueue", execution={"workflow_id": t.id})
    t.describe()
    unpause(t)
    t.step(complete_workflow())


@script
def deletion(t):
    """A paused workflow can be deleted."""
    run = t.start()
    pause(t)
    t.call("DeleteWorkflowExecution", workflow_execution={"workflow_id": t.id})
    until_gone(t, run.run_id)
    pause(t)


@script
def a_second_attempt_that_waits(t):
    """Nothing is written of it, and the next task is a first attempt."""
    t.start()
    t.fail_task(t.poll())
    t.fail_task(t.poll())
    pause(t)
    t.describe()
    t.signal()
    unpause(t)
    t.describe()
    t.fail_task(t.poll())
    t.describe()
    t.terminate()


@script
def a_sticky_task_of_an_update(t):
    """The next task is on the normal queue."""
    t.start()
    announce(t)
    t.step(start_timer(), **sticky(t))
    t.update("u", stage="ACCEPTED")
    t.until_admitted("u")
    pause(t)
    t.history()
    unpause(t)
    t.history()
    t.terminate()


@script
def an_update_behind_a_task(t):
    """One that waits for the next task while a worker has one is brought when the workflow goes on."""
    t.start()
    task = t.poll()
    update = t.update("u", stage="ACCEPTED")
    t.until_admitted("u")
    pause(t)
    t.complete(task, start_timer())
    t.describe()
    unpause(t)
    t.describe()
    task = t.poll()
    t.complete(task)
    update.join()
    t.terminate()


CLOSE_EVENT = {"history_event_filter_type": "HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT"}


@script
def histories(t):
    """Who reads a history is answered as if the workflow had ended."""
    t.start()
    t.step(start_timer())
    pause(t)
    t.history(**CLOSE_EVENT)
    t.history(**CLOSE_EVENT, wait_new_event=True)
    t.history(wait_new_event=True)
    t.call("GetWorkflowExecutionHistoryReverse", execution={"workflow_id": t.id})
    t.signal()
    t.history(**CLOSE_EVENT)
    unpause(t)
    t.history(**CLOSE_EVENT)
    t.terminate()


@script
def histories_with_a_task_in_flight(t):
    """The same while a worker has a task."""
    t.start()
    task = t.poll()
    pause(t)
    t.history(**CLOSE_EVENT)
    t.history(**CLOSE_EVENT, wait_new_event=True)
    t.history(wait_new_event=True)
    t.complete(task)
    t.history(**CLOSE_EVENT)
    t.terminate()


@script(seconds=2)
def waiting_for_the_end(t):
    """Whoever waits for the end is told of the pause."""
    t.start()
    t.step(start_timer())
    execution = {"workflow_id": t.id}
    end = t.background("GetWorkflowExecutionHistory", execution=execution, wait_new_event=True, **CLOSE_EVENT)
    time.sleep(1)  # It leaves no trace.
    pause(t)
    end.join()
    t.terminate()
