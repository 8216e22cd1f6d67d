"""Workflows that go on in another run, and callers that follow them."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.client import WorkflowContinuedAsNewError, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError, TimeoutError

from ..case import case, equal, raises


@workflow.defn
class CountsDown:
    @workflow.run
    async def run(self, number: int, seen: list[str]) -> list[str]:
        info = workflow.info()
        seen = [*seen, info.continued_run_id or "none"]
        if number > 0:
            workflow.continue_as_new(args=[number - 1, seen], memo={"left": number - 1})
        assert workflow.memo() == {"left": 0}
        return seen


@workflow.defn
class Subscription:
    """Signals that arrive between two runs are not lost."""

    def __init__(self) -> None:
        self.new: list[str] = []
        self.done = False

    @workflow.run
    async def run(self, old: list[str]) -> list[str]:
        await workflow.wait_condition(lambda: self.done or len(self.new) > 4)
        if self.done:
            return old + self.new
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(old + self.new)

    @workflow.signal
    def put(self, item: str) -> None:
        self.new.append(item)

    @workflow.signal
    def close(self) -> None:
        self.done = True


@workflow.defn
class ThirdRun:
    @workflow.run
    async def run(self) -> int:
        attempt = workflow.info().attempt
        if attempt < 3:
            raise ApplicationError(f"attempt {attempt}", type="Again")
        return attempt


@workflow.defn
class Sleeps:
    @workflow.run
    async def run(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@case
async def continued(env):
    """Three runs, one result; each knows the one before."""
    async with env.worker([CountsDown]):
        handle = await env.start(CountsDown.run, args=[2, []])
        seen = await handle.result()
        equal(len(seen), 3)
        equal(seen[:2], ["none", handle.first_execution_run_id])


@case
async def signals_across_runs(env):
    """Twelve signals, three runs, nothing lost."""
    async with env.worker([Subscription]):
        handle = await env.start(Subscription.run, [])
        whole_chain = env.client.get_workflow_handle(handle.id)
        for number in range(12):
            await whole_chain.signal("put", str(number))
            await asyncio.sleep(0.05)
        await whole_chain.signal("close")
        equal(await handle.result(), [str(number) for number in range(12)])


@case
async def followed_or_not(env):
    """A caller may wait for one run only."""
    async with env.worker([CountsDown]):
        handle = await env.start(CountsDown.run, args=[1, []])
        error = await raises(WorkflowContinuedAsNewError, handle.result(follow_runs=False))
        assert error.new_execution_run_id
        equal(len(await handle.result()), 2)


@case
async def retried(env):
    """A workflow's own retry policy; the caller follows the attempts."""
    policy = RetryPolicy(initial_interval=timedelta(milliseconds=200), backoff_coefficient=1)
    async with env.worker([ThirdRun]):
        equal(await env.execute(ThirdRun.run, retry_policy=policy), 3)


@case
async def retries_run_out(env):
    """After the last attempt its failure is the caller's."""
    policy = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=2)
    async with env.worker([ThirdRun]):
        error = await raises(WorkflowFailureError, env.execute(ThirdRun.run, retry_policy=policy))
        equal((error.cause.type, error.cause.message), ("Again", "attempt 2"))


@case
async def timeouts(env):
    """A run and an execution that take too long."""
    async with env.worker([Sleeps]):
        for name, limit in (
            ("run", {"run_timeout": timedelta(seconds=1)}),
            ("execution", {"execution_timeout": timedelta(seconds=1)}),
        ):
            error = await raises(WorkflowFailureError, env.execute(Sleeps.run, 60, id=env.id(name), **limit))
            assert isinstance(error.cause, TimeoutError), error.cause
