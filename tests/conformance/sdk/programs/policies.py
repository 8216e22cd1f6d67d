"""Starting: ids, delays, and what is said about a workflow."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.client import WorkflowFailureError
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import TerminatedError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from ..case import case, equal, raises


@workflow.defn
class Waits:
    def __init__(self) -> None:
        self.done = False

    @workflow.run
    async def run(self, value: str) -> str:
        await workflow.wait_condition(lambda: self.done)
        return value

    @workflow.signal
    def finish(self) -> None:
        self.done = True


@workflow.defn
class Looks:
    """Tells what a workflow can know about itself."""

    @workflow.run
    async def run(self) -> dict:
        info = workflow.info()
        workflow.set_current_details("looking")
        workflow.upsert_memo({"added": 2, "removed": None})
        return {
            "id": info.workflow_id,
            "type": info.workflow_type,
            "attempt": info.attempt,
            "queue": info.task_queue,
            "namespace": info.namespace,
            "first run": info.first_execution_run_id == info.run_id,
            "task timeout": info.task_timeout.total_seconds(),
            "run timeout": info.run_timeout.total_seconds(),
            "execution timeout": info.execution_timeout.total_seconds(),
            "memo": dict(workflow.memo()),
            "priority": info.priority.priority_key,
            "suggested": info.is_continue_as_new_suggested(),
            "length": info.get_current_history_length(),
            "size": info.get_current_history_size() > 0,
        }


@case
async def already_started(env):
    """A second start of a running workflow is an error of its own kind, with the run's id."""
    async with env.worker([Waits]):
        handle = await env.start(Waits.run, "one")
        error = await raises(WorkflowAlreadyStartedError, env.start(Waits.run, "two"))
        equal((error.workflow_id, error.run_id), (handle.id, handle.first_execution_run_id))
        await handle.signal(Waits.finish)
        equal(await handle.result(), "one")


@case
async def conflict_policies(env):
    """Use what runs, or replace it."""
    async with env.worker([Waits]):
        first = await env.start(Waits.run, "one")
        use = WorkflowIDConflictPolicy.USE_EXISTING
        second = await env.start(Waits.run, "two", id_conflict_policy=use)
        equal(second.first_execution_run_id or second.result_run_id, first.first_execution_run_id)
        replace = WorkflowIDConflictPolicy.TERMINATE_EXISTING
        third = await env.start(Waits.run, "three", id_conflict_policy=replace)
        error = await raises(WorkflowFailureError, first.result())
        assert isinstance(error.cause, TerminatedError)
        await third.signal(Waits.finish)
        equal(await third.result(), "three")


@case
async def reuse_policies(env):
    """After the end: again, never again, only after a failure."""
    async with env.worker([Waits]):
        handle = await env.start(Waits.run, "one")
        await handle.signal(Waits.finish)
        await handle.result()
        for policy in ("REJECT_DUPLICATE", "ALLOW_DUPLICATE_FAILED_ONLY"):
            start = env.start(Waits.run, "two", id_reuse_policy=WorkflowIDReusePolicy[policy])
            await raises(WorkflowAlreadyStartedError, start)
        handle = await env.start(Waits.run, "three")
        await handle.terminate()
        only = WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
        handle = await env.start(Waits.run, "four", id_reuse_policy=only)
        await handle.signal(Waits.finish)
        equal(await handle.result(), "four")


@case
async def start_delay(env):
    """A delayed start begins when it is due; a signal does not change that, signal-with-start does."""
    async with env.worker([Waits]):
        handle = await env.start(Waits.run, "late", start_delay=timedelta(seconds=1))
        await handle.signal(Waits.finish)
        equal(await handle.result(), "late")
        description = await handle.describe()
        assert (description.execution_time - description.start_time).total_seconds() >= 1
        handle = await env.start(Waits.run, "soon", id=env.id("woken"), start_delay=timedelta(seconds=600))
        await env.start(Waits.run, "soon", id=env.id("woken"), start_signal="finish")
        equal(await asyncio.wait_for(handle.result(), 20), "soon")


@case
async def information(env):
    """What was said at the start is known inside, and described outside."""
    async with env.worker([Looks]):
        handle = await env.start(
            Looks.run,
            memo={"given": {"a": 1}, "removed": 1},
            task_timeout=timedelta(seconds=7),
            run_timeout=timedelta(seconds=70),
            execution_timeout=timedelta(seconds=700),
            static_summary="the summary",
            static_details="the details",
            priority=Priority(priority_key=2),
        )
        seen = await handle.result()
        equal(
            seen,
            {
                "id": env.id(),
                "type": "Looks",
                "attempt": 1,
                "queue": env.queue,
                "namespace": "default",
                "first run": True,
                "task timeout": 7,
                "run timeout": 70,
                "execution timeout": 700,
                "memo": {"given": {"a": 1}, "added": 2},
                "priority": 2,
                "suggested": False,
                "length": 3,
                "size": seen["size"],
            },
        )
        description = await handle.describe()
        equal(await description.memo(), {"given": {"a": 1}, "added": 2})
        equal(await description.static_summary(), "the summary")
        equal(await description.static_details(), "the details")
        equal((description.status.name, description.task_queue), ("COMPLETED", env.queue))


@case(worker=False)
async def errors(env):
    """What a client sees of a missing workflow and a missing namespace."""
    handle = env.client.get_workflow_handle(env.id("nobody"))
    for call in (handle.describe, handle.cancel, handle.terminate, handle.result):
        equal((await raises(RPCError, call())).status, RPCStatusCode.NOT_FOUND)
    env.namespace = "no-such-namespace"
    client = await env.client_of(0)
    start = client.start_workflow("X", id=env.id(), task_queue=env.queue)
    equal((await raises(RPCError, start)).status, RPCStatusCode.NOT_FOUND)
