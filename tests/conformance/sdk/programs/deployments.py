"""Versions of workers: pinned workflows, those that move on, ramps, overrides, activities, children."""

from datetime import timedelta

from temporalio import activity, workflow
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentRequest,
    SetWorkerDeploymentCurrentVersionRequest,
    SetWorkerDeploymentRampingVersionRequest,
)
from temporalio.common import (
    PinnedVersioningOverride,
    VersioningBehavior,
    WorkerDeploymentVersion,
)
from temporalio.service import RPCError
from temporalio.worker import WorkerDeploymentConfig

from ..case import case, equal, until

SOON = timedelta(seconds=20)


@workflow.defn(name="Pinned", versioning_behavior=VersioningBehavior.PINNED)
class PinnedOne:
    """Tells on which version each of its steps ran."""

    def __init__(self) -> None:
        self.steps = 0

    @workflow.run
    async def run(self, steps: int) -> list[str]:
        told = []
        for step in range(steps):
            await workflow.wait_condition(lambda step=step: self.steps > step)
            told.append(
                await workflow.execute_activity("where", start_to_close_timeout=SOON, result_type=str)
            )
        return told

    @workflow.signal
    def step(self) -> None:
        self.steps += 1

    @workflow.query
    def seen(self) -> int:
        return self.steps


@workflow.defn(name="Moving", versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class MovingOne(PinnedOne):
    @workflow.run
    async def run(self, steps: int) -> list[str]:
        told = []
        for step in range(steps):
            await workflow.wait_condition(lambda step=step: self.steps > step)
            told.append(
                await workflow.execute_activity("where", start_to_close_timeout=SOON, result_type=str)
            )
        return told


@workflow.defn(name="Parent", versioning_behavior=VersioningBehavior.PINNED)
class Parent:
    @workflow.run
    async def run(self) -> list[str]:
        handle = await workflow.start_child_workflow("Pinned", 1, result_type=list)
        await handle.signal("step")
        return await handle


def where(build_id):
    """An activity that tells of which version its worker is."""

    @activity.defn(name="where")
    async def where() -> str:
        return build_id

    return where


def deployment(env):
    return env.prefix.replace(".", "-")


def version(env, build_id):
    return WorkerDeploymentVersion(deployment_name=deployment(env), build_id=build_id)


def worker(env, build_id):
    config = WorkerDeploymentConfig(version=version(env, build_id), use_worker_versioning=True)
    workflows = [PinnedOne, MovingOne, Parent]
    return env.worker(workflows, [where(build_id)], deployment_config=config, identity=f"worker-{build_id}")


async def described(env):
    request = DescribeWorkerDeploymentRequest(namespace=env.namespace, deployment_name=deployment(env))
    return await env.client.workflow_service.describe_worker_deployment(request)


async def appeared(env, *build_ids):
    async def found():
        try:
            info = (await described(env)).worker_deployment_info
        except RPCError:
            return False
        known = {summary.deployment_version.build_id for summary in info.version_summaries}
        return set(build_ids) <= known

    await until(found, f"versions {build_ids}")


async def set_current(env, build_id):
    await appeared(env, build_id)
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=env.namespace,
        deployment_name=deployment(env),
        build_id=build_id,
        conflict_token=(await described(env)).conflict_token,
    )
    await env.client.workflow_service.set_worker_deployment_current_version(request)

    async def in_force():
        info = (await described(env)).worker_deployment_info
        return info.routing_config.current_deployment_version.build_id == build_id

    await until(in_force, "the current version")


async def set_ramp(env, build_id, percentage):
    request = SetWorkerDeploymentRampingVersionRequest(
        namespace=env.namespace,
        deployment_name=deployment(env),
        build_id=build_id,
        percentage=percentage,
        conflict_token=(await described(env)).conflict_token,
    )
    await env.client.workflow_service.set_worker_deployment_ramping_version(request)


async def told(env, name):
    """Where a new pinned workflow of one step ran."""
    handle = await env.start("Pinned", 1, id=env.id(name))
    await handle.signal("step")
    return await handle.result()


async def stepped(handle, times):
    """One more step, and waits until it was seen."""
    await handle.signal("step")

    async def seen():
        return await handle.query("seen") == times

    await until(seen, "the step")


@case
async def pinned_and_moving(env):
    """A pinned workflow ends where it began; the other one goes with the current version."""
    async with worker(env, "1"), worker(env, "2"):
        await appeared(env, "1", "2")
        await set_current(env, "1")
        pinned = await env.start("Pinned", 2, id=env.id("pinned"))
        moving = await env.start("Moving", 2, id=env.id("moving"))
        for handle in (pinned, moving):
            await stepped(handle, 1)

        async def both_told():
            for handle in (pinned, moving):
                history = await handle.fetch_history()
                if not any(
                    event.HasField("activity_task_completed_event_attributes") for event in history.events
                ):
                    return False
            return True

        await until(both_told, "the first activities")
        await set_current(env, "2")
        for handle in (pinned, moving):
            await handle.signal("step")
        equal(await pinned.result(), ["1", "1"])
        equal(await moving.result(), ["1", "2"])
        equal(await told(env, "new"), ["2"])


@case
async def overridden(env):
    """Whoever starts a workflow may say on which version it is to run."""
    async with worker(env, "1"), worker(env, "2"):
        await appeared(env, "1", "2")
        await set_current(env, "2")
        override = PinnedVersioningOverride(version(env, "1"))

        async def started():
            try:
                return await env.start("Moving", 1, id=env.id("overridden"), versioning_override=override)
            except RPCError:
                return None

        handle = await until(started, "the version's queue")
        await handle.signal("step")
        equal(await handle.result(), ["1"])
        info = (await handle.describe()).raw_description.workflow_execution_info
        equal(info.versioning_info.versioning_override.pinned.version.build_id, "1")


@case
async def ramped(env):
    """A ramp of a hundred per cent takes every new workflow, one of nought none."""
    async with worker(env, "1"), worker(env, "2"):
        await appeared(env, "1", "2")
        await set_current(env, "1")
        await set_ramp(env, "2", 100)
        equal(await told(env, "all"), ["2"])
        await set_ramp(env, "2", 0)
        equal(await told(env, "none"), ["1"])


@case
async def children(env):
    """A child of a pinned workflow begins on its parent's version, though another one is current."""
    async with worker(env, "1"), worker(env, "2"):
        await appeared(env, "1", "2")
        await set_current(env, "2")
        override = PinnedVersioningOverride(version(env, "1"))

        async def started():
            try:
                return await env.start("Parent", id=env.id("parent"), versioning_override=override)
            except RPCError:
                return None

        handle = await until(started, "the version's queue")
        equal(await handle.result(), ["1"])
