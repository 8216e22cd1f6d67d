//! Activities that are paused, reset, and given other options while they are tried again and again: a pause that
//! was acknowledged holds until it is taken back, and each activity comes to its end once.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, bail, ensure};
use futures::future::BoxFuture;
use temporalio_protos::temporal::api::{
    activity::v1::ActivityOptions,
    command::v1::Command,
    enums::v1::PendingActivityState,
    history::v1::history_event::Attributes,
    workflowservice::v1::{
        DescribeWorkflowExecutionRequest, PauseActivityRequest, ResetActivityRequest, UnpauseActivityRequest,
        UpdateActivityOptionsRequest, pause_activity_request, reset_activity_request,
        unpause_activity_request, update_activity_options_request,
    },
};

use super::{
    QUEUE,
    client::Client,
    feature::{Expected, Feature, Told},
};
use crate::{
    api::{Answer, NAMESPACE, duration, execution, number},
    load::STUBBORN,
    program::{activity_id, activity_value, complete, schedule_activity},
    unique::{Chance, unique},
};

const TYPE: &str = "stubborn";
/// Attempts follow each other faster than this.
const HELD_FOR: Duration = Duration::from_millis(700);
const OTHER_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) struct Activities;

impl Feature for Activities {
    fn name(&self) -> &'static str {
        "activities"
    }

    fn clients(&self) -> usize {
        1
    }

    fn types(&self) -> &'static [&'static str] {
        &[TYPE]
    }

    /// The input is how many activities there are.
    fn decide(&self, told: &Told<'_>) -> Vec<Command> {
        let [count] = told.numbers()[..] else { return Vec::new() };
        let (mut scheduled, mut results) = (0, BTreeMap::new());
        for event in told.events {
            match &event.attributes {
                Some(Attributes::ActivityTaskScheduledEventAttributes(_)) => scheduled += 1,
                Some(Attributes::ActivityTaskCompletedEventAttributes(it)) => {
                    results.insert(it.scheduled_event_id, number(it.result.as_ref()));
                }
                _ => {}
            }
        }
        if scheduled == 0 {
            return (0..count).map(|index| schedule_activity(STUBBORN, index, QUEUE)).collect();
        }
        if (results.len() as u64) < count { Vec::new() } else { vec![complete(results.values().sum())] }
    }

    fn round<'a>(
        &'a self,
        client: &'a Client,
        chance: &'a mut Chance,
    ) -> BoxFuture<'a, Result<Vec<Expected>>> {
        Box::pin(async move {
            let count = 1 + chance.below(3);
            let id = client.id();
            client.start(TYPE, &id, &count.to_string()).await?;
            for _ in 0..1 + chance.below(4) {
                let activity = Activity { client, workflow_id: &id, id: activity_id(chance.below(count)) };
                match chance.below(3) {
                    0 => activity.pause_a_while().await?,
                    1 => activity.reset().await?,
                    _ => activity.change().await?,
                }
                tokio::time::sleep(Duration::from_millis(chance.below(300))).await;
            }
            Ok(vec![Expected::new(&id, (0..count).map(activity_value).sum())])
        })
    }
}

struct Activity<'a> {
    client: &'a Client,
    workflow_id: &'a str,
    id: String,
}

impl Activity<'_> {
    async fn pause_a_while(&self) -> Result<()> {
        let request = PauseActivityRequest {
            namespace: NAMESPACE.into(),
            execution: Some(execution(self.workflow_id, "")),
            identity: "client".into(),
            activity: Some(pause_activity_request::Activity::Id(self.id.clone())),
            reason: "the mix".into(),
            request_id: unique("pause"),
        };
        let paused = self
            .client
            .call(&request, |mut client, request| async move { client.pause_activity(request).await });
        if !self.is_there("a pause", paused.await)? {
            return Ok(());
        }
        for pause in [Duration::ZERO, HELD_FOR] {
            tokio::time::sleep(pause).await;
            let state = self.state().await?;
            use PendingActivityState::{PauseRequested, Paused};
            ensure!(
                state.is_none_or(|state| matches!(state, Paused | PauseRequested)),
                "{} of {} is paused, and {state:?}",
                self.id,
                self.workflow_id
            );
        }
        self.unpause().await
    }

    async fn unpause(&self) -> Result<()> {
        let request = UnpauseActivityRequest {
            namespace: NAMESPACE.into(),
            execution: Some(execution(self.workflow_id, "")),
            identity: "client".into(),
            activity: Some(unpause_activity_request::Activity::Id(self.id.clone())),
            ..Default::default()
        };
        let unpaused = self
            .client
            .call(&request, |mut client, request| async move { client.unpause_activity(request).await });
        self.is_there("the end of a pause", unpaused.await).map(|_| ())
    }

    async fn reset(&self) -> Result<()> {
        let request = ResetActivityRequest {
            namespace: NAMESPACE.into(),
            execution: Some(execution(self.workflow_id, "")),
            identity: "client".into(),
            activity: Some(reset_activity_request::Activity::Id(self.id.clone())),
            ..Default::default()
        };
        let reset = self
            .client
            .call(&request, |mut client, request| async move { client.reset_activity(request).await });
        self.is_there("a reset", reset.await).map(|_| ())
    }

    async fn change(&self) -> Result<()> {
        let options =
            ActivityOptions { start_to_close_timeout: Some(duration(OTHER_TIMEOUT)), ..Default::default() };
        let request = UpdateActivityOptionsRequest {
            namespace: NAMESPACE.into(),
            execution: Some(execution(self.workflow_id, "")),
            identity: "client".into(),
            activity_options: Some(options),
            update_mask: Some(prost_types::FieldMask { paths: vec!["start_to_close_timeout".into()] }),
            activity: Some(update_activity_options_request::Activity::Id(self.id.clone())),
            ..Default::default()
        };
        let changed = self.client.call(&request, |mut client, request| async move {
            client.update_activity_options(request).await
        });
        self.is_there("other options", changed.await).map(|_| ())
    }

    /// Nothing is to be done with an activity that has not begun, or has ended.
    fn is_there<T: std::fmt::Debug>(&self, what: &str, answer: Answer<T>) -> Result<bool> {
        match answer {
            Answer::Done(_) => Ok(true),
            Answer::Refused(status) if status.code() == tonic::Code::NotFound => Ok(false),
            // So is a refusal after silence.
            Answer::Unknown(..) => Ok(false),
            Answer::Refused(status) => {
                bail!("{what} of {} of {} was refused: {status}", self.id, self.workflow_id)
            }
        }
    }

    async fn state(&self) -> Result<Option<PendingActivityState>> {
        let request = DescribeWorkflowExecutionRequest {
            namespace: NAMESPACE.into(),
            execution: Some(execution(self.workflow_id, "")),
        };
        let described = self
            .client
            .write("a description", &request, |mut client, request| async move {
                client.describe_workflow_execution(request).await
            })
            .await?;
        let pending = described.pending_activities.into_iter().find(|it| it.activity_id == self.id);
        Ok(pending.map(|it| it.state()))
    }
}
