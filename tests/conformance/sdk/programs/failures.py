"""Workflows that fail, and workflow tasks that fail."""

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from ..case import case, equal, raises, until

SOON = timedelta(seconds=20)
# Emptiness is the mistake in the code of `Stumbles`.
mended: list[bool] = []


class Custom(Exception):
    pass


@workflow.defn
class Fails:
    @workflow.run
    async def run(self, way: str) -> str:
        if way == "application":
            raise ApplicationError(
                "sorry",
                {"code": 7},
                type="Sorry",
                non_retryable=True,
                category=ApplicationErrorCategory.BENIGN,
            )
        if way == "caused":
            try:
                raise ValueError("inner")
            except ValueError as inner:
                raise ApplicationError("outer", type="Outer") from inner
        raise Custom(way)


@workflow.defn(failure_exception_types=[Custom])
class FailsByType(Fails):
    @workflow.run
    async def run(self, way: str) -> str:
        raise Custom(way)


@workflow.defn(sandboxed=False)
class Stumbles:
    """Its task fails until the mistake is mended."""

    @workflow.run
    async def run(self) -> str:
        if not mended:
            raise Custom("a mistake in the code")
        return "mended"


@activity.defn
async def large(size: int) -> bytes:
    return b"x" * size


@workflow.defn
class LargeResult:
    @workflow.run
    async def run(self, size: int) -> int:
        return len(await workflow.execute_activity(large, size, schedule_to_close_timeout=SOON))


@case
async def application_error(env):
    """Type, details, category and cause arrive as they were raised."""
    async with env.worker([Fails]):
        error = await raises(WorkflowFailureError, env.execute(Fails.run, "application", id=env.id("a")))
        cause = error.cause
        equal((cause.type, cause.message, list(cause.details)), ("Sorry", "sorry", [{"code": 7}]))
        equal((cause.non_retryable, cause.category), (True, ApplicationErrorCategory.BENIGN))
        error = await raises(WorkflowFailureError, env.execute(Fails.run, "caused", id=env.id("c")))
        equal((error.cause.type, error.cause.cause.type), ("Outer", "ValueError"))


@case
async def failure_types(env):
    """Exceptions that the workflow declares as failures fail it."""
    async with env.worker([FailsByType]):
        error = await raises(WorkflowFailureError, env.execute(FailsByType.run, "declared"))
        equal((error.cause.type, error.cause.message), ("Custom", "declared"))


@case
async def task_failure(env):
    """Any other exception fails only the task, which is tried again until the code is mended."""
    async with env.worker([Stumbles]):
        handle = await env.start(Stumbles.run, task_timeout=timedelta(seconds=1))

        async def is_retried():
            pending = (await handle.describe()).raw_description.pending_workflow_task
            return pending.attempt > 1

        await until(is_retried, "the task to be tried again")
        mended.append(True)
        equal(await handle.result(), "mended")


@case
async def nobody_knows_the_type(env):
    """A workflow of a type that its worker does not know waits; it can be terminated."""
    async with env.worker([Fails]):
        handle = await env.start("NoSuchType")

        async def has_failed():
            events = (await handle.fetch_history()).events
            return any(e.HasField("workflow_task_failed_event_attributes") for e in events)

        await until(has_failed, "the task to fail")
        await handle.terminate()
        await raises(WorkflowFailureError, handle.result())


@case
async def large_results(env):
    """A result within the limit arrives; beyond it the activity fails and the workflow learns of it."""
    async with env.worker([LargeResult], [large]):
        equal(await env.execute(LargeResult.run, 1 << 20, id=env.id("fits")), 1 << 20)


@case(worker=False)
async def no_worker(env):
    """A result that nobody will give: the caller's own time-out ends the waiting."""
    handle = await env.start("Anything")
    await raises(asyncio.TimeoutError, asyncio.wait_for(handle.result(), 1))
    await handle.terminate()
