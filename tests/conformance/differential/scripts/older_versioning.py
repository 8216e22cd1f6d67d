"""The schemes of versioning before worker deployments: switched off, as far as anybody can tell."""

from ..case import script


def refused(t, method, **fields):
    t.call(method, **fields)


@script
def deployments_of_the_first_kind(t):
    """The pre-release calls about deployments."""
    deployment = {"series_name": f"series-{t.id}", "build_id": "1"}
    t.call("DescribeDeployment", deployment=deployment)
    t.call("DescribeDeployment")
    t.call("ListDeployments")
    t.call("ListDeployments", series_name=f"series-{t.id}")
    t.call("GetDeploymentReachability", deployment=deployment)
    t.call("GetCurrentDeployment", series_name=f"series-{t.id}")
    t.call("GetCurrentDeployment")
    t.call("SetCurrentDeployment", deployment=deployment)
    t.call("SetCurrentDeployment")


@script
def build_id_compatibility(t):
    """Sets of compatible build ids."""
    t.call("UpdateWorkerBuildIdCompatibility", task_queue=t.queue, add_new_build_id_in_new_default_set="1")
    t.call("UpdateWorkerBuildIdCompatibility")
    t.call("GetWorkerBuildIdCompatibility", task_queue=t.queue)
    t.call("GetWorkerBuildIdCompatibility", task_queue=t.queue, max_sets=1)
    t.call("GetWorkerBuildIdCompatibility")
    t.call("GetWorkerTaskReachability", build_ids=["1"])
    t.call("GetWorkerTaskReachability", build_ids=["1"], task_queues=[t.queue])
    t.call("GetWorkerTaskReachability")


@script
def rules(t):
    """Rules that assign and redirect build ids."""
    t.call("GetWorkerVersioningRules", task_queue=t.queue)
    t.call("GetWorkerVersioningRules")
    rule = {"rule": {"target_build_id": "1"}}
    t.call("UpdateWorkerVersioningRules", task_queue=t.queue, insert_assignment_rule=rule)
    t.call("UpdateWorkerVersioningRules", task_queue=t.queue, commit_build_id={"target_build_id": "1"})
    t.call("UpdateWorkerVersioningRules")


@script
def workers_of_the_older_kind(t):
    """Polls with the older versioning are refused."""
    capabilities = {"build_id": "1", "use_versioning": True}
    t.poll(worker_version_capabilities=capabilities)
    t.poll_activity(worker_version_capabilities=capabilities)
    t.start()
    task = t.poll(worker_version_capabilities={"build_id": "1"})
    t.complete(task, worker_version_stamp={"build_id": "1", "use_versioning": True})
