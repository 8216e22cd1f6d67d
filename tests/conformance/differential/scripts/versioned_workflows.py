"""Which version of a worker runs what: pinned workflows, those that move on, activities, children."""

from ..case import script
from ..commands import complete_workflow, continue_as_new, fail_workflow, schedule_activity, start_child
from .deployments import UNVERSIONED, name_of, options, version, worker

PINNED = "VERSIONING_BEHAVIOR_PINNED"
AUTO_UPGRADE = "VERSIONING_BEHAVIOR_AUTO_UPGRADE"
# A run that is younger is continued with a delay.
OLD_ENOUGH_SECONDS = 1.1
# For tasks that are held while the judge changes a deployment, which may take it long.
PATIENT = {"seconds": 60}


def take(t, build_id, queue=None, timeout=15, **fields):
    return t.call(
        "PollWorkflowTaskQueue",
        timeout=timeout,
        task_queue={"name": queue or t.queue},
        deployment_options=options(t, build_id),
        **fields,
    )


def done(t, task, build_id, *commands, behavior=PINNED, **fields):
    return t.complete(
        task, *commands, deployment_options=options(t, build_id), versioning_behavior=behavior, **fields
    )


def set_current(t, build_id):
    """Makes a version the current one, and waits until its queues know."""
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), build_id=build_id)
    wanted = "completed"

    def known():
        info = t.quiet("DescribeTaskQueue", task_queue={"name": t.queue}).versioning_info
        return info.current_deployment_version.build_id == build_id

    t.until(known, wanted)


@script
def pinned(t):
    """A pinned workflow stays with the version that ran its first task."""
    worker(t, "1")
    worker(t, "2")
    set_current(t, "1")
    t.start()
    t.describe()
    task = take(t, "1")
    t.describe()
    done(t, task, "1")
    t.describe()
    set_current(t, "2")
    t.signal()
    task = take(t, "1")
    done(t, task, "1", complete_workflow())
    t.describe()
    t.until(
        lambda: (
            t.quiet(
                "CountWorkflowExecutions", query=f"WorkflowId = '{t.id}' AND ExecutionStatus = 'Completed'"
            ).count
        ),
        "the row",
    )
    t.call("ListWorkflowExecutions", query=f"WorkflowId = '{t.id}'")
    for query in (
        f"TemporalWorkerDeployment = '{name_of(t)}'",
        f"TemporalWorkerDeploymentVersion = '{name_of(t)}:1'",
        "TemporalWorkflowVersioningBehavior = 'Pinned'",
        f"TemporalUsedWorkerDeploymentVersions = '{name_of(t)}:1'",
    ):
        t.call("CountWorkflowExecutions", query=f"WorkflowId = '{t.id}' AND {query}")


@script
def auto_upgrade(t):
    """A workflow that moves on goes with the current version."""
    worker(t, "1")
    worker(t, "2")
    set_current(t, "1")
    t.start()
    task = take(t, "1")
    done(t, task, "1", schedule_activity(t), behavior=AUTO_UPGRADE)
    t.describe()
    set_current(t, "2")
    t.signal()
    task = take(t, "2")
    t.describe()
    done(t, task, "2", behavior=AUTO_UPGRADE)
    t.describe()
    set_current(t, "")
    t.signal()
    task = t.poll()
    t.describe()
    t.complete(task)
    t.describe()


@script
def unversioned_with_a_name(t):
    """A worker that names its build and wants no versioning."""
    t.start()
    o = options(t, "1", UNVERSIONED)
    task = t.poll(deployment_options=o)
    t.complete(task, schedule_activity(t), deployment_options=o)
    t.describe()
    task = t.poll_activity(deployment_options=o)
    t.complete_activity(task, deployment_options=o)
    t.step(complete_workflow())
    t.call("DescribeTaskQueue", task_queue={"name": t.queue})


@script
def overridden_at_the_start(t):
    """A start that says which version to run."""
    worker(t, "1")
    worker(t, "2")
    set_current(t, "2")
    pin = {"pinned": {"version": version(t, "1"), "behavior": "PINNED_OVERRIDE_BEHAVIOR_PINNED"}}
    t.start(versioning_override=pin)
    t.describe()
    task = take(t, "1")
    t.describe()
    done(t, task, "1", behavior=AUTO_UPGRADE)
    t.describe()
    t.start(t.other("auto"), versioning_override={"auto_upgrade": True})
    t.describe(t.other("auto"))
    task = take(t, "2")
    done(t, task, "2")
    t.describe(t.other("auto"))
    t.start(t.other("old"), versioning_override={"behavior": PINNED, "pinned_version": f"{name_of(t)}.1"})
    t.describe(t.other("old"))
    t.start(
        t.other("none"),
        versioning_override={
            "pinned": {"version": version(t, "nobody"), "behavior": "PINNED_OVERRIDE_BEHAVIOR_PINNED"}
        },
    )
    for wrong in (
        {},
        {"pinned": {}},
        {"pinned": {"behavior": "PINNED_OVERRIDE_BEHAVIOR_PINNED"}},
        {"pinned": {"version": version(t, "1")}},
        {"auto_upgrade": False},
        {"behavior": PINNED},
        {"behavior": AUTO_UPGRADE},
        {"behavior": AUTO_UPGRADE, "pinned_version": f"{name_of(t)}.1"},
        {"behavior": PINNED, "pinned_version": "nodot"},
        {"behavior": PINNED, "deployment": {"series_name": name_of(t), "build_id": "1"}},
    ):
        t.start(t.other("wrong"), versioning_override=wrong)
        try:
            t.quiet("TerminateWorkflowExecution", workflow_execution={"workflow_id": t.other("wrong")})
        except Exception:
            pass


@script
def activities(t):
    """An activity goes to the version of its workflow, wherever that is."""
    worker(t, "1")
    set_current(t, "1")
    t.start()
    task = take(t, "1")
    done(t, task, "1", schedule_activity(t))
    t.describe()
    task = t.poll_activity(deployment_options=options(t, "1"))
    t.describe()
    t.complete_activity(task, deployment_options=options(t, "1"))
    task = take(t, "1")
    done(t, task, "1", complete_workflow())


@script
def children(t):
    """A child of a pinned workflow begins with its parent's version."""
    worker(t, "1")
    worker(t, "1", queue=t.queue_of("child"))
    worker(t, "2")
    set_current(t, "1")
    t.start()
    task = take(t, "1")
    set_current(t, "2")
    done(t, task, "1", start_child(t))
    t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED")
    t.describe(t.other("child"))
    child = take(t, "1", queue=t.queue_of("child"))
    t.describe(t.other("child"))
    done(t, child, "1", complete_workflow())
    t.until_event("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    done(t, take(t, "1"), "1", complete_workflow())


@script
def continued(t):
    """A pinned workflow that is continued stays with its version; one that moves on does not."""
    worker(t, "1")
    worker(t, "2")
    set_current(t, "1")
    # Nobody promises which of two tasks comes first.
    t.start(workflow_task_timeout=PATIENT)
    one = take(t, "1")
    t.start(t.other("auto"), workflow_task_timeout=PATIENT)
    two = take(t, "1")
    set_current(t, "2")
    t.sleep(OLD_ENOUGH_SECONDS)
    done(t, one, "1", continue_as_new(t))
    done(t, two, "1", continue_as_new(t), behavior=AUTO_UPGRADE)
    t.describe()
    t.describe(t.other("auto"))
    one = take(t, "1")
    two = take(t, "2")
    t.describe()
    t.describe(t.other("auto"))
    done(t, one, "1", complete_workflow())
    done(t, two, "2", complete_workflow())


@script
def overrides_are_inherited(t):
    """An override is taken over by the run that continues, and by children."""
    worker(t, "1")
    worker(t, "2")
    set_current(t, "2")
    pin = {"pinned": {"version": version(t, "1"), "behavior": "PINNED_OVERRIDE_BEHAVIOR_PINNED"}}
    t.start(versioning_override=pin)
    done(t, take(t, "1"), "1", start_child(t, task_queue={"name": t.queue}), behavior=AUTO_UPGRADE)
    t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED")
    t.describe(t.other("child"))
    t.quiet("TerminateWorkflowExecution", workflow_execution={"workflow_id": t.other("child")})
    t.until_event("CHILD_WORKFLOW_EXECUTION_TERMINATED")
    t.sleep(OLD_ENOUGH_SECONDS)
    done(t, take(t, "1"), "1", continue_as_new(t), behavior=AUTO_UPGRADE)
    t.describe()
    t.start(t.other("auto"), versioning_override={"auto_upgrade": True})
    done(t, take(t, "2"), "2", start_child(t, "second", task_queue={"name": t.queue}))
    t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED", workflow_id=t.other("auto"))
    t.describe(t.other("second"))
    t.quiet("TerminateWorkflowExecution", workflow_execution={"workflow_id": t.other("second")})
    t.until_event("CHILD_WORKFLOW_EXECUTION_TERMINATED", workflow_id=t.other("auto"))
    t.sleep(OLD_ENOUGH_SECONDS)
    done(t, take(t, "2"), "2", continue_as_new(t))
    t.describe(t.other("auto"))


@script
def children_of_those_that_move_on(t):
    """A child of a workflow that moves on begins where its parent is; one on a queue of others does not."""
    worker(t, "1")
    set_current(t, "1")
    t.start()
    # One after the other: children of one task are started in any order.
    done(t, take(t, "1"), "1", start_child(t, "other"), behavior=AUTO_UPGRADE)
    t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED")
    done(t, take(t, "1"), "1", start_child(t, task_queue={"name": t.queue}), behavior=AUTO_UPGRADE)
    t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED", 2)
    t.describe(t.other("child"))
    t.describe(t.other("other"))


@script
def children_of_pinned_workflows_elsewhere(t):
    """A child of a pinned workflow on a queue that its version does not have."""
    worker(t, "1")
    set_current(t, "1")
    t.start()
    done(t, take(t, "1"), "1", start_child(t))
    t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED")
    t.describe(t.other("child"))
    child = t.poll(queue=t.queue_of("child"))
    t.complete(child, complete_workflow())
    t.until_event("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    done(t, take(t, "1"), "1", complete_workflow())


@script
def continued_with_another_behavior(t):
    """A pinned workflow may continue as one that moves on."""
    worker(t, "1")
    worker(t, "2")
    set_current(t, "1")
    t.start()
    task = take(t, "1")
    set_current(t, "2")
    t.sleep(OLD_ENOUGH_SECONDS)
    done(
        t,
        task,
        "1",
        continue_as_new(t, initial_versioning_behavior="CONTINUE_AS_NEW_VERSIONING_BEHAVIOR_AUTO_UPGRADE"),
    )
    t.describe()
    task = take(t, "2")
    t.describe()
    done(t, task, "2", complete_workflow())


@script
def retried(t):
    """A pinned workflow that is retried, or that cron starts again."""
    worker(t, "1")
    worker(t, "2")
    set_current(t, "1")
    t.start(retry_policy={"maximum_attempts": 2, "initial_interval": {"nanos": 1000000}})
    task = take(t, "1")
    set_current(t, "2")
    done(t, task, "1", fail_workflow())
    task = take(t, "2")
    t.describe()
    done(t, task, "2", complete_workflow())


@script
def behind_unversioned(t):
    """A workflow without a version comes to one, and its activities with it."""
    t.start()
    t.step(schedule_activity(t))
    t.describe()
    worker(t, "1")
    set_current(t, "1")
    poll = t.background(
        "PollActivityTaskQueue", task_queue={"name": t.queue}, deployment_options=options(t, "1")
    )
    task = take(t, "1")
    t.describe()
    done(t, task, "1")
    poll.join()
    t.describe()


@script
def activities_move_on(t):
    """An activity of a workflow that moves on goes to the current version, after the workflow has."""
    worker(t, "1")
    worker(t, "2")
    for build_id in "12":
        worker(t, build_id, "PollActivityTaskQueue")
    set_current(t, "1")
    t.start()
    done(t, take(t, "1"), "1", schedule_activity(t), behavior=AUTO_UPGRADE)
    set_current(t, "2")
    poll = t.background(
        "PollActivityTaskQueue", task_queue={"name": t.queue}, deployment_options=options(t, "2")
    )
    task = take(t, "2")
    t.describe()
    done(t, task, "2", behavior=AUTO_UPGRADE)
    task = poll.join()
    t.describe()
    t.complete_activity(task, deployment_options=options(t, "2"))
    done(t, take(t, "2"), "2", complete_workflow(), behavior=AUTO_UPGRADE)


@script
def what_workers_say(t):
    """Completions that say too little."""
    worker(t, "1")
    set_current(t, "1")
    t.start()
    task = take(t, "1")
    t.complete(task, deployment_options=options(t, "1"))
    t.describe()
    t.signal()
    task = take(t, "1")
    t.complete(task, versioning_behavior=PINNED)
    t.complete(task, versioning_behavior=PINNED, deployment_options=options(t, "1", UNVERSIONED))


@script
def ramped(t):
    """At a hundred per cent every new workflow goes to the version that is ramped."""
    worker(t, "1")
    worker(t, "2")
    set_current(t, "1")
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="2", percentage=100)
    t.until(
        lambda: (
            t.quiet(
                "DescribeTaskQueue", task_queue={"name": t.queue}
            ).versioning_info.ramping_version_percentage
            == 100
        ),
        "the ramp",
    )
    t.start()
    done(t, take(t, "2"), "2", behavior=AUTO_UPGRADE)
    t.describe()
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="2", percentage=0)
    t.until(
        lambda: (
            t.quiet(
                "DescribeTaskQueue", task_queue={"name": t.queue}
            ).versioning_info.ramping_version_percentage
            == 0
        ),
        "the ramp",
    )
    t.signal()
    done(t, take(t, "1"), "1", behavior=AUTO_UPGRADE)
    t.describe()


@script
def sticky_workers(t):
    """A workflow that moves on leaves the cache of the worker of its old version."""
    worker(t, "1")
    worker(t, "2")
    set_current(t, "1")
    t.start()
    sticky = {
        "worker_task_queue": {
            "name": t.sticky_queue,
            "kind": "TASK_QUEUE_KIND_STICKY",
            "normal_name": t.queue,
        },
        "schedule_to_start_timeout": {"seconds": 10},
    }
    task = take(t, "1")
    poll = t.background(
        "PollWorkflowTaskQueue",
        timeout=25,
        task_queue=sticky["worker_task_queue"],
        deployment_options=options(t, "1"),
    )
    t.sleep(1)  # The judge forgets the sticky queue of a worker that does not poll it yet.
    done(t, task, "1", behavior=AUTO_UPGRADE, sticky_attributes=sticky)
    t.signal()
    task = poll.join()
    done(t, task, "1", behavior=AUTO_UPGRADE, sticky_attributes=sticky)
    set_current(t, "2")
    t.signal()
    task = take(t, "2")
    done(t, task, "2", complete_workflow(), behavior=AUTO_UPGRADE)


@script
def overridden_once(t):
    """An override for one workflow task."""
    worker(t, "1")
    worker(t, "2")
    set_current(t, "2")
    t.start(versioning_override={"one_time": {"target_deployment_version": version(t, "1")}})
    t.describe()
    done(t, take(t, "1"), "1", behavior=AUTO_UPGRADE)
    t.describe()
    t.start(t.other("wrong"), versioning_override={"one_time": {}})
