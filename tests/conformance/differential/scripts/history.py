"""Reading histories: pages, waiting for news, the closing event, backwards."""

from harness import wire

from ..case import script
from ..commands import complete_workflow, continue_as_new, fail_workflow, record_marker, start_timer

CLOSE_EVENT = "HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT"
ALL_EVENTS = "HISTORY_EVENT_FILTER_TYPE_ALL_EVENT"


@script
def pages(t):
    """A history read in small pages is the same history, in both directions."""
    t.start()
    t.step(record_marker("a"), record_marker("b"))
    t.signal()
    t.step(complete_workflow())
    fields = {"execution": {"workflow_id": t.id}, "maximum_page_size": 2}
    t.note("it took several pages", t.all_pages(**fields) > 1)
    t.note("it took several pages", t.all_pages("GetWorkflowExecutionHistoryReverse", **fields) > 1)


@script
def backwards_while_running(t):
    """The reverse reading of a running workflow, whole."""
    t.start()
    t.poll()
    t.signal()
    t.call("GetWorkflowExecutionHistoryReverse", execution={"workflow_id": t.id})


@script(seconds=3)
def pages_of_a_task(t):
    """A task's history that is too long for one answer is continued with the token that came with it."""
    t.start()
    task = t.quiet_poll()
    for batch in range(6):
        markers = [record_marker(f"{batch}-{n}") for n in range(100)]
        t.quiet("RespondWorkflowTaskCompleted", task_token=task.task_token, commands=markers)
        t.signal()
        task = t.quiet_poll()
    ids = [event.event_id for event in task.history.events]
    token = task.next_page_token
    while token:
        page = t.quiet(
            "GetWorkflowExecutionHistory",
            execution={"workflow_id": t.id, "run_id": task.workflow_execution.run_id},
            next_page_token=token,
        )
        ids += [event.event_id for event in page.history.events]
        token = page.next_page_token
    t.note("the pages together are gapless", ids == list(range(1, len(ids) + 1)))
    t.note("the last event is the task's own start", ids[-1] == task.started_event_id)
    t.complete(task, complete_workflow())


@script
def waiting_for_news(t):
    """With `wait_new_event` the call answers what there is, and then waits for more."""
    t.start()
    page = t.history(wait_new_event=True)
    waiting = t.background(
        "GetWorkflowExecutionHistory",
        execution={"workflow_id": t.id},
        wait_new_event=True,
        next_page_token=page.next_page_token,
    )
    t.sleep(0.3)
    t.signal()
    page = waiting.join()
    waiting = t.background(
        "GetWorkflowExecutionHistory",
        execution={"workflow_id": t.id},
        wait_new_event=True,
        next_page_token=page.next_page_token,
    )
    t.sleep(0.3)
    t.terminate()
    waiting.join()


@script
def waiting_for_the_close(t):
    """With the close filter the call waits for the last event and answers only that."""
    t.start()
    waiting = t.background(
        "GetWorkflowExecutionHistory",
        execution={"workflow_id": t.id},
        wait_new_event=True,
        history_event_filter_type=CLOSE_EVENT,
    )
    t.signal()
    t.step(complete_workflow())
    waiting.join()
    t.history(wait_new_event=True, history_event_filter_type=CLOSE_EVENT)


@script
def close_filter_without_waiting(t):
    """Nothing for a running workflow, the last event for a closed one."""
    t.start()
    t.history(history_event_filter_type=CLOSE_EVENT)
    t.step(start_timer())
    t.history(history_event_filter_type=CLOSE_EVENT)
    t.terminate()
    t.history(history_event_filter_type=CLOSE_EVENT)
    t.history(history_event_filter_type=ALL_EVENTS, wait_new_event=True)


@script(seconds=22)
def waiting_in_vain(t):
    """After twenty seconds without news the answer is empty, with a token to wait on."""
    t.start()
    page = t.history(wait_new_event=True)
    page = t.history(wait_new_event=True, next_page_token=page.next_page_token, timeout=40)
    t.signal()
    t.history(wait_new_event=True, next_page_token=page.next_page_token)


@script(seconds=22)
def waiting_for_the_close_in_vain(t):
    """The same with the close filter."""
    t.start()
    page = t.history(wait_new_event=True, history_event_filter_type=CLOSE_EVENT, timeout=40)
    t.terminate()
    t.history(
        wait_new_event=True,
        history_event_filter_type=CLOSE_EVENT,
        next_page_token=page.next_page_token,
    )


@script(seconds=2)
def waiting_shorter_than_the_server(t):
    """A caller with little time gets an empty answer before its deadline, not an error."""
    t.start()
    t.history(wait_new_event=True, history_event_filter_type=CLOSE_EVENT, timeout=3)


@script
def waiting_on_a_chain(t):
    """Without a run id, waiting follows the run that was current when the waiting began."""
    first = t.start()
    page = t.history(wait_new_event=True)
    t.step(continue_as_new(t))
    t.history(wait_new_event=True, next_page_token=page.next_page_token)
    t.history(run_id=first.run_id, wait_new_event=True, history_event_filter_type=CLOSE_EVENT)
    t.step(complete_workflow())
    t.history()


@script
def foreign_tokens(t):
    """A token is bound to its run; rubbish is refused."""
    t.start()
    other = t.start(t.other("second"))
    page = t.history(wait_new_event=True)
    t.history(run_id=other.run_id, workflow_id=t.other("second"), next_page_token=page.next_page_token)
    t.history(next_page_token=b"rubbish")
    t.history(next_page_token=b"\xff\xff")
    t.call(
        "GetWorkflowExecutionHistoryReverse",
        execution={"workflow_id": t.id},
        next_page_token=b"rubbish",
    )


@script
def of_nobody(t):
    """Unknown workflow, run, namespace; nothing at all."""
    t.history()
    t.history("")
    t.history(namespace="no-such-namespace")
    t.call("GetWorkflowExecutionHistory")
    t.call("GetWorkflowExecutionHistoryReverse")
    t.call("GetWorkflowExecutionHistoryReverse", execution={"workflow_id": t.id})
    t.start()
    t.history(run_id="11111111-2222-3333-4444-555555555555")
    t.history(run_id="not-a-uuid")
    t.history(maximum_page_size=-1)
    t.history(maximum_page_size=100000)


@script
def transient_events(t):
    """An SDK sees the unwritten events of a retried task, the CLI and the UI do not."""
    t.start()
    t.fail_task(t.poll())
    t.history()
    t.poll()
    t.history()
    t.history(metadata=wire.CLI_METADATA)
    t.history(metadata={"client-name": "temporal-ui", "client-version": "2.54.1"})
    t.history(metadata={})
    t.all_pages(execution={"workflow_id": t.id}, maximum_page_size=2)


@script
def followed_by_old_clients(t):
    """A client that cannot follow new runs gets a closing event that it understands."""
    t.start(retry_policy={"maximum_attempts": 2})
    t.step(fail_workflow())
    first = next(iter(t.runs))[2]
    t.history(run_id=first, history_event_filter_type=CLOSE_EVENT)
    t.history(
        run_id=first,
        history_event_filter_type=CLOSE_EVENT,
        metadata={"client-name": "temporal-go", "client-version": "1.30.0"},
    )
    t.history(
        run_id=first,
        history_event_filter_type=CLOSE_EVENT,
        metadata={
            "client-name": "temporal-go",
            "client-version": "1.30.0",
            "supported-features": "follows-next-run-id",
        },
    )
    t.step(complete_workflow())
