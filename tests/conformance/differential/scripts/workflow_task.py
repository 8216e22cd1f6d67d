"""The workflow task: scheduled, started, completed, and everything that ends it otherwise."""

from ..case import script
from ..commands import complete_workflow, payloads, record_marker, schedule_activity, seconds, start_timer


@script
def completed_with_metadata(t):
    """What the worker says about itself goes into the completed event."""
    t.start()
    task = t.poll(identity="poller", binary_checksum="checksum")
    t.complete(
        task,
        record_marker("m", details={"k": payloads(1)}, header={"fields": {"h": {"data": b"v"}}}),
        identity="completer",
        binary_checksum="checksum",
        sdk_metadata={
            "core_used_flags": [1, 2],
            "lang_used_flags": [3],
            "sdk_name": "tester",
            "sdk_version": "1.2.3",
        },
        metering_metadata={"nonfirst_local_activity_execution_attempts": 2},
    )
    t.signal()
    t.step(complete_workflow())
    t.describe()


@script
def completed_twice(t):
    """A token is good for one completion."""
    t.start()
    task = t.poll()
    t.complete(task)
    t.complete(task)
    t.fail_task(task)


@script
def stale_attempt(t):
    """The token of an earlier attempt is no good for the next, though the event ids are the same."""
    t.start()
    t.fail_task(t.poll())
    second = t.poll()
    t.fail_task(second)
    third = t.poll()
    t.complete(second, complete_workflow())
    t.fail_task(second)
    t.complete(third, complete_workflow())


@script
def as_an_sdk_sends_it(t):
    """Builds, capabilities and keys that today's workers send along with every call."""
    version = {"build_id": "build-1", "use_versioning": False}
    options = {"build_id": "build-1", "worker_versioning_mode": "WORKER_VERSIONING_MODE_UNVERSIONED"}
    t.start()
    for last in (False, True):
        task = t.poll(
            worker_version_capabilities=version,
            deployment_options=options,
            worker_instance_key="instance",
        )
        t.complete(
            task,
            *([complete_workflow()] if last else [schedule_activity(t)]),
            worker_version_stamp=version,
            deployment_options=options,
            worker_instance_key="instance",
            capabilities={"discard_speculative_workflow_task_with_events": True},
        )
        if not last:
            activity = t.poll_activity(worker_version_capabilities=version, deployment_options=options)
            t.complete_activity(activity, worker_version=version, deployment_options=options)
    t.describe()


@script
def completed_after_the_close(t):
    """A completion that comes after the end of the run changes nothing."""
    t.start()
    task = t.poll()
    t.terminate()
    t.complete(task, complete_workflow())


@script
def forged_tokens(t):
    """Bytes that are not a token, and no bytes at all."""
    t.start()
    t.complete(b"")
    t.complete(b"not a token")
    t.complete(b"\xff" * 20)
    t.fail_task(b"")
    t.fail_task(b"\xff" * 20)
    t.complete_activity(b"")
    t.complete_activity(b"\xff" * 20)
    t.answer(b"")
    t.answer(b"\xff" * 20)


@script
def failed(t):
    """A failure is written with its cause; the next task is attempt 2 and is not written."""
    t.start()
    task = t.poll()
    t.fail_task(task, identity="failer", binary_checksum="sum")
    t.poll()
    t.history()


@script
def failed_again_writes_nothing(t):
    """Only the first failure is in the history; the attempt that succeeds is written with its number."""
    t.start()
    t.fail_task(t.poll(), "NON_DETERMINISTIC_ERROR", "first")
    t.fail_task(t.poll(), "WORKFLOW_WORKER_UNHANDLED_FAILURE", "second")
    t.fail_task(t.poll(), "WORKFLOW_WORKER_UNHANDLED_FAILURE", "third")
    t.describe()
    t.step(complete_workflow())


@script
def attempt_two_becomes_normal_by_a_signal(t):
    """An event that arrives while a retried task is unstarted makes it a written task of attempt 1."""
    t.start()
    t.fail_task(t.poll())
    t.signal()
    t.step(complete_workflow())


@script
def attempt_two_with_a_signal_behind_it(t):
    """A signal behind a started retry is buffered; completing writes task and signal in order."""
    t.start()
    t.fail_task(t.poll())
    task = t.poll()
    t.signal()
    t.complete(task, start_timer())
    t.step(complete_workflow())


@script
def attempt_two_fails_with_a_signal_behind_it(t):
    """A retry that fails with events buffered writes those, and the next task is a normal one."""
    t.start()
    t.fail_task(t.poll())
    task = t.poll()
    t.signal()
    t.fail_task(task)
    t.step(complete_workflow())


@script
def failed_with_every_cause(t):
    """The cause given by the worker is the cause written."""
    t.start()
    for cause in ("UNHANDLED_COMMAND", "RESET_STICKY_TASK_QUEUE", "UNSPECIFIED"):
        t.fail_task(t.poll(), cause)
        t.signal()
    t.step(complete_workflow())


@script
def failed_with_a_too_large_message(t):
    """A worker that could not send its completion ends the workflow."""
    t.start()
    t.fail_task(t.poll(), "GRPC_MESSAGE_TOO_LARGE", "too large")


@script(seconds=3)
def times_out(t):
    """A task that is not completed in time is written as timed out; the late completion is refused."""
    t.start(workflow_task_timeout=seconds(1))
    task = t.poll()
    t.until_event("WORKFLOW_TASK_TIMED_OUT")
    t.complete(task, complete_workflow())
    t.step(complete_workflow())


@script(seconds=4)
def times_out_twice(t):
    """The second time-out writes nothing; the third attempt completes."""
    t.start(workflow_task_timeout=seconds(1))
    t.poll()
    t.until_event("WORKFLOW_TASK_TIMED_OUT")
    t.poll()
    t.step(complete_workflow())


@script(seconds=3)
def times_out_with_a_signal_behind_it(t):
    """The buffered signal is written after the time-out; then a normal task."""
    t.start(workflow_task_timeout=seconds(1))
    t.poll()
    t.signal()
    t.until_event("WORKFLOW_TASK_TIMED_OUT")
    t.step(complete_workflow())


@script
def heartbeat(t):
    """A completion without commands that asks for a new task: completed, scheduled, started."""
    t.start()
    task = t.poll()
    answer = t.complete(task, return_new_workflow_task=True, force_create_new_workflow_task=True)
    answer = t.complete(
        answer.workflow_task, return_new_workflow_task=True, force_create_new_workflow_task=True
    )
    t.complete(answer.workflow_task, complete_workflow())


@script
def forced_new_task_without_inline(t):
    """The forced task goes to the queue when the worker does not want it inline."""
    t.start()
    task = t.poll()
    t.complete(task, start_timer(), force_create_new_workflow_task=True)
    t.step(complete_workflow())


@script
def inline_next_task(t):
    """With events buffered, the next task comes back in the answer, already started."""
    t.start()
    task = t.poll()
    t.signal()
    answer = t.complete(task, start_timer(), return_new_workflow_task=True)
    t.complete(answer.workflow_task, complete_workflow(), return_new_workflow_task=True)


@script
def no_inline_task_without_need(t):
    """Nothing new has happened: there is no next task to return."""
    t.start()
    t.complete(t.poll(), start_timer(), return_new_workflow_task=True)
    t.history()


@script
def empty_long_poll(t):
    """A poll that finds nothing answers empty shortly before the caller's deadline."""
    t.poll(timeout=3)
    t.poll_activity(timeout=3)


@script
def polls_that_are_refused(t):
    """A poll needs a task queue and a namespace that exists."""
    t.call("PollWorkflowTaskQueue")
    t.call("PollActivityTaskQueue")
    t.poll(namespace="no-such-namespace")
    t.poll_activity(namespace="no-such-namespace")
    t.poll(namespace="")
    t.poll("q" * 1001)
    t.poll_activity("q" * 1001)
    t.poll("/_sys/reserved")
    t.poll(identity="i" * 1001)
