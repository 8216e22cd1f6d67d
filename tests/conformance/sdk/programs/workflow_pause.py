"""Workflows that are paused while they work, as their workers and clients see it."""

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    PauseWorkflowExecutionRequest,
    QueryWorkflowRequest,
    UnpauseWorkflowExecutionRequest,
)

from ..case import case, equal, until

SOON = timedelta(seconds=30)
PAUSED = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED
# Longer than anything that goes on takes.
A_WHILE_SECONDS = 1


@activity.defn
async def count(number: int) -> int:
    return number + 1


@workflow.defn
class Counts:
    """Counts until it is told to stop, by activities or by timers."""

    def __init__(self) -> None:
        self.counted = 0
        self.stopped = False

    @workflow.run
    async def run(self, by_activities: bool) -> int:
        while not self.stopped:
            if by_activities:
                self.counted = await workflow.execute_activity(count, self.counted, start_to_close_timeout=SOON)
            else:
                await workflow.sleep(0.02)
                self.counted += 1
        return self.counted

    @workflow.signal
    def stop(self) -> None:
        self.stopped = True

    @workflow.query
    def so_far(self) -> int:
        return self.counted


async def pause(env, handle):
    request = PauseWorkflowExecutionRequest(namespace="default", workflow_id=handle.id, reason="lunch")
    await env.client.workflow_service.pause_workflow_execution(request)


async def unpause(env, handle):
    request = UnpauseWorkflowExecutionRequest(namespace="default", workflow_id=handle.id)
    await env.client.workflow_service.unpause_workflow_execution(request)


async def has_counted(handle):
    async def some():
        return await handle.query(Counts.so_far) > 1

    await until(some, "some progress")


async def described(env, handle):
    """As the server says it: this SDK does not know the status yet."""
    execution = WorkflowExecution(workflow_id=handle.id)
    request = DescribeWorkflowExecutionRequest(namespace="default", execution=execution)
    return await env.client.workflow_service.describe_workflow_execution(request)


async def queried(env, handle):
    """The same of a query that is refused."""
    execution, query = WorkflowExecution(workflow_id=handle.id), WorkflowQuery(query_type="so_far")
    request = QueryWorkflowRequest(namespace="default", execution=execution, query=query)
    return await env.client.workflow_service.query_workflow(request)


async def history_length(env, handle):
    return (await described(env, handle)).workflow_execution_info.history_length


async def holds_still(env, by_activities):
    async with env.worker([Counts], [count]):
        handle = await env.start(Counts.run, by_activities)
        await has_counted(handle)
        await pause(env, handle)
        equal((await described(env, handle)).workflow_extended_info.pause_info.reason, "lunch")
        # What was on its way comes to its end.
        await asyncio.sleep(A_WHILE_SECONDS)
        length = await history_length(env, handle)
        equal((await queried(env, handle)).query_rejected.status, PAUSED)
        await asyncio.sleep(A_WHILE_SECONDS)
        equal(await history_length(env, handle), length)
        await handle.signal(Counts.stop)
        await asyncio.sleep(A_WHILE_SECONDS)
        equal(await history_length(env, handle), length + 1)
        await unpause(env, handle)
        equal(await handle.result() > 1, True)


@case
async def paused_among_activities(env):
    """It stands still, hears what was sent to it afterwards, and ends."""
    await holds_still(env, True)


@case
async def paused_among_timers(env):
    """The timer that it had started fires, and that is all."""
    await holds_still(env, False)
