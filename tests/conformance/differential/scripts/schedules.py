"""Schedules: what they accept, how they show it, and what they do when a time has come.

The real server's schedules are workflows, so what a patch or an update did is visible a moment later;
scripts wait for it, and the other server has to be no slower.
"""

from ..case import script
from ..commands import (
    cancel_workflow,
    complete_workflow,
    fail_workflow,
    payload,
    payloads,
    seconds,
)

DAY = 24 * 60 * 60
# A Sunday in 2030, 17:46:40 UTC.
SUNDAY = 1_900_000_000


def action(t, **fields):
    workflow = {
        "workflow_id": t.id,
        "workflow_type": {"name": "probe"},
        "task_queue": {"name": t.queue},
        **fields,
    }
    return {"start_workflow": {k: v for k, v in workflow.items() if v is not None}}


def create(t, spec=None, schedule_id=None, request_id="create", action_fields=None, **fields):
    """A schedule whose next time is far away, unless a specification is given."""
    schedule = {
        "spec": {"interval": [{"interval": seconds(300 * DAY)}]} if spec is None else spec,
        "action": action(t, **(action_fields or {})),
    }
    for part in ("policies", "state"):
        if part in fields:
            schedule[part] = fields.pop(part)
    return t.call(
        "CreateSchedule",
        schedule_id=t.id if schedule_id is None else schedule_id,
        schedule=schedule,
        request_id=request_id,
        **fields,
    )


def describe(t):
    return t.call("DescribeSchedule", schedule_id=t.id)


def delete(t, schedule_id=None):
    return t.call("DeleteSchedule", schedule_id=schedule_id or t.id)


def patch(t, request_id="", **fields):
    return t.call("PatchSchedule", schedule_id=t.id, patch=fields, request_id=request_id)


def trigger(t, at=None, **fields):
    """Starts now, for a time of its own: two triggers in a second would share a workflow id."""
    if at is not None:
        fields["scheduled_time"] = {"seconds": at}
    return patch(t, trigger_immediately=fields)


def until(t, condition, what):
    """Waits until the description fulfils a condition."""
    return t.until(lambda: condition(t.quiet("DescribeSchedule", schedule_id=t.id)), what)


def actions(count):
    return lambda described: described.info.action_count >= count


# Creating


@script
def created_and_described(t):
    """What is left open is filled in: policy, catch-up window, ranges, the kind of the queue."""
    create(
        t,
        spec={"calendar": [{"hour": "5", "comment": "early", "year": "2030-2040/2"}]},
        action_fields={"input": payloads(1), "memo": {"fields": {"m": payload(2)}}},
        memo={"fields": {"mine": payload("x")}},
        state={"notes": "first"},
    )
    describe(t)
    delete(t)


@script
def created_twice(t):
    """The same request is answered the same; another is refused."""
    create(t)
    create(t)
    create(t, request_id="other")
    delete(t)


@script
def created_paused_with_a_patch(t):
    """A patch that comes with the creation takes effect at once."""
    create(t, initial_patch={"trigger_immediately": {}, "pause": "not yet"})
    t.step(complete_workflow("done"))
    until(t, actions(1), "the action")
    described = t.quiet("DescribeSchedule", schedule_id=t.id)
    t.note("state", str(described.schedule.state).replace("\n", " "))
    delete(t)


@script
def requests_that_are_refused(t):
    """Missing names, too long ones, too much data."""
    t.call("CreateSchedule")
    t.call("CreateSchedule", schedule_id=t.id)
    t.call("CreateSchedule", schedule_id="", request_id="r", schedule={"action": action(t)})
    t.call("CreateSchedule", schedule_id="x" * 1001, request_id="r", schedule={})
    t.call("CreateSchedule", schedule_id=t.id, request_id="r" * 1001, schedule={})
    create(t, namespace="no-such-namespace")
    create(t, search_attributes={"indexed_fields": {"Nope": payload("x")}})
    create(t, memo={"fields": {"a": payload("x" * 3_000_000)}})
    t.call("UpdateSchedule", schedule_id=t.id, request_id="u")
    t.call("PatchSchedule", schedule_id=t.id, request_id="p")
    patch(t, pause="x" * 1001)
    t.call("DescribeSchedule", schedule_id="")
    t.call("DeleteSchedule", schedule_id="")


@script
def actions_that_are_refused(t):
    """The workflow is checked as a start would be, and may have no schedule of its own."""
    for fields in (
        {"workflow_id": "x" * 980},
        {"workflow_type": None},
        {"workflow_type": {"name": "x" * 1001}},
        {"task_queue": None},
        {"task_queue": {"name": "x" * 1001}},
        {"workflow_execution_timeout": seconds(-1)},
        {"workflow_run_timeout": seconds(-1)},
        {"workflow_task_timeout": seconds(-1)},
        {"workflow_id_reuse_policy": "WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE"},
        {"cron_schedule": "* * * * *"},
        {"search_attributes": {"indexed_fields": {"Nope": payload("x")}}},
        {"input": payloads("x" * 3_000_000)},
    ):
        t.note("refused", ", ".join(fields))
        create(t, action_fields=fields)


@script
def nobody(t):
    """Unknown schedules, and those that were deleted."""

    def everything():
        describe(t)
        t.call("UpdateSchedule", schedule_id=t.id, schedule={"action": action(t)}, request_id="u")
        patch(t, pause="x")
        t.call(
            "ListScheduleMatchingTimes",
            schedule_id=t.id,
            start_time={"seconds": 1},
            end_time={"seconds": 2},
        )
        delete(t)

    everything()
    create(t)
    describe(t)
    delete(t)
    everything()
    create(t, request_id="again")
    describe(t)
    delete(t)


# Times


def shows(t, number, **spec):
    """How a specification is shown, or why it is refused."""
    t.note("specification", spec)
    schedule_id = f"{t.id}-{number}"
    if create(t, spec=spec, schedule_id=schedule_id, state={"paused": True}) is None:
        return
    described = t.quiet("DescribeSchedule", schedule_id=schedule_id)
    t.note("shown", " ".join(str(described.schedule.spec).split()))
    times = t.quiet(
        "ListScheduleMatchingTimes",
        schedule_id=schedule_id,
        start_time={"seconds": SUNDAY},
        end_time={"seconds": SUNDAY + 8 * DAY},
    )
    t.note("times", [f"{time.seconds - SUNDAY}s" for time in times.start_time[:12]])
    t.quiet("DeleteSchedule", schedule_id=schedule_id)


@script(seconds=3)
def cron_strings(t):
    """Five to seven fields, names, steps, comments, intervals; Sunday has two numbers."""
    for number, text in enumerate(
        (
            "0 12 * * MON-WED,FRI",
            "*/5 * * * *",
            "3/5 2 * * *",
            "0 0 1 1 * 2031",
            "30 1 2 * 3 * *",
            " 1  2 * * *  ",
            "0 1 * * * # a comment # with another",
            "0 0 * janu,feb *",
            "0 0 * * 7",
            "0 0 * * 5-7",
            "0 0 * * 1-7",
            "0 0 * * 1-7/3",
            "0 0 * * 0-7/2",
            "0 0 * * 3/2",
            "0 0 31 2 *",
            "@hourly",
            "@daily",
            "@midnight",
            "@weekly",
            "@monthly",
            "@yearly",
            "@annually",
            "@every 1h30m",
            "@every 1d",
            "@every 8h/30m",
            "@every 5h # a comment",
        )
    ):
        shows(t, number, cron_string=[text])


@script(seconds=2)
def cron_strings_that_are_refused(t):
    """Each fault has its text."""
    for number, text in enumerate(
        (
            "",
            "1 2 3",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "* * * foo *",
            "a * * * *",
            "1,,2 * * * *",
            "-1 * * * *",
            "1-2-3 * * * *",
            "5-1 * * * *",
            "0 0 * * fri-sun",
            "*/0 * * * *",
            "*/x * * * *",
            "1/2/3 * * * *",
            "* * * * * 1999",
            "@reboot",
            "@DAILY",
            "@every",
            "@every 10",
            "@every x",
            "@every 2w",
            "@every 0s",
            "@every 500ms",
            "@every -5m",
            "@every 5m/10m",
            "CRON_TZ=UTC",
            "CRON_TZ=No/Where 0 1 * * *",
        )
    ):
        shows(t, number, cron_string=[text])


@script(seconds=2)
def zones(t):
    """A zone in front of a cron string, or with the specification; all have to agree."""
    berlin, utc = "CRON_TZ=Europe/Berlin 0 1 * * *", "CRON_TZ=UTC 0 1 * * *"
    for number, spec in enumerate(
        (
            {"cron_string": [berlin]},
            {"cron_string": ["TZ=America/New_York 0 1 * * *"]},
            {"cron_string": ["CRON_TZ= 0 1 * * *"]},
            {"cron_string": ["CRON_TZ=UTC @every 5h"]},
            {"cron_string": [berlin], "timezone_name": "Europe/Berlin"},
            {"cron_string": ["0 1 * * *"], "timezone_name": "Asia/Kathmandu"},
            {"cron_string": [berlin, utc]},
            {"cron_string": [utc, "0 1 * * *"]},
            {"cron_string": [berlin], "timezone_name": "UTC"},
            {"timezone_name": "Nope"},
            {"timezone_name": "europe/berlin"},
            {"timezone_name": "../etc"},
            {"timezone_data": b"xx"},
            {"calendar": [{"hour": "1-3", "minute": "30"}], "timezone_name": "Australia/Lord_Howe"},
        )
    ):
        shows(t, number, **spec)


@script(seconds=2)
def calendars_and_intervals(t):
    """Calendars as text and as structures, intervals with phases, exclusions, start and end."""
    every_day = {"day_of_month": [{"start": 1, "end": 31}], "month": [{"start": 1, "end": 12}]}
    noon = {"second": [{}], "minute": [{}], "hour": [{"start": 12}], "day_of_week": [{"end": 6}], **every_day}
    wrong = {
        "second": [{"start": 60}],
        "minute": [{"start": 5, "end": 4}],
        "hour": [{"start": 5, "end": 24, "step": -2}],
        "day_of_month": [{}],
        "month": [{"start": 13}],
        "day_of_week": [{"start": 7}],
        "year": [{"start": 1}],
        "comment": "x" * 300,
    }
    day = {"interval": seconds(DAY)}
    for number, spec in enumerate(
        (
            {},
            {"calendar": [{}]},
            {"calendar": [{"hour": "25"}]},
            {"calendar": [{"comment": "x" * 201}]},
            {"structured_calendar": [noon]},
            {"structured_calendar": [{}]},
            {"structured_calendar": [wrong]},
            {"exclude_structured_calendar": [{"second": [{"start": 60}]}]},
            {"interval": [day], "exclude_calendar": [{"hour": "*", "day_of_week": "mon-wed"}]},
            {"interval": [{}]},
            {"interval": [{"interval": seconds(0.5)}]},
            {"interval": [{"interval": seconds(5), "phase": seconds(5)}]},
            {"interval": [{"interval": seconds(5), "phase": seconds(-1)}]},
            {"interval": [{"interval": seconds(DAY + 0.7), "phase": seconds(100.5)}]},
            {
                "interval": [day],
                "start_time": {"seconds": SUNDAY + 3 * DAY},
                "end_time": {"seconds": SUNDAY + 5 * DAY},
            },
            {"interval": [day, {"interval": seconds(7 * 60 * 60), "phase": seconds(60)}]},
        )
    ):
        shows(t, number, **spec)


@script
def matching_times(t):
    """Up to a thousand of them; both ends of the range have to be given."""
    create(t, spec={"interval": [{"interval": seconds(60)}]}, state={"paused": True})

    def times(start, end):
        fields = {"start_time": start, "end_time": end}
        fields = {name: {"seconds": value} for name, value in fields.items() if value is not None}
        found = t.call("ListScheduleMatchingTimes", schedule_id=t.id, **fields)
        if found is not None:
            t.note("found", f"{len(found.start_time)} times")

    times(SUNDAY, SUNDAY + 200)
    times(SUNDAY + 200, SUNDAY)
    times(SUNDAY, None)
    times(None, SUNDAY)
    found = t.quiet(
        "ListScheduleMatchingTimes",
        schedule_id=t.id,
        start_time={"seconds": SUNDAY},
        end_time={"seconds": SUNDAY + 2 * DAY},
    )
    t.note("found in two days", f"{len(found.start_time)} times")
    delete(t)


# Acting


@script(seconds=3)
def a_time_has_come(t):
    """Two actions, and no third: the limit is reached. The second one waits for the first."""
    create(
        t,
        spec={"interval": [{"interval": seconds(1)}]},
        state={"limited_actions": True, "remaining_actions": 2},
        policies={"overlap_policy": "SCHEDULE_OVERLAP_POLICY_BUFFER_ONE"},
    )
    until(t, lambda d: d.info.buffer_size == 1 and d.info.overlap_skipped > 0, "a start that waits")
    t.step(complete_workflow("first"))
    t.step(complete_workflow("second"))
    until(t, actions(2), "the second action")
    t.sleep(1.5)
    described = t.quiet("DescribeSchedule", schedule_id=t.id)
    t.note("actions", described.info.action_count)
    t.note("state", str(described.schedule.state).replace("\n", " "))
    t.note("times to come", len(described.info.future_action_times))
    delete(t)


@script(seconds=2)
def triggered(t):
    """The workflow carries what its schedule says, and its result is given to the next one."""
    create(t, action_fields={"input": payloads(5), "memo": {"fields": {"m": payload(1)}}})
    trigger(t, at=SUNDAY)
    first = t.poll()
    until(t, actions(1), "the action")
    describe(t)
    t.describe(first.workflow_execution.workflow_id)
    t.complete(first, complete_workflow("first"))
    trigger(t, at=SUNDAY + 1)
    t.step(fail_workflow("second"))
    trigger(t, at=SUNDAY + 2)
    t.step(complete_workflow("third"))
    until(t, actions(3), "the third action")
    delete(t)


@script(seconds=2)
def overlaps(t):
    """Skipped, buffered, started all the same: by the policy of each trigger."""
    create(t)
    trigger(t, at=SUNDAY)
    first = t.poll()
    until(t, actions(1), "the first action")
    trigger(t, at=SUNDAY + 1)
    until(t, lambda d: d.info.overlap_skipped == 1, "a skipped start")
    trigger(t, at=SUNDAY + 2, overlap_policy="SCHEDULE_OVERLAP_POLICY_BUFFER_ONE")
    until(t, lambda d: d.info.buffer_size == 1, "a buffered start")
    trigger(t, at=SUNDAY + 3, overlap_policy="SCHEDULE_OVERLAP_POLICY_BUFFER_ONE")
    until(t, lambda d: d.info.overlap_skipped == 2, "another skipped start")
    trigger(t, at=SUNDAY + 4, overlap_policy="SCHEDULE_OVERLAP_POLICY_BUFFER_ALL")
    until(t, lambda d: d.info.buffer_size == 2, "two buffered starts")
    trigger(t, at=SUNDAY + 5, overlap_policy="SCHEDULE_OVERLAP_POLICY_ALLOW_ALL")
    t.step(complete_workflow("beside"))
    until(t, actions(2), "the action beside")
    describe(t)
    t.complete(first, complete_workflow("first"))
    t.step(complete_workflow("buffered"))
    t.step(complete_workflow("buffered too"))
    until(t, actions(4), "the buffered actions")
    delete(t)


@script(seconds=2)
def others_make_room(t):
    """A start asks the running workflow to end, or ends it, and waits until it has."""
    create(t)
    trigger(t, at=SUNDAY)
    t.quiet_step()
    until(t, actions(1), "the first action")
    trigger(t, at=SUNDAY + 1, overlap_policy="SCHEDULE_OVERLAP_POLICY_CANCEL_OTHER")
    t.step(cancel_workflow())
    until(t, actions(2), "the second action")
    t.quiet_step()
    trigger(t, at=SUNDAY + 2, overlap_policy="SCHEDULE_OVERLAP_POLICY_TERMINATE_OTHER")
    until(t, actions(3), "the third action")
    t.step(complete_workflow("third"))
    for second in range(3):
        workflow_id = f"{t.id}-2030-03-17T17:46:4{second}Z"
        t.record("history", t.renderer.history(history_of(t, workflow_id), 0))
    delete(t)


def history_of(t, workflow_id):
    execution = {"workflow_id": workflow_id}
    return t.quiet("GetWorkflowExecutionHistory", execution=execution).history


@script(seconds=3)
def backfilled(t):
    """Times of the past, both ends included, whatever the limit of actions and the pause say."""
    create(t, spec={"interval": [{"interval": seconds(DAY)}]}, state={"paused": True})
    midnight = SUNDAY - SUNDAY % DAY
    request = {
        "start_time": {"seconds": midnight},
        "end_time": {"seconds": midnight + 3 * DAY},
        "overlap_policy": "SCHEDULE_OVERLAP_POLICY_ALLOW_ALL",
    }
    patch(t, backfill_request=[request])
    until(t, actions(4), "four actions")
    described = t.quiet("DescribeSchedule", schedule_id=t.id)
    started = sorted(action.start_workflow_result.workflow_id for action in described.info.recent_actions)
    t.note("started", [workflow_id[len(t.id) :] for workflow_id in started])
    t.note("running", len(described.info.running_workflows))
    for _ in range(4):
        t.quiet_step(complete_workflow("done"))
    delete(t)


@script(seconds=3)
def paused_by_a_failure(t):
    """The failure is noted, and the schedule starts nothing until it is told to go on."""
    create(
        t,
        policies={"pause_on_failure": True, "overlap_policy": "SCHEDULE_OVERLAP_POLICY_BUFFER_ALL"},
    )
    trigger(t, at=SUNDAY)
    first = t.poll()
    until(t, actions(1), "the action")
    # The real server hears of the failure only if another start waits for the end of the workflow.
    trigger(t, at=SUNDAY + 1)
    until(t, lambda d: d.info.buffer_size == 1, "a buffered start")
    t.complete(first, fail_workflow("out of luck"))
    until(t, lambda d: d.schedule.state.paused, "the pause")
    t.step(complete_workflow("manual starts go on"))
    described = t.quiet("DescribeSchedule", schedule_id=t.id)
    t.note("notes", described.schedule.state.notes)
    patch(t, unpause="go on")
    until(t, lambda d: not d.schedule.state.paused, "the end of the pause")
    until(t, actions(2), "the second action")
    delete(t)


# Changing


@script(seconds=3)
def paused_and_unpaused(t):
    """Each change raises the conflict token and keeps its note."""
    create(t)
    for fields, paused in (({"pause": "stop"}, True), ({"unpause": "go"}, False), ({"pause": "again"}, True)):
        patch(t, **fields)
        until(t, lambda d, paused=paused: d.schedule.state.paused == paused, "the change")
    describe(t)
    delete(t)


@script(seconds=3)
def updated(t):
    """Everything but memo and id is replaced; a token that is none is no condition."""
    create(t, policies={"overlap_policy": "SCHEDULE_OVERLAP_POLICY_BUFFER_ALL"}, state={"notes": "old"})

    def update(notes, **fields):
        schedule = {
            "spec": {"cron_string": ["0 1 * * *"]},
            "action": action(t, workflow_type={"name": "other"}),
            "policies": {"catchup_window": seconds(1), "keep_original_workflow_id": True},
            "state": {"notes": notes},
        }
        t.call("UpdateSchedule", schedule_id=t.id, schedule=schedule, request_id=notes, **fields)
        until(t, lambda d: d.schedule.state.notes == notes, "the update")

    update("no token")
    update("short token", conflict_token=b"junk")
    update("zero token", conflict_token=bytes(8))
    token = t.quiet("DescribeSchedule", schedule_id=t.id).conflict_token
    t.note("token", token.hex())
    update("right token", conflict_token=token)
    describe(t)
    trigger(t, at=SUNDAY)
    t.step(complete_workflow("done"))
    until(t, actions(1), "the action")
    delete(t)


@script
def updates_that_are_refused(t):
    """They are checked as creations are."""
    create(t)

    def update(spec=None, **fields):
        schedule = {"spec": spec or {}, "action": action(t, **fields)}
        t.call("UpdateSchedule", schedule_id=t.id, schedule=schedule, request_id="u")

    update(spec={"cron_string": ["60 * * * *"]})
    update(spec={"timezone_name": "Nope"})
    update(task_queue=None)
    update(cron_schedule="* * * * *")
    describe(t)
    delete(t)


# Lists


@script(seconds=2)
def listed_and_counted(t):
    """By id, by whether they are paused; what workflows have, schedules have not."""
    create(t, state={"paused": True, "notes": "why"}, memo={"fields": {"m": payload(1)}})
    mine = f"ScheduleId = '{t.id}'"
    paused = f"{mine} AND TemporalSchedulePaused = true"
    t.until(lambda: t.quiet("CountSchedules", query=paused).count == 1, "the paused schedule in lists")
    t.call("ListSchedules", query=mine)
    t.call("CountSchedules", query=paused)
    t.call("CountSchedules", query=f"{mine} AND SchedulePaused = false")
    t.call("CountSchedules", query=f"ScheduleId STARTS_WITH '{t.id}'")
    for query in (
        "nonsense",
        "Nope = 1",
        "WorkflowId = 'x'",
        "TemporalScheduleId = 'x'",
        "StartTime > '2020-01-01T00:00:00Z'",
        "ExecutionStatus = 'Running'",
        "TemporalSchedulePaused = 'x'",
        "TemporalScheduledById = 'x'",
        "ORDER BY StartTime",
        f"{mine} LIMIT 1",
        "GROUP BY TemporalSchedulePaused",
        "GROUP BY ExecutionStatus",
    ):
        t.note("query", query)
        t.call("CountSchedules", query=query)
        t.call("ListSchedules", query=query)
    delete(t)
    t.until(lambda: t.quiet("CountSchedules", query=mine).count == 0, "its end")
    t.call("ListSchedules", query=mine)
