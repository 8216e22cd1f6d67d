//! Schedules.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use futures::StreamExt;
use temporalio_client::{
    Client,
    schedules::{
        CreateScheduleOptions, ListSchedulesOptions, ScheduleAction, ScheduleBackfill, ScheduleCalendarSpec,
        ScheduleDescriptionAction, ScheduleHandle, ScheduleIntervalSpec, ScheduleOverlapPolicy, ScheduleSpec,
    },
    tonic::Code,
};

use super::hello::{Greeter, Greeting};
use crate::harness::{Case, Env, equal, failure, holds, result, until, usual};

pub const CASES: &[Case] = crate::cases![
    triggered_and_backfilled, at_once, every_second; described, paused_and_updated, listed
];

const HOUR: Duration = Duration::from_secs(3600);

fn action(env: &Env) -> ScheduleAction {
    ScheduleAction::start_workflow(Greeting::run, "schedule".to_owned(), env.queue.clone(), env.id("run"))
}

async fn create(env: &Env, spec: ScheduleSpec, is_paused: bool) -> Result<ScheduleHandle<Client>> {
    let options = CreateScheduleOptions::builder().action(action(env)).spec(spec).paused(is_paused).build();
    Ok(env.client.create_schedule(env.id(""), options).await?)
}

fn code(error: temporalio_client::schedules::ScheduleError) -> String {
    match error {
        temporalio_client::schedules::ScheduleError::Rpc(status) => format!("{:?}", status.code()),
        other => format!("{other:?}"),
    }
}

/// Waits for a number of actions, and for their workflows.
async fn greeted(env: &Env, handle: &ScheduleHandle<Client>, count: i64) -> Result<()> {
    let description = until("the actions", async || {
        let description = handle.describe(usual()).await?;
        Ok((description.action_count() == count).then_some(description))
    });
    let actions = description.await?.recent_actions();
    equal(actions.len(), usize::try_from(count)?)?;
    for action in actions {
        let run = env.run_of(Greeting::run, &action.workflow_id, &action.run_id);
        equal(result(&run).await?, "Hello, schedule!")?;
        env.replay(&run);
    }
    Ok(())
}

/// A calendar with everything, as it was given.
async fn described(env: &Env) -> Result<()> {
    let calendar = ScheduleCalendarSpec::builder()
        .comment("early")
        .day_of_week("monday-friday")
        .hour("5")
        .minute("0-45/15")
        .build();
    let spec = ScheduleSpec::builder()
        .calendars(vec![calendar])
        .timezone_name("Europe/Berlin")
        .jitter(Duration::from_secs(300))
        .build();
    let options = CreateScheduleOptions::builder()
        .action(action(env))
        .spec(spec.clone())
        .overlap_policy(ScheduleOverlapPolicy::BufferOne)
        .paused(true)
        .note("careful")
        .build();
    let handle = env.client.create_schedule(env.id(""), options).await?;
    let description = handle.describe(usual()).await?;
    equal(
        (description.paused(), description.note(), description.action_count()),
        (true, Some("careful"), 0),
    )?;
    equal(description.future_action_times().len(), 10)?;
    let ScheduleDescriptionAction::StartWorkflow(started) = description.action() else {
        anyhow::bail!("another action");
    };
    equal((started.workflow_type(), started.task_queue()), ("Greeting", env.queue.as_str()))?;
    equal(started.args::<String>().await?.as_deref(), Some("schedule"))?;
    let raw = description.raw().schedule.clone().unwrap_or_default();
    let told = raw.spec.unwrap_or_default();
    equal(
        (told.timezone_name.as_str(), told.structured_calendar[0].comment.as_str()),
        ("Europe/Berlin", "early"),
    )?;
    equal(told.jitter.map(|jitter| jitter.seconds), Some(300))?;
    equal(raw.policies.unwrap_or_default().overlap_policy, 2)?;
    equal(
        code(failure(create(env, spec, false).await.map_err(|error| error.downcast().unwrap()))?),
        "AlreadyExists",
    )?;
    handle.delete(usual()).await?;
    equal(code(failure(handle.describe(usual()).await.map(|_| ()))?), format!("{:?}", Code::NotFound))
}

/// The worker does what the schedule starts.
async fn triggered_and_backfilled(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Greeting>().activities(Greeter);
    worker
        .during(async {
            let spec = ScheduleSpec::builder().cron_strings(vec!["@daily".to_owned()]).build();
            let handle = create(env, spec, true).await?;
            handle.trigger(ScheduleOverlapPolicy::AllowAll, usual()).await?;
            // The real server may lose a trigger that is followed by a backfill at once.
            until("the trigger", async || {
                Ok((handle.describe(usual()).await?.action_count() == 1).then_some(()))
            })
            .await?;
            // Two midnights of a day in 2030.
            let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000);
            let backfill = ScheduleBackfill::new(start, start + 48 * HOUR)
                .overlap_policy(ScheduleOverlapPolicy::AllowAll)
                .build();
            handle.backfill([backfill], usual()).await?;
            greeted(env, &handle, 3).await?;
            Ok(handle.delete(usual()).await?)
        })
        .await
}

/// It begins with an action.
async fn at_once(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Greeting>().activities(Greeter);
    worker
        .during(async {
            let options = CreateScheduleOptions::builder()
                .action(action(env))
                .spec(ScheduleSpec::from_interval(8000 * HOUR))
                .trigger_immediately(true)
                .build();
            let handle = env.client.create_schedule(env.id(""), options).await?;
            greeted(env, &handle, 1).await?;
            Ok(handle.delete(usual()).await?)
        })
        .await
}

/// Three times by the clock.
async fn every_second(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Greeting>().activities(Greeter);
    worker
        .during(async {
            let handle = create(env, ScheduleSpec::from_interval(Duration::from_secs(1)), true).await?;
            let limit = |update: &mut temporalio_client::schedules::ScheduleUpdate| {
                update.set_remaining_actions(Some(3)).set_paused(false);
            };
            handle.update(limit, usual()).await?;
            greeted(env, &handle, 3).await?;
            Ok(handle.delete(usual()).await?)
        })
        .await
}

/// Paused, unpaused, and given another definition.
async fn paused_and_updated(env: &Env) -> Result<()> {
    let handle = create(env, ScheduleSpec::from_interval(8000 * HOUR), false).await?;
    handle.pause(Some("stop"), usual()).await?;
    until("the pause", async || Ok(handle.describe(usual()).await?.paused().then_some(()))).await?;
    handle.unpause(Some("go"), usual()).await?;
    until("the note", async || Ok((handle.describe(usual()).await?.note() == Some("go")).then_some(())))
        .await?;
    let spec =
        ScheduleSpec::builder().intervals(vec![ScheduleIntervalSpec::new(9000 * HOUR, Some(HOUR))]).build();
    handle
        .update(
            move |update| {
                update
                    .set_spec(spec)
                    .set_note("updated")
                    .set_catchup_window(2 * HOUR)
                    .set_pause_on_failure(true);
            },
            usual(),
        )
        .await?;
    until("the update", async || {
        let description = handle.describe(usual()).await?;
        let raw = description.raw().schedule.clone().unwrap_or_default();
        let intervals = raw.spec.unwrap_or_default().interval;
        let seconds = |duration: Option<_>| duration.map(|it: prost_types::Duration| it.seconds);
        let policies = raw.policies.unwrap_or_default();
        let told =
            (seconds(intervals[0].interval), seconds(intervals[0].phase), seconds(policies.catchup_window));
        let is_done = told == (Some(9000 * 3600), Some(3600), Some(7200)) && policies.pause_on_failure;
        Ok((is_done && description.note() == Some("updated")).then_some(()))
    })
    .await?;
    Ok(handle.delete(usual()).await?)
}

/// Found among the others.
async fn listed(env: &Env) -> Result<()> {
    let handle = create(env, ScheduleSpec::from_interval(8000 * HOUR), true).await?;
    let found = until("the list", async || {
        let query = format!("ScheduleId = '{}'", env.id(""));
        let mut list = env.client.list_schedules(ListSchedulesOptions::builder().query(query).build());
        Ok(list.next().await.transpose()?)
    })
    .await?;
    equal((found.schedule_id(), found.workflow_type()), (env.id("").as_str(), Some("Greeting")))?;
    holds(found.paused() && !found.future_action_times().is_empty(), &found)?;
    Ok(handle.delete(usual()).await?)
}
