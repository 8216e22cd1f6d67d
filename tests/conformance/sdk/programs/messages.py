"""Signals and queries."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import (
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)
from temporalio.common import QueryRejectCondition, RawValue
from temporalio.service import RPCError, RPCStatusCode

from ..case import case, equal, raises

SOON = timedelta(seconds=20)


@activity.defn
async def record(item: str) -> str:
    return item.upper()


@workflow.defn
class Mailbox:
    def __init__(self) -> None:
        self.items: list[str] = []
        self.closed = False

    @workflow.run
    async def run(self) -> list[str]:
        await workflow.wait_condition(lambda: self.closed)
        return self.items

    @workflow.signal
    def put(self, item: str) -> None:
        self.items.append(item)

    @workflow.signal
    async def put_slowly(self, item: str) -> None:
        self.items.append(await workflow.execute_activity(record, item, start_to_close_timeout=SOON))

    @workflow.signal
    def close(self) -> None:
        self.closed = True

    @workflow.signal(dynamic=True)
    def anything(self, name: str, args: Sequence[RawValue]) -> None:
        self.items.append(f"dynamic {name}")

    @workflow.query
    def count(self) -> int:
        return len(self.items)

    @workflow.query
    def item(self, index: int) -> str:
        return self.items[index]


@case
async def in_order(env):
    """A hundred signals arrive in the order in which they were sent."""
    async with env.worker([Mailbox], [record]):
        handle = await env.start(Mailbox.run)
        names = [str(number) for number in range(100)]
        for name in names:
            await handle.signal(Mailbox.put, name)
        await handle.signal(Mailbox.close)
        equal(await handle.result(), names)


@case
async def at_once(env):
    """A hundred signals sent at the same time all arrive, each once."""
    async with env.worker([Mailbox], [record]):
        handle = await env.start(Mailbox.run)
        names = [str(number) for number in range(100)]
        await asyncio.gather(*(handle.signal(Mailbox.put, name) for name in names))
        await handle.signal(Mailbox.close)
        equal(sorted(await handle.result()), sorted(names))


@case
async def before_the_worker(env):
    """Signals that arrive before any worker are there when the workflow begins."""
    handle = await env.start(Mailbox.run)
    await handle.signal(Mailbox.put, "early")
    await handle.signal("unknown", "x")
    await handle.signal(Mailbox.close)
    async with env.worker([Mailbox], [record]):
        equal(await handle.result(), ["early", "dynamic unknown"])


@case
async def handlers_with_activities(env):
    """A signal's handler may take its time."""
    async with env.worker([Mailbox], [record]):
        handle = await env.start(Mailbox.run)
        await handle.signal(Mailbox.put_slowly, "slow")
        while await handle.query(Mailbox.count) == 0:
            await asyncio.sleep(0.05)
        await handle.signal(Mailbox.close)
        equal(await handle.result(), ["SLOW"])


@case
async def signal_with_start(env):
    """The first call starts and signals, the second only signals."""
    async with env.worker([Mailbox], [record]):
        for name in ("one", "two"):
            handle = await env.start(Mailbox.run, start_signal="put", start_signal_args=[name])
        await handle.signal(Mailbox.close)
        equal(await handle.result(), ["one", "two"])


@case
async def queries(env):
    """Asked while it runs and after it has ended, with and without arguments."""
    async with env.worker([Mailbox], [record]):
        handle = await env.start(Mailbox.run)
        equal(await handle.query(Mailbox.count), 0)
        await handle.signal(Mailbox.put, "a")
        equal(await handle.query(Mailbox.count), 1)
        equal(await handle.query(Mailbox.item, 0), "a")
        await handle.signal(Mailbox.close)
        await handle.result()
        equal(await handle.query(Mailbox.count), 1)


@case
async def queries_see_what_was_signalled(env):
    """A query after a signal sees it, every time."""
    async with env.worker([Mailbox], [record]):
        handle = await env.start(Mailbox.run)
        for number in range(1, 21):
            await handle.signal(Mailbox.put, str(number))
            equal(await handle.query(Mailbox.count), number)
        await handle.signal(Mailbox.close)
        await handle.result()


@case
async def queries_that_fail(env):
    """An unknown query, a handler that raises, a condition that rejects."""
    async with env.worker([Mailbox], [record]):
        handle = await env.start(Mailbox.run)
        await raises(WorkflowQueryFailedError, handle.query("no such query"))
        await raises(WorkflowQueryFailedError, handle.query(Mailbox.item, 99))
        await handle.signal(Mailbox.close)
        await handle.result()
        rejected = handle.query(Mailbox.count, reject_condition=QueryRejectCondition.NOT_OPEN)
        error = await raises(WorkflowQueryRejectedError, rejected)
        equal(error.status.name, "COMPLETED")


@case
async def to_the_departed(env):
    """Signals and queries to workflows that are gone or never were."""
    async with env.worker([Mailbox], [record]):
        handle = await env.start(Mailbox.run)
        await handle.signal(Mailbox.close)
        await handle.result()
        error = await raises(RPCError, handle.signal(Mailbox.put, "late"))
        equal(error.status, RPCStatusCode.NOT_FOUND)
        nobody = env.client.get_workflow_handle(env.id("nobody"))
        equal((await raises(RPCError, nobody.signal("x"))).status, RPCStatusCode.NOT_FOUND)
        equal((await raises(RPCError, nobody.query("x"))).status, RPCStatusCode.NOT_FOUND)


@case
async def stack_trace(env):
    """What the CLI and the UI ask of every workflow."""
    async with env.worker([Mailbox], [record]):
        handle = await env.start(Mailbox.run)
        trace = await handle.query("__stack_trace")
        assert "in run" in trace, trace
        metadata = await handle.query("__temporal_workflow_metadata")
        assert "Mailbox" in str(metadata), metadata
        await handle.signal(Mailbox.close)
        await handle.result()
