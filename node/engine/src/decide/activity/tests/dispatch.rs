//! Handing out attempts: to a poller that was offered one, and to the worker that scheduled it.

use expect_test::expect;

use super::*;
use crate::{decide::activity::must_be_durable_before_dispatch, token::TokenTask};

/// What a worker is told, but for its token.
fn told(task: &PollActivityTaskQueueResponse) -> String {
    let token = TaskToken::decode(&task.task_token).unwrap().task;
    let TokenTask::Activity { scheduled_event_id, attempt, activity_id, started, request_id, .. } = token
    else {
        panic!("{token:?} is no activity's token");
    };
    let task = PollActivityTaskQueueResponse { task_token: Vec::new(), ..task.clone() };
    format!(
        "token {scheduled_event_id} attempt={attempt} {activity_id} {} {request_id}\n{task:#?}\n",
        since(started)
    )
}

#[test]
fn a_worker_is_told_everything() {
    let mut story = Story::begin();
    let header = [("trace".to_owned(), Payload { data: b"7".to_vec(), ..Default::default() })];
    let attributes = ScheduleActivityTaskCommandAttributes {
        header: Some(Header { fields: header.into_iter().collect() }),
        input: Some(payloads("amount")),
        schedule_to_close_timeout: seconds(60),
        heartbeat_timeout: seconds(3),
        priority: Some(Priority { priority_key: 3, ..Default::default() }),
        ..plain("a1")
    };
    story.commands(vec![schedule(attributes)]);
    let first = story.at(10).poll();
    story.at(20).heartbeat(&first, "half").unwrap();
    story.at(30).fail(&first, broken("no")).unwrap();
    let second = story.at(1040).poll();
    expect![[r#"
        token 5 attempt=2 a1 1040ms poll-a
        PollActivityTaskQueueResponse {
            task_token: [],
            workflow_namespace: "",
            workflow_type: Some(
                WorkflowType {
                    name: "Order",
                },
            ),
            workflow_execution: Some(
                WorkflowExecution {
                    workflow_id: "order-1",
                    run_id: "run-1",
                },
            ),
            activity_type: Some(
                ActivityType {
                    name: "Charge",
                },
            ),
            activity_id: "a1",
            header: Some(
                Header {
                    fields: {
                        "trace": [Nw==],
                    },
                },
            ),
            input: Some(
                Payloads {
                    payloads: [
                        [YW1vdW50],
                    ],
                },
            ),
            heartbeat_details: Some(
                Payloads {
                    payloads: [
                        [aGFsZg==],
                    ],
                },
            ),
            scheduled_time: Some(
                Timestamp {
                    seconds: 1700000000,
                    nanos: 0,
                },
            ),
            current_attempt_scheduled_time: Some(
                Timestamp {
                    seconds: 1700000001,
                    nanos: 30000000,
                },
            ),
            started_time: Some(
                Timestamp {
                    seconds: 1700000001,
                    nanos: 40000000,
                },
            ),
            attempt: 2,
            schedule_to_close_timeout: Some(
                Duration {
                    seconds: 60,
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
            poller_scaling_decision: None,
            priority: Some(
                Priority {
                    priority_key: 3,
                    fairness_key: "",
                    fairness_weight: 0.0,
                },
            ),
            activity_run_id: "",
            poller_group_infos: [],
            poller_groups_info: None,
        }
    "#]]
    .assert_eq(&told(&second));
}

#[test]
fn a_poller_that_asks_again_is_told_the_same() {
    let mut story = Story::scheduled(plain("a1"));
    let first = story.at(10).take(5, 1, "poll-a").unwrap();
    story.forget();
    assert_eq!(story.at(20).take(5, 1, "poll-a"), Some(first));
    assert_eq!(story.take(5, 1, "poll-b"), None, "another poller goes on waiting");
    story.tells(expect![[r#""#]]);
}

#[test]
fn obsolete_offers_lead_nowhere() {
    let mut story = Story::scheduled(plain("a1"));
    assert_eq!(story.take(6, 1, "poll-a"), None, "no such activity");
    assert_eq!(story.take(5, 2, "poll-a"), None, "no such attempt yet");
    let task = story.poll();
    story.fail(&task, broken("no")).unwrap();
    assert_eq!(story.take(5, 1, "poll-a"), None, "that attempt is over");
    for (at, owed) in [(999, false), (1000, true)] {
        assert_eq!(story.at(at).take(5, 2, "poll-b").is_some(), owed, "at {at} ms");
    }
    let terminate = everlog_proto::api::workflowservice::v1::TerminateWorkflowExecutionRequest::default();
    story.ask(Request::Terminate(Box::new(terminate))).unwrap();
    assert_eq!(story.take(5, 2, "poll-b"), None, "the run is closed");
}

#[test]
fn an_activity_has_its_workflows_priority_where_it_has_none() {
    let of = |priority_key, fairness_key: &str, fairness_weight| Priority {
        priority_key,
        fairness_key: fairness_key.into(),
        fairness_weight,
    };
    let workflow = of(2, "tenant", 1.5);
    for (own, expected) in [
        (None, workflow.clone()),
        (Some(of(0, "", 0.0)), workflow.clone()),
        (Some(of(3, "", 0.0)), of(3, "tenant", 1.5)),
        (Some(of(0, "other", 0.0)), of(2, "other", 1.5)),
        (Some(of(0, "", 2.0)), of(2, "tenant", 2.0)),
    ] {
        let mut story = Story::begin_as(WorkflowExecutionStartedEventAttributes {
            priority: Some(workflow.clone()),
            ..Default::default()
        });
        story
            .commands(vec![schedule(ScheduleActivityTaskCommandAttributes { priority: own, ..plain("a1") })]);
        assert_eq!(story.poll().priority, Some(expected));
    }
    assert_eq!(Story::scheduled(plain("a1")).poll().priority, None);
}

#[test]
fn only_a_single_attempt_must_be_recorded_before_a_worker_hears_of_it() {
    for (maximum_attempts, durable) in [(0, false), (1, true), (2, false)] {
        let policy = RetryPolicy { maximum_attempts, ..Default::default() };
        let story = Story::scheduled(ScheduleActivityTaskCommandAttributes {
            retry_policy: Some(policy),
            ..plain("a1")
        });
        assert_eq!(must_be_durable_before_dispatch(story.activity(5)), durable, "{maximum_attempts}");
    }
}

fn eager(id: &str) -> ScheduleActivityTaskCommandAttributes {
    ScheduleActivityTaskCommandAttributes { request_eager_execution: true, ..plain(id) }
}

#[test]
fn a_worker_may_have_an_activity_with_the_answer_to_its_task() {
    let mut story = Story::begin();
    let completed = story.at(10).complete_task(vec![schedule(eager("a1")), schedule(plain("a2"))]).unwrap();
    let [task] = &completed.response.activity_tasks[..] else { panic!("one activity was asked for") };
    assert_eq!((task.activity_id.as_str(), task.attempt), ("a1", 1));
    story.tells(expect![[r#"
        3 WORKFLOW_TASK_STARTED
        4 WORKFLOW_TASK_COMPLETED
        5 ACTIVITY_TASK_SCHEDULED a1
        6 ACTIVITY_TASK_SCHEDULED a2
        * started 5 attempt=1 workflow-worker at=10ms
    "#]]);
    // It is an attempt like any other: its time runs, and it is reported by its token.
    assert_eq!(todo::activity_deadline(story.activity(5)), Some(BEGIN + MILLISECOND * 10_010));
    let owed = todo::tasks(&story.execution, &story.volatile, story.now);
    assert_eq!(owed.len(), 1, "only the other one is owed: {owed:?}");
    story.at(20).complete(task, "paid").unwrap();
    story.tells(expect![[r#"
        7 ACTIVITY_TASK_STARTED of=5 attempt=1 workflow-worker 1d0b14e4-db01-4fed-940e-a5e6606db127 at=10ms
        8 ACTIVITY_TASK_COMPLETED of=5 started=7 worker paid
        9 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn an_eager_activity_may_be_gone_before_it_begins() {
    let mut story = Story::begin();
    let completed = story.complete_task(vec![schedule(eager("a1")), request_cancel(5)]).unwrap();
    assert_eq!(completed.response.activity_tasks, Vec::new());
    story.tells(expect![[r#"
        3 WORKFLOW_TASK_STARTED
        4 WORKFLOW_TASK_COMPLETED
        5 ACTIVITY_TASK_SCHEDULED a1
        6 ACTIVITY_TASK_CANCEL_REQUESTED of=5 task=4
        ~ ACTIVITY_TASK_CANCELED of=5 started=0 request=6 workflow-worker "ACTIVITY_ID_NOT_STARTED"
        7 ACTIVITY_TASK_CANCELED of=5 started=0 request=6 workflow-worker "ACTIVITY_ID_NOT_STARTED"
        8 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn limits_may_forbid_eagerness() {
    let mut story = Story::begin();
    story.limits.eager_activities = false;
    let completed = story.complete_task(vec![schedule(eager("a1"))]).unwrap();
    assert_eq!(completed.response.activity_tasks, Vec::new());
    assert_eq!(story.poll().activity_id, "a1", "it is owed as any other");
}
