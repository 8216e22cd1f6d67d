"""Waiting: for time, for conditions, for whichever comes first."""

import asyncio
from datetime import timedelta

from temporalio import workflow

from ..case import case, equal, until


@workflow.defn
class Sleeps:
    @workflow.run
    async def run(self, seconds: float) -> float:
        begun = workflow.now()
        await asyncio.sleep(seconds)
        return (workflow.now() - begun).total_seconds()


@workflow.defn
class Race:
    @workflow.run
    async def run(self) -> list[str]:
        order: list[str] = []

        async def after(seconds: float, name: str) -> None:
            await asyncio.sleep(seconds)
            order.append(name)

        await asyncio.gather(after(0.9, "third"), after(0.1, "first"), after(0.5, "second"))
        return order


@workflow.defn
class CancelledTimer:
    @workflow.run
    async def run(self) -> str:
        timer = asyncio.create_task(asyncio.sleep(1000))
        await asyncio.sleep(0.1)
        timer.cancel()
        try:
            await timer
        except asyncio.CancelledError:
            return "cancelled"
        return "fired"


@workflow.defn
class Patience:
    def __init__(self) -> None:
        self.ready = False

    @workflow.run
    async def run(self) -> str:
        try:
            await workflow.wait_condition(lambda: self.ready, timeout=timedelta(seconds=0.3))
        except asyncio.TimeoutError:
            await workflow.wait_condition(lambda: self.ready, timeout=timedelta(seconds=60))
            return "at the second try"
        return "at once"

    @workflow.signal
    def go(self) -> None:
        self.ready = True


@workflow.defn
class ManyTimers:
    @workflow.run
    async def run(self) -> int:
        await asyncio.gather(*(asyncio.sleep(0.1 + number / 100) for number in range(50)))
        return workflow.info().get_current_history_length()


@case
async def sleep(env):
    """A workflow sleeps as long as it says."""
    async with env.worker([Sleeps]):
        slept = await env.execute(Sleeps.run, 1.0)
        assert 1.0 <= slept < 5.0, slept


@case
async def race(env):
    """Timers fire in the order of their lengths."""
    async with env.worker([Race]):
        equal(await env.execute(Race.run), ["first", "second", "third"])


@case
async def cancelled(env):
    """A cancelled timer ends at once."""
    async with env.worker([CancelledTimer]):
        equal(await env.execute(CancelledTimer.run), "cancelled")


@case
async def condition_with_timeout(env):
    """A condition that comes too late, and one that comes in time."""
    async with env.worker([Patience]):
        handle = await env.start(Patience.run)

        async def gave_up():
            events = (await handle.fetch_history()).events
            return any(e.HasField("timer_fired_event_attributes") for e in events)

        await until(gave_up, "the first timer to fire")
        await handle.signal(Patience.go)
        equal(await handle.result(), "at the second try")


@case
async def many(env):
    """Fifty timers at a time."""
    async with env.worker([ManyTimers]):
        assert await env.execute(ManyTimers.run) > 100
