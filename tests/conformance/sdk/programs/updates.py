"""Updates, alone and with a start."""

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowUpdateFailedError,
    WorkflowUpdateStage,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from ..case import case, equal, raises, until

SOON = timedelta(seconds=20)
RUN_AT_LEAST = timedelta(seconds=1)


@activity.defn
async def price(item: str) -> int:
    return len(item)


@workflow.defn
class Cart:
    """Items are added, checked first and priced by an activity; it is closed by an update too."""

    @workflow.init
    def __init__(self, generation: int = 0) -> None:
        self.generation = generation
        self.items: list[str] = []
        self.closed = False
        self.renewed = False
        self.gate = False

    @workflow.run
    async def run(self, generation: int = 0) -> list[str]:
        await workflow.wait_condition(lambda: self.closed or self.renewed)
        if self.renewed:
            workflow.continue_as_new(generation + 1)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.items

    @workflow.update
    def add(self, item: str) -> int:
        self.items.append(item)
        return len(self.items)

    @add.validator
    def check(self, item: str) -> None:
        if not item:
            raise ApplicationError("nothing to add", type="Empty")

    @workflow.update
    async def add_priced(self, item: str) -> int:
        cost = await workflow.execute_activity(price, item, start_to_close_timeout=SOON)
        self.items.append(f"{item}:{cost}")
        return cost

    @workflow.update
    async def wait_at_the_gate(self, item: str) -> str:
        await workflow.wait_condition(lambda: self.gate)
        self.items.append(item)
        return f"through with {item}"

    @workflow.update
    async def sleep(self) -> str:
        await asyncio.sleep(0.2)
        return "slept"

    @workflow.update
    def fail(self) -> None:
        raise ApplicationError("as you wish", type="Wish", non_retryable=True)

    @workflow.update
    def close(self) -> list[str]:
        self.closed = True
        return self.items

    @workflow.signal
    def open_the_gate(self) -> None:
        self.gate = True

    @workflow.signal
    def renew(self) -> None:
        self.renewed = True

    @workflow.query
    def count(self) -> int:
        return len(self.items)

    @workflow.query
    def which(self) -> int:
        return self.generation


@case
async def answered(env):
    """A handler answers at once, as often as it is asked."""
    async with env.worker([Cart], [price]):
        handle = await env.start(Cart.run)
        for number in range(1, 21):
            equal(await handle.execute_update(Cart.add, f"item {number}"), number)
        equal(await handle.query(Cart.count), 20)
        equal(len(await handle.execute_update(Cart.close)), 20)
        equal(len(await handle.result()), 20)


@case
async def at_once(env):
    """Ten at the same time, each with its own answer."""
    async with env.worker([Cart], [price]):
        handle = await env.start(Cart.run)
        counts = await asyncio.gather(*(handle.execute_update(Cart.add, str(n)) for n in range(10)))
        equal(sorted(counts), list(range(1, 11)))
        await handle.execute_update(Cart.close)
        equal(sorted(await handle.result()), [str(n) for n in range(10)])


@case
async def more_than_may_be_under_way(env):
    """Thirty at the same time: the client tries again what the server refuses."""
    async with env.worker([Cart], [price]):
        handle = await env.start(Cart.run)
        counts = await asyncio.gather(*(handle.execute_update(Cart.add, str(n)) for n in range(30)))
        equal(sorted(counts), list(range(1, 31)))
        await handle.execute_update(Cart.close)


@case
async def rejected(env):
    """A validator refuses, and nothing of it is in the history."""
    async with env.worker([Cart], [price]):
        handle = await env.start(Cart.run)
        await handle.execute_update(Cart.add, "first")
        before = len((await handle.fetch_history()).events)
        for _ in range(3):
            error = await raises(WorkflowUpdateFailedError, handle.execute_update(Cart.add, ""))
            equal((error.cause.type, error.cause.message), ("Empty", "nothing to add"))
        equal(len((await handle.fetch_history()).events), before)
        equal(await handle.execute_update(Cart.add, "second"), 2)
        error = await raises(WorkflowUpdateFailedError, handle.execute_update("unheard of"))
        await handle.execute_update(Cart.close)
        equal(await handle.result(), ["first", "second"])


@case
async def failed(env):
    """A handler fails: the update does, not the workflow."""
    async with env.worker([Cart], [price]):
        handle = await env.start(Cart.run)
        error = await raises(WorkflowUpdateFailedError, handle.execute_update(Cart.fail))
        equal((error.cause.type, error.cause.non_retryable), ("Wish", True))
        await handle.execute_update(Cart.close)


@case
async def handlers_with_activities(env):
    """A handler takes its time; several do so at once, beside others."""
    async with env.worker([Cart], [price]):
        handle = await env.start(Cart.run)
        slow = [handle.execute_update(Cart.add_priced, "x" * n) for n in range(1, 6)]
        costs, slept = await asyncio.gather(asyncio.gather(*slow), handle.execute_update(Cart.sleep))
        equal((sorted(costs), slept), ([1, 2, 3, 4, 5], "slept"))
        await handle.execute_update(Cart.close)
        equal(len(await handle.result()), 5)


@case
async def stages(env):
    """A caller goes on when the update is accepted, and asks for the outcome later, by whatever handle."""
    async with env.worker([Cart], [price]):
        handle = await env.start(Cart.run)
        update = await handle.start_update(
            Cart.wait_at_the_gate, "it", id="mine", wait_for_stage=WorkflowUpdateStage.ACCEPTED
        )
        equal(await handle.query(Cart.count), 0)
        waiting = asyncio.create_task(handle.get_update_handle("mine").result())
        again = await handle.start_update(
            Cart.wait_at_the_gate, "other", id="mine", wait_for_stage=WorkflowUpdateStage.ACCEPTED
        )
        await handle.signal(Cart.open_the_gate)
        for answer in (update.result(), waiting, again.result()):
            equal(await answer, "through with it")
        await handle.execute_update(Cart.close)
        equal(await handle.result(), ["it"])
        equal(await handle.get_update_handle("mine").result(), "through with it")
        equal(await handle.execute_update(Cart.wait_at_the_gate, "late", id="mine"), "through with it")


@case
async def unknown(env):
    """Updates and workflows that are not there."""
    async with env.worker([Cart], [price]):
        handle = await env.start(Cart.run)
        error = await raises(RPCError, handle.get_update_handle("nobody's").result())
        equal(error.status, RPCStatusCode.NOT_FOUND)
        await handle.execute_update(Cart.close)
        await handle.result()
        error = await raises(RPCError, handle.execute_update(Cart.add, "late"))
        equal(error.status, RPCStatusCode.NOT_FOUND)


@case
async def before_the_worker(env):
    """An update that comes before any worker is answered by the first."""
    handle = await env.start(Cart.run)
    update = asyncio.create_task(handle.execute_update(Cart.add, "early"))
    await asyncio.sleep(1)
    async with env.worker([Cart], [price]):
        equal(await update, 1)
        await handle.execute_update(Cart.close)


@case
async def between_two_workers(env):
    """The worker that knows the workflow goes, and another one answers."""
    async with env.worker([Cart], [price]):
        handle = await env.start(Cart.run)
        equal(await handle.execute_update(Cart.add, "one"), 1)
        update = await handle.start_update(
            Cart.wait_at_the_gate, "it", wait_for_stage=WorkflowUpdateStage.ACCEPTED
        )
    async with env.worker([Cart], [price]):
        equal(await handle.execute_update(Cart.add, "two"), 2)
        await handle.signal(Cart.open_the_gate)
        equal(await update.result(), "through with it")
        await handle.execute_update(Cart.close)
        equal(await handle.result(), ["one", "two", "it"])


@case
async def left_behind(env):
    """The workflow ends before an update is done."""
    async with env.worker([Cart], [price]):
        handle = await env.start(Cart.run)
        update = await handle.start_update(
            Cart.wait_at_the_gate, "it", wait_for_stage=WorkflowUpdateStage.ACCEPTED
        )
        await handle.signal(Cart.renew)
        error = await raises(WorkflowUpdateFailedError, update.result())
        equal(error.cause.type, "AcceptedUpdateCompletedWorkflow")
        following = env.client.get_workflow_handle(env.id())
        await until(lambda: reached(following, 1), "the next run")
        await following.execute_update(Cart.close)
        equal(await handle.result(), [])


@case
async def while_it_continues_as_new(env):
    """Updates that meet the change of runs are done by the one or the other, each once."""
    async with env.worker([Cart], [price]):
        handle = await env.start(Cart.run)
        await asyncio.sleep(RUN_AT_LEAST.total_seconds())
        any_run = env.client.get_workflow_handle(env.id())
        updates = [any_run.execute_update(Cart.add, f"{n}") for n in range(8)]
        await asyncio.gather(any_run.signal(Cart.renew), *updates)
        await until(lambda: reached(any_run, 1), "the next run")
        await any_run.execute_update(Cart.close)
        await handle.result()
        added = 0
        for history in await env.histories(handle):
            kinds = [e.WhichOneof("attributes") for e in history.events]
            added += kinds.count("workflow_execution_update_completed_event_attributes")
        equal(added, 9)


async def reached(handle, generation):
    try:
        return await handle.query(Cart.which) == generation
    except RPCError:
        return False  # The next run waits for its first task.


def with_start(env, policy=WorkflowIDConflictPolicy.USE_EXISTING):
    return WithStartWorkflowOperation(Cart.run, id=env.id(), task_queue=env.queue, id_conflict_policy=policy)


@case
async def update_with_start(env):
    """The first call starts the workflow and updates it, those that follow only update it."""
    async with env.worker([Cart], [price]):
        for number in (1, 2, 3):
            start = with_start(env)
            count = await env.client.execute_update_with_start_workflow(
                Cart.add, str(number), start_workflow_operation=start
            )
            equal(count, number)
            handle = await start.workflow_handle()
            env.handles.append(handle)
        error = await raises(
            WorkflowUpdateFailedError,
            env.client.execute_update_with_start_workflow(Cart.add, "", start_workflow_operation=with_start(env)),
        )
        equal(error.cause.type, "Empty")
        await handle.execute_update(Cart.close)
        equal(await handle.result(), ["1", "2", "3"])


@case
async def update_with_start_at_once(env):
    """Eight at the same time: one workflow, eight updates."""
    async with env.worker([Cart], [price]):
        calls = [
            env.client.execute_update_with_start_workflow(
                Cart.add, str(number), start_workflow_operation=with_start(env)
            )
            for number in range(8)
        ]
        equal(sorted(await asyncio.gather(*calls)), list(range(1, 9)))
        handle = env.client.get_workflow_handle(env.id())
        await handle.execute_update(Cart.close)
        equal(sorted(await handle.result()), [str(number) for number in range(8)])


@case
async def update_with_start_that_may_not(env):
    """A workflow that runs is in the way."""
    async with env.worker([Cart], [price]):
        handle = await env.start(Cart.run)
        start = with_start(env, WorkflowIDConflictPolicy.FAIL)
        error = await raises(
            Exception,
            env.client.execute_update_with_start_workflow(Cart.add, "x", start_workflow_operation=start),
        )
        equal(type(error).__name__, "WorkflowAlreadyStartedError")
        await handle.execute_update(Cart.close)


@case
async def update_with_start_that_waits_for_the_acceptance(env):
    """The outcome is asked for later."""
    async with env.worker([Cart], [price]):
        start = with_start(env)
        update = await env.client.start_update_with_start_workflow(
            Cart.wait_at_the_gate,
            "it",
            wait_for_stage=WorkflowUpdateStage.ACCEPTED,
            start_workflow_operation=start,
        )
        handle = await start.workflow_handle()
        env.handles.append(handle)
        await handle.signal(Cart.open_the_gate)
        equal(await update.result(), "through with it")
        await handle.execute_update(Cart.close)
        equal(await handle.result(), ["it"])
