"""Activities that fail: retried, given up, timed out."""

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, RetryState, TimeoutError, TimeoutType

from ..case import case, equal, raises

SOON = timedelta(seconds=20)
FAST = RetryPolicy(initial_interval=timedelta(milliseconds=100), backoff_coefficient=1)


@activity.defn
async def third_time_lucky() -> int:
    attempt = activity.info().attempt
    if attempt < 3:
        raise RuntimeError(f"attempt {attempt}")
    return attempt


@activity.defn
async def fails(kind: str, non_retryable: bool) -> None:
    raise ApplicationError("no luck", {"kind": kind}, 7, type=kind, non_retryable=non_retryable)


@activity.defn
async def asks_for_a_delay() -> float:
    info = activity.info()
    if info.attempt == 1:
        raise ApplicationError("later", next_retry_delay=timedelta(seconds=1))
    return (info.current_attempt_scheduled_time - info.scheduled_time).total_seconds()


@activity.defn
async def sleeps(seconds: float) -> int:
    await asyncio.sleep(seconds)
    return activity.info().attempt


@activity.defn
async def beats_and_stops() -> list:
    if activity.info().attempt == 1:
        activity.heartbeat("half", 50)
        await asyncio.sleep(30)
    return list(activity.info().heartbeat_details)


@workflow.defn
class Retries:
    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity(
            third_time_lucky, start_to_close_timeout=SOON, retry_policy=FAST
        )


@workflow.defn
class Fails:
    @workflow.run
    async def run(self, kind: str, non_retryable: bool, attempts: int, listed: list[str]) -> str:
        policy = RetryPolicy(
            initial_interval=timedelta(milliseconds=50),
            maximum_attempts=attempts,
            non_retryable_error_types=listed,
        )
        try:
            await workflow.execute_activity(
                fails, args=[kind, non_retryable], start_to_close_timeout=SOON, retry_policy=policy
            )
        except ActivityError as error:
            cause = error.cause
            assert isinstance(cause, ApplicationError)
            assert cause.type == kind and list(cause.details) == [{"kind": kind}, 7]
            assert error.activity_type == "fails" and error.retry_state is not None
            return error.retry_state.name
        return "no error"


@workflow.defn
class Delay:
    @workflow.run
    async def run(self) -> float:
        return await workflow.execute_activity(asks_for_a_delay, start_to_close_timeout=SOON)


@workflow.defn
class Timeouts:
    @workflow.run
    async def run(self) -> list[str]:
        seen = []
        for options in (
            {"start_to_close_timeout": timedelta(seconds=1)},
            {"schedule_to_close_timeout": timedelta(seconds=1)},
            {"start_to_close_timeout": SOON, "heartbeat_timeout": timedelta(seconds=1)},
        ):
            try:
                await workflow.execute_activity(
                    sleeps, 30, retry_policy=RetryPolicy(maximum_attempts=1), **options
                )
            except ActivityError as error:
                assert isinstance(error.cause, TimeoutError)
                seen.append(error.cause.type.name)
        try:
            await workflow.execute_activity(
                sleeps,
                0,
                task_queue="nobody-polls-this-queue",
                schedule_to_start_timeout=timedelta(seconds=1),
                start_to_close_timeout=SOON,
            )
        except ActivityError as error:
            seen.append(error.cause.type.name)
        return seen


@workflow.defn
class RetriedTimeout:
    @workflow.run
    async def run(self) -> list:
        return await workflow.execute_activity(
            beats_and_stops,
            start_to_close_timeout=SOON,
            heartbeat_timeout=timedelta(seconds=1),
            retry_policy=FAST,
        )


@workflow.defn
class Uncaught:
    @workflow.run
    async def run(self) -> None:
        policy = RetryPolicy(maximum_attempts=1)
        await workflow.execute_activity(
            fails, args=["Sad", False], start_to_close_timeout=SOON, retry_policy=policy
        )


@case
async def until_success(env):
    """The third attempt succeeds."""
    async with env.worker([Retries], [third_time_lucky]):
        equal(await env.execute(Retries.run), 3)


@case
async def until_giving_up(env):
    """Every way in which the retries end."""
    async with env.worker([Fails], [fails]):
        equal(
            await env.execute(Fails.run, args=["A", True, 0, []], id=env.id("flag")), "NON_RETRYABLE_FAILURE"
        )
        equal(
            await env.execute(Fails.run, args=["B", False, 0, ["B"]], id=env.id("type")),
            "NON_RETRYABLE_FAILURE",
        )
        equal(await env.execute(Fails.run, args=["C", False, 3, []], id=env.id("attempts")), "MAXIMUM_ATTEMPTS_REACHED")  # fmt: skip


@case
async def delay_of_its_own(env):
    """The failure says when to try again."""
    async with env.worker([Delay], [asks_for_a_delay]):
        seconds = await env.execute(Delay.run)
        assert 0.9 < seconds < 4, seconds


@case
async def timeouts(env):
    """The four kinds of time-out reach the workflow as such."""
    async with env.worker([Timeouts], [sleeps]):
        names = await env.execute(Timeouts.run)
        expected = [TimeoutType.START_TO_CLOSE, TimeoutType.SCHEDULE_TO_CLOSE, TimeoutType.HEARTBEAT]
        equal(names, [kind.name for kind in (*expected, TimeoutType.SCHEDULE_TO_START)])


@case
async def heartbeat_details(env):
    """The attempt after a heartbeat time-out knows how far the one before came."""
    async with env.worker([RetriedTimeout], [beats_and_stops]):
        equal(await env.execute(RetriedTimeout.run), ["half", 50])


@case
async def failure_chain(env):
    """An uncaught failure reaches the caller with its causes."""
    async with env.worker([Uncaught], [fails]):
        error = await raises(WorkflowFailureError, env.execute(Uncaught.run))
        assert isinstance(error.cause, ActivityError)
        equal(error.cause.retry_state, RetryState.MAXIMUM_ATTEMPTS_REACHED)
        equal(error.cause.cause.type, "Sad")
