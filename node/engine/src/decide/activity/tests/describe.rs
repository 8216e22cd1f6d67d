//! Pending activities as they are shown.

use expect_test::expect;

use super::*;

/// What changes while an activity lives.
fn shown(story: &Story) -> String {
    let info = story.pending(5);
    let at = |time: Option<prost_types::Timestamp>| time.map_or("-".into(), |t| since(Time::from_proto(&t)));
    let interval = info.current_retry_interval.map_or("-".into(), |i| format!("{}s", i.seconds));
    format!(
        "{} attempt={}/{} scheduled={} expires={} started={} beat={}:{} failure={} by={:?} done={} next={} in={}",
        info.state().as_str_name().trim_start_matches("PENDING_ACTIVITY_STATE_"),
        info.attempt,
        info.maximum_attempts,
        at(info.scheduled_time),
        at(info.expiration_time),
        at(info.last_started_time),
        at(info.last_heartbeat_time),
        text(info.heartbeat_details.as_ref()),
        info.last_failure.as_ref().map_or("-".into(), summary),
        info.last_worker_identity,
        at(info.last_attempt_complete_time),
        at(info.next_attempt_schedule_time),
        interval,
    )
}

#[test]
fn a_pending_activity_is_shown_as_it_stands() {
    let policy = RetryPolicy { maximum_attempts: 3, ..Default::default() };
    let attributes = ScheduleActivityTaskCommandAttributes {
        schedule_to_close_timeout: seconds(60),
        retry_policy: Some(policy),
        ..plain("a1")
    };
    let mut story = Story::scheduled(attributes);
    let mut told = vec![shown(&story)];
    let task = story.at(10).poll();
    told.push(shown(&story));
    story.at(20).heartbeat(&task, "half").unwrap();
    told.push(shown(&story));
    story.at(30).fail(&task, broken("no")).unwrap();
    told.push(shown(&story));
    story.at(1029);
    told.push(shown(&story));
    story.at(1030);
    told.push(shown(&story));
    story.at(1040).poll();
    told.push(shown(&story));
    story.begin_task().commands(vec![request_cancel(5)]);
    told.push(shown(&story));
    expect![[r#"
        SCHEDULED attempt=1/3 scheduled=0ms expires=60000ms started=- beat=-: failure=- by="" done=- next=- in=-
        STARTED attempt=1/3 scheduled=0ms expires=60000ms started=10ms beat=-: failure=- by="worker" done=- next=- in=-
        STARTED attempt=1/3 scheduled=0ms expires=60000ms started=10ms beat=20ms:half failure=- by="worker" done=- next=- in=-
        SCHEDULED attempt=2/3 scheduled=1030ms expires=60000ms started=- beat=20ms:half failure=(no) by="worker" done=30ms next=1030ms in=1s
        SCHEDULED attempt=2/3 scheduled=1030ms expires=60000ms started=- beat=20ms:half failure=(no) by="worker" done=30ms next=1030ms in=1s
        SCHEDULED attempt=2/3 scheduled=1030ms expires=60000ms started=- beat=20ms:half failure=(no) by="worker" done=30ms next=- in=-
        STARTED attempt=2/3 scheduled=1030ms expires=60000ms started=1040ms beat=20ms:half failure=(no) by="worker" done=30ms next=- in=-
        CANCEL_REQUESTED attempt=2/3 scheduled=1030ms expires=60000ms started=1040ms beat=20ms:half failure=(no) by="worker" done=30ms next=- in=-
    "#]].assert_eq(&(told.join("\n") + "\n"));
}

#[test]
fn options_are_shown_as_they_were_filled_in() {
    let policy = RetryPolicy { non_retryable_error_types: vec!["Fraud".into()], ..Default::default() };
    let attributes = ScheduleActivityTaskCommandAttributes {
        heartbeat_timeout: seconds(3),
        retry_policy: Some(policy),
        priority: Some(Priority { priority_key: 3, ..Default::default() }),
        ..plain("a1")
    };
    let info = Story::scheduled(attributes).pending(5);
    assert_eq!(info.activity_id, "a1");
    assert_eq!(info.activity_type.unwrap().name, "Charge");
    assert_eq!(info.priority, info.activity_options.as_ref().unwrap().priority);
    expect![[r#"
        ActivityOptions {
            task_queue: Some(
                TaskQueue {
                    name: "q",
                    kind: Unspecified,
                    normal_name: "q",
                },
            ),
            schedule_to_close_timeout: Some(
                Duration {
                    seconds: 0,
                    nanos: 0,
                },
            ),
            schedule_to_start_timeout: Some(
                Duration {
                    seconds: 0,
                    nanos: 0,
                },
            ),
            start_to_close_timeout: Some(
                Duration {
                    seconds: 10,
                    nanos: 0,
                },
            ),
            heartbeat_timeout: Some(
                Duration {
                    seconds: 3,
                    nanos: 0,
                },
            ),
            retry_policy: Some(
                RetryPolicy {
                    initial_interval: Some(
                        Duration {
                            seconds: 1,
                            nanos: 0,
                        },
                    ),
                    backoff_coefficient: 2.0,
                    maximum_interval: Some(
                        Duration {
                            seconds: 100,
                            nanos: 0,
                        },
                    ),
                    maximum_attempts: 0,
                    non_retryable_error_types: [],
                },
            ),
            priority: Some(
                Priority {
                    priority_key: 3,
                    fairness_key: "",
                    fairness_weight: 0.0,
                },
            ),
            start_delay: None,
        }
    "#]]
    .assert_debug_eq(&info.activity_options.unwrap());
}
