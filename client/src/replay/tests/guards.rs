//! Code that could never be replayed fails its first task, and says why.

use std::sync::Mutex;

use tokio::sync::oneshot;

use super::sim::Sim;
use crate::prelude::*;
use crate::replay::TaskError;

const SECOND: Duration = Duration::from_secs(1);

#[workflow(unchecked)]
async fn awaits_a_channel(cx: &Cx) -> Result<()> {
    cx.sleep(SECOND).await?;
    let (sender, receiver) = oneshot::channel::<()>();
    let _ = receiver.await;
    drop(sender);
    Ok(())
}

#[test]
fn awaiting_what_no_event_resolves_fails_at_once() {
    let mut sim = Sim::new(awaits_a_channel, ());
    sim.task();
    sim.fire(1);
    let error = sim.try_task().unwrap_err();
    assert!(matches!(&error, TaskError::ForeignAwait { after } if after == "sleep(1s)"), "{error}");
}

static SENDER: Mutex<Option<oneshot::Sender<()>>> = Mutex::new(None);

#[workflow(unchecked)]
async fn races_a_channel(cx: &Cx) -> Result<()> {
    let (sender, receiver) = oneshot::channel::<()>();
    *SENDER.lock().unwrap() = Some(sender);
    select! { cx;
        _ = receiver => {}
        slept = cx.sleep(SECOND) => slept?,
    }
    Ok(())
}

#[test]
fn being_woken_from_outside_fails_the_next_task() {
    let mut sim = Sim::new(races_a_channel, ());
    // The fresh run of the simulation takes the place of the first one's sender, which wakes it.
    let _ = sim.try_task();
    let sender = SENDER.lock().unwrap().take();
    let _ = sender.map(|sender| sender.send(()));
    sim.signal("any", ());
    let error = sim.try_task().unwrap_err();
    assert!(matches!(error, TaskError::ForeignWake { .. }), "{error}");
}

#[workflow(unchecked)]
async fn sleeps_by_tokio(cx: &Cx) -> Result<()> {
    let _ = cx;
    tokio::time::sleep(SECOND).await;
    Ok(())
}

#[test]
fn an_async_runtime_is_not_there() {
    let error = Sim::new(sleeps_by_tokio, ()).try_task().unwrap_err();
    assert!(matches!(&error, TaskError::Panicked(message) if message.contains("reactor")), "{error}");
}

#[workflow]
async fn panics(cx: &Cx, how: u8) -> Result<()> {
    cx.sleep(SECOND).await?;
    if how == 1 {
        panic!("the number was {how}");
    }
    Ok(())
}

#[test]
fn a_panic_fails_the_task_and_leaves_the_workflow_alone() {
    let mut sim = Sim::new(panics, 1);
    sim.task();
    sim.fire(1);
    let error = sim.try_task().unwrap_err();
    assert!(matches!(&error, TaskError::Panicked(message) if message == "the number was 1"), "{error}");
}

#[workflow(unchecked)]
async fn spins(cx: &Cx) -> Result<()> {
    std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        std::task::Poll::<()>::Pending
    })
    .await;
    cx.sleep(SECOND).await?;
    Ok(())
}

#[test]
fn waking_oneself_for_ever_fails_the_task() {
    let error = Sim::new(spins, ()).try_task().unwrap_err();
    assert!(matches!(error, TaskError::Spinning(_)), "{error}");
}

#[workflow]
async fn takes_a_number(cx: &Cx, number: u8) -> Result<u8> {
    cx.sleep(SECOND).await?;
    Ok(number)
}

#[workflow(name = "takes_a_number")]
async fn takes_a_text(cx: &Cx, text: String) -> Result<String> {
    cx.sleep(SECOND).await?;
    Ok(text)
}

#[test]
fn an_input_that_does_not_fit_fails_the_task_and_not_the_workflow() {
    let mut sim = Sim::new(takes_a_number, 7);
    sim.change_code(takes_a_text);
    let error = sim.try_task().unwrap_err();
    assert!(matches!(error, TaskError::Input(_)), "{error}");
}

struct Loud<'a>(&'a Cx);

impl Drop for Loud<'_> {
    fn drop(&mut self) {
        // Whatever a destructor asks for while the run is put away must leave no trace.
        drop(self.0.sleep(SECOND).summary("from a destructor"));
    }
}

#[workflow]
async fn has_a_loud_destructor(cx: &Cx) -> Result<()> {
    let _loud = Loud(cx);
    cx.sleep(2 * SECOND).await?;
    cx.sleep(SECOND).await?;
    Ok(())
}

#[test]
fn eviction_leaves_no_trace() {
    let mut sim = Sim::new(has_a_loud_destructor, ());
    assert_eq!(sim.task(), "StartTimer(id 1, 2s)");
    sim.evict();
    sim.fire(1);
    assert_eq!(sim.task(), "StartTimer(id 2, 1s)");
    sim.evict();
    sim.replay().unwrap();
}

mod reading {
    use super::*;
    use crate::replay::history::{HistoryError, steps};

    #[test]
    fn a_gap_in_the_history_is_named() {
        let mut sim = Sim::new(takes_a_number, 7);
        sim.task();
        sim.events.remove(2);
        let error = steps(sim.events, 0, 0).unwrap_err();
        assert!(matches!(error, HistoryError::Gap { expected: 3, found: 4 }), "{error}");
    }

    #[test]
    fn an_event_of_an_unknown_kind_is_refused_unless_it_may_be_ignored() {
        let mut sim = Sim::new(takes_a_number, 7);
        sim.task();
        sim.signal("any", ());
        let last = sim.events.last_mut().unwrap();
        last.attributes = None;
        last.event_type = 9_999;
        let mut ignorable = sim.events.clone();
        let error = steps(sim.events.clone(), 0, 0).unwrap_err();
        assert!(matches!(error, HistoryError::Unsupported { .. }), "{error}");
        ignorable.last_mut().unwrap().worker_may_ignore = true;
        steps(ignorable, 0, 0).unwrap();
    }
}
