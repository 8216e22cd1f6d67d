//! Operations by hand: pause, unpause, reset, other options.

use everlog_proto::api::{
    activity::v1::ActivityOptions,
    enums::v1::PendingActivityState as State,
    workflowservice::v1::{
        PauseActivityRequest, ResetActivityRequest, UnpauseActivityRequest, UpdateActivityOptionsRequest,
        pause_activity_request, reset_activity_request, unpause_activity_request,
        update_activity_options_request,
    },
};
use prost_types::FieldMask;

use super::*;

fn pause(request_id: &str) -> Request {
    Request::PauseActivity(Box::new(PauseActivityRequest {
        identity: "operator".into(),
        reason: "why".into(),
        request_id: request_id.into(),
        activity: Some(pause_activity_request::Activity::Id("a1".into())),
        ..Default::default()
    }))
}

fn unpause(change: impl FnOnce(&mut UnpauseActivityRequest)) -> Request {
    let mut request = UnpauseActivityRequest {
        activity: Some(unpause_activity_request::Activity::Id("a1".into())),
        ..Default::default()
    };
    change(&mut request);
    Request::UnpauseActivity(Box::new(request))
}

fn reset(change: impl FnOnce(&mut ResetActivityRequest)) -> Request {
    let mut request = ResetActivityRequest {
        activity: Some(reset_activity_request::Activity::Id("a1".into())),
        ..Default::default()
    };
    change(&mut request);
    Request::ResetActivity(Box::new(request))
}

fn update(paths: &[&str], options: ActivityOptions) -> Request {
    Request::UpdateActivityOptions(Box::new(UpdateActivityOptionsRequest {
        activity: Some(update_activity_options_request::Activity::Id("a1".into())),
        activity_options: Some(options),
        update_mask: Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
        ..Default::default()
    }))
}

impl Story {
    fn is_owed(&self) -> bool {
        let owed = todo::tasks(&self.execution, &self.volatile, self.now);
        owed.iter().any(|todo| matches!(todo, Todo::ActivityTask { .. }))
    }

    fn the_activity(&self) -> &Activity {
        self.execution.activities.get(&5).expect("the activity is pending")
    }

    fn state(&self) -> State {
        decide::activity::pending_info(self.the_activity(), self.now).state()
    }

    /// What a heartbeat of this token hears of a pause and of a reset.
    fn hears(&mut self, task: &PollActivityTaskQueueResponse) -> Result<(bool, bool), Reject> {
        let of = ActivityRef::Token(TaskToken::decode(&task.task_token).unwrap());
        let beat = Request::HeartbeatActivity { of, details: None, identity: "worker".into() };
        match self.ask(beat)? {
            Reply::Heartbeat { paused, reset, .. } => Ok((paused, reset)),
            other => panic!("{other:?} does not answer a heartbeat"),
        }
    }
}

#[test]
fn a_paused_activity_is_owed_to_nobody_and_never_late() {
    let attributes =
        ScheduleActivityTaskCommandAttributes { schedule_to_close_timeout: seconds(5), ..plain("a1") };
    let mut story = Story::scheduled(attributes);
    assert!(story.is_owed());
    story.ask(pause("one")).unwrap();
    assert!(!story.is_owed());
    assert_eq!(story.state(), State::Paused);
    assert!(story.take(5, 1, "poll").is_none(), "what was offered before is void");
    story.at(6000);
    assert_eq!(todo::wake_at(&story.execution), None);
    story.ask(Request::Wake).unwrap();
    assert!(story.execution.activities.contains_key(&5), "it does not time out");
    assert_eq!(*story.execution.pause_info, ["property:activityType=Charge".to_owned()]);

    story.ask(unpause(|_| {})).unwrap();
    assert!(story.execution.pause_info.is_empty());
    story.ask(Request::Wake).unwrap();
    assert!(story.execution.activities.is_empty(), "what fell due meanwhile happens when it goes on");
}

#[test]
fn a_second_pause_is_refused_unless_it_is_the_same() {
    let mut story = Story::scheduled(plain("a1"));
    story.ask(pause("one")).unwrap();
    let before = story.execution.clone();
    story.ask(pause("one")).unwrap();
    assert_eq!(story.execution, before);
    let refused = Err(Reject::FailedPrecondition("activity is already paused".into()));
    assert_eq!(story.ask(pause("two")).map(|_| ()), refused);
    story.ask(unpause(|_| {})).unwrap();
    let before = story.execution.clone();
    story.ask(unpause(|request| request.reset_attempts = true)).unwrap();
    assert_eq!(story.execution, before, "what is not paused is left as it is");
}

#[test]
fn an_attempt_that_fails_while_paused_is_followed_by_one_after_the_unpause() {
    let policy = RetryPolicy { maximum_attempts: 1, ..Default::default() };
    let attributes = ScheduleActivityTaskCommandAttributes { retry_policy: Some(policy), ..plain("a1") };
    let mut story = Story::scheduled(attributes);
    let task = story.poll();
    story.ask(pause("one")).unwrap();
    assert_eq!(story.state(), State::PauseRequested);
    assert_eq!(story.hears(&task), Ok((true, false)));
    story.at(10).fail(&task, broken("no")).unwrap();
    assert_eq!((story.state(), story.the_activity().attempt), (State::Paused, 2));
    assert!(!story.is_owed());
    story.at(20).ask(unpause(|_| {})).unwrap();
    assert_eq!(story.poll().attempt, 2);
}

#[test]
fn a_report_of_an_attempt_that_was_counted_before_a_reset_is_refused() {
    let mut story = Story::scheduled(plain("a1"));
    let first = story.poll();
    story.at(10).fail(&first, broken("no")).unwrap();
    story.ask(reset(|_| {})).unwrap();
    assert!(story.is_owed(), "it does not wait for the back-off");
    assert!(story.complete(&first, "late").is_err(), "the same number, of another count");
    let again = story.poll();
    assert_eq!(again.attempt, 1);
    assert!(story.complete(&first, "late").is_err());
    story.complete(&again, "done").unwrap();
}

#[test]
fn a_running_first_attempt_hears_of_a_reset_and_goes_on() {
    let mut story = Story::scheduled(plain("a1"));
    let task = story.poll();
    story.heartbeat(&task, "half").unwrap();
    story.ask(reset(|request| request.reset_heartbeat = true)).unwrap();
    assert_eq!(story.hears(&task), Ok((false, true)));
    story.heartbeat(&task, "more").unwrap();
    story.at(10).fail(&task, broken("no")).unwrap();
    let next = story.at(5000).poll();
    assert_eq!((next.attempt, next.heartbeat_details.clone()), (2, None));
    assert_eq!(story.hears(&next), Ok((false, false)));
}

#[test]
fn a_task_that_waits_in_a_queue_is_offered_anew_under_other_options() {
    let mut story = Story::scheduled(plain("a1"));
    let options = ActivityOptions { task_queue: Some(queue("other")), ..Default::default() };
    story.ask(update(&["task_queue.name"], options)).unwrap();
    assert!(story.take(5, 1, "poll").is_none(), "the old queue's offer is void");
    assert_eq!(story.the_activity().queue(), "other");
    story.ask(reset(|request| request.restore_original_options = true)).unwrap();
    assert_eq!(story.the_activity().queue(), "q");
    assert_eq!(story.poll().attempt, 1);
}

#[test]
fn jitter_puts_the_unpaused_off_and_a_wake_up_is_kept_for_it() {
    let mut story = Story::scheduled(plain("a1"));
    story.ask(pause("one")).unwrap();
    story.ask(unpause(|request| request.jitter = seconds(60))).unwrap();
    let scheduled = story.the_activity().scheduled_time;
    assert!(scheduled >= story.now && scheduled < story.now + Duration::from_secs(60));
    if scheduled > story.now {
        assert!(!story.is_owed());
        assert!(todo::wake_at(&story.execution).is_some_and(|at| at <= scheduled));
    }
}
