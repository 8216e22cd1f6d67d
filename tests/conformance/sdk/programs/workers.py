"""Workers that come and go."""

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.worker import PollerBehaviorAutoscaling

from ..case import case, equal, raises, until

SOON = timedelta(seconds=20)


@activity.defn
async def step(number: int) -> int:
    return number + 1


@activity.defn
async def interrupted() -> int:
    activity.heartbeat(1)
    if activity.info().attempt == 1:
        await asyncio.sleep(60)
    return activity.info().attempt


@workflow.defn
class Steps:
    def __init__(self) -> None:
        self.allowed = 0
        self.done = 0

    @workflow.run
    async def run(self, steps: int) -> int:
        number = 0
        while self.done < steps:
            await workflow.wait_condition(lambda: self.allowed > self.done)
            number = await workflow.execute_activity(step, number, start_to_close_timeout=SOON)
            self.done += 1
        return number

    @workflow.signal
    def allow(self) -> None:
        self.allowed += 1

    @workflow.query
    def progress(self) -> int:
        return self.done


@workflow.defn
class Interrupted:
    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity(
            interrupted,
            start_to_close_timeout=SOON,
            heartbeat_timeout=timedelta(seconds=2),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=100)),
        )


async def has_done(handle, steps):
    async def enough():
        return await handle.query(Steps.progress) >= steps

    await until(enough, f"{steps} steps")


@case
async def one_after_another(env):
    """Each step on another worker; the sticky queue of the last one is dead each time."""
    handle = await env.start(Steps.run, 3)
    for number in range(3):
        async with env.worker([Steps], [step], client=await env.client_of(number)):
            await handle.signal(Steps.allow)
            await has_done(handle, number + 1)
    async with env.worker([Steps], [step]):
        equal(await handle.result(), 3)


@case
async def two_at_a_time(env):
    """Two workers share the work of twenty workflows."""
    one = env.worker([Steps], [step])
    two = env.worker([Steps], [step], client=await env.client_of(2))
    async with one, two:
        handles = [await env.start(Steps.run, 3, id=env.id(str(number))) for number in range(20)]
        for _ in range(3):
            await asyncio.gather(*(handle.signal(Steps.allow) for handle in handles))
        equal(await asyncio.gather(*(handle.result() for handle in handles)), [3] * 20)


@case
async def activity_of_a_dead_worker(env):
    """A worker that goes leaves its activity to be tried again by the next."""
    async with env.worker([Interrupted], [interrupted]):
        handle = await env.start(Interrupted.run)

        async def started():
            pending = (await handle.describe()).raw_description.pending_activities
            return any(a.HasField("last_started_time") for a in pending)

        await until(started, "the activity to start")
    async with env.worker([Interrupted], [interrupted]):
        assert await handle.result() >= 2


@case
async def small_cache(env):
    """A cache of one workflow, ten workflows: each is evicted and replayed again and again."""
    size = 1 if env.definition.cached else 0
    async with env.worker([Steps], [step], max_cached_workflows=size):
        handles = [await env.start(Steps.run, 4, id=env.id(str(number))) for number in range(10)]
        for _ in range(4):
            for handle in handles:
                await handle.signal(Steps.allow)
        equal([await handle.result() for handle in handles], [4] * 10)


@case
async def autoscaled_pollers(env):
    """Workers that follow the server's advice on how many polls to make."""
    behaviour = PollerBehaviorAutoscaling(initial=2)
    options = {"workflow_task_poller_behavior": behaviour, "activity_task_poller_behavior": behaviour}
    async with env.worker([Steps], [step], **options):
        handles = [await env.start(Steps.run, 2, id=env.id(str(number))) for number in range(10)]
        for handle in handles:
            await handle.signal(Steps.allow)
            await handle.signal(Steps.allow)
        equal([await handle.result() for handle in handles], [2] * 10)


@case
async def limited_activities(env):
    """A worker that takes one activity at a time."""
    async with env.worker(
        [Steps], [step], max_concurrent_activities=1, disable_eager_activity_execution=True
    ):
        handles = [await env.start(Steps.run, 1, id=env.id(str(number))) for number in range(5)]
        for handle in handles:
            await handle.signal(Steps.allow)
        equal([await handle.result() for handle in handles], [1] * 5)


@case(worker=False)
async def unknown_namespace(env):
    """A worker for a namespace that does not exist says so instead of polling for ever."""
    env.namespace = "no-such-namespace"
    env.worker_client = await env.client_of(0)
    error = await raises(Exception, env.worker([Steps], [step]).run())
    assert "no-such-namespace" in str(error) or "not found" in str(error).lower(), error
    env.workflows.clear()
