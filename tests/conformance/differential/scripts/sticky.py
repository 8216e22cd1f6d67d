"""Sticky queues: a worker that keeps a workflow in memory gets its tasks, with only the news."""

from ..case import script
from ..commands import complete_workflow, record_marker, seconds, start_timer


def sticky(t, after=10):
    """The attributes by which a completion asks for the next task on the worker's own queue."""
    return {
        "sticky_attributes": {
            "worker_task_queue": {
                "name": t.sticky_queue,
                "kind": "TASK_QUEUE_KIND_STICKY",
                "normal_name": t.queue,
            },
            "schedule_to_start_timeout": seconds(after),
        }
    }


def announce(t):
    """A poll that finds nothing: without a recent one the sticky queue counts as dead."""
    t.poll_sticky(timeout=3)


@script(seconds=2)
def only_the_news(t):
    """A task on the sticky queue carries the events after the last one that the worker saw."""
    t.start()
    announce(t)
    t.step(start_timer(), **sticky(t))
    t.describe()
    t.signal()
    task = t.poll_sticky()
    t.complete(task, record_marker(), **sticky(t))
    t.signal()
    t.complete(t.poll_sticky(), complete_workflow())


@script(seconds=2)
def given_up_by_the_next_completion(t):
    """A completion without sticky attributes returns the workflow to the normal queue, with full history."""
    t.start()
    announce(t)
    t.step(**sticky(t))
    t.signal()
    t.complete(t.poll_sticky())
    t.signal()
    t.step(complete_workflow())


@script(seconds=3)
def nobody_takes_it(t):
    """A task that waits too long on the sticky queue is written as timed out and goes to the normal one."""
    t.start()
    announce(t)
    t.step(**sticky(t, after=1))
    t.signal()
    t.step(complete_workflow())


@script
def the_worker_is_gone(t):
    """Without a recent poller on the sticky queue the task goes to the normal one, without any event."""
    t.start()
    t.step(**sticky(t))
    t.signal()
    t.step(complete_workflow())


@script(seconds=2)
def failed(t):
    """A failure ends the stickiness; the next task is a normal one of attempt 1."""
    t.start()
    announce(t)
    t.step(**sticky(t))
    t.signal()
    t.fail_task(t.poll_sticky())
    t.step(complete_workflow())


@script(seconds=4)
def timed_out(t):
    """A start-to-close time-out on the sticky queue ends the stickiness in the same way."""
    t.start(workflow_task_timeout=seconds(1))
    announce(t)
    t.step(**sticky(t))
    t.signal()
    t.poll_sticky()
    t.until_event("WORKFLOW_TASK_TIMED_OUT")
    t.step(complete_workflow())


@script(seconds=2)
def reset(t):
    """A worker that forgets a workflow can say so."""
    t.start()
    announce(t)
    t.step(**sticky(t))
    t.call("ResetStickyTaskQueue", execution={"workflow_id": t.id})
    t.describe()
    t.signal()
    t.step(complete_workflow())
    t.call("ResetStickyTaskQueue", execution={"workflow_id": t.id})


@script
def reset_nobody(t):
    """Resetting what does not exist, and what was never sticky."""
    t.call("ResetStickyTaskQueue", execution={"workflow_id": t.id})
    t.call("ResetStickyTaskQueue")
    t.call("ResetStickyTaskQueue", execution={"workflow_id": t.id}, namespace="no-such-namespace")
    t.start()
    t.call("ResetStickyTaskQueue", execution={"workflow_id": t.id, "run_id": "not-a-uuid"})
    t.call("ResetStickyTaskQueue", execution={"workflow_id": t.id})


@script(seconds=2)
def inline(t):
    """The next task given inline carries only the news, as a sticky one does."""
    t.start()
    announce(t)
    task = t.poll()
    t.signal()
    answer = t.complete(task, return_new_workflow_task=True, **sticky(t))
    t.complete(answer.workflow_task, start_timer(), **sticky(t))
    t.signal()
    t.complete(t.poll_sticky(), complete_workflow())


@script(seconds=2)
def asking_on_the_normal_queue(t):
    """A poller of the normal queue does not get what waits on the sticky one."""
    t.start()
    announce(t)
    t.step(**sticky(t))
    t.signal()
    t.poll(timeout=3)
    t.complete(t.poll_sticky(), complete_workflow())


@script(seconds=3)
def shutdown_of_the_worker(t):
    """A worker that shuts down says which sticky queue dies with it."""
    t.start()
    announce(t)
    t.step(**sticky(t, after=5))
    t.call("ShutdownWorker", sticky_task_queue=t.sticky_queue, reason="going home")
    t.signal()
    t.step(complete_workflow())


@script
def shutdown_without_a_queue(t):
    """The call needs little."""
    t.call("ShutdownWorker")
    t.call("ShutdownWorker", sticky_task_queue=t.sticky_queue, namespace="no-such-namespace")
    t.call("ShutdownWorker", sticky_task_queue=t.sticky_queue, identity="")


@script
def without_attributes(t):
    """A sticky queue without a time-out, and one without a name."""
    t.start()
    task = t.poll()
    t.complete(task, sticky_attributes={})
    t.signal()
    task = t.poll()
    t.complete(task, sticky_attributes={"worker_task_queue": {"name": t.sticky_queue}})
    t.describe()
    t.signal()
    t.poll(timeout=3)
