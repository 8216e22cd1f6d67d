//! What a schedule command must say, and what is filled in where it says nothing.

use everlog_proto::api::sdk::v1::UserMetadata;
use expect_test::expect;

use super::*;

type Schedule = ScheduleActivityTaskCommandAttributes;

fn refusals(cases: Vec<(&str, Schedule)>) -> String {
    let mut told = String::new();
    for (name, attributes) in cases {
        told += &format!("{name}: {}\n", Story::begin().refused(vec![schedule(attributes)]));
    }
    told
}

fn policy(policy: RetryPolicy) -> Schedule {
    Schedule { retry_policy: Some(policy), ..plain("a1") }
}

fn priority(priority_key: i32, fairness_key: &str, fairness_weight: f32) -> Schedule {
    let priority = Priority { priority_key, fairness_key: fairness_key.into(), fairness_weight };
    Schedule { priority: Some(priority), ..plain("a1") }
}

#[test]
fn ids_types_and_queues_are_checked() {
    let kind = |name: &str| Some(ActivityType { name: name.into() });
    let long = "x".repeat(1001);
    let told = refusals(vec![
        ("no queue", Schedule { task_queue: None, ..plain("a1") }),
        ("nameless queue", Schedule { task_queue: Some(queue("")), ..plain("a1") }),
        ("long queue", Schedule { task_queue: Some(queue(&long)), ..plain("a1") }),
        ("reserved queue", Schedule { task_queue: Some(queue("/_sys/q")), ..plain("a1") }),
        ("no id", plain("")),
        ("long id", plain(&long)),
        ("no type", Schedule { activity_type: None, ..plain("a1") }),
        ("nameless type", Schedule { activity_type: kind(""), ..plain("a1") }),
        ("long type", Schedule { activity_type: kind(&long), ..plain("a1") }),
        ("priority", priority(-1, "", 0.0)),
        ("fairness key", priority(0, &"k".repeat(65), 0.0)),
        ("fairness weight", priority(0, "", -1.0)),
    ]);
    expect![[r#"
        no queue: BadScheduleActivityAttributes: taskQueue is not set
        nameless queue: BadScheduleActivityAttributes: missing task queue name
        long queue: BadScheduleActivityAttributes: taskQueue length exceeds limit
        reserved queue: BadScheduleActivityAttributes: task queue name cannot start with reserved prefix /_sys/
        no id: BadScheduleActivityAttributes: activityId is not set
        long id: BadScheduleActivityAttributes: activityId exceeds length limit. Length=1001 Limit=1000
        no type: BadScheduleActivityAttributes: activityType is not set
        nameless type: BadScheduleActivityAttributes: activityType is not set
        long type: BadScheduleActivityAttributes: activityType exceeds length limit. Length=1001 Limit=1000
        priority: BadScheduleActivityAttributes: invalid priorities: priority key can't be negative
        fairness key: BadScheduleActivityAttributes: invalid priorities: fairness key length exceeds limit
        fairness weight: BadScheduleActivityAttributes: invalid priorities: must be greater than zero
    "#]].assert_eq(&told);
}

#[test]
fn names_may_be_as_long_as_the_limit() {
    let longest = "x".repeat(1000);
    let attributes = Schedule {
        activity_type: Some(ActivityType { name: longest.clone() }),
        task_queue: Some(queue(&longest)),
        ..plain(&longest)
    };
    Story::begin().commands(vec![schedule(attributes)]);
    Story::begin().commands(vec![schedule(priority(0, &"k".repeat(64), 0.0))]);
}

#[test]
fn timeouts_are_checked() {
    let crossed = Some(prost_types::Duration { seconds: 1, nanos: -1 });
    let told = refusals(vec![
        ("none", Schedule { start_to_close_timeout: None, ..plain("a1") }),
        ("zero", Schedule { start_to_close_timeout: seconds(0), ..plain("a1") }),
        ("to close", Schedule { schedule_to_close_timeout: seconds(-1), ..plain("a1") }),
        ("to start", Schedule { schedule_to_start_timeout: seconds(-1), ..plain("a1") }),
        ("attempt", Schedule { start_to_close_timeout: seconds(-1), ..plain("a1") }),
        ("heartbeat", Schedule { heartbeat_timeout: seconds(-1), ..plain("a1") }),
        ("crossed", Schedule { heartbeat_timeout: crossed, ..plain("a1") }),
    ]);
    expect![[r#"
        none: BadScheduleActivityAttributes: a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on the activity. ActivityId=a1 ActivityType=Charge
        zero: BadScheduleActivityAttributes: a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on the activity. ActivityId=a1 ActivityType=Charge
        to close: BadScheduleActivityAttributes: invalid ScheduleToCloseTimeout: negative duration
        to start: BadScheduleActivityAttributes: invalid ScheduleToStartTimeout: negative duration
        attempt: BadScheduleActivityAttributes: invalid StartToCloseTimeout: negative duration
        heartbeat: BadScheduleActivityAttributes: invalid HeartbeatTimeout: negative duration
        crossed: BadScheduleActivityAttributes: invalid HeartbeatTimeout: duration has seconds and nanos with different signs
    "#]].assert_eq(&told);
}

#[test]
fn policies_are_checked() {
    let kinds = |kind: &str| {
        policy(RetryPolicy {
            non_retryable_error_types: vec![format!("TemporalTimeout:{kind}")],
            ..Default::default()
        })
    };
    let told = refusals(vec![
        ("initial", policy(RetryPolicy { initial_interval: seconds(-1), ..Default::default() })),
        ("coefficient", policy(RetryPolicy { backoff_coefficient: 0.99, ..Default::default() })),
        ("maximum", policy(RetryPolicy { maximum_interval: seconds(-1), ..Default::default() })),
        (
            "maximum below initial",
            policy(RetryPolicy {
                initial_interval: seconds(3),
                maximum_interval: seconds(2),
                ..Default::default()
            }),
        ),
        ("attempts", policy(RetryPolicy { maximum_attempts: -1, ..Default::default() })),
        ("time-out", kinds("Lunch")),
        ("time-out", kinds("Unspecified")),
        ("time-out", kinds("START_TO_CLOSE")),
    ]);
    expect![[r#"
        initial: BadScheduleActivityAttributes: invalid InitialInterval set on retry policy: negative duration
        coefficient: BadScheduleActivityAttributes: BackoffCoefficient cannot be less than 1 on retry policy.
        maximum: BadScheduleActivityAttributes: invalid MaximumInterval set on retry policy: negative duration
        maximum below initial: BadScheduleActivityAttributes: MaximumInterval cannot be less than InitialInterval on retry policy.
        attempts: BadScheduleActivityAttributes: MaximumAttempts cannot be negative on retry policy.
        time-out: BadScheduleActivityAttributes: Invalid timeout type value: Lunch.
        time-out: BadScheduleActivityAttributes: Invalid timeout type value: Unspecified.
        time-out: BadScheduleActivityAttributes: Invalid timeout type value: START_TO_CLOSE.
    "#]].assert_eq(&told);
    for kind in ["StartToClose", "ScheduleToStart", "ScheduleToClose", "Heartbeat", "TIMEOUT_TYPE_HEARTBEAT"]
    {
        Story::begin().commands(vec![schedule(kinds(kind))]);
    }
}

#[test]
fn a_policy_of_one_attempt_is_taken_as_it_is() {
    let odd = RetryPolicy {
        maximum_attempts: 1,
        initial_interval: seconds(-3),
        backoff_coefficient: 0.5,
        ..Default::default()
    };
    let story = Story::scheduled(policy(odd));
    expect!["-3s0 x0.5 up to -300s0 attempts=1"].assert_eq(&shown_policy(&story));
}

fn shown_policy(story: &Story) -> String {
    let policy = story.activity(5).scheduled.retry_policy.clone().expect("it always has one");
    let span =
        |d: Option<prost_types::Duration>| d.map_or("-".into(), |d| format!("{}s{}", d.seconds, d.nanos));
    format!(
        "{} x{} up to {} attempts={}",
        span(policy.initial_interval),
        policy.backoff_coefficient,
        span(policy.maximum_interval),
        policy.maximum_attempts
    )
}

#[test]
fn what_a_policy_leaves_open_is_filled_in() {
    expect!["1s0 x2 up to 100s0 attempts=0"].assert_eq(&shown_policy(&Story::scheduled(plain("a1"))));
    let three = RetryPolicy { initial_interval: seconds(3), ..Default::default() };
    expect!["3s0 x2 up to 300s0 attempts=0"].assert_eq(&shown_policy(&Story::scheduled(policy(three))));
    // Nothing is longer than a hundred years.
    let slow = RetryPolicy { initial_interval: seconds(31_536_001), ..Default::default() };
    expect!["31536001s0 x2 up to 3153600000s0 attempts=0"]
        .assert_eq(&shown_policy(&Story::scheduled(policy(slow))));
    let fine = RetryPolicy {
        initial_interval: Some(prost_types::Duration { seconds: 0, nanos: 123_457_000 }),
        backoff_coefficient: 1.5,
        maximum_attempts: 3,
        ..Default::default()
    };
    expect!["0s123457000 x1.5 up to 12s345700000 attempts=3"]
        .assert_eq(&shown_policy(&Story::scheduled(policy(fine))));
}

/// Schedule-to-close, schedule-to-start, start-to-close, heartbeat: what was given, what is shown.
#[test]
fn timeouts_are_filled_in_and_none_outlives_the_one_around_it() {
    for (run, given, shown) in [
        (0, [0, 0, 5, 0], [0, 0, 5, 0]),
        (0, [7, 0, 0, 0], [7, 7, 7, 0]),
        (0, [7, 8, 9, 20], [7, 7, 7, 7]),
        (0, [7, 3, 2, 1], [7, 3, 2, 1]),
        (0, [0, 3, 5, 6], [0, 3, 5, 5]),
        (60, [0, 0, 10, 0], [60, 60, 10, 0]),
        (60, [0, 80, 100, 70], [60, 60, 60, 60]),
        (60, [61, 0, 0, 0], [60, 60, 60, 0]),
        // A hundred years is the longest.
        (0, [0, 0, 10_000_000_000, 0], [0, 0, 3_153_600_000, 0]),
    ] {
        let mut story = Story::begin_as(WorkflowExecutionStartedEventAttributes {
            workflow_run_timeout: seconds(run),
            ..Default::default()
        });
        story.commands(vec![schedule(Schedule {
            schedule_to_close_timeout: seconds(given[0]),
            schedule_to_start_timeout: seconds(given[1]),
            start_to_close_timeout: seconds(given[2]),
            heartbeat_timeout: seconds(given[3]),
            ..plain("a1")
        })]);
        let scheduled = &story.activity(5).scheduled;
        let timeouts = [
            scheduled.schedule_to_close_timeout,
            scheduled.schedule_to_start_timeout,
            scheduled.start_to_close_timeout,
            scheduled.heartbeat_timeout,
        ];
        assert_eq!(timeouts, shown.map(seconds), "run {run}, given {given:?}: none may be absent");
    }
}

#[test]
fn the_event_carries_what_the_command_says() {
    let mut story = Story::begin();
    let summary = Payload { data: b"charge".to_vec(), ..Default::default() };
    let metadata = UserMetadata { summary: Some(summary), details: None };
    let command = Command { user_metadata: Some(metadata.clone()), ..schedule(plain("a1")) };
    let stamp = Stamp::new(story.now, 0, &story.limits);
    let mut turn = Turn::new(&stamp, story.execution.clone(), Volatile::default());
    let Some(Attrs::ScheduleActivityTaskCommandAttributes(attributes)) = &command.attributes else {
        panic!("it is a schedule command");
    };
    crate::decide::activity::schedule(&mut turn, &command, attributes, 4).unwrap();
    let Some(Fact::Event(event)) = turn.facts.last() else { panic!("an event was added") };
    assert_eq!(event.event.user_metadata, Some(metadata));
    story.commands(vec![command]);
    let scheduled = &story.activity(5).scheduled;
    assert_eq!(scheduled.workflow_task_completed_event_id, 4);
    assert_eq!(scheduled.task_queue.as_ref().unwrap().kind().as_str_name(), "TASK_QUEUE_KIND_NORMAL");
}

#[test]
fn ids_are_unique_among_what_is_pending() {
    let mut story = Story::begin();
    let text = story.refused(vec![schedule(plain("a1")), schedule(plain("a1"))]);
    expect!["ScheduleActivityDuplicateId: invalid history builder state for action: add-activitytask-scheduled-event, ActivityID: a1"].assert_eq(&text);

    let mut story = Story::scheduled(plain("a1"));
    let task = story.poll();
    story.complete(&task, "paid").unwrap();
    story.begin_task().commands(vec![schedule(plain("a1"))]);
}

#[test]
fn only_so_many_may_be_pending() {
    let commands = |most: usize| (0..most).map(|n| schedule(plain(&format!("a{n}")))).collect();
    let story = || {
        let mut story = Story::begin();
        story.limits.pending_activities_max = 3;
        story
    };
    story().commands(commands(3));
    expect!["PendingActivitiesLimitExceeded: the number of pending activities, 3, has reached the per-workflow limit of 3"].assert_eq(&story().refused(commands(4)));
}

#[test]
fn an_oversized_input_ends_the_run() {
    let story = |bytes: usize| {
        let mut story = Story::begin();
        // The frames of two messages around a kilobyte.
        story.limits.blob_bytes_max = 1024 + 6;
        let attributes = Schedule { input: Some(payloads(&"x".repeat(bytes))), ..plain("a1") };
        (story.complete_task(vec![schedule(attributes)]).is_ok(), story)
    };
    assert!(story(1024).0);
    let (taken, mut refused) = story(1025);
    assert!(!taken);
    refused.tells(expect![[r#"
        3 WORKFLOW_TASK_STARTED
        4 WORKFLOW_TASK_FAILED
        5 WORKFLOW_EXECUTION_TERMINATED
    "#]]);
}
