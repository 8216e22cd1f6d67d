"""Activities that clients start on their own, without a workflow."""

import asyncio
from datetime import timedelta

from temporalio import activity
from temporalio.client import ActivityExecutionStatus, ActivityFailureError
from temporalio.common import (
    ActivityIDConflictPolicy,
    ActivityIDReusePolicy,
    Priority,
    RetryPolicy,
)
from temporalio.exceptions import (
    ActivityAlreadyStartedError,
    ApplicationError,
    CancelledError,
    TerminatedError,
    TimeoutError,
)
from temporalio.service import RPCError, RPCStatusCode

from ..case import case, equal, raises, until

SOON = timedelta(seconds=30)


@activity.defn
async def shout(word: str) -> str:
    return word.upper()


@activity.defn
async def fails_twice() -> int:
    if activity.info().attempt < 3:
        raise ApplicationError("not yet", activity.info().attempt, type="Early")
    return activity.info().attempt


@activity.defn
async def fails_for_good() -> None:
    raise ApplicationError("as you wish", type="Wish", non_retryable=True)


@activity.defn
async def until_cancelled() -> str:
    while True:
        activity.heartbeat("still there")
        await asyncio.sleep(0.1)


@activity.defn
async def too_slow() -> None:
    await asyncio.sleep(60)


@activity.defn
async def says_who() -> list:
    info = activity.info()
    return [info.activity_id, info.workflow_id, info.in_workflow, info.attempt]


async def begin(env, of, *args, **options):
    options.setdefault("id", env.id())
    options.setdefault("task_queue", env.queue)
    options.setdefault("start_to_close_timeout", SOON)
    return await env.client.start_activity(of, args=list(args), **options)


@case
async def executed(env):
    """Start, result, description."""
    async with env.worker(activities=[shout, says_who]):
        result = await env.client.execute_activity(
            shout, "hello", id=env.id(), task_queue=env.queue, start_to_close_timeout=SOON
        )
        equal(result, "HELLO")
        description = await env.client.get_activity_handle(env.id()).describe()
        equal(description.status, ActivityExecutionStatus.COMPLETED)
        equal(description.activity_type, "shout")
        equal(description.attempt, 1)
        who = await begin(env, says_who, id=env.id("who"))
        equal(await who.result(), [env.id("who"), None, False, 1])


@case
async def found_again(env):
    """The result is there for whoever knows the id, also long after the end."""
    async with env.worker(activities=[shout]):
        handle = await begin(env, shout, "hello", summary="a summary", priority=Priority(priority_key=2))
        equal(await handle.result(), "HELLO")
        again = env.client.get_activity_handle(env.id(), run_id=handle.run_id, result_type=str)
        equal(await again.result(), "HELLO")
        nobody = env.client.get_activity_handle(env.id("nobody"))
        equal((await raises(RPCError, nobody.describe())).status, RPCStatusCode.NOT_FOUND)


@case
async def retried(env):
    """The third attempt succeeds."""
    async with env.worker(activities=[fails_twice]):
        policy = RetryPolicy(initial_interval=timedelta(milliseconds=20))
        handle = await begin(env, fails_twice, retry_policy=policy)
        equal(await handle.result(), 3)
        description = await handle.describe()
        equal(description.attempt, 3)


@case
async def failed(env):
    """The caller gets the failure of the last attempt."""
    async with env.worker(activities=[fails_for_good]):
        error = await raises(ActivityFailureError, (await begin(env, fails_for_good)).result())
        equal(type(error.cause), ApplicationError)
        equal((error.cause.message, error.cause.type), ("as you wish", "Wish"))


@case
async def cancelled(env):
    """The worker hears of it by its heartbeats."""
    async with env.worker(activities=[until_cancelled], max_heartbeat_throttle_interval=timedelta(seconds=0.1)):
        handle = await begin(env, until_cancelled, heartbeat_timeout=timedelta(seconds=2))

        async def started():
            return (await handle.describe()).last_started_time

        await until(started, "the start")
        await handle.cancel(reason="enough")
        error = await raises(ActivityFailureError, handle.result())
        equal(type(error.cause), CancelledError)
        description = await handle.describe()
        equal(description.status, ActivityExecutionStatus.CANCELED)
        equal(description.canceled_reason, "enough")


@case
async def terminated(env):
    """Nobody has to take it for that."""
    handle = await begin(env, shout, "hello")
    await handle.terminate(reason="enough")
    error = await raises(ActivityFailureError, handle.result())
    equal(type(error.cause), TerminatedError)
    equal(error.cause.message, "enough")


@case
async def timed_out(env):
    """By the time for one attempt, and by the time until a worker takes it."""
    async with env.worker(activities=[too_slow]):
        once = RetryPolicy(maximum_attempts=1)
        second = timedelta(seconds=1)
        handle = await begin(env, too_slow, start_to_close_timeout=second, retry_policy=once)
        error = await raises(ActivityFailureError, handle.result())
        equal(type(error.cause), TimeoutError)
    unseen = await begin(env, too_slow, id=env.id("unseen"), schedule_to_start_timeout=second)
    error = await raises(ActivityFailureError, unseen.result())
    equal(type(error.cause), TimeoutError)


@case
async def same_id(env):
    """What the policies say to a second start."""
    first = await begin(env, shout, "hello")
    await raises(ActivityAlreadyStartedError, begin(env, shout, "hello"))
    used = await begin(env, shout, "hello", id_conflict_policy=ActivityIDConflictPolicy.USE_EXISTING)
    equal(used.run_id, first.run_id)
    await first.terminate()
    await raises(
        ActivityAlreadyStartedError,
        begin(env, shout, "hello", id_reuse_policy=ActivityIDReusePolicy.REJECT_DUPLICATE),
    )
    second = await begin(env, shout, "hello")
    assert second.run_id != first.run_id
    await second.terminate()


@case
async def listed(env):
    """Lists and counts of one's own."""
    handles = [await begin(env, shout, "hello", id=env.id(str(number))) for number in range(3)]
    query = f"TaskQueue = '{env.queue}'"

    async def all_there():
        return (await env.client.count_activities(query)).count == len(handles)

    await until(all_there, "the list")
    found = [execution.activity_id async for execution in env.client.list_activities(query)]
    equal(sorted(found), sorted(handle.id for handle in handles))
    for handle in handles:
        await handle.terminate()


@case
async def paused(env):
    """It is handed out once it goes on."""
    handle = await begin(env, shout, "hello")
    await handle.pause(reason="not now")
    equal((await handle.describe()).status, ActivityExecutionStatus.PAUSED)
    async with env.worker(activities=[shout]):
        await handle.unpause()
        equal(await handle.result(), "HELLO")
