//! Completed, failed, cancelled, alive: by token and by id.

use expect_test::expect;

use super::*;

fn not_found() -> Reject {
    Reject::activity_not_found()
}

#[test]
fn started_event_comes_with_the_completion_and_keeps_its_time() {
    let mut story = Story::begin();
    story.commands(vec![schedule(plain("a1"))]).tells(expect![[r#"
        3 WORKFLOW_TASK_STARTED
        4 WORKFLOW_TASK_COMPLETED
        5 ACTIVITY_TASK_SCHEDULED a1
    "#]]);
    let task = story.at(20).poll();
    story.at(35).complete(&task, "paid").unwrap();
    story.tells(expect![[r#"
        * started 5 attempt=1 worker at=20ms
        6 ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=20ms
        7 ACTIVITY_TASK_COMPLETED of=5 started=6 worker paid
        8 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn reports_wait_for_the_running_task_and_find_their_started_event() {
    let mut story = Story::begin();
    story.commands(vec![schedule(plain("a1")), schedule(plain("a2"))]).begin_task();
    let first = story.at(20).poll();
    let second = story.at(30).poll();
    story.at(40).complete(&second, "two").unwrap();
    story.at(50).complete(&first, "one").unwrap();
    story.commands(Vec::new()).tells(expect![[r#"
        3 WORKFLOW_TASK_STARTED
        4 WORKFLOW_TASK_COMPLETED
        5 ACTIVITY_TASK_SCHEDULED a1
        6 ACTIVITY_TASK_SCHEDULED a2
        * started 5 attempt=1 worker at=20ms
        * started 6 attempt=1 worker at=30ms
        ~ ACTIVITY_TASK_STARTED of=6 attempt=1 worker poll-a at=30ms
        ~ ACTIVITY_TASK_COMPLETED of=6 started=0 worker two
        ~ ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=20ms
        ~ ACTIVITY_TASK_COMPLETED of=5 started=0 worker one
        8 WORKFLOW_TASK_STARTED
        9 WORKFLOW_TASK_COMPLETED
        10 ACTIVITY_TASK_STARTED of=6 attempt=1 worker poll-a at=30ms
        11 ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=20ms
        12 ACTIVITY_TASK_COMPLETED of=6 started=10 worker two
        13 ACTIVITY_TASK_COMPLETED of=5 started=11 worker one
        14 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn a_token_stands_for_a_start_that_was_lost() {
    let mut story = Story::scheduled(plain("a1"));
    let task = story.at(20).poll();
    story.forget().lose_start(5);
    story.at(35).complete(&task, "paid").unwrap();
    story.tells(expect![[r#"
        6 ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=20ms
        7 ACTIVITY_TASK_COMPLETED of=5 started=6 worker paid
        8 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn whoever_answers_first_has_done_an_attempt_that_was_handed_out_twice() {
    let mut story = Story::scheduled(plain("a1"));
    let first = story.at(20).poll();
    story.lose_start(5);
    let second = story.at(30).take(5, 1, "poll-b").unwrap();
    assert_ne!(first.task_token, second.task_token);
    story.forget().at(35).complete(&first, "paid").unwrap();
    story.tells(expect![[r#"
        6 ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=20ms
        7 ACTIVITY_TASK_COMPLETED of=5 started=6 worker paid
        8 WORKFLOW_TASK_SCHEDULED
    "#]]);
    assert_eq!(story.complete(&second, "paid twice").unwrap_err(), not_found());
}

#[test]
fn a_heartbeat_restores_a_start_that_was_lost() {
    let mut story = Story::scheduled(plain("a1"));
    let task = story.at(20).poll();
    story.forget().lose_start(5);
    assert!(!story.at(35).heartbeat(&task, "half").unwrap());
    story.tells(expect![[r#"
        * started 5 attempt=1 worker at=20ms
        * heartbeat 5 at=35ms half
    "#]]);
    assert_eq!(todo::tasks(&story.execution, &story.volatile, story.now), Vec::new(), "nothing is owed");
}

#[test]
fn a_failure_whose_start_was_lost_is_followed_by_another_attempt() {
    let mut story = Story::scheduled(plain("a1"));
    let task = story.at(20).poll();
    story.forget().lose_start(5);
    story.at(35).fail(&task, broken("no")).unwrap();
    story.tells(expect![[r#"
        * started 5 attempt=1 worker at=20ms
        * retry 5 attempt=2 at=1035ms failure=(no)
    "#]]);
}

#[test]
fn reports_of_another_attempt_are_refused() {
    let mut story = Story::scheduled(plain("a1"));
    let first = story.poll();
    story.fail(&first, broken("no")).unwrap();
    assert_eq!(story.complete(&first, "late").unwrap_err(), not_found());
    let second = story.at(1000).poll();
    assert_eq!(second.attempt, 2);
    assert_eq!(story.heartbeat(&first, "late").unwrap_err(), not_found());
    assert_eq!(story.fail(&first, broken("again")).unwrap_err(), not_found());
    assert_eq!(story.cancel(&first, "late").unwrap_err(), not_found());
    story.complete(&second, "paid").unwrap();
    assert_eq!(story.complete(&second, "paid").unwrap_err(), not_found(), "it is finished");
}

#[test]
fn reports_to_a_closed_run_are_refused() {
    let mut story = Story::scheduled(plain("a1"));
    let task = story.poll();
    let terminate = everlog_proto::api::workflowservice::v1::TerminateWorkflowExecutionRequest::default();
    story.ask(Request::Terminate(Box::new(terminate))).unwrap();
    assert_eq!(story.complete(&task, "late").unwrap_err(), Reject::already_completed());
    assert_eq!(story.heartbeat("a1", "late").unwrap_err(), Reject::already_completed());
}

#[test]
fn a_workflow_task_token_is_no_activity_token() {
    let mut story = Story::begin();
    let stamp = Stamp::new(story.now, 0, &story.limits);
    let turn = Turn::new(&stamp, story.execution.clone(), story.volatile.clone());
    let token = TaskToken::decode(&decide::workflow_task::held(&turn).response.task_token).unwrap();
    let of = ActivityRef::Token(token);
    let request = Box::new(RespondActivityTaskCompletedRequest::default());
    let reject = story.ask(Request::CompleteActivity { of, request }).unwrap_err();
    assert_eq!(reject, Reject::InvalidArgument("Error deserializing task token.".into()));
}

#[test]
fn by_id_a_running_attempt_is_meant() {
    let mut story = Story::scheduled(plain("a1"));
    for reject in [
        story.heartbeat("a1", "half").unwrap_err(),
        story.fail("a1", broken("no")).unwrap_err(),
        story.cancel("a1", "stop").unwrap_err(),
    ] {
        assert_eq!(reject, not_found(), "no worker has it");
    }
    story.poll();
    story.forget().at(10).heartbeat("a1", "half").unwrap();
    story.at(20).fail("a1", broken("no")).unwrap();
    story.tells(expect![[r#"
        * heartbeat 5 at=10ms half
        * retry 5 attempt=2 at=1020ms failure=(no)
    "#]]);
}

#[test]
fn by_id_unknown_activities_are_named() {
    let mut story = Story::scheduled(plain("a1"));
    let text =
        "cannot find pending activity with ActivityID a2, check workflow execution history for more details";
    assert_eq!(story.complete("a2", "paid").unwrap_err(), Reject::NotFound(text.into()));
    expect![[r#"InvalidArgument("ActivityId is not set on request.")"#]]
        .assert_eq(&format!("{:?}", story.complete("", "paid").unwrap_err()));
}

#[test]
fn by_id_an_activity_that_no_worker_has_can_be_completed() {
    let mut story = Story::scheduled(plain("a1"));
    story.at(40).complete("a1", "paid by hand").unwrap();
    story.tells(expect![[r#"
        6 ACTIVITY_TASK_STARTED of=5 attempt=1 worker - at=40ms
        7 ACTIVITY_TASK_COMPLETED of=5 started=6 worker paid by hand
        8 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn by_id_an_activity_that_backs_off_can_be_completed() {
    let mut story = Story::scheduled(plain("a1"));
    let task = story.poll();
    story.fail(&task, broken("no")).unwrap();
    story.forget().at(40).complete("a1", "paid by hand").unwrap();
    story.tells(expect![[r#"
        6 ACTIVITY_TASK_STARTED of=5 attempt=2 worker - at=40ms after (no)
        7 ACTIVITY_TASK_COMPLETED of=5 started=6 worker paid by hand
        8 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn cancelled_is_only_what_was_to_be_cancelled() {
    let mut story = Story::scheduled(plain("a1"));
    let task = story.poll();
    let reject = story.cancel(&task, "on my own").unwrap_err();
    let text = "unable to mark activity as canceled without activity being request canceled first";
    assert_eq!(reject, Reject::InvalidArgument(text.into()));

    story.begin_task().commands(vec![request_cancel(5)]).forget();
    assert!(story.heartbeat(&task, "").unwrap(), "the worker hears of it");
    story.at(30).cancel(&task, "cleaned up").unwrap();
    story.tells(expect![[r#"
        * heartbeat 5 at=0ms none
        10 ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=0ms
        11 ACTIVITY_TASK_CANCELED of=5 started=10 request=9 worker cleaned up
        12 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn an_activity_that_is_to_be_cancelled_is_not_tried_again() {
    let mut story = Story::scheduled(plain("a1"));
    let task = story.poll();
    story.begin_task().commands(vec![request_cancel(5)]).forget();
    story.fail(&task, broken("interrupted")).unwrap();
    story.tells(expect![[r#"
        10 ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=0ms
        11 ACTIVITY_TASK_FAILED of=5 started=10 worker CANCEL_REQUESTED failure=(interrupted)
        12 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn an_activity_that_is_to_be_cancelled_may_complete_all_the_same() {
    let mut story = Story::scheduled(plain("a1"));
    let task = story.poll();
    story.begin_task().commands(vec![request_cancel(5)]).forget();
    story.complete(&task, "paid").unwrap();
    story.tells(expect![[r#"
        10 ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=0ms
        11 ACTIVITY_TASK_COMPLETED of=5 started=10 worker paid
        12 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn details_of_the_last_heartbeat_reach_the_next_attempt() {
    let mut story = Story::scheduled(plain("a1"));
    let task = story.poll();
    story.at(10).heartbeat(&task, "half").unwrap();
    story.at(20).fail(&task, broken("no")).unwrap();
    let task = story.at(1020).poll();
    assert_eq!(text(task.heartbeat_details.as_ref()), "half");

    let request = RespondActivityTaskFailedRequest {
        failure: Some(broken("no again")),
        last_heartbeat_details: Some(payloads("most")),
        ..Default::default()
    };
    story.ask(Request::FailActivity { of: Of::from(&task).0, request: Box::new(request) }).unwrap();
    let task = story.at(4000).poll();
    assert_eq!(text(task.heartbeat_details.as_ref()), "most");

    story.heartbeat(&task, "").unwrap();
    story.fail(&task, broken("no, no, no")).unwrap();
    assert_eq!(story.at(9000).poll().heartbeat_details, None, "a heartbeat without details clears them");
}

#[test]
fn only_failures_of_code_are_taken() {
    let mut story = Story::scheduled(plain("a1"));
    let task = story.poll();
    let bare = Failure { message: "bare".into(), ..Default::default() };
    let reject = story.fail(&task, bare).unwrap_err();
    assert_eq!(reject, Reject::InvalidArgument("Failure must have ApplicationFailureInfo.".into()));
}

#[test]
fn a_failure_without_a_reason_is_followed_by_another_attempt() {
    let mut story = Story::scheduled(plain("a1"));
    let task = story.poll();
    let request = Box::new(RespondActivityTaskFailedRequest::default());
    story.forget().ask(Request::FailActivity { of: Of::from(&task).0, request }).unwrap();
    story.tells(expect![[r#"
        * retry 5 attempt=2 at=1000ms failure=none
    "#]]);
}
