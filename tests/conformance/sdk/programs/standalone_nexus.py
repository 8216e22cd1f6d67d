"""Nexus operations that clients start on their own, without a workflow."""

import asyncio
from datetime import timedelta

import nexusrpc
from temporalio.client import NexusOperationFailureError
from temporalio.common import (
    NexusOperationExecutionStatus,
    NexusOperationIDConflictPolicy,
    NexusOperationIDReusePolicy,
)
from temporalio.exceptions import (
    ApplicationError,
    CancelledError,
    NexusOperationAlreadyStartedError,
    TerminatedError,
    TimeoutError,
)
from temporalio.service import RPCError, RPCStatusCode

from ..case import case, equal, raises, until
from .nexus import Breaker, Desk, DeskHandler, Doubler, Endless, endpoint


def worker(env):
    return env.worker([Doubler, Breaker, Endless], nexus_service_handlers=[DeskHandler()])


async def desk(env):
    return env.client.create_nexus_client(Desk, await endpoint(env))


async def failure(handle):
    return (await raises(NexusOperationFailureError, handle.result())).cause


@case
async def executed(env):
    """Handlers that answer at once, and workflows that answer later."""
    async with worker(env):
        client = await desk(env)
        equal(await client.execute_operation(Desk.echo, "hello", id=env.id()), "hello")
        description = await env.client.get_nexus_operation_handle(env.id()).describe()
        equal(description.status, NexusOperationExecutionStatus.COMPLETED)
        equal([description.service, description.operation], ["Desk", "echo"])
        handles = [await client.start_operation(Desk.double, n, id=env.id(f"double-{n}")) for n in range(8)]
        equal(await asyncio.gather(*(h.result() for h in handles)), [n * 2 for n in range(8)])


@case
async def retried(env):
    """A handler that is unavailable once is asked again."""
    async with worker(env):
        handle = await (await desk(env)).start_operation(Desk.stumble, "try", id=env.id())
        equal(await handle.result(), "try 2")
        equal((await handle.describe()).attempt, 2)


@case
async def failures(env):
    """Failures of operations, handlers and workflows arrive as what they are."""
    async with worker(env):
        client = await desk(env)
        for operation, value, kind in (
            (Desk.refuse, "operation", ApplicationError),
            (Desk.refuse, "handler", nexusrpc.HandlerError),
            (Desk.breaks, 7, ApplicationError),
        ):
            handle = await client.start_operation(operation, value, id=env.id(f"{operation.name}-{value}"))
            cause = await failure(handle)
            assert isinstance(cause, kind), f"{operation.name} {value}: {cause!r}"
            equal((await handle.describe()).status, NexusOperationExecutionStatus.FAILED)


@case
async def too_slow(env):
    """Nobody is there to start it, and what was started takes too long."""
    client = await desk(env)
    handle = await client.start_operation(
        Desk.echo, "x", id=env.id("unheard"), schedule_to_start_timeout=timedelta(seconds=1)
    )
    assert isinstance(await failure(handle), TimeoutError)
    async with worker(env):
        handle = await client.start_operation(
            Desk.endless, 1, id=env.id("endless"), start_to_close_timeout=timedelta(seconds=1)
        )
        assert isinstance(await failure(handle), TimeoutError)
        equal((await handle.describe()).status, NexusOperationExecutionStatus.TIMED_OUT)


@case
async def cancelled(env):
    """The handler's workflow is cancelled, and with it the operation."""
    async with worker(env):
        handle = await (await desk(env)).start_operation(Desk.endless, 1, id=env.id())

        async def is_started():
            return (await handle.describe()).operation_token

        await until(is_started, "the start")
        await handle.cancel(reason="enough")
        assert isinstance(await failure(handle), CancelledError)
        description = await handle.describe()
        equal(description.status, NexusOperationExecutionStatus.CANCELED)
        equal(description.cancellation_info.reason, "enough")


@case
async def terminated(env):
    """Ended at once; the handler's workflow goes on."""
    async with worker(env):
        handle = await (await desk(env)).start_operation(Desk.endless, 1, id=env.id())
        await handle.terminate(reason="enough")
        cause = await failure(handle)
        assert isinstance(cause, TerminatedError), repr(cause)
        equal(cause.message, "enough")
        equal((await handle.describe()).status, NexusOperationExecutionStatus.TERMINATED)
        late = await raises(RPCError, handle.cancel())
        equal(late.status, RPCStatusCode.FAILED_PRECONDITION)


@case
async def same_id(env):
    """What runs is in the way or used instead; what ran may be followed or not."""
    async with worker(env):
        client = await desk(env)
        first = await client.start_operation(Desk.endless, 1, id=env.id())
        await raises(NexusOperationAlreadyStartedError, client.start_operation(Desk.endless, 1, id=env.id()))
        used = await client.start_operation(
            Desk.endless, 1, id=env.id(), id_conflict_policy=NexusOperationIDConflictPolicy.USE_EXISTING
        )
        equal(used.run_id, first.run_id)
        await first.terminate()
        rejected = client.start_operation(
            Desk.echo, "x", id=env.id(), id_reuse_policy=NexusOperationIDReusePolicy.REJECT_DUPLICATE
        )
        await raises(NexusOperationAlreadyStartedError, rejected)
        equal(await client.execute_operation(Desk.echo, "again", id=env.id()), "again")


@case
async def listed(env):
    """Lists and counts, by status."""
    async with worker(env):
        name = await endpoint(env)
        client = env.client.create_nexus_client(Desk, name)
        for n in range(3):
            await client.execute_operation(Desk.echo, "x", id=env.id(str(n)))
        waits = await client.start_operation(Desk.endless, 1, id=env.id("endless"))
        mine = f"Endpoint = '{name}'"

        async def all_are_listed():
            closed = await env.client.count_nexus_operations(f"{mine} AND ExecutionStatus = 'Completed'")
            return closed.count == 3 and (await env.client.count_nexus_operations(mine)).count == 4

        await until(all_are_listed, "the list")
        counted = await env.client.count_nexus_operations(f"{mine} GROUP BY ExecutionStatus")
        equal({group.group_values[0]: group.count for group in counted.groups}, {"Completed": 3, "Running": 1})
        operations = [o async for o in env.client.list_nexus_operations(mine, page_size=3)]
        equal(operations[0].operation_id, env.id("endless"))
        equal({o.operation for o in operations}, {"echo", "endless"})
        await waits.terminate()
