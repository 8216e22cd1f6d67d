"""Updates: asked for by clients, accepted or rejected by workers, answered when they are done."""

from ..case import script
from ..commands import (
    accept,
    at,
    complete_workflow,
    failure,
    record_marker,
    reject,
    respond,
    schedule_activity,
    seconds,
    start_timer,
    update_body,
)
from .queries import answered
from .sticky import announce, sticky


def done(task, update_id="u", result="out"):
    """A completion in which the worker accepts an update and answers it at once."""
    messages = [accept(update_id), respond(update_id, result)]
    return {"messages": messages, "commands": [at(m) for m in messages]}


def finish(t, task, update_id="u", result="out", **fields):
    part = done(task, update_id, result)
    return t.complete(task, *part["commands"], messages=part["messages"], **fields)


def resting(t, **fields):
    """A workflow that has nothing to do, and whose last event is that a task was completed."""
    t.start(**fields)
    t.step()


@script
def accepted_and_completed_at_once(t):
    """A workflow at rest: the update comes in a task of its own, of which nothing is written before it is answered."""
    resting(t)
    update = t.update()
    task = t.poll()
    t.history()
    t.describe()
    finish(t, task)
    update.join()
    t.describe()
    t.poll_update().join()


@script
def accepted_first(t):
    """Accepted by one task and completed by a later one."""
    resting(t)
    update = t.update(stage="ACCEPTED")
    message = accept()
    t.complete(t.poll(), at(message), messages=[message])
    update.join()
    t.poll_update(stage="ACCEPTED").join()
    t.poll_update(stage="").join()
    waiting = t.poll_update()
    t.signal()
    message = respond()
    t.complete(t.poll(), at(message), messages=[message])
    waiting.join()
    t.poll_update(stage="ACCEPTED").join()
    t.update().join()


@script
def rejected(t):
    """A rejection leaves nothing behind: the worker is told where to go back to."""
    resting(t)
    update = t.update()
    t.complete(t.poll(), messages=[reject()])
    update.join()
    t.poll_update().join()
    t.history()
    t.describe()


@script
def rejected_after_a_signal(t):
    """A rejection in a task that other events need is written with it."""
    resting(t)
    t.signal()
    update = t.update(stage="ACCEPTED")
    t.until_admitted()
    t.complete(t.poll(), messages=[reject()])
    update.join()


@script
def rejected_and_accepted(t):
    """Two updates in one task, in the order in which they were asked for."""
    resting(t)
    one = t.update("one")
    t.until_admitted("one")
    other = t.update("other")
    t.until_admitted("other")
    task = t.poll()
    answers = [accept("one"), respond("one"), reject("other")]
    t.complete(task, at(answers[0]), start_timer("more"), at(answers[1]), messages=answers)
    one.join()
    other.join()


@script
def rejected_twice(t):
    """After a rejection the same id may be asked for again."""
    resting(t)
    update = t.update()
    t.complete(t.poll(), messages=[reject()])
    update.join()
    update = t.update()
    finish(t, t.poll())
    update.join()


@script
def failed(t):
    """An update whose handler fails is completed with the failure."""
    resting(t)
    update = t.update()
    messages = [accept(), respond(outcome={"failure": failure("no", "No", non_retryable=True)})]
    t.complete(t.poll(), *map(at, messages), messages=messages)
    update.join()
    t.poll_update().join()


@script
def without_commands(t):
    """Messages without a command take their effect after all commands."""
    resting(t)
    update = t.update()
    t.complete(t.poll(), record_marker(), messages=[accept(), respond()])
    update.join()


@script
def with_the_first_task(t):
    """A workflow that no worker has seen yet: the update comes with its first task."""
    t.start()
    update = t.update()
    t.until_admitted()
    finish(t, t.poll())
    update.join()


@script
def with_headers_and_links(t):
    """All that a request may carry."""
    resting(t)
    link = {
        "workflow_event": {
            "namespace": "default",
            "workflow_id": "w",
            "run_id": "r",
            "event_ref": {"event_id": 1, "event_type": "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED"},
        }
    }
    body = update_body()
    body["input"]["header"] = {"fields": {"h": {"data": b"v"}}}
    body["request_id"] = "request"
    body["links"] = [link]
    update = t.update(request=body)
    finish(t, t.poll())
    update.join()
    t.describe()


@script
def unnamed(t):
    """Without an id the server makes one up."""
    resting(t)
    update = t.update(request={"meta": {"identity": "tester"}, "input": {"name": "change"}})
    task = t.poll()
    update_id = task.messages[0].protocol_instance_id
    finish(t, task, update_id)
    update.join()


@script
def stages_to_wait_for(t):
    """A client waits for the acceptance or for the end, not for the admission."""
    resting(t)
    t.update(stage="ADMITTED").join()
    unspecified = t.update(stage="UNSPECIFIED")
    t.until_admitted()
    missing = t.update(wait_policy=None)
    t.update("v", wait_policy={"lifecycle_stage": 9}).join()
    task = t.poll()
    t.poll_update(stage="ADMITTED").join()
    t.poll_update(stage="UNSPECIFIED").join()
    messages = [accept(), accept("v")]
    t.complete(task, messages=messages)
    t.sleep(0.5)
    t.signal()
    t.complete(t.poll(), messages=[respond(), respond("v")])
    unspecified.join()
    missing.join()


@script(seconds=21)
def nobody_answers(t):
    """The server's patience is twenty seconds; meanwhile the task that nobody took was written."""
    resting(t)
    update = t.update(timeout=40)
    accepted = t.update("v", stage="ACCEPTED", timeout=40)
    update.join()
    accepted.join()
    t.history()
    t.poll_update(stage="").join()


@script(seconds=3)
def caller_gives_up(t):
    """The update goes on without its caller."""
    resting(t)
    update = t.update(timeout=2)
    task = t.poll()
    update.join()
    finish(t, task)
    t.poll_update().join()


@script
def asked_twice(t):
    """An id is one update, before and after it is done."""
    resting(t)
    one = t.update()
    t.until_admitted()
    two = t.update(request=update_body("u", "other"))
    task = t.poll()
    three = t.update()
    finish(t, task)
    one.join()
    two.join()
    three.join()
    t.update(stage="ACCEPTED").join()


@script
def after_the_end(t):
    """A closed workflow answers what it has answered."""
    t.start()
    update = t.update()
    t.until_admitted()
    finish(t, t.poll())
    update.join()
    t.signal()
    t.step(complete_workflow())
    t.update().join()
    t.update("new").join()
    t.poll_update().join()
    t.poll_update("new").join()


@script
def requests_that_are_refused(t):
    """What a request must say."""
    t.update(workflow_id="").join()
    t.update(workflow_execution=None).join()
    t.update(workflow_id=t.other("nobody")).join()
    resting(t)
    t.update(run_id="not-a-run").join()
    t.update(run_id="00000000-0000-4000-8000-000000000000").join()
    t.update(first_execution_run_id="00000000-0000-4000-8000-000000000000").join()
    t.update(first_execution_run_id="not-a-run").join()
    t.update(request=None).join()
    t.update(request={}).join()
    t.update(request={"meta": {"update_id": "u"}}).join()
    t.update(request={"meta": {"update_id": "u"}, "input": {}}).join()
    t.update("u" * 1001).join()
    t.update(namespace="nowhere").join()


@script
def polls_that_are_refused(t):
    """What a request for an outcome must say."""
    resting(t)
    t.poll_update().join()
    t.poll_update("").join()
    t.poll_update(workflow_id=t.other("nobody")).join()
    t.poll_update(workflow_id="").join()
    t.poll_update(run_id="not-a-run").join()
    t.poll_update(update_ref=None).join()
    t.poll_update(update_ref={"update_id": "u"}).join()
    t.poll_update(namespace="nowhere").join()


@script
def left_unanswered(t):
    """A task that is completed without a word on its update rejects it."""
    resting(t)
    update = t.update()
    t.complete(t.poll())
    update.join()
    update = t.update()
    t.complete(t.poll(), record_marker())
    update.join()


@script
def signal_before_the_task_is_taken(t):
    """Another event makes the update's task one like any other."""
    resting(t)
    update = t.update()
    t.until_admitted()
    t.signal()
    t.history()
    t.complete(t.poll(), messages=[reject()])
    update.join()


@script
def signal_while_the_task_is_held(t):
    """The same while a worker has it."""
    resting(t)
    update = t.update()
    task = t.poll()
    t.signal()
    t.history()
    t.complete(task, messages=[reject()])
    update.join()
    t.step()


@script
def rejected_with_events_before(t):
    """Events that the worker had seen lie before the task, so it cannot be forgotten."""
    t.start()
    t.step(schedule_activity(t))
    t.complete_activity(t.poll_activity())
    t.step()
    update = t.update()
    t.complete(t.poll(), messages=[reject()])
    update.join()


@script
def rejected_behind_a_timer(t):
    """A command lies behind the last task: a worker that cannot go back over it gets the rejection written."""
    t.start()
    t.step(start_timer())
    update = t.update()
    t.complete(t.poll(), messages=[reject()])
    update.join()


CAPABLE = {"capabilities": {"discard_speculative_workflow_task_with_events": True}}


@script
def forgotten_behind_a_timer(t):
    """A worker that can go back over commands."""
    t.start()
    t.step(start_timer())
    update = t.update()
    t.complete(t.poll(), messages=[reject()], **CAPABLE)
    update.join()


@script
def forgotten_behind_ten_events(t):
    """Ten events may lie behind the last task."""
    t.start()
    t.step(*[record_marker(f"m{number}") for number in range(10)])
    update = t.update()
    t.complete(t.poll(), messages=[reject()], **CAPABLE)
    update.join()
    t.signal()
    t.step(*[record_marker(f"m{number}") for number in range(9)])
    update = t.update()
    t.complete(t.poll(), messages=[reject()], **CAPABLE)
    update.join()
    t.signal()
    t.step(*[record_marker(f"m{number}") for number in range(11)])
    update = t.update()
    t.complete(t.poll(), messages=[reject()], **CAPABLE)
    update.join()


@script
def history_while_it_waits(t):
    """A task that is not written yet, in the eyes of those who read the history."""
    resting(t)
    t.update()
    t.until_admitted()
    t.history()
    t.history(metadata={"client-name": "temporal-cli", "client-version": "1.9.1"})
    t.describe()
    t.poll()
    t.history()
    t.history(metadata={"client-name": "temporal-cli", "client-version": "1.9.1"})
    t.call("GetWorkflowExecutionHistoryReverse", execution={"workflow_id": t.id})


@script
def task_failed(t):
    """A task that fails is written, and the next one brings the update again."""
    resting(t)
    update = t.update()
    t.fail_task(t.poll())
    finish(t, t.poll())
    update.join()


@script
def task_failed_for_good(t):
    """From the third attempt on updates are refused at once, and those that wait are forgotten."""
    resting(t)
    t.signal()
    t.fail_task(t.poll())
    t.update(stage="ACCEPTED")
    t.until_admitted()
    t.fail_task(t.poll())
    t.update("v").join()
    t.poll_update(stage="").join()
    t.step()


@script(seconds=6)
def task_not_taken(t):
    """A task that nobody takes within five seconds is written as timed out."""
    resting(t)
    update = t.update(timeout=30)
    t.until_event("WORKFLOW_TASK_TIMED_OUT")
    t.history()
    t.sleep(1)  # The judge lets go of the update, and takes it up again by itself.
    finish(t, t.poll())
    update.join()


@script(seconds=2)
def task_timed_out(t):
    """A worker that keeps the task for too long."""
    resting(t, workflow_task_timeout=seconds(1))
    update = t.update(timeout=30)
    t.poll()
    t.until_event("WORKFLOW_TASK_TIMED_OUT")
    t.sleep(1)
    finish(t, t.poll())
    update.join()


@script
def while_a_task_is_held(t):
    """An update that comes while a worker works is given to it with the answer, as a task of its own."""
    resting(t)
    t.signal()
    task = t.poll()
    update = t.update()
    t.until_admitted()
    following = t.complete(task, return_new_workflow_task=True).workflow_task
    t.history()
    t.complete(following, messages=[reject()])
    update.join()
    t.history()


@script
def while_a_task_is_held_by_another(t):
    """The same for a worker that does not ask for the next task."""
    resting(t)
    t.signal()
    task = t.poll()
    update = t.update()
    t.until_admitted()
    t.complete(task)
    t.history()
    t.complete(t.poll(), messages=[reject()])
    update.join()


@script
def together_with_a_signal_while_a_task_is_held(t):
    """With events waiting too, the next task is one like any other."""
    resting(t)
    t.signal()
    task = t.poll()
    update = t.update()
    t.until_admitted()
    t.signal("more")
    following = t.complete(task, return_new_workflow_task=True).workflow_task
    finish(t, following)
    update.join()


@script
def heartbeat(t):
    """A worker that needs more time keeps the update."""
    resting(t)
    update = t.update()
    following = t.complete(
        t.poll(), force_create_new_workflow_task=True, return_new_workflow_task=True
    ).workflow_task
    finish(t, following)
    update.join()


@script(seconds=2)
def on_the_sticky_queue(t):
    """The task of an update goes to the worker that has the workflow in memory."""
    t.start()
    announce(t)
    t.step(start_timer(), **sticky(t))
    update = t.update()
    finish(t, t.poll_sticky(), **sticky(t))
    update.join()
    update = t.update("v")
    t.complete(t.poll_sticky(), messages=[reject("v")], **sticky(t))
    update.join()
    t.signal()
    t.complete(t.poll_sticky(), **sticky(t))


@script(seconds=2)
def rejected_by_a_sticky_worker_to_be(t):
    """A task that is forgotten makes the workflow sticky all the same."""
    t.start()
    announce(t)
    t.step(start_timer())
    update = t.update()
    t.complete(t.poll(), messages=[reject()], **sticky(t))
    update.join()
    t.signal()
    t.complete(t.poll_sticky())


@script
def with_a_query(t):
    """A query and an update in one task."""
    resting(t)
    update = t.update()
    t.until_admitted()
    query = t.ask()
    t.sleep(0.5)
    task = t.poll()
    results = {key: answered("both") for key in task.queries}
    finish(t, task, query_results=results)
    update.join()
    query.join()


@script
def during_a_start_delay(t):
    """A workflow that has not begun."""
    t.start(workflow_start_delay=seconds(2))
    update = t.update()
    t.until_admitted()
    t.describe()
    finish(t, t.poll())
    update.join()
