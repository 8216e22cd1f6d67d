//! Cancelling an activity by command: at once where no worker holds it.

use expect_test::expect;

use super::*;

#[test]
fn an_activity_that_no_worker_holds_is_cancelled_at_once() {
    let mut story = Story::scheduled(plain("a1"));
    story.begin_task().commands(vec![request_cancel(5)]).tells(expect![[r#"
        7 WORKFLOW_TASK_STARTED
        8 WORKFLOW_TASK_COMPLETED
        9 ACTIVITY_TASK_CANCEL_REQUESTED of=5 task=8
        ~ ACTIVITY_TASK_CANCELED of=5 started=0 request=9 workflow-worker "ACTIVITY_ID_NOT_STARTED"
        10 ACTIVITY_TASK_CANCELED of=5 started=0 request=9 workflow-worker "ACTIVITY_ID_NOT_STARTED"
        11 WORKFLOW_TASK_SCHEDULED
    "#]]);
    assert!(story.execution.activities.is_empty());
}

#[test]
fn an_activity_that_backs_off_is_cancelled_at_once() {
    let mut story = Story::scheduled(plain("a1"));
    let task = story.poll();
    story.fail(&task, broken("no")).unwrap();
    story.forget().begin_task().commands(vec![request_cancel(5)]).tells(expect![[r#"
        7 WORKFLOW_TASK_STARTED
        8 WORKFLOW_TASK_COMPLETED
        9 ACTIVITY_TASK_CANCEL_REQUESTED of=5 task=8
        ~ ACTIVITY_TASK_CANCELED of=5 started=0 request=9 workflow-worker "ACTIVITY_ID_NOT_STARTED"
        10 ACTIVITY_TASK_CANCELED of=5 started=0 request=9 workflow-worker "ACTIVITY_ID_NOT_STARTED"
        11 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn a_running_activity_is_only_asked_to_stop() {
    let mut story = Story::scheduled(plain("a1"));
    story.poll();
    story.begin_task().forget().commands(vec![request_cancel(5)]).tells(expect![[r#"
        7 WORKFLOW_TASK_STARTED
        8 WORKFLOW_TASK_COMPLETED
        9 ACTIVITY_TASK_CANCEL_REQUESTED of=5 task=8
    "#]]);
    assert!(story.activity(5).cancel_requested());
    assert!(story.execution.workflow_task.is_none(), "there is nothing to tell the workflow yet");
}

#[test]
fn scheduled_and_cancelled_in_one_task() {
    let mut story = Story::begin();
    story.commands(vec![schedule(plain("a1")), request_cancel(5)]).tells(expect![[r#"
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
fn an_activity_may_finish_while_its_cancellation_is_decided() {
    let mut story = Story::scheduled(plain("a1"));
    let task = story.poll();
    story.begin_task().forget().complete(&task, "paid").unwrap();
    story.commands(vec![request_cancel(5)]).tells(expect![[r#"
        ~ ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=0ms
        ~ ACTIVITY_TASK_COMPLETED of=5 started=0 worker paid
        7 WORKFLOW_TASK_STARTED
        8 WORKFLOW_TASK_COMPLETED
        9 ACTIVITY_TASK_CANCEL_REQUESTED of=5 task=8
        10 ACTIVITY_TASK_STARTED of=5 attempt=1 worker poll-a at=0ms
        11 ACTIVITY_TASK_COMPLETED of=5 started=10 worker paid
        12 WORKFLOW_TASK_SCHEDULED
    "#]]);
}

#[test]
fn a_cancellation_is_asked_for_once() {
    let mut story = Story::scheduled(plain("a1"));
    story.poll();
    story.begin_task().commands(vec![request_cancel(5)]);
    let text = story.begin_task().refused(vec![request_cancel(5)]);
    expect!["BadRequestCancelActivityAttributes: invalid history builder state for action: add-activitytask-cancel-requested-event, ScheduledEventID: 5"].assert_eq(&text);
}

#[test]
fn only_known_activities_can_be_cancelled() {
    for (scheduled_event_id, expected) in [
        (
            0,
            expect![
                "BadRequestCancelActivityAttributes: ScheduledEventId is not set on RequestCancelActivityTaskCommand."
            ],
        ),
        (
            77,
            expect![
                "BadRequestCancelActivityAttributes: invalid history builder state for action: add-activitytask-cancel-requested-event, ScheduledEventID: 77"
            ],
        ),
    ] {
        expected.assert_eq(&Story::begin().refused(vec![request_cancel(scheduled_event_id)]));
    }
}
