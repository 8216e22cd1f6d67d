"""Local activities: run by the workflow's own worker, recorded as markers."""

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import FailureError

from ..case import case, equal

SOON = timedelta(seconds=20)
FAST = RetryPolicy(initial_interval=timedelta(milliseconds=50), backoff_coefficient=1)


@activity.defn
async def double(number: int) -> int:
    return 2 * number


@activity.defn
async def third_time_lucky() -> int:
    attempt = activity.info().attempt
    if attempt < 3:
        raise RuntimeError(f"attempt {attempt}")
    return attempt


@activity.defn
async def takes(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


@workflow.defn
class Doubles:
    @workflow.run
    async def run(self, times: int) -> int:
        number = 1
        for _ in range(times):
            number = await workflow.execute_local_activity(double, number, start_to_close_timeout=SOON)
        return number


@workflow.defn
class Mixed:
    @workflow.run
    async def run(self) -> list[int]:
        return list(
            await asyncio.gather(
                workflow.execute_local_activity(double, 1, start_to_close_timeout=SOON),
                workflow.execute_activity(double, 2, start_to_close_timeout=SOON),
                workflow.execute_local_activity(double, 3, start_to_close_timeout=SOON),
            )
        )


@workflow.defn
class Retries:
    @workflow.run
    async def run(self, attempts: int) -> str:
        policy = RetryPolicy(
            initial_interval=FAST.initial_interval, backoff_coefficient=1, maximum_attempts=attempts
        )
        try:
            number = await workflow.execute_local_activity(
                third_time_lucky, start_to_close_timeout=SOON, retry_policy=policy
            )
            return f"attempt {number}"
        except FailureError as error:
            return (error.cause or error).message


@workflow.defn
class BacksOff:
    """A retry that is longer away than a workflow task may last becomes a timer."""

    @workflow.run
    async def run(self) -> int:
        policy = RetryPolicy(initial_interval=timedelta(seconds=1), backoff_coefficient=1)
        return await workflow.execute_local_activity(
            third_time_lucky,
            start_to_close_timeout=SOON,
            retry_policy=policy,
            local_retry_threshold=timedelta(milliseconds=100),
        )


@workflow.defn
class Long:
    def __init__(self) -> None:
        self.signals = 0

    @workflow.run
    async def run(self, seconds: float) -> str:
        done = await workflow.execute_local_activity(takes, seconds, start_to_close_timeout=SOON)
        return f"{done} with {self.signals} signals"

    @workflow.signal
    def go(self) -> None:
        self.signals += 1


@case
async def several(env):
    """Ten in a row, in one workflow task."""
    async with env.worker([Doubles], [double]):
        equal(await env.execute(Doubles.run, 10), 1024)


@case
async def mixed(env):
    """Beside ordinary activities."""
    async with env.worker([Mixed], [double]):
        equal(await env.execute(Mixed.run), [2, 4, 6])


@case
async def retried(env):
    """Retried by the worker itself, until success or the last attempt."""
    async with env.worker([Retries], [third_time_lucky]):
        equal(await env.execute(Retries.run, 0, id=env.id("lucky")), "attempt 3")
        equal(await env.execute(Retries.run, 2, id=env.id("unlucky")), "attempt 2")


@case
async def backed_off(env):
    """Retries with a timer between them."""
    async with env.worker([BacksOff], [third_time_lucky]):
        equal(await env.execute(BacksOff.run), 3)


@case
async def longer_than_a_task(env):
    """A local activity longer than the task time-out keeps its task alive by heartbeats."""
    async with env.worker([Long], [takes]):
        handle = await env.start(Long.run, 5, task_timeout=timedelta(seconds=2))
        await asyncio.sleep(1)
        await handle.signal(Long.go)
        equal(await handle.result(), "done with 1 signals")
        history = await handle.fetch_history()
        completed = [e for e in history.events if e.HasField("workflow_task_completed_event_attributes")]
        assert len(completed) > 2, "there were no heartbeats"
