"""What must be the same at every replay: chance, time, versions."""

import asyncio
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
from temporalio.workflow import NondeterminismError

from ..case import case, equal, raises

SOON = timedelta(seconds=20)


@activity.defn
async def echo(value: str) -> str:
    return value


@workflow.defn
class Chance:
    def __init__(self) -> None:
        self.drawn: list[str] = []

    @workflow.run
    async def run(self) -> list[str]:
        for _ in range(3):
            self.drawn.append(str(workflow.uuid4()))
            self.drawn.append(str(workflow.random().random()))
            self.drawn.append(workflow.now().isoformat())
            self.drawn.append(str(workflow.time()))
            await asyncio.sleep(0.1)
            await workflow.execute_activity(echo, "x", start_to_close_timeout=SOON)
        return self.drawn

    @workflow.query
    def draws(self) -> list[str]:
        return self.drawn


@workflow.defn(name="Versioned")
class Old:
    @workflow.run
    async def run(self) -> str:
        before = await workflow.execute_activity(echo, "old", start_to_close_timeout=SOON)
        await workflow.wait_condition(lambda: self.go)
        return before + "!"

    def __init__(self) -> None:
        self.go = False

    @workflow.signal
    def release(self) -> None:
        self.go = True


@workflow.defn(name="Versioned")
class Patched(Old):
    @workflow.run
    async def run(self) -> str:
        if workflow.patched("new-way"):
            before = await workflow.execute_local_activity(echo, "new", start_to_close_timeout=SOON)
        else:
            before = await workflow.execute_activity(echo, "old", start_to_close_timeout=SOON)
        await workflow.wait_condition(lambda: self.go)
        return before + "!"

    @workflow.signal
    def release(self) -> None:
        self.go = True


@workflow.defn(name="Versioned")
class Deprecated(Old):
    @workflow.run
    async def run(self) -> str:
        workflow.deprecate_patch("new-way")
        before = await workflow.execute_local_activity(echo, "new", start_to_close_timeout=SOON)
        await workflow.wait_condition(lambda: self.go)
        return before + "!"

    @workflow.signal
    def release(self) -> None:
        self.go = True


@workflow.defn(name="Versioned")
class Wrong(Old):
    @workflow.run
    async def run(self) -> str:
        await asyncio.sleep(1)
        return "wrong"

    @workflow.signal
    def release(self) -> None:
        self.go = True


async def after_first_step(env, handle):
    """Waits until the workflow has done its first step and waits for the signal."""
    while True:
        history = await handle.fetch_history()
        completed = [e for e in history.events if e.HasField("workflow_task_completed_event_attributes")]
        started = history.events[-1].HasField("workflow_task_started_event_attributes")
        scheduled = history.events[-1].HasField("workflow_task_scheduled_event_attributes")
        activities = [e for e in history.events if e.HasField("activity_task_scheduled_event_attributes")]
        if completed and not started and not scheduled:
            if not activities or len(completed) > 1:
                return
        await asyncio.sleep(0.05)


@case
async def chance(env):
    """Random numbers, ids and clocks are what they were, whoever asks."""
    async with env.worker([Chance], [echo]):
        handle = await env.start(Chance.run)
        drawn = await handle.result()
        equal(len(set(drawn)), len(drawn))
        equal(await handle.query(Chance.draws), drawn)


@case
async def patches(env):
    """Workflows begun by old code go on under new code, and those begun by new code too."""
    async with env.worker([Old], [echo]):
        old = await env.start("Versioned", id=env.id("old"))
        await after_first_step(env, old)
    env.workflows.clear()
    async with env.worker([Patched], [echo]):
        new = await env.start("Versioned", id=env.id("new"))
        await after_first_step(env, new)
        await old.signal("release")
        equal(await old.result(), "old!")
    async with env.worker([Deprecated], [echo]):
        newest = await env.start("Versioned", id=env.id("newest"))
        await new.signal("release")
        equal(await new.result(), "new!")
        await newest.signal("release")
        equal(await newest.result(), "new!")
    env.workflows[:] = [Patched]
    env.handles[:] = [old, new]


@case
async def wrong_code(env):
    """Code that does not fit the history: the task fails, the workflow waits, right code goes on."""
    async with env.worker([Old], [echo]):
        handle = await env.start("Versioned")
        await after_first_step(env, handle)
    env.workflows.clear()
    async with env.worker([Wrong], [echo]):
        await handle.signal("release")
        while True:
            history = await handle.fetch_history()
            failed = [e for e in history.events if e.HasField("workflow_task_failed_event_attributes")]
            if failed:
                break
            await asyncio.sleep(0.05)
        equal(failed[0].workflow_task_failed_event_attributes.cause, 24)
    env.workflows.clear()
    async with env.worker([Old], [echo]):
        equal(await handle.result(), "old!")


@case
async def replayer(env):
    """The SDK's replayer accepts the history with the right code, and refuses it with the wrong."""
    async with env.worker([Old], [echo]):
        handle = await env.start("Versioned")
        await handle.signal("release")
        await handle.result()
    history = await handle.fetch_history()
    again = WorkflowHistory.from_json(handle.id, history.to_json())
    for kind, fits in ((Old, True), (Wrong, False)):
        replay = Replayer(workflows=[kind], workflow_runner=UnsandboxedWorkflowRunner())
        if fits:
            await replay.replay_workflow(again)
        else:
            await raises(NondeterminismError, replay.replay_workflow(again))
