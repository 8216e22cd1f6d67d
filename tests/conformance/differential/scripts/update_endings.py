"""Updates and the end of their workflow, and what workers may not say about them."""

from ..case import script
from ..commands import (
    accept,
    at,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    message,
    payloads,
    reject,
    respond,
    seconds,
    start_timer,
    update_body,
)
from .updates import finish, resting


@script
def completed_with_the_workflow(t):
    """Answered and over in one task."""
    resting(t)
    update = t.update()
    messages = [accept(), respond()]
    t.complete(t.poll(), *map(at, messages), complete_workflow(), messages=messages)
    update.join()
    t.poll_update().join()


@script
def accepted_and_abandoned(t):
    """Accepted, but the workflow ends before it is done: the update fails."""
    resting(t)
    accepted = t.update(stage="ACCEPTED")
    update = t.update()
    m = accept()
    t.complete(t.poll(), at(m), complete_workflow(), messages=[m])
    accepted.join()
    update.join()
    t.poll_update().join()
    t.poll_update(stage="ACCEPTED").join()
    t.poll_update(stage="").join()
    t.update().join()


@script
def accepted_long_before(t):
    """The same with a task in between."""
    resting(t)
    update = t.update()
    m = accept()
    t.complete(t.poll(), at(m), messages=[m])
    t.signal()
    t.step(complete_workflow())
    update.join()
    t.poll_update().join()


@script
def unanswered_at_the_end(t):
    """The workflow ends without a word on an update that it was given."""
    resting(t)
    update = t.update()
    t.complete(t.poll(), complete_workflow())
    update.join()


@script
def rejected_at_the_end(t):
    """A rejection that comes with the end."""
    resting(t)
    update = t.update()
    t.complete(t.poll(), complete_workflow(), messages=[reject()])
    update.join()


@script
def answered_after_the_end(t):
    """Messages without a command come after the command that ends the workflow: too late."""
    resting(t)
    update = t.update()
    t.complete(t.poll(), complete_workflow(), messages=[accept(), respond()])
    update.join()


@script
def unseen_at_the_end(t):
    """The workflow ends while an update waits behind the task that ends it."""
    resting(t)
    t.signal()
    task = t.poll()
    update = t.update()
    t.until_admitted()
    t.complete(task, complete_workflow())
    update.join()


@script
def unseen_at_failure(t):
    """The same with a failure."""
    resting(t)
    t.signal()
    task = t.poll()
    update = t.update()
    t.until_admitted()
    t.complete(task, fail_workflow())
    update.join()


@script(seconds=2)
def unseen_by_a_continued_run(t):
    """An update that the old run has not seen goes to the new one."""
    resting(t)
    t.signal()
    task = t.poll()
    update = t.update()
    t.until_admitted()
    t.sleep(1)
    t.complete(task, continue_as_new(t))
    finish(t, t.poll())
    update.join()


@script(seconds=2)
def given_to_the_run_before(t):
    """So does one that the old run was given, and did not accept."""
    resting(t)
    update = t.update()
    t.sleep(1)
    t.complete(t.poll(), continue_as_new(t))
    finish(t, t.poll())
    update.join()


@script(seconds=2)
def of_a_run_by_its_id(t):
    """Not so one for a run that was named."""
    run_id = t.start().run_id
    t.step(start_timer())
    t.sleep(1)
    update = t.update(run_id=run_id)
    t.complete(t.poll(), continue_as_new(t))
    update.join()
    t.step()


@script(seconds=2)
def accepted_by_the_run_before(t):
    """An update that was accepted fails with its run."""
    resting(t)
    update = t.update()
    m = accept()
    t.sleep(1)
    t.complete(t.poll(), at(m), continue_as_new(t), messages=[m])
    update.join()
    t.step()


@script(seconds=2)
def unseen_by_a_retried_run(t):
    """A run that is retried."""
    t.start(retry_policy={"initial_interval": seconds(1), "maximum_attempts": 2})
    t.step(start_timer())
    update = t.update()
    t.complete(t.poll(), fail_workflow())
    finish(t, t.poll())
    update.join()


@script
def terminated(t):
    """Updates of a workflow that is terminated."""
    resting(t)
    accepted = t.update("accepted")
    m = accept("accepted")
    t.complete(t.poll(), at(m), messages=[m])
    admitted = t.update("admitted")
    t.until_admitted("admitted")
    t.terminate()
    accepted.join()
    admitted.join()
    t.poll_update("accepted").join()


@script
def terminated_while_it_is_held(t):
    """The same when a worker has the update."""
    resting(t)
    update = t.update()
    task = t.poll()
    t.terminate()
    update.join()
    finish(t, task)


@script
def closing(t):
    """A workflow that tried to end and is about to try again takes no updates."""
    resting(t)
    t.signal()
    task = t.poll()
    t.signal()
    t.complete(task, complete_workflow())
    task = t.poll()
    t.update().join()
    t.complete(task, complete_workflow())


@script
def replaced(t):
    """A start that replaces the workflow."""
    resting(t)
    update = t.update()
    t.until_admitted()
    t.start(workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING")
    update.join()


@script(seconds=2)
def timed_out(t):
    """A run that runs out of time."""
    resting(t, workflow_run_timeout=seconds(2))
    update = t.update()
    t.until_admitted()
    update.join()


# What workers may not say


def wrong(t, *commands, messages=(), **fields):
    resting(t)
    update = t.update()
    t.complete(t.poll(), *commands, messages=list(messages), **fields)
    return update


@script
def absent_message(t):
    """A command that names no message fails the task, and with it the update that came with it."""
    update = wrong(t, at(accept()))
    update.join()
    t.poll_update(stage="").join()
    t.step()


@script
def empty_message_id(t):
    """A command without a name."""
    wrong(t, {**at(accept()), "protocol_message_command_attributes": {}}).join()
    t.step()


@script
def unknown_update(t):
    """A message about an update that nobody asked for."""
    wrong(t, messages=[respond("other"), accept(), respond()]).join()
    t.step()


@script
def unknown_protocol(t):
    """A message of another kind."""
    wrong(t, messages=[{**accept(), "body": {"type_url": "type.googleapis.com/temporal.api.common.v1.Payload", "value": b""}}]).join()


@script
def answered_before_it_is_accepted(t):
    """A response without an acceptance."""
    wrong(t, messages=[respond()]).join()
    t.step()


@script
def accepted_twice(t):
    """A second acceptance."""
    wrong(t, messages=[accept(), accept()]).join()
    t.step()


@script
def accepted_and_rejected(t):
    """Both at once."""
    wrong(t, messages=[accept(), reject()]).join()
    t.step()


@script
def no_outcome(t):
    """A response without an outcome, or for another update."""
    wrong(t, messages=[accept(), respond(outcome=None)]).join()
    t.step()
    update = t.update("v")
    t.complete(t.poll(), messages=[accept("v"), respond("v", meta={"update_id": "w"})])
    update.join()
    t.step()


@script
def nothing_but_its_name(t):
    """A rejection need say nothing, an acceptance must."""
    resting(t)
    update = t.update("v")
    t.complete(t.poll(), messages=[message("Rejection", "v", "m")])
    update.join()
    update = t.update()
    t.complete(t.poll(), messages=[message("Acceptance", "u", "m"), respond()])
    update.join()
    t.step()


@script
def requests_as_messages(t):
    """A worker that sends the request back."""
    wrong(t, messages=[message("Request", "u", "m", **update_body())]).join()
    t.step()


@script
def known_to_the_worker_alone(t):
    """A worker that tells the whole request may accept an update of which the server knows nothing."""
    resting(t)
    t.signal()
    messages = [accept(), respond()]
    t.complete(t.poll(), *map(at, messages), messages=messages)
    t.poll_update().join()
    t.signal()
    t.complete(t.poll(), messages=[reject("v")])
    t.poll_update("v").join()


@script
def answered_again(t):
    """A response to an update that is done."""
    resting(t)
    update = t.update()
    finish(t, t.poll())
    update.join()
    t.signal()
    t.complete(t.poll(), messages=[respond()])
    t.step()


@script
def too_large(t):
    """What is too large to keep."""
    large = "x" * (2 << 20)
    resting(t)
    update = t.update("v")
    messages = [accept("v"), respond("v", large)]
    t.complete(t.poll(), *map(at, messages), messages=messages)
    update.join()


@script
def too_many_at_once(t):
    """Ten may be under way."""
    resting(t)
    updates = []
    for number in range(10):
        updates.append(t.update(f"u{number}"))
        t.until_admitted(f"u{number}")
    t.update("one-too-many").join()
    t.update("u3", stage="ACCEPTED", timeout=1).join()
    messages = [m for number in range(9) for m in (accept(f"u{number}"), respond(f"u{number}"))]
    messages.append(accept("u9"))
    t.complete(t.poll(), messages=messages)
    for update in updates[:9]:
        update.join()
    t.terminate()
    updates[9].join()


@script(seconds=3)
def too_much_at_once(t):
    """Twenty megabytes may be under way."""
    resting(t)

    def large(name, size):
        body = update_body(name)
        body["input"]["args"] = payloads("x" * size)
        return t.update(name, request=body, stage="ACCEPTED", timeout=5)

    for number in range(5):
        large(f"u{number}", 3_900_000)
        t.until_admitted(f"u{number}")
    large("u5", 1_500_000).join()
    large("u6", 1_000_000)
    t.until_admitted("u6")
    t.terminate()


@script
def asked_again_after_the_end(t):
    """An update that the end of the workflow aborted stays aborted to all who ask."""
    resting(t)
    update = t.update()
    t.until_admitted()
    t.terminate()
    update.join()
    for stage in (None, "ADMITTED", "ACCEPTED", "COMPLETED"):
        t.poll_update(stage=stage).join()
    t.update().join()
    t.poll_update("another").join()
    t.update("another").join()
