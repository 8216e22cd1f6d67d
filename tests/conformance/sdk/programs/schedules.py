"""Schedules, as the SDK makes, describes, changes and lists them."""

from datetime import datetime, timedelta, timezone

from temporalio import workflow
from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleBackfill,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from ..case import case, equal, raises, until


@workflow.defn
class Count:
    """One more than the run before it."""

    @workflow.run
    async def run(self, step: int) -> int:
        last = workflow.get_last_completion_result(int) if workflow.has_last_completion_result() else 0
        return last + step


@workflow.defn
class Fails:
    @workflow.run
    async def run(self) -> None:
        raise ApplicationError("out of luck", non_retryable=True)


@workflow.defn
class Waits:
    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self.released)
        return "released"

    def __init__(self) -> None:
        self.released = False

    @workflow.signal
    def release(self) -> None:
        self.released = True


def starts(env, run, *args):
    return ScheduleActionStartWorkflow(run, *args, id=env.id("run"), task_queue=env.queue)


async def described_until(handle, condition, what):
    async def fulfilled():
        description = await handle.describe()
        return description if condition(description) else None

    return await until(fulfilled, what)


@case
async def acts_by_the_calendar(env):
    """Three actions, a second apart; each is given the result of the one before."""
    async with env.worker([Count]):
        schedule = Schedule(
            action=starts(env, Count.run, 5),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=1))]),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.BUFFER_ALL),
            state=ScheduleState(limited_actions=True, remaining_actions=3),
        )
        handle = await env.client.create_schedule(env.id(), schedule, memo={"why": "a test"})
        description = await described_until(handle, lambda d: d.info.num_actions == 3, "three actions")
        equal(await description.memo_value("why"), "a test")
        equal(description.schedule.state.remaining_actions, 0)
        last = description.info.recent_actions[-1].action
        result = await env.client.get_workflow_handle(last.workflow_id).result()
        equal(result, 15)
        await handle.delete()


@case
async def triggered_paused_and_updated(env):
    """A pause keeps the calendar back, not the user; an update is made on what was described."""
    async with env.worker([Count]):
        schedule = Schedule(
            action=starts(env, Count.run, 1),
            spec=ScheduleSpec(calendars=[ScheduleCalendarSpec(hour=[ScheduleRange(5)], comment="early")]),
        )
        handle = await env.client.create_schedule(env.id(), schedule)
        await raises(ScheduleAlreadyRunningError, env.client.create_schedule(env.id(), schedule))
        await handle.pause(note="not now")
        await described_until(handle, lambda d: d.schedule.state.paused, "the pause")
        await handle.trigger()
        await described_until(handle, lambda d: d.info.num_actions == 1, "the action")
        await handle.unpause(note="go on")
        description = await described_until(handle, lambda d: not d.schedule.state.paused, "its end")
        equal(description.schedule.state.note, "go on")
        equal(description.schedule.spec.calendars[0].comment, "early")

        def change(update):
            update.description.schedule.spec.jitter = timedelta(seconds=30)
            update.description.schedule.policy.overlap = ScheduleOverlapPolicy.ALLOW_ALL
            return ScheduleUpdate(schedule=update.description.schedule)

        await handle.update(change)
        description = await described_until(
            handle, lambda d: d.schedule.policy.overlap == ScheduleOverlapPolicy.ALLOW_ALL, "the update"
        )
        equal(description.schedule.spec.jitter, timedelta(seconds=30))
        await handle.delete()
        error = await raises(RPCError, handle.describe())
        equal(error.status, RPCStatusCode.NOT_FOUND)


@case
async def the_past_is_filled_in(env):
    """Each day of a range, at once."""
    async with env.worker([Count]):
        schedule = Schedule(
            action=starts(env, Count.run, 1),
            spec=ScheduleSpec(cron_expressions=["0 0 * * *"], time_zone_name="Europe/Berlin"),
            state=ScheduleState(paused=True),
        )
        handle = await env.client.create_schedule(env.id(), schedule)
        await handle.backfill(
            ScheduleBackfill(
                start_at=datetime(2030, 3, 30, tzinfo=timezone.utc),
                end_at=datetime(2030, 4, 2, tzinfo=timezone.utc),
                overlap=ScheduleOverlapPolicy.ALLOW_ALL,
            )
        )
        description = await described_until(handle, lambda d: d.info.num_actions == 3, "three actions")
        times = sorted(action.scheduled_at for action in description.info.recent_actions)
        # Clocks go forward on the last day of March.
        equal([f"{time:%d %H}" for time in times], ["30 23", "31 22", "01 22"])
        await handle.delete()


@case
async def one_at_a_time(env):
    """What overlaps waits until the workflow that runs has ended."""
    async with env.worker([Waits]):
        schedule = Schedule(action=starts(env, Waits.run), spec=ScheduleSpec())
        handle = await env.client.create_schedule(env.id(), schedule)
        await handle.trigger()
        description = await described_until(handle, lambda d: d.info.num_actions == 1, "the first")
        first = description.info.running_actions[0]
        await handle.trigger()
        await described_until(handle, lambda d: d.info.num_actions_skipped_overlap == 1, "a skipped one")
        await handle.trigger(overlap=ScheduleOverlapPolicy.TERMINATE_OTHER)
        await described_until(handle, lambda d: d.info.num_actions == 2, "the second")
        described = await env.client.get_workflow_handle(
            first.workflow_id, run_id=first.first_execution_run_id
        ).describe()
        equal(described.status.name, "TERMINATED")
        description = await handle.describe()
        running = env.client.get_workflow_handle(description.info.running_actions[0].workflow_id)
        await running.signal(Waits.release)
        equal(await running.result(), "released")
        await handle.delete()


@case
async def pauses_on_failure(env):
    """The note says which workflow failed, and how."""
    async with env.worker([Fails]):
        schedule = Schedule(
            action=starts(env, Fails.run),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=1))]),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.BUFFER_ONE, pause_on_failure=True),
        )
        handle = await env.client.create_schedule(env.id(), schedule)
        description = await described_until(handle, lambda d: d.schedule.state.paused, "the pause")
        assert "out of luck" in description.schedule.state.note, description.schedule.state.note
        await handle.delete()


@case(worker=False)
async def listed(env):
    """With what lists show of a schedule."""
    schedule = Schedule(
        action=starts(env, Count.run, 1),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(days=30))]),
        state=ScheduleState(note="listed", paused=True),
    )
    handle = await env.client.create_schedule(env.id(), schedule, memo={"why": "a test"})

    async def found():
        schedules = await env.client.list_schedules()
        entries = [entry async for entry in schedules]
        return next((entry for entry in entries if entry.id == env.id()), None)

    entry = await until(found, "the schedule in the list")
    equal(entry.schedule.action.workflow, "Count")
    equal(entry.schedule.state.note, "listed")
    equal(await entry.memo_value("why"), "a test")
    equal(len(entry.info.next_action_times), 5)
    await handle.delete()
