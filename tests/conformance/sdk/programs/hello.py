"""The first programs that everybody writes."""

import asyncio
import time
from datetime import timedelta

from temporalio import activity, workflow

from ..case import case, equal

SOON = timedelta(seconds=20)


@activity.defn
async def greet(name: str) -> str:
    return f"Hello, {name}!"


@activity.defn
def greet_in_a_thread(name: str) -> str:
    time.sleep(0.05)
    return f"Hello, {name}!"


@workflow.defn
class Greeting:
    @workflow.run
    async def run(self, name: str) -> str:
        return await workflow.execute_activity(greet, name, start_to_close_timeout=SOON)


@workflow.defn
class GreetingInAThread:
    @workflow.run
    async def run(self, name: str) -> str:
        return await workflow.execute_activity(greet_in_a_thread, name, start_to_close_timeout=SOON)


@workflow.defn
class NoActivity:
    @workflow.run
    async def run(self) -> None:
        return None


@workflow.defn
class ManyGreetings:
    @workflow.run
    async def run(self, names: list[str]) -> list[str]:
        one_by_one = [
            await workflow.execute_activity(greet, name, start_to_close_timeout=SOON) for name in names
        ]
        at_once = await asyncio.gather(
            *(workflow.execute_activity(greet, name, start_to_close_timeout=SOON) for name in names)
        )
        assert one_by_one == list(at_once)
        return one_by_one


@case
async def hello(env):
    """One workflow, one activity, one result."""
    async with env.worker([Greeting], [greet]):
        equal(await env.execute(Greeting.run, "world"), "Hello, world!")


@case
async def thread(env):
    """An activity that is an ordinary function."""
    async with env.worker([GreetingInAThread], [greet_in_a_thread]):
        equal(await env.execute(GreetingInAThread.run, "world"), "Hello, world!")


@case
async def nothing(env):
    """A workflow that does nothing."""
    async with env.worker([NoActivity]):
        equal(await env.execute(NoActivity.run), None)


@case
async def several_activities(env):
    """One after the other and all at once."""
    names = [str(number) for number in range(8)]
    async with env.worker([ManyGreetings], [greet]):
        equal(await env.execute(ManyGreetings.run, names), [f"Hello, {n}!" for n in names])


@case
async def many_workflows(env):
    """Forty workflows at a time."""
    async with env.worker([Greeting], [greet]):
        ids = [str(number) for number in range(40)]
        results = await asyncio.gather(*(env.execute(Greeting.run, n, id=env.id(n)) for n in ids))
        equal(list(results), [f"Hello, {n}!" for n in ids])


@case
async def started_before_the_worker(env):
    """The workflow waits for its worker."""
    handle = await env.start(Greeting.run, "late")
    await asyncio.sleep(1)
    async with env.worker([Greeting], [greet]):
        equal(await handle.result(), "Hello, late!")


@case
async def eager_start(env):
    """The first task comes with the answer to the start, for the worker in the same process."""
    async with env.worker([Greeting], [greet], client=env.client):
        handle = await env.start(Greeting.run, "eager", request_eager_start=True)
        equal(await handle.result(), "Hello, eager!")


@case
async def large_payloads(env):
    """A megabyte there and back."""
    async with env.worker([Greeting], [greet]):
        name = "x" * (1 << 20)
        equal(await env.execute(Greeting.run, name), f"Hello, {name}!")
