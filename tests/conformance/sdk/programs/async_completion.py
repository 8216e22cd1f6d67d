"""Activities that are finished by somebody else, later."""

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import AsyncActivityCancelledError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from ..case import case, equal, raises, until

SOON = timedelta(seconds=30)
tokens: list[bytes] = []


@activity.defn
async def left_to_others() -> str:
    tokens.append(activity.info().task_token)
    activity.raise_complete_async()


@workflow.defn
class Waits:
    @workflow.run
    async def run(self, cancel_it: bool) -> str:
        handle = workflow.start_activity(
            left_to_others,
            activity_id="the-activity",
            start_to_close_timeout=SOON,
            heartbeat_timeout=timedelta(seconds=20),
            retry_policy=RetryPolicy(maximum_attempts=1),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        if cancel_it:
            await workflow.wait_condition(lambda: self.cancelled)
            handle.cancel()
        try:
            return await handle
        except ActivityError as error:
            return f"{type(error.cause).__name__}: {error.cause.message}"

    def __init__(self) -> None:
        self.cancelled = False

    @workflow.signal
    def cancel(self) -> None:
        self.cancelled = True


async def token():
    """The token of the activity, once a worker has it."""

    async def known():
        return tokens

    return (await until(known, "the activity to start"))[0]


@case
async def by_token(env):
    """Heartbeat and completion with the task's token."""
    async with env.worker([Waits], [left_to_others]):
        handle = await env.start(Waits.run, False)
        other = env.client.get_async_activity_handle(task_token=await token())
        await other.heartbeat("still there")
        await other.complete("done elsewhere")
        equal(await handle.result(), "done elsewhere")
        error = await raises(RPCError, other.complete("again"))
        equal(error.status, RPCStatusCode.NOT_FOUND)


@case
async def by_id(env):
    """With the ids of workflow and activity."""
    async with env.worker([Waits], [left_to_others]):
        handle = await env.start(Waits.run, False)
        await token()
        other = env.client.get_async_activity_handle(
            workflow_id=handle.id, run_id=handle.first_execution_run_id, activity_id="the-activity"
        )
        await other.heartbeat("still there")
        await other.complete("done by id")
        equal(await handle.result(), "done by id")


@case
async def failed(env):
    """A failure given from elsewhere."""
    async with env.worker([Waits], [left_to_others]):
        handle = await env.start(Waits.run, False)
        other = env.client.get_async_activity_handle(task_token=await token())
        await other.fail(ApplicationError("not today"))
        equal(await handle.result(), "ApplicationError: not today")


@case
async def cancelled(env):
    """The heartbeat says that the activity is to be cancelled, and that can be reported."""
    async with env.worker([Waits], [left_to_others]):
        handle = await env.start(Waits.run, True)
        other = env.client.get_async_activity_handle(task_token=await token())
        await other.heartbeat()
        await handle.signal(Waits.cancel)

        async def told():
            try:
                await other.heartbeat()
                return False
            except AsyncActivityCancelledError:
                return True

        await until(told, "the request to cancel")
        await other.report_cancellation("bye")
        result = await handle.result()
        assert result.startswith("CancelledError"), result
        await asyncio.sleep(0)
