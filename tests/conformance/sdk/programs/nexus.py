"""Nexus: operations that answer at once, operations that are workflows, and what goes wrong with both."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import nexusrpc
import nexusrpc.handler
from temporalio import nexus, workflow
from temporalio.api.nexus.v1 import EndpointSpec, EndpointTarget
from temporalio.api.operatorservice.v1 import CreateNexusEndpointRequest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError, NexusOperationError, TimeoutError
from temporalio.workflow import NexusOperationCancellationType as Cancellation

from ..case import case, equal, raises


@nexusrpc.service
class Desk:
    echo: nexusrpc.Operation[str, str]
    refuse: nexusrpc.Operation[str, str]
    stumble: nexusrpc.Operation[str, str]
    double: nexusrpc.Operation[int, int]
    breaks: nexusrpc.Operation[int, int]
    endless: nexusrpc.Operation[int, int]


@workflow.defn
class Doubler:
    @workflow.run
    async def run(self, number: int) -> int:
        await asyncio.sleep(0.05)
        return number * 2


@workflow.defn
class Breaker:
    @workflow.run
    async def run(self, number: int) -> int:
        raise ApplicationError(f"broken {number}", type="Broken", non_retryable=True)


@workflow.defn
class Endless:
    @workflow.run
    async def run(self, number: int) -> int:
        await asyncio.sleep(100_000)
        return number


@nexusrpc.handler.service_handler(service=Desk)
class DeskHandler:
    def __init__(self) -> None:
        self.stumbles = 0

    @nexusrpc.handler.sync_operation
    async def echo(self, _: nexusrpc.handler.StartOperationContext, text: str) -> str:
        return text

    @nexusrpc.handler.sync_operation
    async def refuse(self, _: nexusrpc.handler.StartOperationContext, text: str) -> str:
        if text == "handler":
            raise nexusrpc.HandlerError("not you", type=nexusrpc.HandlerErrorType.UNAUTHORIZED)
        raise nexusrpc.OperationError("no", state=nexusrpc.OperationErrorState.FAILED)

    @nexusrpc.handler.sync_operation
    async def stumble(self, _: nexusrpc.handler.StartOperationContext, text: str) -> str:
        self.stumbles += 1
        if self.stumbles == 1:
            raise nexusrpc.HandlerError("later", type=nexusrpc.HandlerErrorType.UNAVAILABLE)
        return f"{text} {self.stumbles}"

    @nexus.workflow_run_operation
    async def double(self, ctx: nexus.WorkflowRunOperationContext, number: int) -> nexus.WorkflowHandle[int]:
        return await ctx.start_workflow(Doubler.run, number, id=f"double-{ctx.request_id}")

    @nexus.workflow_run_operation
    async def breaks(self, ctx: nexus.WorkflowRunOperationContext, number: int) -> nexus.WorkflowHandle[int]:
        return await ctx.start_workflow(Breaker.run, number, id=f"breaks-{ctx.request_id}")

    @nexus.workflow_run_operation
    async def endless(self, ctx: nexus.WorkflowRunOperationContext, number: int) -> nexus.WorkflowHandle[int]:
        return await ctx.start_workflow(Endless.run, number, id=f"endless-{ctx.request_id}")


@workflow.defn
class Caller:
    """Does what it is told to."""

    @workflow.run
    async def run(self, endpoint: str, what: str) -> Any:
        self.desk = workflow.create_nexus_client(service=Desk, endpoint=endpoint)
        return await getattr(self, what)()

    async def at_once(self) -> Any:
        return await self.desk.execute_operation(Desk.echo, "hello")

    async def doubled(self) -> Any:
        handle = await self.desk.start_operation(Desk.double, 21)
        return [handle.operation_token is not None, await handle]

    async def many(self) -> Any:
        numbers = [self.desk.execute_operation(Desk.double, n) for n in range(8)]
        return await asyncio.gather(*numbers)

    async def stumbled(self) -> Any:
        return await self.desk.execute_operation(Desk.stumble, "try")

    async def refused(self) -> Any:
        return await self.desk.execute_operation(Desk.refuse, "operation")

    async def not_for_us(self) -> Any:
        return await self.desk.execute_operation(Desk.refuse, "handler")

    async def broken(self) -> Any:
        return await self.desk.execute_operation(Desk.breaks, 7)

    async def too_slow(self) -> Any:
        return await self.desk.execute_operation(
            Desk.endless, 1, schedule_to_close_timeout=timedelta(seconds=1.9)
        )

    async def cancelled(self, how: Cancellation) -> Any:
        handle = await self.desk.start_operation(Desk.endless, 1, cancellation_type=how)
        handle.cancel()
        try:
            await handle
        except NexusOperationError as error:
            return type(error.cause).__name__
        return "not cancelled"

    async def cancelled_and_waited(self) -> Any:
        return await self.cancelled(Cancellation.WAIT_COMPLETED)

    async def cancelled_and_heard(self) -> Any:
        return await self.cancelled(Cancellation.WAIT_REQUESTED)

    async def cancelled_and_forgotten(self) -> Any:
        return await self.cancelled(Cancellation.ABANDON)


async def endpoint(env) -> str:
    name = f"sdk-{uuid.uuid4().hex[:12]}"
    worker = EndpointTarget.Worker(namespace=env.namespace, task_queue=env.queue)
    spec = EndpointSpec(name=name, target=EndpointTarget(worker=worker))
    await env.client.operator_service.create_nexus_endpoint(CreateNexusEndpointRequest(spec=spec))
    return name


def worker(env):
    return env.worker([Caller, Doubler, Breaker, Endless], nexus_service_handlers=[DeskHandler()])


async def call(env, what):
    return await env.execute(Caller.run, args=[await endpoint(env), what])


@case
async def operations(env):
    """Answers at once, and workflows that answer later."""
    async with worker(env):
        name = await endpoint(env)
        for what, expected in (
            ("at_once", "hello"),
            ("doubled", [True, 42]),
            ("many", [0, 2, 4, 6, 8, 10, 12, 14]),
        ):
            equal(await env.execute(Caller.run, args=[name, what], id=env.id(what)), expected)


@case
async def retried(env):
    """A handler that is unavailable once is asked again."""
    async with worker(env):
        equal(await call(env, "stumbled"), "try 2")


@case
async def failures(env):
    """Failures of operations, handlers and workflows arrive as what they are."""
    async with worker(env):
        name = await endpoint(env)
        for what, kind in (
            ("refused", ApplicationError),
            ("not_for_us", nexusrpc.HandlerError),
            ("broken", ApplicationError),
            ("too_slow", TimeoutError),
        ):
            started = env.execute(Caller.run, args=[name, what], id=env.id(what))
            error = (await raises(WorkflowFailureError, started)).cause
            assert isinstance(error, NexusOperationError), repr(error)
            assert isinstance(error.cause, kind), f"{what}: {error.cause!r}"
            equal(error.service, "Desk")


@case
async def cancellation(env):
    """Operations are cancelled in every way that the SDK knows."""
    async with worker(env):
        name = await endpoint(env)
        for what in ("cancelled_and_waited", "cancelled_and_heard", "cancelled_and_forgotten"):
            result = await env.execute(Caller.run, args=[name, what], id=env.id(what))
            equal(result, CancelledError.__name__)
