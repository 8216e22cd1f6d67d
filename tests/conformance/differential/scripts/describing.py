"""DescribeWorkflowExecution and DescribeTaskQueue: what is shown of a state."""

from ..case import script
from ..commands import (
    cancel_activity,
    complete_workflow,
    fail_workflow,
    failure,
    payload,
    schedule_activity,
    schedule_apart,
    seconds,
    start_timer,
)


@script
def of_nobody(t):
    """Unknown workflow, run, namespace; nothing at all."""
    t.describe()
    t.describe("")
    t.call("DescribeWorkflowExecution")
    t.call("DescribeWorkflowExecution", execution={"workflow_id": t.id}, namespace="no-such-namespace")
    t.start()
    t.describe(run_id="11111111-2222-3333-4444-555555555555")
    t.describe(run_id="not-a-uuid")
    t.terminate()


@script
def task_states(t):
    """A workflow task scheduled, started, retried; and none."""
    t.start()
    t.describe()
    task = t.poll()
    t.describe()
    t.fail_task(task)
    t.describe()
    task = t.poll()
    t.describe()
    t.complete(task)
    t.describe()
    t.terminate()


@script
def activity_states(t):
    """Activities scheduled, started, heartbeating, being cancelled, waiting to be retried."""
    t.start()
    names = ("scheduled", "started", "beating", "cancelling", "waiting")
    policy = {"initial_interval": seconds(60)}
    t.step(*(schedule_apart(t, n, retry_policy=policy, heartbeat_timeout=seconds(9)) for n in names))
    for name in names[1:]:
        activity = t.poll_activity(t.queue_of(name))
        if name == "beating":
            t.heartbeat(activity, {"progress": 1})
        if name == "waiting":
            t.fail_activity(activity, failure("first"))
    t.signal()
    t.step(cancel_activity(8))
    t.describe()
    t.terminate()


@script
def closed_in_every_way(t):
    """Completed, failed, terminated, timed out: status, close time, and nothing pending but activities."""
    t.start()
    t.step(complete_workflow())
    t.describe()
    t.start()
    t.step(fail_workflow())
    t.describe()
    t.start()
    t.step(schedule_activity(t), start_timer())
    t.terminate()
    t.describe()
    run = t.start(workflow_run_timeout=seconds(1))
    t.until_event("WORKFLOW_EXECUTION_TIMED_OUT", run_id=run.run_id)
    t.describe()


@script
def an_old_run(t):
    """A run that was followed by another can still be described by its id."""
    first = t.start()
    t.step(complete_workflow())
    t.start(memo={"fields": {"second": payload(1)}})
    t.describe(run_id=first.run_id)
    t.describe()


@script
def signals_are_counted(t):
    """Request ids of signals and their events."""
    t.start()
    t.signal(request_id="one")
    task = t.poll()
    t.signal(request_id="buffered")
    t.describe()
    t.complete(task)
    t.describe()
    t.terminate()


@script
def task_queue_pollers(t):
    """Who polled a queue lately."""
    t.call("DescribeTaskQueue", task_queue={"name": t.queue}, task_queue_type="TASK_QUEUE_TYPE_WORKFLOW")
    t.start()
    t.poll(identity="poller one")
    t.poll_activity(timeout=3, identity="poller two")
    t.call("DescribeTaskQueue", task_queue={"name": t.queue}, task_queue_type="TASK_QUEUE_TYPE_WORKFLOW")
    t.call("DescribeTaskQueue", task_queue={"name": t.queue}, task_queue_type="TASK_QUEUE_TYPE_ACTIVITY")
    t.call("DescribeTaskQueue", task_queue={"name": t.queue})
    t.terminate()


@script
def task_queue_errors(t):
    """What cannot be described."""
    t.call("DescribeTaskQueue")
    t.call("DescribeTaskQueue", task_queue={"name": ""})
    t.call("DescribeTaskQueue", task_queue={"name": t.queue}, namespace="no-such-namespace")
    t.call("DescribeTaskQueue", task_queue={"name": "q" * 1001})


@script
def queues_that_nobody_has_used(t):
    """Their figures are there, and zero; those of a sticky queue are not told."""
    for kind in ("WORKFLOW", "ACTIVITY", "NEXUS"):
        t.call(
            "DescribeTaskQueue",
            task_queue={"name": t.queue},
            task_queue_type=f"TASK_QUEUE_TYPE_{kind}",
            report_stats=True,
        )
    sticky = {"name": t.sticky_queue, "kind": "TASK_QUEUE_KIND_STICKY", "normal_name": t.queue}
    t.call("DescribeTaskQueue", task_queue=sticky, task_queue_type="TASK_QUEUE_TYPE_WORKFLOW", report_stats=True)
    t.call("DescribeTaskQueue", task_queue=sticky, task_queue_type="TASK_QUEUE_TYPE_WORKFLOW")
