"""Going back: a new run that begins with a part of an earlier one's history."""

from ..case import script
from ..commands import (
    command,
    complete_workflow,
    continue_as_new,
    modify_properties,
    payloads,
    record_marker,
    reject,
    schedule_activity,
    schedule_apart,
    seconds,
    signal_external,
    start_child,
    start_timer,
    upsert_search_attributes,
)
from .updates import finish


def reset(t, event_id, workflow_id=None, run_id="", **fields):
    """Asks for a reset, with the boring fields filled in."""
    execution = {"workflow_id": t.named(workflow_id), "run_id": run_id}
    fields = {"reason": "again", "request_id": f"reset-{event_id}", **fields}
    response = t.call(
        "ResetWorkflowExecution",
        workflow_execution=execution,
        workflow_task_finish_event_id=event_id,
        **fields,
    )
    if response:
        t.runs.setdefault((t.namespace, t.named(workflow_id), response.run_id))
    return response


@script
def of_a_running_workflow(t):
    """The current run is terminated, the new one has the events before the point and a failed task."""
    started = t.start(user_metadata={"summary": payloads("s")["payloads"][0]})
    t.step(start_timer("one"), modify_properties(m=1))
    t.signal("go")
    t.step(start_timer("two"))
    response = reset(t, 4)
    t.describe()
    t.describe(run_id=started.run_id)
    t.describe(run_id=response.run_id)
    t.step(complete_workflow())


@script
def of_a_closed_workflow(t):
    """A closed run is left as it is, but for a note of the run that follows it."""
    started = t.start()
    t.step(start_timer("one"))
    t.signal("go")
    t.step(complete_workflow())
    reset(t, 4, run_id=started.run_id)
    t.describe(run_id=started.run_id)
    t.step(start_timer("two"))
    t.describe()


@script
def points(t):
    """Every event as the point: only those from a scheduled task to behind its end will do."""
    t.start()
    t.step(record_marker(), start_timer())
    t.signal("go")
    t.step(complete_workflow())
    run_id = t.runs_of_id()[0]
    for event_id in (-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14):
        t.note("point", event_id)
        reset(t, event_id, run_id=run_id)


@script
def requests_that_are_refused(t):
    """What is missing, too long or unknown."""
    reset(t, 4)
    reset(t, 4, workflow_id="")
    t.start()
    t.step(start_timer())
    reset(t, 4, request_id="")
    reset(t, 4, request_id="r" * 1000)
    reset(t, 4, request_id="r" * 1001)
    reset(t, 4, run_id="not-a-uuid")
    reset(t, 4, run_id="11111111-2222-3333-4444-555555555555")
    reset(t, 4, namespace="no-such-namespace", request_id="n")
    reset(t, 4, workflow_id="w" * 1001)
    reset(t, 4, reset_reapply_exclude_types=[17], request_id="y")
    reset(t, 4, reason="", identity="", request_id="z")
    t.call("ResetWorkflowExecution")


@script
def repeated(t):
    """A reset under the id of the start is no reset."""
    t.start(request_id="start")
    t.step(start_timer())
    reset(t, 4, request_id="one")
    reset(t, 5, request_id="two")
    reset(t, 4, request_id="start")
    t.start(request_id="start")
    t.describe()


@script
def signals_are_reapplied(t):
    """Signals behind the point come again, with their inputs, and nothing else does."""
    t.start()
    t.signal("before", 1)
    t.step(start_timer("one"))
    t.signal("behind", 2, header={"fields": {"h": payloads(1)["payloads"][0]}})
    t.cancel(reason="stop")
    t.step(record_marker())
    task = None
    t.signal("third", 3, request_id="third")
    task = t.poll()
    t.signal("buffered", 4)
    reset(t, 5)
    t.complete(task)
    t.step(complete_workflow())


@script
def signals_are_excluded(t):
    """Neither by the new list of exclusions nor by the older type."""
    t.start()
    t.step(start_timer("one"))
    t.signal("behind", 2)
    t.step(record_marker())
    reset(t, 4, reset_reapply_exclude_types=["RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL"], request_id="one")
    t.signal("later", 2)
    reset(t, 4, reset_reapply_type="RESET_REAPPLY_TYPE_NONE", request_id="two")
    t.signal("later still", 2)
    reset(t, 4, reset_reapply_type="RESET_REAPPLY_TYPE_SIGNAL", request_id="three")
    reset(
        t,
        4,
        reset_reapply_exclude_types=[1, 2, 3, 4],
        request_id="four",
    )


@script
def before_the_task_is_started(t):
    """Behind a scheduled task: its start is written, then its failure."""
    t.start()
    t.signal("early", 1)
    t.step(start_timer())
    reset(t, 3)
    t.step(complete_workflow())


@script
def activities(t):
    """An activity that nobody has started is handed out again; one that had started has failed."""
    t.start()
    t.step(schedule_activity(t, "a"), schedule_apart(t, "b", schedule_to_close_timeout=seconds(30)))
    first = t.poll_activity()
    t.signal("go")
    task = t.poll()
    t.complete_activity(first)
    t.complete(task)
    t.step(start_timer())
    t.history()
    reset(t, 9)
    t.describe()
    second = t.poll_activity()
    t.complete_activity(second)
    t.step(start_timer("x"))
    t.complete_activity(first)


@script
def a_started_activity(t):
    """The point lies between the start of an activity and its end."""
    t.start()
    t.step(schedule_activity(t, "a"))
    t.signal("go")
    first = t.poll_activity()
    t.heartbeat(first, "beat")
    t.complete_activity(first)
    t.step(start_timer())
    t.history()
    reset(t, 9)
    t.step(complete_workflow())


@script
def timers(t):
    """A timer that had fired fires again, at once if its time has passed."""
    t.start()
    t.step(start_timer("short", 1), start_timer("long", 60))
    t.until_event("TIMER_FIRED")
    t.step(record_marker())
    reset(t, 5, reset_reapply_exclude_types=[1])
    t.step(record_marker("again"))
    t.history()


@script(seconds=3)
def timers_of_a_later_point(t):
    """A timer that runs at the point goes on in the new run."""
    t.start()
    t.step(start_timer("short", 2))
    t.signal("go")
    t.step(record_marker())
    reset(t, 9)
    t.until_event("TIMER_FIRED")
    t.step(complete_workflow())


def updated_and_reset(t):
    """A run that has taken an update, and is reset to before it."""
    t.start()
    t.step(start_timer("one"))
    update = t.update()
    finish(t, t.poll())
    update.join()
    reset(t, 4)


@script
def updates_are_reapplied(t):
    """An update behind the point is admitted by an event, which brings it to the worker; who asks again is answered."""
    updated_and_reset(t)
    again = t.update()
    finish(t, t.poll(), result="again")
    again.join()
    t.poll_update().join()
    t.update().join()
    reset(t, 4, request_id="more")
    finish(t, t.poll(), result="once more")
    t.step(complete_workflow())


@script
def reapplied_updates_outlive_failed_tasks(t):
    """A worker that fails, or answers nonsense, finds the update in the history again."""
    updated_and_reset(t)
    t.fail_task(t.poll())
    finish(t, t.poll(), result="again")
    t.poll_update().join()
    reset(t, 4, request_id="more")
    t.complete(t.poll(), command("START_TIMER", {}))
    finish(t, t.poll(), result="once more")
    t.poll_update().join()


@script
def reapplied_updates_may_be_rejected(t):
    """Another worker may want none of it."""
    updated_and_reset(t)
    again = t.update()
    t.complete(t.poll(), messages=[reject()])
    again.join()


@script
def reapplied_updates_may_be_left(t):
    """A worker that says nothing of it rejects it. Who asks later meets an internal error of the real server."""
    updated_and_reset(t)
    again = t.update()
    t.complete(t.poll())
    again.join()


@script
def chain(t):
    """Signals of the runs that continued the base are reapplied too."""
    first = t.start()
    t.step(start_timer())
    t.signal("in the first", 1)
    t.step(continue_as_new(t, backoff_start_interval=seconds(0)))
    t.step(record_marker())
    t.signal("in the second", 2)
    t.step(continue_as_new(t, backoff_start_interval=seconds(30)))
    t.signal("in the third", 3)
    reset(t, 4, run_id=first.run_id)
    t.describe()
    t.step(complete_workflow())


@script
def of_an_earlier_run(t):
    """The base is closed and another run, no successor of it, runs."""
    first = t.start()
    t.step(start_timer())
    t.signal("one", 1)
    t.step(complete_workflow())
    second = t.start(workflow_id=t.id)
    t.signal("two", 2)
    t.step(start_timer())
    reset(t, 4, run_id=first.run_id)
    t.describe(run_id=first.run_id)
    t.describe(run_id=second.run_id)
    t.describe()
    t.step(complete_workflow())


@script
def of_a_reset_run(t):
    """A reset run may be reset, to a point that lies in what it has copied or behind it."""
    t.start()
    t.step(start_timer())
    t.signal("one", 1)
    t.step(record_marker("a"))
    reset(t, 4, request_id="a")
    t.step(record_marker("b"))
    t.signal("two", 2)
    t.history()
    reset(t, 9, request_id="b")
    t.step(record_marker("c"))
    t.history()
    reset(t, 4, request_id="c")
    t.step(record_marker("d"))


@script
def time_outs_begin_anew(t):
    """Run and execution time-outs count from the reset."""
    t.start(
        workflow_execution_timeout=seconds(100),
        workflow_run_timeout=seconds(50),
        retry_policy={"maximum_attempts": 2},
    )
    t.step(start_timer())
    reset(t, 4)
    t.describe()


@script
def with_options(t):
    """Operations behind the reset: only options."""
    t.start()
    t.step(start_timer())
    reset(
        t,
        4,
        request_id="one",
        post_reset_operations=[{"signal_workflow": {"signal_name": "x", "input": payloads(1)}}],
    )
    reset(t, 4, request_id="two", post_reset_operations=[{}])
    reset(
        t,
        4,
        request_id="three",
        post_reset_operations=[
            {
                "update_workflow_options": {
                    "workflow_execution_options": {"priority": {"priority_key": 2}},
                    "update_mask": {"paths": ["priority"]},
                }
            }
        ],
    )
    t.describe()


@script
def queries_and_attributes(t):
    """Memo and search attributes are those of the point; a query is answered by the new run's worker."""
    t.start(memo={"fields": {"a": payloads(1)["payloads"][0]}})
    t.step(modify_properties(b=2), upsert_search_attributes(TemporalChangeVersion=["x"]), start_timer())
    t.signal("go")
    t.step(modify_properties(b=3))
    reset(t, 8)
    t.describe()
    reset(t, 4)
    t.describe()


@script
def children_before(t):
    """A child that runs at the point belongs to the new run."""
    t.start()
    t.step(start_child(t))
    t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED")
    t.step(start_timer())
    t.history()
    reset(t, 9)
    t.describe()
    t.describe(t.other("child"))
    t.step(record_marker())
    t.complete(t.poll(t.queue_of("child")), complete_workflow("child's"))
    t.until_event("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    t.step(complete_workflow())


@script
def children_before_that_closed(t):
    """A child that closed behind the point: its end is written again."""
    t.start()
    t.step(start_child(t))
    t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED")
    t.step(start_timer())
    t.complete(t.poll(t.queue_of("child")), complete_workflow("child's"))
    t.until_event("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    t.step(start_timer("x"))
    reset(t, 9)
    t.step(complete_workflow())


@script
def children_before_that_started(t):
    """The point lies behind the child's initiation and before its start."""
    t.start()
    t.signal("go")
    task = t.poll()
    t.signal("buffered")
    t.complete(task, start_child(t))
    t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED")
    t.step(start_timer())
    t.history()
    reset(t, 9)
    t.describe()
    t.complete(t.poll(t.queue_of("child")), complete_workflow("child's"))
    t.until_event("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    t.step(complete_workflow())


@script
def children_behind(t):
    """A child that was started behind the point goes on by itself; its id is taken."""
    t.start()
    t.step(start_timer())
    t.signal("go")
    t.step(start_child(t))
    t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED")
    reset(t, 4)
    t.describe(t.other("child"))
    t.step(start_child(t))
    t.until_event("START_CHILD_WORKFLOW_EXECUTION_FAILED")
    t.complete(t.poll(t.queue_of("child")), complete_workflow("child's"))
    t.step(complete_workflow())


@script
def a_child_itself(t):
    """The parent of a workflow that is reset hears the end of the new run."""
    t.start()
    t.step(start_child(t))
    t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED")
    t.step(start_timer())
    child = t.poll(t.queue_of("child"))
    t.complete(child, start_timer())
    reset(t, 4, workflow_id=t.other("child"))
    t.describe()
    t.describe(t.other("child"))
    t.complete(t.poll(t.queue_of("child")), complete_workflow("child's"))
    t.until_event("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    t.step(complete_workflow())


@script
def signals_to_others(t):
    """A signal to another workflow that was sent behind the point is sent again."""
    t.start(workflow_id=t.other("other"), task_queue={"name": t.queue_of("other")})
    t.start()
    t.step(signal_external(t))
    t.until_event("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED")
    t.step(start_timer())
    t.history()
    reset(t, 4)
    t.step(signal_external(t))
    t.until_event("EXTERNAL_WORKFLOW_EXECUTION_SIGNALED")
    t.history(t.other("other"))


@script
def tokens_of_the_old_run(t):
    """Workers of the terminated run are told so."""
    t.start()
    t.step(schedule_activity(t))
    activity = t.poll_activity()
    t.signal("go")
    task = t.poll()
    reset(t, 4)
    t.complete(task)
    t.heartbeat(activity)
    t.complete_activity(activity)
