"""Cancelling workflows and activities, from outside and from inside."""

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError, CancelledError, TerminatedError
from temporalio.workflow import ActivityCancellationType

from ..case import case, equal, raises, until

SOON = timedelta(seconds=30)
BEAT = timedelta(seconds=2)


@activity.defn
async def works_until_cancelled() -> str:
    try:
        while True:
            activity.heartbeat("working")
            await asyncio.sleep(0.05)
    except asyncio.CancelledError:
        await asyncio.sleep(0.2)
        raise


@activity.defn
async def refuses_to_stop() -> str:
    try:
        while True:
            activity.heartbeat("working")
            await asyncio.sleep(0.05)
    except asyncio.CancelledError:
        return "finished all the same"


@activity.defn
async def cleans_up() -> str:
    return "clean"


@workflow.defn
class Waits:
    @workflow.run
    async def run(self) -> str:
        await asyncio.sleep(1000)
        return "woke up"


@workflow.defn
class CleansUp:
    @workflow.run
    async def run(self) -> str:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            return await workflow.execute_activity(cleans_up, start_to_close_timeout=SOON)
        return "woke up"


@workflow.defn
class Cancels:
    """Cancels an activity of its own, in one of the three ways."""

    @workflow.run
    async def run(self, activity_name: str, way: str) -> str:
        handle = workflow.start_activity(
            activity_name,
            start_to_close_timeout=SOON,
            heartbeat_timeout=BEAT,
            cancellation_type=ActivityCancellationType[way],
        )
        await asyncio.sleep(0.5)
        handle.cancel()
        try:
            return await handle
        except ActivityError as error:
            return type(error.cause).__name__


@workflow.defn
class CancelsUnstarted:
    @workflow.run
    async def run(self) -> str:
        handle = workflow.start_activity(
            "anything", task_queue="nobody-polls-this-queue", start_to_close_timeout=SOON
        )
        await asyncio.sleep(0.1)
        handle.cancel()
        try:
            return await handle
        except ActivityError as error:
            return type(error.cause).__name__


@workflow.defn
class Passes:
    """Cancelling the workflow cancels the activity that it waits for."""

    @workflow.run
    async def run(self) -> str:
        return await workflow.execute_activity(
            works_until_cancelled,
            start_to_close_timeout=SOON,
            heartbeat_timeout=BEAT,
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )


@workflow.defn
class Shields:
    @workflow.run
    async def run(self) -> str:
        inside = asyncio.create_task(asyncio.sleep(1, "done inside"))
        try:
            return await asyncio.shield(inside)
        except asyncio.CancelledError:
            return "cancelled outside, " + await inside


async def running(env, handle):
    """Waits until the workflow's first task is done."""

    async def has_begun():
        history = await handle.fetch_history()
        return len(history.events) > 4

    await until(has_begun, "the workflow to begin")


@case
async def workflow_is_cancelled(env):
    """The caller sees a cancelled workflow."""
    async with env.worker([Waits]):
        handle = await env.start(Waits.run)
        await running(env, handle)
        await handle.cancel()
        error = await raises(WorkflowFailureError, handle.result())
        assert isinstance(error.cause, CancelledError)
        equal((await handle.describe()).status.name, "CANCELED")


@case
async def before_the_worker(env):
    """Cancelled before any worker has seen it."""
    handle = await env.start(Waits.run)
    await handle.cancel()
    async with env.worker([Waits]):
        error = await raises(WorkflowFailureError, handle.result())
        assert isinstance(error.cause, CancelledError)


@case
async def workflow_cleans_up(env):
    """A workflow may catch its cancellation and work on."""
    async with env.worker([CleansUp], [cleans_up]):
        handle = await env.start(CleansUp.run)
        await running(env, handle)
        await handle.cancel()
        equal(await handle.result(), "clean")


@case
async def activity_ways(env):
    """Try, wait, abandon: what the workflow gets, and when."""
    activities = [works_until_cancelled, refuses_to_stop]
    async with env.worker([Cancels], activities):
        for name, way, expected in (
            ("works_until_cancelled", "TRY_CANCEL", "CancelledError"),
            ("works_until_cancelled", "WAIT_CANCELLATION_COMPLETED", "CancelledError"),
            ("works_until_cancelled", "ABANDON", "CancelledError"),
            ("refuses_to_stop", "WAIT_CANCELLATION_COMPLETED", "finished all the same"),
        ):
            result = await env.execute(Cancels.run, args=[name, way], id=env.id(f"{name}-{way}"))
            equal((way, result), (way, expected))


@case
async def unstarted_activity(env):
    """An activity that no worker took is cancelled at once."""
    async with env.worker([CancelsUnstarted]):
        equal(await env.execute(CancelsUnstarted.run), "CancelledError")


@case
async def through_the_workflow(env):
    """From the workflow to the activity and back."""
    async with env.worker([Passes], [works_until_cancelled]):
        handle = await env.start(Passes.run)
        await asyncio.sleep(1)
        await handle.cancel()
        error = await raises(WorkflowFailureError, handle.result())
        assert isinstance(error.cause, CancelledError)


@case
async def shielded(env):
    """What is shielded goes on."""
    async with env.worker([Shields]):
        handle = await env.start(Shields.run)
        await running(env, handle)
        await handle.cancel()
        equal(await handle.result(), "cancelled outside, done inside")


@case
async def terminated(env):
    """Termination asks nobody; the activity's worker hears of it by its heartbeat."""
    async with env.worker([Passes], [works_until_cancelled]):
        handle = await env.start(Passes.run)
        await asyncio.sleep(1)
        await handle.terminate("detail", reason="because")
        error = await raises(WorkflowFailureError, handle.result())
        assert isinstance(error.cause, TerminatedError)
        equal(error.cause.message, "because")
        equal((await handle.describe()).status.name, "TERMINATED")
