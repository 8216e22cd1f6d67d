//! The four time-outs, at the moment before, the moment, and the moment after.

use expect_test::expect;

use super::*;

fn once() -> Option<RetryPolicy> {
    Some(RetryPolicy { maximum_attempts: 1, ..Default::default() })
}

/// Wakes at each of these moments, of which only the last is due.
fn wake_at(story: &mut Story, early: u64, due: u64) {
    story.at(early).wake();
    assert_eq!(story.told, "", "nothing is due at {early} ms");
    assert_eq!(todo::activity_deadline(story.activity(5)), Some(BEGIN + MILLISECOND * due as u32));
    story.at(due).wake();
}

#[test]
fn nobody_takes_it_in_time() {
    let attributes =
        ScheduleActivityTaskCommandAttributes { schedule_to_start_timeout: seconds(3), ..plain("a1") };
    let mut story = Story::scheduled(attributes);
    wake_at(&mut story, 2999, 3000);
    story.tells(expect![[r#"
        6 ACTIVITY_TASK_TIMED_OUT of=5 started=0 TIMEOUT failure=(activity ScheduleToStart timeout SCHEDULE_TO_START)
        7 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn nobody_takes_the_next_attempt_in_time() {
    let attributes =
        ScheduleActivityTaskCommandAttributes { schedule_to_start_timeout: seconds(3), ..plain("a1") };
    let mut story = Story::scheduled(attributes);
    let task = story.poll();
    story.at(500).fail(&task, broken("no")).unwrap();
    story.forget();
    wake_at(&mut story, 4499, 4500);
    story.tells(expect![[r#"
        6 ACTIVITY_TASK_TIMED_OUT of=5 started=0 TIMEOUT failure=(activity ScheduleToStart timeout SCHEDULE_TO_START <- (no))
        7 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn an_attempt_takes_too_long_and_is_tried_again() {
    let mut story = Story::scheduled(plain("a1"));
    story.at(100).poll();
    story.forget();
    wake_at(&mut story, 10_099, 10_100);
    story.tells(expect![[r#"
        * retry 5 attempt=2 at=11100ms failure=(activity StartToClose timeout START_TO_CLOSE)
    "#]]);
    assert!(story.execution.workflow_task.is_none(), "the workflow need not know");
}

#[test]
fn the_last_attempt_takes_too_long() {
    let attributes = ScheduleActivityTaskCommandAttributes { retry_policy: once(), ..plain("a1") };
    let mut story = Story::scheduled(attributes);
    let task = story.at(100).poll();
    story.at(200).heartbeat(&task, "half").unwrap();
    story.forget();
    wake_at(&mut story, 10_099, 10_100);
    story.tells(expect![[r#"
        6 ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=100ms
        7 ACTIVITY_TASK_TIMED_OUT of=5 started=6 MAXIMUM_ATTEMPTS_REACHED failure=(activity StartToClose timeout START_TO_CLOSE beat=half)
        8 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn a_policy_may_make_a_time_out_final() {
    for (kind, last_line) in [
        ("StartToClose", "NON_RETRYABLE_FAILURE"),
        ("Heartbeat", "retry"),
        ("TIMEOUT_TYPE_START_TO_CLOSE", "retry"),
    ] {
        let types = vec![format!("TemporalTimeout:{kind}")];
        let policy = RetryPolicy { non_retryable_error_types: types, ..Default::default() };
        let mut story = Story::scheduled(ScheduleActivityTaskCommandAttributes {
            retry_policy: Some(policy),
            ..plain("a1")
        });
        story.poll();
        story.forget().at(10_000).wake();
        assert!(story.told.contains(last_line), "{kind}: {}", story.told);
    }
}

#[test]
fn a_worker_falls_silent() {
    let attributes = ScheduleActivityTaskCommandAttributes {
        heartbeat_timeout: seconds(2),
        retry_policy: once(),
        ..plain("a1")
    };
    let mut story = Story::scheduled(attributes);
    let task = story.at(100).poll();
    // The first heartbeat is due as long after the start as any other after the one before.
    assert_eq!(todo::activity_deadline(story.activity(5)), Some(BEGIN + MILLISECOND * 2100));
    story.at(2000).heartbeat(&task, "half").unwrap();
    story.forget();
    wake_at(&mut story, 3999, 4000);
    story.tells(expect![[r#"
        6 ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=100ms
        7 ACTIVITY_TASK_TIMED_OUT of=5 started=6 MAXIMUM_ATTEMPTS_REACHED failure=(activity Heartbeat timeout HEARTBEAT beat=half)
        8 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn heartbeats_of_a_former_attempt_do_not_count() {
    let attributes = ScheduleActivityTaskCommandAttributes { heartbeat_timeout: seconds(2), ..plain("a1") };
    let mut story = Story::scheduled(attributes);
    let task = story.poll();
    story.at(1500).heartbeat(&task, "half").unwrap();
    story.at(1600).fail(&task, broken("no")).unwrap();
    story.at(2600).poll();
    story.forget();
    wake_at(&mut story, 4599, 4600);
    story.tells(expect![[r#"
        * retry 5 attempt=3 at=6600ms failure=(activity Heartbeat timeout HEARTBEAT)
    "#]]);
}

#[test]
fn all_attempts_together_take_too_long() {
    let attributes = ScheduleActivityTaskCommandAttributes {
        schedule_to_close_timeout: seconds(5),
        start_to_close_timeout: seconds(5),
        ..plain("a1")
    };
    // While the second attempt runs:
    let mut story = Story::scheduled(attributes.clone());
    let task = story.poll();
    story.at(100).heartbeat(&task, "half").unwrap();
    story.at(200).fail(&task, broken("no")).unwrap();
    story.at(1200).poll();
    story.forget();
    wake_at(&mut story, 4999, 5000);
    story.tells(expect![[r#"
        6 ACTIVITY_TASK_STARTED of=5 attempt=2 worker poll-a at=1200ms after (no)
        7 ACTIVITY_TASK_TIMED_OUT of=5 started=6 TIMEOUT failure=(Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying SCHEDULE_TO_CLOSE beat=half <- (no))
        8 WORKFLOW_TASK_SCHEDULED
    "#]]);
    // While the second attempt waits for a worker, there is no start to tell of:
    let mut story = Story::scheduled(attributes);
    let task = story.poll();
    story.at(200).fail(&task, broken("no")).unwrap();
    story.forget();
    wake_at(&mut story, 4999, 5000);
    story.tells(expect![[r#"
        6 ACTIVITY_TASK_TIMED_OUT of=5 started=0 TIMEOUT failure=(Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying SCHEDULE_TO_CLOSE <- (no))
        7 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn a_time_out_that_leaves_no_time_to_retry_is_one_of_all_attempts() {
    let attributes = ScheduleActivityTaskCommandAttributes {
        schedule_to_close_timeout: milliseconds(10_999),
        ..plain("a1")
    };
    let mut story = Story::scheduled(attributes);
    story.poll();
    story.forget().at(10_000).wake().tells(expect![[r#"
        6 ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=0ms
        7 ACTIVITY_TASK_TIMED_OUT of=5 started=6 TIMEOUT failure=(Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying SCHEDULE_TO_CLOSE)
        8 WORKFLOW_TASK_SCHEDULED
    "#]]);

    let attributes = ScheduleActivityTaskCommandAttributes {
        schedule_to_close_timeout: milliseconds(11_000),
        ..plain("a1")
    };
    let mut story = Story::scheduled(attributes);
    story.poll();
    story.forget().at(10_000).wake().tells(expect![[r#"
        * retry 5 attempt=2 at=11000ms failure=(activity StartToClose timeout START_TO_CLOSE)
    "#]]);
}

#[test]
fn time_outs_of_one_moment_have_an_order() {
    // The end of the attempt comes before silence, and the schedule to start before that to close.
    let attributes = ScheduleActivityTaskCommandAttributes {
        heartbeat_timeout: seconds(10),
        retry_policy: once(),
        ..plain("a1")
    };
    let mut story = Story::scheduled(attributes);
    story.poll();
    story.forget().at(10_000).wake();
    assert!(story.told.contains("(activity StartToClose timeout START_TO_CLOSE)"), "{}", story.told);

    let attributes = ScheduleActivityTaskCommandAttributes {
        schedule_to_close_timeout: seconds(4),
        start_to_close_timeout: None,
        ..plain("a1")
    };
    let mut story = Story::scheduled(attributes);
    story.at(4000).wake();
    assert!(story.told.contains("(activity ScheduleToStart timeout SCHEDULE_TO_START)"), "{}", story.told);
}

#[test]
fn activities_time_out_in_the_order_of_their_moments() {
    let timeout = |id: &str, timeout| ScheduleActivityTaskCommandAttributes {
        schedule_to_start_timeout: seconds(timeout),
        ..plain(id)
    };
    let mut story = Story::begin();
    let activities = vec![timeout("late", 3), timeout("early", 1), timeout("same", 1), timeout("never", 9)];
    story.commands(activities.into_iter().map(schedule).collect()).forget();
    story.at(3000).wake().tells(expect![[r#"
        9 ACTIVITY_TASK_TIMED_OUT of=6 started=0 TIMEOUT failure=(activity ScheduleToStart timeout SCHEDULE_TO_START)
        10 ACTIVITY_TASK_TIMED_OUT of=7 started=0 TIMEOUT failure=(activity ScheduleToStart timeout SCHEDULE_TO_START)
        11 ACTIVITY_TASK_TIMED_OUT of=5 started=0 TIMEOUT failure=(activity ScheduleToStart timeout SCHEDULE_TO_START)
        12 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn a_late_wake_up_ends_an_attempt_once() {
    // Both the attempt and its heartbeat are overdue; the retry of the one makes the other obsolete.
    let attributes = ScheduleActivityTaskCommandAttributes { heartbeat_timeout: seconds(2), ..plain("a1") };
    let mut story = Story::scheduled(attributes);
    story.poll();
    story.forget().at(60_000).wake().tells(expect![[r#"
        * retry 5 attempt=2 at=61000ms failure=(activity Heartbeat timeout HEARTBEAT)
    "#]]);
    story.wake().tells(expect![[r#""#]]);
}

#[test]
fn an_activity_that_is_to_be_cancelled_times_out_as_what_it_is() {
    let attributes = |schedule_to_close, start_to_close| ScheduleActivityTaskCommandAttributes {
        schedule_to_close_timeout: seconds(schedule_to_close),
        start_to_close_timeout: seconds(start_to_close),
        ..plain("a1")
    };
    for (attributes, expected) in [
        (attributes(9, 4), "CANCEL_REQUESTED failure=(activity StartToClose timeout START_TO_CLOSE)"),
        (attributes(4, 0), "CANCEL_REQUESTED failure=(activity ScheduleToClose timeout SCHEDULE_TO_CLOSE)"),
    ] {
        let mut story = Story::scheduled(attributes);
        // A moment after the schedule, so that the two time-outs do not meet.
        story.at(1).poll();
        story.begin_task().commands(vec![request_cancel(5)]).forget();
        story.at(4001).wake();
        assert!(story.told.contains(expected), "{}", story.told);
    }
}

#[test]
fn time_outs_wait_for_the_running_task() {
    let mut story =
        Story::scheduled(ScheduleActivityTaskCommandAttributes { retry_policy: once(), ..plain("a1") });
    story.poll();
    story.at(9000).begin_task().forget();
    story.at(10_000).wake().commands(Vec::new()).tells(expect![[r#"
        ~ ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=0ms
        ~ ACTIVITY_TASK_TIMED_OUT of=5 started=0 MAXIMUM_ATTEMPTS_REACHED failure=(activity StartToClose timeout START_TO_CLOSE)
        7 WORKFLOW_TASK_STARTED
        8 WORKFLOW_TASK_COMPLETED
        9 ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=0ms
        10 ACTIVITY_TASK_TIMED_OUT of=5 started=9 MAXIMUM_ATTEMPTS_REACHED failure=(activity StartToClose timeout START_TO_CLOSE)
        11 WORKFLOW_TASK_SCHEDULED
    "#]]);
}
