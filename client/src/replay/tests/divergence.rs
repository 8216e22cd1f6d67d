//! Code that has changed under a running workflow is found out, and the place is named.

use expect_test::{Expect, expect};

use super::sim::Sim;
use crate::prelude::*;
use crate::replay::TaskError;
use crate::workflow::Workflow;

const SECOND: Duration = Duration::from_secs(1);

#[activity(start_to_close = "5s")]
async fn charge(cents: u64) -> Result<u64> {
    Ok(cents)
}

#[activity(start_to_close = "5s")]
async fn refund(cents: u64) -> Result<u64> {
    Ok(cents)
}

#[workflow(name = "w")]
async fn original(cx: &Cx) -> Result<u64> {
    cx.sleep(SECOND).await?;
    let cents = cx.run("price", || 5_u64).await;
    Ok(cx.call(charge, cents).await?)
}

/// A history of `original`, up to the end of the activity.
fn recorded() -> Sim {
    let mut sim = Sim::new(original, ());
    sim.task();
    sim.fire(1);
    sim.task();
    sim.done(3, 5);
    sim
}

fn check<W: Workflow>(changed: W, message: Expect) {
    let mut sim = recorded();
    sim.change_code(changed);
    match sim.try_task() {
        Err(TaskError::Divergence(divergence)) => message.assert_eq(&divergence.to_string()),
        other => panic!("not found out: {other:?}"),
    }
}

#[test]
fn the_history_is_as_the_cases_below_expect_it() {
    expect![[r#"
        1 WorkflowExecutionStarted
        2 WorkflowTaskScheduled
        3 WorkflowTaskStarted
        4 WorkflowTaskCompleted
        5 TimerStarted(id 1)
        6 TimerFired(id 1)
        7 WorkflowTaskScheduled
        8 WorkflowTaskStarted
        9 WorkflowTaskCompleted
        10 MarkerRecorded(everlog_value "price", id 2)
        11 ActivityTaskScheduled(charge, id 3)
        12 ActivityTaskCompleted
    "#]]
    .assert_eq(&recorded().history());
}

#[workflow(name = "w")]
async fn other_activity(cx: &Cx) -> Result<u64> {
    cx.sleep(SECOND).await?;
    let cents = cx.run("price", || 5_u64).await;
    Ok(cx.call(refund, cents).await?)
}

#[test]
fn another_activity() {
    check(
        other_activity,
        expect![
            "non-deterministic workflow: the history has ActivityTaskScheduled(charge, id 3) (event 11), but the code now produces ScheduleActivity(refund, id 3) (last durable call: call(refund))"
        ],
    );
}

#[workflow(name = "w")]
async fn no_timer(cx: &Cx) -> Result<u64> {
    let cents = cx.run("price", || 5_u64).await;
    Ok(cx.call(charge, cents).await?)
}

#[test]
fn a_step_that_was_taken_out() {
    check(
        no_timer,
        expect![[
            r#"non-deterministic workflow: the history has no value with id 1 in this workflow task (event 4), but the code now produces RecordMarker(value "price", id 1) (last durable call: run("price"))"#
        ]],
    );
}

#[workflow(name = "w")]
async fn one_more(cx: &Cx) -> Result<u64> {
    cx.call(refund, 1).detach();
    cx.sleep(SECOND).await?;
    Ok(0)
}

#[test]
fn a_step_that_was_put_in() {
    check(
        one_more,
        expect![
            "non-deterministic workflow: the history has TimerStarted(id 1) (event 5), but the code now produces ScheduleActivity(refund, id 1) (last durable call: sleep(1s))"
        ],
    );
}

#[workflow(name = "w")]
async fn one_more_at_the_end(cx: &Cx) -> Result<u64> {
    cx.sleep(SECOND).await?;
    let cents = cx.run("price", || 5_u64).await;
    let (charged, _) = join!(cx.call(charge, cents), cx.sleep(SECOND));
    Ok(charged?)
}

#[test]
fn a_step_that_was_put_in_behind_the_others() {
    check(
        one_more_at_the_end,
        expect![
            "non-deterministic workflow: the history has no further command (event 11), but the code now produces StartTimer(id 4, 1s) (last durable call: sleep(1s))"
        ],
    );
}

#[workflow(name = "w")]
async fn returns_early(cx: &Cx) -> Result<u64> {
    cx.sleep(SECOND).await?;
    Ok(0)
}

#[test]
fn an_end_that_comes_too_early() {
    check(
        returns_early,
        expect![[
            r#"non-deterministic workflow: the history has MarkerRecorded(everlog_value "price", id 2) (event 10), but the code now produces CompleteWorkflow (last durable call: sleep(1s))"#
        ]],
    );
}

#[workflow(name = "w")]
async fn waits_only(cx: &Cx) -> Result<u64> {
    cx.cancelled().await;
    Ok(0)
}

#[test]
fn code_that_asks_for_nothing() {
    check(
        waits_only,
        expect![
            "non-deterministic workflow: the history has TimerStarted(id 1) (event 5), but the code now produces nothing (last durable call: none)"
        ],
    );
}

#[workflow(name = "w")]
async fn other_value(cx: &Cx) -> Result<u64> {
    cx.sleep(SECOND).await?;
    let cents = cx.run("discount", || 5_u64).await;
    Ok(cx.call(charge, cents).await?)
}

#[test]
fn another_value() {
    check(
        other_value,
        expect![[
            r#"non-deterministic workflow: the history has the value "price" (id 2) (event 9), but the code now produces RecordMarker(value "discount", id 2) (last durable call: run("discount"))"#
        ]],
    );
}

#[workflow(name = "w", unchecked)]
async fn random_order(cx: &Cx) -> Result<u64> {
    let doors: std::collections::HashSet<u64> = (0..64).collect();
    for door in doors {
        match door % 2 {
            0 => cx.call(charge, door).detach(),
            _ => cx.call(refund, door).detach(),
        }
    }
    cx.sleep(SECOND).await?;
    Ok(0)
}

#[test]
#[should_panic(expected = "a replay gives other commands")]
fn the_order_of_a_hash_set_is_found_out_by_the_first_test() {
    // Each set has an order of its own: the chance that two agree on which 32 of the 64 calls are charges
    // is one in 10^18.
    Sim::new(random_order, ()).task();
}
