//! Activities without a workflow: each is done, and everybody who asks is told the same of it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::BoxFuture;
use temporalio_protos::temporal::api::{
    activity::v1::activity_execution_outcome::Value,
    common::v1::{ActivityType, RetryPolicy},
    workflowservice::v1::{PollActivityExecutionRequest, StartActivityExecutionRequest},
};

use super::{
    client::{Client, PERSIST, queue},
    feature::{Expected, Feature},
};
use crate::{
    api::{NAMESPACE, duration, mark, number},
    program::{activity_id, activity_value},
    unique::{Chance, unique},
};

const ACTIVITY_TIMEOUT: Duration = Duration::from_secs(2);
const RETRY_FIRST: Duration = Duration::from_millis(200);

pub(super) struct Standalone;

impl Feature for Standalone {
    fn name(&self) -> &'static str {
        "standalone"
    }

    fn round<'a>(
        &'a self,
        client: &'a Client,
        chance: &'a mut Chance,
    ) -> BoxFuture<'a, Result<Vec<Expected>>> {
        Box::pin(async move {
            let index = chance.below(1 << 40);
            let id = activity_id(index);
            start(client, &id).await?;
            let first = outcome(client, &id).await?;
            ensure!(first.0 == activity_value(index), "{id} came to {}", first.0);
            let again = outcome(client, &id).await?;
            ensure!(first == again, "{id} ended with {first:?}, and then with {again:?}");
            Ok(Vec::new())
        })
    }
}

async fn start(client: &Client, id: &str) -> Result<()> {
    let request = StartActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        request_id: unique("start"),
        activity_id: id.into(),
        activity_type: Some(ActivityType { name: "value".into() }),
        task_queue: Some(queue()),
        start_to_close_timeout: Some(duration(ACTIVITY_TIMEOUT)),
        retry_policy: Some(RetryPolicy {
            initial_interval: Some(duration(RETRY_FIRST)),
            backoff_coefficient: 1.0,
            ..Default::default()
        }),
        ..Default::default()
    };
    client
        .write("the start of an activity", &request, |mut client, request| async move {
            client.start_activity_execution(request).await
        })
        .await?;
    Ok(())
}

/// The number that an activity came to, and the mark of the attempt that brought it.
async fn outcome(client: &Client, id: &str) -> Result<(u64, String)> {
    let request = PollActivityExecutionRequest {
        namespace: NAMESPACE.into(),
        activity_id: id.into(),
        ..Default::default()
    };
    let deadline = Instant::now() + PERSIST;
    loop {
        let polled = client
            .write("a poll of an activity", &request, |mut client, request| async move {
                client.poll_activity_execution(request).await
            })
            .await?;
        match polled.outcome.and_then(|outcome| outcome.value) {
            Some(Value::Result(result)) => {
                let mark = mark(Some(&result)).context("a result without a mark")?;
                return Ok((number(Some(&result)), mark));
            }
            Some(Value::Failure(failure)) => anyhow::bail!("{id} failed: {}", failure.message),
            None => ensure!(Instant::now() < deadline, "{id} does not end"),
        }
    }
}
