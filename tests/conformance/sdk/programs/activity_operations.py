"""Activities that are paused and reset while they run, as their code sees it."""

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import PauseActivityRequest, ResetActivityRequest, UnpauseActivityRequest
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from ..case import case, equal, until

SOON = timedelta(seconds=30)
BEAT = timedelta(seconds=2)
AGAIN = RetryPolicy(initial_interval=timedelta(milliseconds=200), backoff_coefficient=1)


@activity.defn
async def works_until_told() -> str:
    """Says in its second attempt why the first one ended."""
    details = activity.info().heartbeat_details
    if details:
        return str(details[0])
    try:
        while True:
            activity.heartbeat()
            await asyncio.sleep(0.05)
    except asyncio.CancelledError:
        why = activity.cancellation_details()
        reasons = [name for name in ("paused", "reset", "cancel_requested") if why and getattr(why, name)]
        activity.heartbeat(" and ".join(reasons))
        raise ApplicationError("was told to stop") from None


@workflow.defn
class Works:
    @workflow.run
    async def run(self) -> str:
        return await workflow.execute_activity(
            works_until_told,
            activity_id="it",
            start_to_close_timeout=SOON,
            heartbeat_timeout=BEAT,
            retry_policy=AGAIN,
        )


async def pending(handle):
    description = await handle.describe()
    activities = description.raw_description.pending_activities
    return activities[0] if activities else None


async def started(handle):
    async def has_started():
        it = await pending(handle)
        return it is not None and it.HasField("last_started_time")

    await until(has_started, "the attempt to begin")
    return WorkflowExecution(workflow_id=handle.id)


@case
async def paused_while_it_runs(env):
    """The code is cancelled and can see why; after the unpause it is tried again with its heartbeat."""
    async with env.worker([Works], [works_until_told]):
        handle = await env.start(Works.run)
        execution = await started(handle)
        service = env.client.workflow_service
        await service.pause_activity(
            PauseActivityRequest(namespace="default", execution=execution, id="it", reason="lunch")
        )

        async def is_paused():
            it = await pending(handle)
            return it.attempt == 2 and not it.HasField("last_started_time")

        await until(is_paused, "the attempt to end")
        it = await pending(handle)
        equal((it.paused, it.pause_info.manual.reason), (True, "lunch"))
        await service.unpause_activity(
            UnpauseActivityRequest(namespace="default", execution=execution, id="it")
        )
        equal(await handle.result(), "paused")


@case
async def reset_while_it_runs(env):
    """The code is cancelled and can see why; it is tried again with its heartbeat."""
    async with env.worker([Works], [works_until_told]):
        handle = await env.start(Works.run)
        execution = await started(handle)
        await env.client.workflow_service.reset_activity(
            ResetActivityRequest(namespace="default", execution=execution, id="it")
        )
        equal(await handle.result(), "reset")
