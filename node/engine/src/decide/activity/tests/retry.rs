//! Which failures are followed by another attempt, and when.

use expect_test::expect;

use super::*;
use crate::decide::retry::{self, Next};

fn with_policy(policy: RetryPolicy) -> ScheduleActivityTaskCommandAttributes {
    ScheduleActivityTaskCommandAttributes { retry_policy: Some(policy), ..plain("a1") }
}

/// What comes of an activity whose first attempt fails at once.
fn failed(attributes: ScheduleActivityTaskCommandAttributes, info: ApplicationFailureInfo) -> String {
    let mut story = Story::scheduled(attributes);
    let task = story.poll();
    story.forget().fail(&task, failure("no", info)).unwrap();
    story.told.lines().next_back().filter(|line| line.starts_with('*')).map(str::to_owned).unwrap_or_else(
        || {
            let line = story.told.lines().find(|line| line.contains("ACTIVITY_TASK_FAILED"));
            line.expect("the activity failed").to_owned()
        },
    )
}

#[test]
fn the_interval_grows_up_to_its_maximum_and_the_history_shows_the_last_attempt() {
    let policy = RetryPolicy {
        initial_interval: seconds(1),
        backoff_coefficient: 3.0,
        maximum_interval: seconds(5),
        maximum_attempts: 4,
        ..Default::default()
    };
    let mut story = Story::scheduled(with_policy(policy));
    for (at, message) in [(0, "one"), (1000, "two"), (4000, "three"), (9000, "four")] {
        let task = story.at(at).poll();
        story.fail(&task, broken(message)).unwrap();
    }
    story.tells(expect![[r#"
        * started 5 attempt=1 worker at=0ms
        * retry 5 attempt=2 at=1000ms failure=(one)
        * started 5 attempt=2 worker at=1000ms
        * retry 5 attempt=3 at=4000ms failure=(two)
        * started 5 attempt=3 worker at=4000ms
        * retry 5 attempt=4 at=9000ms failure=(three)
        * started 5 attempt=4 worker at=9000ms
        6 ACTIVITY_TASK_STARTED of=5 attempt=4 worker poll-a at=9000ms after (three)
        7 ACTIVITY_TASK_FAILED of=5 started=6 worker MAXIMUM_ATTEMPTS_REACHED failure=(four)
        8 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn an_attempt_is_owed_when_its_backoff_has_passed_without_a_further_fact() {
    let mut story = Story::scheduled(plain("a1"));
    let task = story.poll();
    story.fail(&task, broken("no")).unwrap();
    for (at, owed) in [(999, 0), (1000, 1), (1001, 1)] {
        story.at(at).forget().wake().tells(expect![[r#""#]]);
        let tasks = todo::tasks(&story.execution, &story.volatile, story.now);
        assert_eq!(tasks.len(), owed, "at {at} ms");
    }
}

#[test]
fn some_failures_are_final() {
    let info = ApplicationFailureInfo { non_retryable: true, ..Default::default() };
    expect!["7 ACTIVITY_TASK_FAILED of=5 started=6 worker NON_RETRYABLE_FAILURE failure=(no)"]
        .assert_eq(&failed(plain("a1"), info.clone()));

    let types = RetryPolicy { non_retryable_error_types: vec!["Fraud".into()], ..Default::default() };
    let fraud = ApplicationFailureInfo { r#type: "Fraud".into(), ..Default::default() };
    expect!["7 ACTIVITY_TASK_FAILED of=5 started=6 worker NON_RETRYABLE_FAILURE failure=(no type=Fraud)"]
        .assert_eq(&failed(with_policy(types.clone()), fraud));
    let other = ApplicationFailureInfo { r#type: "Fraudulent".into(), ..Default::default() };
    expect!["* retry 5 attempt=2 at=1000ms failure=(no type=Fraudulent)"]
        .assert_eq(&failed(with_policy(types), other));

    let once = RetryPolicy { maximum_attempts: 1, ..Default::default() };
    expect!["7 ACTIVITY_TASK_FAILED of=5 started=6 worker MAXIMUM_ATTEMPTS_REACHED failure=(no)"]
        .assert_eq(&failed(with_policy(once.clone()), Default::default()));
    // Why it is final counts for more than that it was the last.
    expect!["7 ACTIVITY_TASK_FAILED of=5 started=6 worker NON_RETRYABLE_FAILURE failure=(no)"]
        .assert_eq(&failed(with_policy(once), info));
}

#[test]
fn the_last_attempt_may_begin_at_the_expiry_but_not_after_it() {
    // Counted from the first schedule: five seconds; the interval is one.
    for (at, retried) in [(3999, true), (4000, true), (4001, false)] {
        let attributes =
            ScheduleActivityTaskCommandAttributes { schedule_to_close_timeout: seconds(5), ..plain("a1") };
        let mut story = Story::scheduled(attributes);
        let task = story.poll();
        story.forget().at(at).fail(&task, broken("no")).unwrap();
        assert_eq!(story.told.contains("* retry"), retried, "at {at} ms: {}", story.told);
        assert_eq!(story.told.contains(" TIMEOUT failure=(no)"), !retried, "{}", story.told);
    }
}

#[test]
fn a_failure_may_ask_for_its_own_delay() {
    let delay = |delay: Option<prost_types::Duration>| ApplicationFailureInfo {
        next_retry_delay: delay,
        ..Default::default()
    };
    let short = || with_policy(RetryPolicy { maximum_interval: seconds(1), ..Default::default() });
    // It stands above the maximum interval, yet not above the expiry or the number of attempts.
    expect!["* retry 5 attempt=2 at=5000ms failure=(no)"].assert_eq(&failed(short(), delay(seconds(5))));
    let expiring = ScheduleActivityTaskCommandAttributes { schedule_to_close_timeout: seconds(4), ..short() };
    expect!["7 ACTIVITY_TASK_FAILED of=5 started=6 worker TIMEOUT failure=(no)"]
        .assert_eq(&failed(expiring, delay(seconds(5))));
    let once = with_policy(RetryPolicy { maximum_attempts: 1, ..Default::default() });
    expect!["7 ACTIVITY_TASK_FAILED of=5 started=6 worker MAXIMUM_ATTEMPTS_REACHED failure=(no)"]
        .assert_eq(&failed(once, delay(seconds(5))));
    // No delay at all leaves no interval; one that has passed already leaves none to wait for.
    expect!["7 ACTIVITY_TASK_FAILED of=5 started=6 worker TIMEOUT failure=(no)"]
        .assert_eq(&failed(short(), delay(seconds(0))));
    expect!["* retry 5 attempt=2 at=0ms failure=(no)"].assert_eq(&failed(short(), delay(seconds(-1))));
}

#[test]
fn the_delay_that_a_run_asks_for_is_capped() {
    let policy = retry::with_defaults(
        Some(&RetryPolicy { maximum_interval: seconds(7), ..Default::default() }),
        &Limits::default(),
    );
    let after = |delay| {
        let info = ApplicationFailureInfo { next_retry_delay: seconds(delay), ..Default::default() };
        retry::next(Some(&policy), 1, None, &failure("no", info), BEGIN)
    };
    for (delay, expected) in [(6, 6), (7, 7), (8, 7), (0, 7)] {
        assert_eq!(after(delay), Next::Retry { after: Duration::from_secs(expected) }, "asked for {delay}");
    }
}

#[test]
fn intervals_saturate() {
    let policy = RetryPolicy {
        initial_interval: seconds(1),
        backoff_coefficient: 10.0,
        maximum_interval: seconds(3_000_000_000),
        ..Default::default()
    };
    for (attempt, expected) in [(1, 1), (2, 10), (10, 1_000_000_000), (11, 3_000_000_000)] {
        assert_eq!(retry::interval(&policy, attempt), Duration::from_secs(expected), "attempt {attempt}");
    }
    assert_eq!(retry::interval(&policy, i32::MAX), Duration::from_secs(3_000_000_000));
    assert_eq!(retry::interval(&policy, 0), Duration::from_secs(1), "there is no attempt before the first");
}

#[test]
fn long_failures_are_cut_when_they_are_only_kept() {
    // The message and its frame, and an empty application failure: 4,096 bytes, then one more.
    for (bytes, whole) in [(4091, true), (4092, false)] {
        let mut story = Story::scheduled(plain("a1"));
        let task = story.poll();
        let long = broken(&"x".repeat(bytes));
        assert_eq!(prost::Message::encoded_len(&long), 4096 + usize::from(!whole));
        story.fail(&task, long.clone()).unwrap();
        let kept = story.activity(5).last_failure.clone().unwrap().0;
        assert_eq!(kept == long, whole, "{bytes} bytes");
        if !whole {
            expect!["(Failure exceeds size limit. server final=false <- (xxx.. 4088 bytes))"]
                .assert_eq(&summary(&kept));
        }
    }
}
