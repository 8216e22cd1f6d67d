"""Workflows that start, signal and cancel others."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    TerminatedError,
    WorkflowAlreadyStartedError,
)
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

from ..case import case, equal, raises, until


@workflow.defn
class Doubles:
    @workflow.run
    async def run(self, number: int) -> int:
        return number * 2


@workflow.defn
class Breaks:
    @workflow.run
    async def run(self) -> None:
        raise ApplicationError("broken on purpose", type="Broken", non_retryable=True)


@workflow.defn
class SucceedsAtLast:
    @workflow.run
    async def run(self) -> int:
        attempt = workflow.info().attempt
        if attempt < 3:
            raise ApplicationError("not yet")
        return attempt


@workflow.defn
class CountsDown:
    @workflow.run
    async def run(self, left: int) -> str:
        if left:
            workflow.continue_as_new(left - 1)
        return "landed"


@workflow.defn
class Collects:
    def __init__(self) -> None:
        self.heard: list[str] = []

    @workflow.run
    async def run(self, count: int) -> list[str]:
        await workflow.wait_condition(lambda: len(self.heard) >= count)
        return self.heard

    @workflow.signal
    def tell(self, text: str) -> None:
        self.heard.append(text)


@workflow.defn
class WaitsForEver:
    @workflow.run
    async def run(self) -> None:
        await asyncio.sleep(100_000)


@workflow.defn
class Parent:
    """Does what it is told to."""

    @workflow.run
    async def run(self, what: str) -> Any:
        return await getattr(self, what)()

    async def one(self) -> Any:
        return await workflow.execute_child_workflow(Doubles.run, 21, id=f"{workflow.info().workflow_id}-child")

    async def many(self) -> Any:
        results = [workflow.execute_child_workflow(Doubles.run, n) for n in range(20)]
        return sum(await asyncio.gather(*results))

    async def broken(self) -> Any:
        try:
            await workflow.execute_child_workflow(Breaks.run)
        except ChildWorkflowError as error:
            return [error.workflow_type, type(error.cause).__name__, str(error.cause)]

    async def retried(self) -> Any:
        policy = RetryPolicy(initial_interval=timedelta(milliseconds=100), maximum_attempts=5)
        return await workflow.execute_child_workflow(SucceedsAtLast.run, retry_policy=policy)

    async def chained(self) -> Any:
        return await workflow.execute_child_workflow(CountsDown.run, 2)

    async def told(self) -> Any:
        child = await workflow.start_child_workflow(Collects.run, 3)
        for text in ["a", "b", "c"]:
            await child.signal(Collects.tell, text)
        return await child

    async def tells_another(self) -> Any:
        other = workflow.get_external_workflow_handle_for(Collects.run, f"{workflow.info().workflow_id}-other")
        await other.signal(Collects.tell, "from afar")
        return "told"

    async def tells_nobody(self) -> Any:
        nobody = workflow.get_external_workflow_handle("nobody-has-this-id")
        try:
            await nobody.signal("tell", "x")
        except ApplicationError as error:
            return error.message

    async def cancels_another(self) -> Any:
        other = workflow.get_external_workflow_handle(f"{workflow.info().workflow_id}-other")
        await other.cancel()
        return "asked"

    async def cancels_its_child(self) -> Any:
        child = await workflow.start_child_workflow(
            WaitsForEver.run, cancellation_type=ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED
        )
        child.cancel()
        try:
            await child
        except ChildWorkflowError as error:
            return type(error.cause).__name__

    async def cancels_before_it_starts(self) -> Any:
        child = asyncio.create_task(workflow.execute_child_workflow(WaitsForEver.run))
        child.cancel()
        try:
            await child
        except (asyncio.CancelledError, ChildWorkflowError):
            return "never began"

    async def taken(self) -> Any:
        try:
            await workflow.start_child_workflow(WaitsForEver.run, id=f"{workflow.info().workflow_id}-other")
        except WorkflowAlreadyStartedError as error:
            return error.workflow_type

    async def leaves(self) -> Any:
        me = workflow.info().workflow_id
        for policy in [ParentClosePolicy.TERMINATE, ParentClosePolicy.REQUEST_CANCEL, ParentClosePolicy.ABANDON]:
            await workflow.start_child_workflow(
                WaitsForEver.run, id=f"{me}-{policy.name.lower()}", parent_close_policy=policy
            )
        return "gone"


WORKFLOWS = [Parent, Doubles, Breaks, SucceedsAtLast, CountsDown, Collects, WaitsForEver]


async def asked(env, what, expected):
    async with env.worker(WORKFLOWS):
        equal(await (await env.start(Parent.run, what)).result(), expected)


@case
async def one(env):
    """A child's result is its parent's."""
    await asked(env, "one", 42)


@case
async def many(env):
    """Twenty children at once."""
    await asked(env, "many", 380)


@case
async def broken(env):
    """A child's failure arrives with its cause."""
    await asked(env, "broken", ["Breaks", "ApplicationError", "Broken: broken on purpose"])


@case
async def retried(env):
    """A child is retried by its own policy; its parent hears of the last attempt."""
    await asked(env, "retried", 3)


@case
async def chained(env):
    """A child that continues as new is one child."""
    await asked(env, "chained", "landed")


@case
async def told(env):
    """Signals reach a child in their order."""
    await asked(env, "told", ["a", "b", "c"])


@case
async def tells_another(env):
    """A signal to a workflow that is not a child."""
    async with env.worker(WORKFLOWS):
        other = await env.start(Collects.run, 1, id=env.id("other"))
        equal(await (await env.start(Parent.run, "tells_another")).result(), "told")
        equal(await other.result(), ["from afar"])


@case
async def tells_nobody(env):
    """A signal to nobody fails, and the workflow may go on."""
    async with env.worker(WORKFLOWS):
        message = await (await env.start(Parent.run, "tells_nobody")).result()
        equal("not found" in message, True)


@case
async def cancels_another(env):
    """A cancel request to another workflow."""
    async with env.worker(WORKFLOWS):
        other = await env.start(WaitsForEver.run, id=env.id("other"))
        equal(await (await env.start(Parent.run, "cancels_another")).result(), "asked")
        error = await raises(WorkflowFailureError, other.result())
        equal(type(error.cause), CancelledError)


@case
async def cancels_its_child(env):
    """A parent waits for its child to stop."""
    await asked(env, "cancels_its_child", "CancelledError")


@case
async def cancels_before_it_starts(env):
    """A child that is cancelled in the task that asks for it is never started."""
    await asked(env, "cancels_before_it_starts", "never began")


@case
async def taken(env):
    """The id of a running workflow is not given to a child."""
    async with env.worker(WORKFLOWS):
        other = await env.start(WaitsForEver.run, id=env.id("other"))
        equal(await (await env.start(Parent.run, "taken")).result(), "WaitsForEver")
        await other.terminate()


@case
async def leaves(env):
    """Three children, three policies."""
    async with env.worker(WORKFLOWS):
        equal(await (await env.start(Parent.run, "leaves")).result(), "gone")
        terminated = env.client.get_workflow_handle(env.id("terminate"))
        error = await raises(WorkflowFailureError, terminated.result())
        equal(type(error.cause), TerminatedError)
        cancelled = env.client.get_workflow_handle(env.id("request_cancel"))
        error = await raises(WorkflowFailureError, cancelled.result())
        equal(type(error.cause), CancelledError)
        abandoned = env.client.get_workflow_handle(env.id("abandon"))
        equal((await abandoned.describe()).status, WorkflowExecutionStatus.RUNNING)
        await abandoned.terminate()


@workflow.defn
class Adds:
    @workflow.run
    async def run(self) -> int:
        return (workflow.get_last_completion_result(int) or 0) + 1


@case
async def follows_a_schedule(env):
    """A cron schedule runs a workflow again and again, each run with the last result."""
    async with env.worker([Adds]):
        handle = await env.start(Adds.run, cron_schedule="@every 1s")

        async def third():
            histories = await env.histories(handle)
            return histories[2] if len(histories) > 3 else None

        history = await until(third, "three runs")
        completed = history.events[-1].workflow_execution_completed_event_attributes
        equal(completed.result.payloads[0].data, b"3")
        await env.client.get_workflow_handle(handle.id).terminate()
