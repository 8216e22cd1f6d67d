"""Listing, counting and describing what ran."""

from temporalio import workflow
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from ..case import case, equal, raises, until


@workflow.defn
class Red:
    @workflow.run
    async def run(self) -> str:
        return "red"


@workflow.defn
class Blue:
    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: False)
        return "blue"


@case
async def list_and_count(env):
    """Five done, two running: found by type, status and id, counted alone and in groups."""
    async with env.worker([Red, Blue]):
        for number in range(5):
            await env.execute(Red.run, id=env.id(f"red-{number}"), memo={"number": number})
        for number in range(2):
            await env.start(Blue.run, id=env.id(f"blue-{number}"))
        mine = f"WorkflowId STARTS_WITH '{env.prefix}'"

        async def count(condition):
            return (await env.client.count_workflows(f"{mine} AND {condition}")).count

        async def all_are_listed():
            return await count("ExecutionStatus = 'Completed'") == 5 and await count("CloseTime IS NULL") == 2

        await until(all_are_listed, "all to be listed")
        equal(await count("WorkflowType = 'Blue'"), 2)
        equal(await count("WorkflowType IN ('Red', 'Blue')"), 7)
        equal(await count("NOT WorkflowType = 'Red'"), 2)
        found = [w async for w in env.client.list_workflows(mine, page_size=3)]
        equal(len({w.id for w in found}), 7)
        red = [w async for w in env.client.list_workflows(f"{mine} AND WorkflowType = 'Red'")]
        equal({w.status for w in red}, {WorkflowExecutionStatus.COMPLETED})
        equal([(await w.memo())["number"] for w in red], [4, 3, 2, 1, 0])
        groups = (await env.client.count_workflows(f"{mine} GROUP BY ExecutionStatus")).groups
        equal(sorted((g.group_values[0], g.count) for g in groups), [("Completed", 5), ("Running", 2)])
        histories = [
            h async for h in env.client.list_workflows(f"{mine} AND WorkflowType = 'Red'").map_histories()
        ]
        equal(len(histories), 5)
        for number in range(2):
            await env.client.get_workflow_handle(env.id(f"blue-{number}")).terminate()


@case(worker=False)
async def bad_filter(env):
    """A mistake in a filter is the caller's."""

    async def first():
        async for found in env.client.list_workflows("nonsense"):
            return found

    equal((await raises(RPCError, first())).status, RPCStatusCode.INVALID_ARGUMENT)
