"""Update-with-start: one call that starts a workflow, unless it runs, and updates it."""

from ..case import script
from ..commands import (
    accept,
    at,
    complete_workflow,
    failure,
    payloads,
    reject,
    respond,
    seconds,
    start_timer,
    update_body,
)
from .updates import finish, resting

USE_EXISTING = {"workflow_id_conflict_policy": "WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING"}
FAIL = {"workflow_id_conflict_policy": "WORKFLOW_ID_CONFLICT_POLICY_FAIL"}
TERMINATE = {"workflow_id_conflict_policy": "WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING"}


@script
def started(t):
    """There is no such workflow: it is started, and its first task brings the update."""
    call = t.update_with_start(**USE_EXISTING)
    finish(t, t.poll())
    call.join()
    t.describe()


@script
def started_and_rejected(t):
    """The update is rejected; the workflow runs."""
    call = t.update_with_start(**USE_EXISTING)
    t.complete(t.poll(), messages=[reject()])
    call.join()


@script
def started_and_accepted(t):
    """The caller waits for the acceptance alone."""
    call = t.update_with_start(stage="ACCEPTED", **USE_EXISTING)
    m = accept()
    t.complete(t.poll(), at(m), messages=[m])
    call.join()


@script
def of_a_running_workflow(t):
    """It runs: only the update is made."""
    resting(t)
    call = t.update_with_start(**USE_EXISTING)
    finish(t, t.poll())
    call.join()


@script
def of_a_running_workflow_that_may_not(t):
    """It runs, and that is a conflict."""
    resting(t)
    t.update_with_start(**FAIL).join()


@script
def replacing_a_running_workflow(t):
    """It runs and is replaced."""
    resting(t)
    call = t.update_with_start(**TERMINATE)
    finish(t, t.poll())
    call.join()


@script
def without_a_policy(t):
    """A policy has to be named."""
    t.update_with_start().join()
    resting(t)
    t.update_with_start().join()


@script
def of_an_update_under_way(t):
    """The same update again: nothing is started, whatever the policy."""
    resting(t)
    update = t.update()
    t.until_admitted()
    call = t.update_with_start(stage="ACCEPTED", **FAIL)
    t.sleep(0.3)
    finish(t, t.poll())
    update.join()
    call.join()


@script
def of_an_update_that_is_done(t):
    """The answer of an update that is done is given again, whatever the policy, while it runs and afterwards."""
    resting(t)
    update = t.update()
    finish(t, t.poll())
    update.join()
    t.update_with_start(**FAIL).join()
    t.signal()
    t.step(complete_workflow())
    t.update_with_start(**FAIL).join()


@script
def repeated(t):
    """The same start again."""
    call = t.update_with_start(request_id="one", **FAIL)
    t.until_admitted()
    again = t.update_with_start("v", request_id="one", **FAIL)
    t.until_admitted("v")
    messages = [m for name in ("u", "v") for m in (accept(name), respond(name))]
    t.complete(t.poll(), *map(at, messages), messages=messages)
    call.join()
    again.join()


@script
def after_the_end(t):
    """It is closed: the policy for ids decides."""
    t.start()
    t.step(complete_workflow())
    call = t.update_with_start(**USE_EXISTING)
    finish(t, t.poll())
    call.join()
    t.signal()
    t.step(complete_workflow())
    t.update_with_start(
        "w", workflow_id_reuse_policy="WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE", **USE_EXISTING
    ).join()


@script
def aborted_by_the_end(t):
    """The workflow that runs ends without having seen the update: another one is started."""
    resting(t)
    t.signal()
    task = t.poll()
    call = t.update_with_start(**USE_EXISTING)
    t.until_admitted()
    t.complete(task, complete_workflow())
    finish(t, t.poll())
    call.join()


@script
def aborted_by_its_own_end(t):
    """The workflow that was started ends without a word on the update."""
    call = t.update_with_start(**USE_EXISTING)
    t.complete(t.poll(), complete_workflow())
    call.join()


@script
def failing_task(t):
    """The worker answers nonsense."""
    call = t.update_with_start(**USE_EXISTING)
    t.complete(t.poll(), at(accept()))
    call.join()


@script
def too_many_updates(t):
    """The update is refused: nothing was done."""
    resting(t)
    for number in range(10):
        t.update(f"u{number}", stage="ACCEPTED")
        t.until_admitted(f"u{number}")
    t.update_with_start("one-too-many", **USE_EXISTING).join()


@script
def operations_that_are_refused(t):
    """What a call must consist of."""
    start = {
        "start_workflow": {
            "namespace": "default",
            "workflow_id": t.id,
            "workflow_type": {"name": "probe"},
            "task_queue": {"name": t.queue},
            **FAIL,
        }
    }
    update = {"update_workflow": {"namespace": "default", "workflow_execution": {"workflow_id": t.id}, "request": update_body()}}
    t.multi().join()
    t.multi(start).join()
    t.multi(update, start).join()
    t.multi(start, start).join()
    t.multi(start, update, update).join()
    t.multi({}, {}).join()
    t.multi(start, update, namespace="nowhere").join()


@script
def requests_that_are_refused(t):
    """What its parts must not say; each part that is wrong is named."""
    t.update_with_start(cron_schedule="* * * * *", **FAIL).join()
    t.update_with_start(workflow_start_delay=seconds(1), **FAIL).join()
    t.update_with_start(request_eager_execution=True, **FAIL).join()
    t.update_with_start(namespace="other", **FAIL).join()
    t.update_with_start(workflow_type=None, **FAIL).join()
    t.update_with_start(task_queue=None, **FAIL).join()
    t.update_with_start(retry_policy={"maximum_attempts": -1}, **FAIL).join()
    t.update_with_start(update={"workflow_execution": {"workflow_id": "another"}}, **FAIL).join()
    t.update_with_start(update={"workflow_execution": None}, **FAIL).join()
    t.update_with_start(update={"workflow_execution": {"workflow_id": t.id, "run_id": "00000000-0000-4000-8000-000000000000"}}, **FAIL).join()
    t.update_with_start(update={"first_execution_run_id": "00000000-0000-4000-8000-000000000000"}, **FAIL).join()
    t.update_with_start(update={"namespace": "other"}, **FAIL).join()
    t.update_with_start(update={"request": None}, **FAIL).join()
    t.update_with_start(update={"request": {"meta": {"update_id": "u"}}}, **FAIL).join()
    t.update_with_start(update={"request": {"meta": {"update_id": "u"}, "input": {}}}, **FAIL).join()
    t.update_with_start("u" * 1001, **FAIL).join()
    t.update_with_start(stage="ADMITTED", **FAIL).join()
    t.update_with_start("u" * 1001, workflow_type=None, **FAIL).join()
    t.update_with_start(workflow_id="", **FAIL).join()


@script
def unnamed(t):
    """Without an id of the update the server makes one up."""
    call = t.update_with_start(update={"request": {"meta": {}, "input": {"name": "change"}}}, **USE_EXISTING)
    task = t.poll()
    finish(t, task, task.messages[0].protocol_instance_id)
    call.join()


@script
def attached(t):
    """Options for a conflict, in vain."""
    resting(t)
    call = t.update_with_start(
        request_id="attached", on_conflict_options={"attach_request_id": True}, **USE_EXISTING
    )
    finish(t, t.poll())
    call.join()
    t.describe()
