//! What workflows do, told as the commands of their tasks.

use serde_json::json;

use super::sim::{Sim, declined};
use crate::codec;
use crate::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, PartialEq, thiserror::Error, AppError, Serialize, Deserialize)]
#[error("declined, {cents} short")]
struct PayError {
    cents: u64,
}

#[activity(start_to_close = "5s")]
async fn charge(cents: u64) -> Result<String, PayError> {
    Ok(cents.to_string())
}

#[activity(start_to_close = "5s")]
async fn mail(to: String, text: String) -> Result<()> {
    drop((to, text));
    Ok(())
}

#[workflow]
async fn in_turn(cx: &Cx, cents: u64) -> Result<String> {
    cx.sleep(SECOND).await?;
    let receipt = match cx.call(charge, cents).await {
        Ok(receipt) => receipt,
        Err(CallError::App(error)) => format!("{} short", error.cents),
        Err(error) => return Err(error.into()),
    };
    cx.call(mail, ("ada".to_owned(), receipt.clone())).await?;
    Ok(receipt)
}

#[test]
fn one_thing_after_another() {
    let mut sim = Sim::new(in_turn, 500);
    assert_eq!(sim.task(), "StartTimer(id 1, 1s)");
    sim.fire(1);
    assert_eq!(sim.task(), "ScheduleActivity(charge, id 2)");
    sim.done(2, "r-1");
    assert_eq!(sim.task(), "ScheduleActivity(mail, id 3)");
    sim.evict();
    sim.done(3, ());
    assert_eq!(sim.task(), "CompleteWorkflow");
    sim.replay().unwrap();
}

#[test]
fn the_error_of_an_activity_keeps_its_type() {
    let mut sim = Sim::new(in_turn, 500);
    sim.task();
    sim.fire(1);
    sim.task();
    sim.failed(2, declined("PayError", PayError { cents: 7 }));
    sim.task();
    sim.done(3, ());
    sim.task();
    assert_eq!(sim.result(), json!("7 short"));
}

#[test]
fn a_task_that_timed_out_left_nothing_behind() {
    let mut sim = Sim::new(in_turn, 500);
    sim.task_times_out();
    assert_eq!(sim.task(), "StartTimer(id 1, 1s)");
    sim.fire(1);
    sim.task_times_out();
    sim.task_times_out();
    assert_eq!(sim.task(), "ScheduleActivity(charge, id 2)");
    sim.replay().unwrap();
}

#[workflow]
async fn race(cx: &Cx) -> Result<String> {
    let inbox = cx.inbox::<String>();
    let won = select! { cx;
        message = inbox.recv() => message?,
        slept = cx.sleep(SECOND) => { slept?; "timer".to_owned() }
        charged = cx.call(charge, 5) => charged?,
    };
    cx.sleep(SECOND).await?;
    Ok(won)
}

#[test]
fn the_losers_of_a_select_are_cancelled_lowest_number_first() {
    let mut sim = Sim::new(race, ());
    assert_eq!(sim.task(), "StartTimer(id 1, 1s), ScheduleActivity(charge, id 2)");
    sim.signal("inbox", "hello");
    assert_eq!(sim.task(), "StartTimer(id 3, 1s), CancelTimer(id 1), RequestCancelActivity(id 2)");
    sim.fire(3);
    assert_eq!(sim.task(), "CompleteWorkflow");
}

#[test]
fn the_winner_follows_the_order_of_events_not_of_branches() {
    let mut sim = Sim::new(race, ());
    sim.task();
    sim.done(2, "activity");
    sim.fire(1);
    sim.signal("inbox", "signal");
    // The timer fired in the same task, so it needs no cancel; the server would refuse it.
    assert_eq!(sim.task(), "StartTimer(id 3, 1s)");
    sim.fire(3);
    sim.task();
    assert_eq!(sim.result(), json!("activity"));
}

#[test]
fn a_signal_that_comes_before_the_first_task_is_kept() {
    let mut sim = Sim::new(race, ());
    sim.signal("inbox", "early");
    // Built and given up in the same task: the server never hears of them.
    assert_eq!(sim.task(), "StartTimer(id 3, 1s)");
}

#[test]
fn a_signal_that_does_not_fit_is_passed_over() {
    let mut sim = Sim::new(race, ());
    sim.task();
    sim.signal("inbox", 17);
    assert_eq!(sim.task(), "");
    sim.signal("inbox", "fits");
    assert_eq!(sim.task(), "StartTimer(id 3, 1s), CancelTimer(id 1), RequestCancelActivity(id 2)");
}

#[workflow]
async fn together(cx: &Cx, n: u64) -> Result<Vec<String>> {
    let (first, second) = join!(cx.call(charge, 1), cx.call(charge, 2));
    let mut all = vec![first?, second?];
    for receipt in cx.join_all((0..n).map(|cents| cx.call(charge, cents))).await {
        all.push(receipt?);
    }
    let (winner, receipt) = cx.select_all((0..n).map(|cents| cx.call(charge, cents))).await;
    all.push(format!("{winner} {}", receipt?));
    Ok(all)
}

#[test]
fn joined_calls_run_at_the_same_time_and_keep_their_order() {
    let mut sim = Sim::new(together, 3);
    assert_eq!(sim.task(), "ScheduleActivity(charge, id 1), ScheduleActivity(charge, id 2)");
    sim.done(2, "b");
    assert_eq!(sim.task(), "");
    sim.done(1, "a");
    assert_eq!(
        sim.task(),
        "ScheduleActivity(charge, id 3), ScheduleActivity(charge, id 4), ScheduleActivity(charge, id 5)"
    );
    for (seq, result) in [(5, "e"), (3, "c"), (4, "d")] {
        sim.done(seq, result);
    }
    assert_eq!(
        sim.task(),
        "ScheduleActivity(charge, id 6), ScheduleActivity(charge, id 7), ScheduleActivity(charge, id 8)"
    );
    sim.done(7, "g");
    // The workflow closes, so what it gave up need not be cancelled.
    assert_eq!(sim.task(), "CompleteWorkflow");
    assert_eq!(sim.result(), json!(["a", "b", "c", "d", "e", "1 g"]));
}

#[test]
fn a_thousand_joined_calls_resolve_in_any_order() {
    let mut sim = Sim::new(together, 1_000);
    sim.task();
    sim.done(1, "a");
    sim.done(2, "b");
    sim.task();
    for seq in (3..=1_002).rev() {
        sim.done(seq, "x");
    }
    assert!(sim.task().starts_with("ScheduleActivity(charge, id 1003)"));
}

#[workflow]
async fn forgets(cx: &Cx) -> Result<()> {
    cx.call(charge, 1).detach();
    let dropped = cx.call(charge, 2);
    drop(dropped);
    cx.sleep(SECOND).await?;
    Ok(())
}

#[test]
fn a_detached_call_goes_on_and_a_dropped_one_never_was() {
    let mut sim = Sim::new(forgets, ());
    assert_eq!(sim.task(), "ScheduleActivity(charge, id 1), StartTimer(id 3, 1s)");
    sim.done(1, "nobody looks");
    assert_eq!(sim.task(), "");
    sim.fire(3);
    assert_eq!(sim.task(), "CompleteWorkflow");
}

#[workflow]
async fn counts(cx: &Cx, rounds: u32) -> Result<u32> {
    let inbox = cx.inbox::<u32>();
    let mut sum = rounds;
    cx.publish(&sum);
    while sum < 100 {
        sum += inbox.recv().await?;
        cx.publish(&sum);
        if sum >= 10 && rounds == 0 {
            match cx.continue_as_new(counts, sum).await {}
        }
    }
    Ok(sum)
}

#[test]
fn unread_messages_go_along_with_continue_as_new() {
    let mut sim = Sim::new(counts, 0);
    assert_eq!(sim.task(), "");
    sim.signal("inbox", 10);
    sim.signal("inbox", 20);
    sim.signal("other", "kept too");
    sim.signal("inbox", 30);
    assert_eq!(sim.task(), "ContinueAsNew(counts)");
    sim.replay().unwrap();
    let mut next = sim.next_run(counts);
    assert_eq!(next.task(), "");
    assert_eq!(next.query("state"), Ok(json!(60)));
    next.signal("inbox", 40);
    assert_eq!(next.task(), "CompleteWorkflow");
}

#[workflow]
async fn asks(cx: &Cx) -> Result<()> {
    cx.on_query("double", |n: &u32| n * 2);
    cx.on_query_with("times", |n: &u32, by: Option<u32>| n * by.unwrap_or(10));
    let numbers = cx.signal::<u32>("number");
    loop {
        cx.publish(&numbers.recv().await?);
    }
}

#[test]
fn queries_are_answered_from_what_was_published() {
    let mut sim = Sim::new(asks, ());
    sim.task();
    assert!(sim.query("double").unwrap_err().contains("not published"));
    sim.signal("number", 21);
    sim.task();
    assert_eq!(sim.query("double"), Ok(json!(42)));
    assert_eq!(sim.query("times"), Ok(json!(210)));
    assert_eq!(sim.query("state"), Ok(json!(21)));
    assert_eq!(sim.query("__stack_trace"), Ok(json!("signal \"number\"")));
    let error = sim.query("triple").unwrap_err();
    assert!(error.contains("double, times, state"), "{error}");
}

#[workflow]
async fn cleans_up(cx: &Cx) -> Result<()> {
    let slept = cx.sleep(SECOND).await;
    if slept.is_err() {
        cx.shielded(async {
            cx.call(mail, ("ada".to_owned(), "stopped".to_owned())).await?;
            cx.sleep(SECOND).await?;
            Ok::<_, Error>(())
        })
        .await?;
        assert_eq!(cx.sleep(SECOND).await, Err(Cancelled));
        slept?;
    }
    Ok(())
}

#[test]
fn a_cancelled_workflow_cleans_up_and_closes_as_cancelled() {
    let mut sim = Sim::new(cleans_up, ());
    sim.task();
    sim.cancel();
    assert_eq!(sim.task(), "ScheduleActivity(mail, id 2), CancelTimer(id 1)");
    sim.done(2, ());
    assert_eq!(sim.task(), "StartTimer(id 3, 1s)");
    sim.evict();
    sim.fire(3);
    assert_eq!(sim.task(), "CancelWorkflow");
}

#[workflow]
async fn ignores_cancel(cx: &Cx) -> Result<String> {
    cx.cancelled().await;
    Ok("done all the same".into())
}

#[test]
fn a_workflow_may_answer_a_cancellation_with_a_value() {
    let mut sim = Sim::new(ignores_cancel, ());
    assert_eq!(sim.task(), "");
    sim.cancel();
    assert_eq!(sim.task(), "CompleteWorkflow");
}

#[workflow]
async fn fails(cx: &Cx) -> Result<(), PayError> {
    if cx.sleep(SECOND).await.is_err() {
        return Err(PayError { cents: 0 });
    }
    Err(PayError { cents: 9 })
}

#[test]
fn an_error_closes_the_workflow_as_failed() {
    let mut sim = Sim::new(fails, ());
    sim.task();
    sim.fire(1);
    assert_eq!(sim.task(), "FailWorkflow(declined, 9 short)");
}

#[workflow]
async fn chance(cx: &Cx) -> Result<Vec<String>> {
    let once = cx.run("once", || std::process::id().wrapping_add(COUNTER.next())).await;
    let first = (cx.random(), cx.uuid(), cx.now());
    cx.sleep(SECOND).await?;
    let second = (cx.random_below(6), cx.uuid(), cx.now());
    assert!(second.2 > first.2 && first.2 > std::time::UNIX_EPOCH);
    let twice = cx.run("twice", || COUNTER.next()).await;
    Ok(vec![once.to_string(), format!("{first:?}"), format!("{second:?}"), twice.to_string()])
}

/// Stands for the outside world, which never says the same thing twice.
struct Counter(std::sync::atomic::AtomicU32);

impl Counter {
    fn next(&self) -> u32 {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }
}

static COUNTER: Counter = Counter(std::sync::atomic::AtomicU32::new(0));

#[test]
fn values_are_computed_once_and_chance_repeats_itself() {
    let mut sim = Sim::new(chance, ());
    assert_eq!(sim.task(), "RecordMarker(value \"once\", id 1), StartTimer(id 2, 1s)");
    sim.evict();
    sim.fire(2);
    assert_eq!(sim.task(), "RecordMarker(value \"twice\", id 3), CompleteWorkflow");
    sim.replay().unwrap();
}

#[workflow]
async fn before_patch(cx: &Cx) -> Result<()> {
    cx.sleep(SECOND).await?;
    cx.call(charge, 1).await?;
    Ok(())
}

#[workflow(name = "before_patch")]
async fn with_patch(cx: &Cx) -> Result<()> {
    if cx.patched("mail first") {
        cx.call(mail, (String::new(), String::new())).await?;
    } else {
        cx.sleep(SECOND).await?;
    }
    assert_eq!(cx.patched("mail first"), cx.history_length() > 6 && cx.patched("mail first"));
    cx.call(charge, 1).await?;
    Ok(())
}

#[workflow(name = "before_patch")]
async fn after_patch(cx: &Cx) -> Result<()> {
    cx.deprecate_patch("mail first");
    cx.call(mail, (String::new(), String::new())).await?;
    cx.call(charge, 1).await?;
    Ok(())
}

#[workflow(name = "before_patch")]
async fn long_after_patch(cx: &Cx) -> Result<()> {
    cx.call(mail, (String::new(), String::new())).await?;
    cx.call(charge, 1).await?;
    Ok(())
}

#[test]
fn a_patch_keeps_old_runs_on_the_old_path() {
    let mut old = Sim::new(before_patch, ());
    old.task();
    old.change_code(with_patch);
    old.fire(1);
    assert_eq!(old.task(), "ScheduleActivity(charge, id 2)");
    old.done(2, "r");
    assert_eq!(old.task(), "CompleteWorkflow");
}

#[test]
fn a_patch_takes_new_runs_to_the_new_path_until_it_is_gone() {
    let mut new = Sim::new(with_patch, ());
    assert_eq!(new.task(), "RecordMarker(patch \"mail first\"), ScheduleActivity(mail, id 1)");
    new.done(1, ());
    new.change_code(after_patch);
    assert_eq!(new.task(), "ScheduleActivity(charge, id 2)");

    let mut newer = Sim::new(after_patch, ());
    assert_eq!(newer.task(), "RecordMarker(patch \"mail first\"), ScheduleActivity(mail, id 1)");
    newer.change_code(long_after_patch);
    newer.done(1, ());
    assert_eq!(newer.task(), "ScheduleActivity(charge, id 2)");

    let mut newest = Sim::new(long_after_patch, ());
    newest.task();
    newest.change_code(after_patch);
    newest.done(1, ());
    assert_eq!(newest.task(), "ScheduleActivity(charge, id 2)");
}

#[workflow]
async fn locally(cx: &Cx) -> Result<String> {
    let (first, second) = join!(cx.local(charge, 1), cx.local(charge, 2));
    let third = cx.local(charge, 3).await;
    cx.sleep(SECOND).await?;
    Ok(format!("{} {} {}", first?, second?, third.is_err()))
}

#[test]
fn local_activities_leave_markers_in_the_order_in_which_they_ended() {
    let mut sim = Sim::new(locally, ());
    let mut left = 3;
    let commands = sim.task_with_locals(|_| {
        left -= 1;
        if left > 0 { Ok(codec::encode("ok").unwrap()) } else { Err(Box::new(declined("PayError", 1))) }
    });
    assert_eq!(
        commands,
        "RecordMarker(local activity charge, id 1), RecordMarker(local activity charge, id 2), \
         RecordMarker(local activity charge, id 3), StartTimer(id 4, 1s)"
    );
    sim.evict();
    sim.fire(4);
    assert_eq!(sim.task(), "CompleteWorkflow");
}

#[workflow]
async fn attributes(cx: &Cx) -> Result<()> {
    cx.set_search_attribute("CustomKeywordField", "gold");
    cx.sleep_until(cx.now() + SECOND).await?;
    Ok(())
}

#[test]
fn search_attributes_are_commands_too() {
    let mut sim = Sim::new(attributes, ());
    assert_eq!(sim.task(), "UpsertSearchAttributes(CustomKeywordField), StartTimer(id 1, 1s)");
    sim.fire(1);
    sim.task();
    sim.replay().unwrap();
}
