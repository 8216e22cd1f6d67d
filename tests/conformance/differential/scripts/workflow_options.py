"""Options of a workflow, changed by hand while it runs."""

from ..case import script
from ..commands import complete_workflow, continue_as_new, schedule_activity, seconds, start_timer
from .deployments import worker
from .versioned_workflows import done, set_current, take


def update_options(t, options=None, *paths, workflow_id=None, run_id="", **fields):
    """Changes the options that the paths name."""
    if paths:
        fields["update_mask"] = {"paths": list(paths)}
    return t.call(
        "UpdateWorkflowExecutionOptions",
        workflow_execution={"workflow_id": t.named(workflow_id), "run_id": run_id},
        workflow_execution_options=options,
        **fields,
    )


AUTO_UPGRADE = {"versioning_override": {"auto_upgrade": True}}


@script
def priority(t):
    """A priority is set, changed by its fields, and taken away."""
    t.start()
    update_options(t, {"priority": {"priority_key": 2}}, "priority")
    t.describe()
    update_options(t, {"priority": {"priority_key": 2}}, "priority")
    update_options(t, {"priority": {"priority_key": 3, "fairness_key": "f"}}, "priority.priority_key")
    update_options(t, {"priority": {"fairness_key": "f", "fairness_weight": 2}}, "priority.fairness_key")
    update_options(t, {"priority": {"fairness_key": "g", "fairness_weight": 2}}, "priority.fairness_weight")
    update_options(t, {"priority": {"priority_key": 5}}, "priority.priorityKey")
    t.describe()
    t.step(schedule_activity(t), start_timer())
    t.poll_activity()
    update_options(t, {}, "priority")
    t.describe()


@script
def override(t):
    """A workflow is to follow the latest version, or not any more."""
    t.start()
    update_options(t, AUTO_UPGRADE, "versioning_override")
    update_options(t, AUTO_UPGRADE, "versioning_override", identity="other")
    update_options(t, {}, "versioning_override")
    update_options(t, {}, "versioning_override")
    t.step(complete_workflow())


@script
def both(t):
    """Several options in one event."""
    t.start()
    update_options(
        t, {"priority": {"priority_key": 1}, **AUTO_UPGRADE}, "versioning_override", "priority", identity="me"
    )
    update_options(t, {"priority": {"priority_key": 2}}, "priority")
    t.step(continue_as_new(t, backoff_start_interval=seconds(30)))
    t.describe()


@script
def behind_a_started_task(t):
    """The event waits for the task like a signal, and gives no new task."""
    t.start()
    task = t.poll()
    update_options(t, {"priority": {"priority_key": 2}}, "priority")
    t.describe()
    t.complete(task, start_timer())
    t.history()


@script
def requests_that_are_refused(t):
    """Nobody, nothing, masks that name nothing, values out of range."""
    update_options(t, AUTO_UPGRADE, "versioning_override")
    update_options(t, AUTO_UPGRADE, "versioning_override", workflow_id="")
    t.start()
    update_options(t, AUTO_UPGRADE)
    update_options(t, None, "versioning_override")
    update_options(t, AUTO_UPGRADE, "no_such_field")
    update_options(t, AUTO_UPGRADE, "versioning_override", "no_such_field")
    update_options(t, AUTO_UPGRADE, "versioning_override.behavior")
    update_options(t, AUTO_UPGRADE, "versioningOverride")
    update_options(t, AUTO_UPGRADE, update_mask={})
    update_options(t, {"priority": {"priority_key": -1}}, "priority")
    update_options(t, {"priority": {"priority_key": 6}}, "priority")
    update_options(t, {"priority": {"priority_key": 1000}}, "priority")
    update_options(t, {"priority": {"fairness_key": "k" * 64}}, "priority")
    update_options(t, {"priority": {"fairness_key": "k" * 65}}, "priority")
    update_options(t, {"priority": {"fairness_weight": -1}}, "priority")
    update_options(t, {"priority": {"fairness_weight": 1e9}}, "priority")
    update_options(t, {"versioning_override": {"behavior": "VERSIONING_BEHAVIOR_PINNED"}}, "versioning_override")
    update_options(t, {"versioning_override": {}}, "versioning_override")
    update_options(
        t, {"versioning_override": {"behavior": "VERSIONING_BEHAVIOR_AUTO_UPGRADE"}}, "versioning_override"
    )
    update_options(
        t,
        {"versioning_override": {"behavior": "VERSIONING_BEHAVIOR_AUTO_UPGRADE", "pinned_version": "a.b"}},
        "versioning_override",
    )
    update_options(t, {"time_skipping_config": {"enabled": True}}, "time_skipping_config")
    update_options(t, AUTO_UPGRADE, "versioning_override", run_id="not-a-uuid")
    update_options(t, AUTO_UPGRADE, "versioning_override", run_id="11111111-2222-3333-4444-555555555555")
    t.call("UpdateWorkflowExecutionOptions")
    t.step(complete_workflow())
    update_options(t, AUTO_UPGRADE, "versioning_override")


@script
def older_form(t):
    """An override in its older form is written whenever it is asked for, in the newer one."""
    older = {"versioning_override": {"behavior": "VERSIONING_BEHAVIOR_AUTO_UPGRADE"}}
    t.start()
    update_options(t, older, "versioning_override")
    update_options(t, older, "versioning_override")
    update_options(t, AUTO_UPGRADE, "versioning_override")
    update_options(t, {"priority": {"priority_key": 2}}, "priority")
    update_options(t, older, "priority")
    t.describe()


PINNED_BEHAVIOR = "PINNED_OVERRIDE_BEHAVIOR_PINNED"


def pinned(build_id="1", deployment="nobody"):
    version = {"deployment_name": deployment, "build_id": build_id}
    return {"versioning_override": {"pinned": {"behavior": PINNED_BEHAVIOR, "version": version}}}


@script
def pinned_to_what_is_not_there(t):
    """A version must have the queue of the workflow, also if the mask does not name the override."""
    t.start()
    update_options(t, pinned(), "versioning_override")
    update_options(t, pinned(), "priority")
    update_options(t, pinned("", ""), "versioning_override")
    older = {"behavior": "VERSIONING_BEHAVIOR_PINNED"}
    update_options(t, {"versioning_override": {**older, "pinned_version": "a.b"}}, "versioning_override")
    deployment = {"series_name": "a", "build_id": "b"}
    update_options(t, {"versioning_override": {**older, "deployment": deployment}}, "priority")
    once = {"target_deployment_version": {"deployment_name": "nobody", "build_id": "1"}}
    update_options(t, {"versioning_override": {"one_time": once}}, "versioning_override")
    update_options(t, pinned(), "versioning_override", workflow_id=t.other("nobody"))
    t.step(complete_workflow())
    update_options(t, pinned(), "versioning_override")


@script
def pinned_where_it_is(t):
    """An override without a version pins a workflow to that on which it is pinned, if it is."""
    where_it_is = {"versioning_override": {"pinned": {"behavior": PINNED_BEHAVIOR}}}
    t.start()
    update_options(t, where_it_is, "versioning_override")
    update_options(t, AUTO_UPGRADE, "versioning_override")
    update_options(t, where_it_is, "versioning_override")
    update_options(t, {"versioning_override": {"pinned": {}}}, "versioning_override")
    worker(t, "1")
    set_current(t, "1")
    t.start(t.other("pinned"))
    done(t, take(t, "1"), "1")
    update_options(t, where_it_is, "versioning_override", workflow_id=t.other("pinned"))
    t.describe(t.other("pinned"))


@script
def behind_a_reset(t):
    """Options that a reset brings along are checked against the workflow that is reset."""
    t.start()
    t.step(start_timer())

    def reset(options, workflow_id=None):
        update = {"workflow_execution_options": options, "update_mask": {"paths": ["versioning_override"]}}
        t.call(
            "ResetWorkflowExecution",
            workflow_execution={"workflow_id": t.named(workflow_id)},
            reason="again",
            request_id="r",
            workflow_task_finish_event_id=4,
            post_reset_operations=[{"update_workflow_options": update}],
        )

    reset(pinned())
    reset({"versioning_override": {"pinned": {"behavior": PINNED_BEHAVIOR}}})
    reset(pinned(), t.other("nobody"))
    reset(AUTO_UPGRADE)
