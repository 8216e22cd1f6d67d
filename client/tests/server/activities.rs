//! Activities: heartbeats, cancellation, keys, dependencies.

use std::sync::{Arc, Mutex};

use everlog_client::prelude::*;
use everlog_client::{CallError, TimeoutKind};

use super::harness::{connect, eventually, with_worker};

#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<Vec<String>>>);

impl Ledger {
    fn write(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[activity(start_to_close = "20s", heartbeat = "2s", retry(initial = "10ms"))]
async fn counts(acx: &Acx) -> Result<u32> {
    let from = acx.last_heartbeat::<u32>().unwrap_or(0);
    acx.dep::<Ledger>().write(acx.idempotency_key());
    for n in from + 1..=3 {
        acx.heartbeat(&n);
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        if acx.attempt() == 1 && n == 2 {
            return Err(Error::new("stumbled"));
        }
    }
    Ok(from)
}

#[workflow]
async fn counting(cx: &Cx) -> Result<u32> {
    Ok(cx.call(counts, ()).await?)
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn the_next_attempt_goes_on_where_the_last_one_stopped_under_the_same_key() {
    let client = connect("heartbeat").await;
    let ledger = Ledger::default();
    with_worker(&client, |w| w.workflow(counting).activity(counts).dep(ledger.clone()), async {
        let handle = client.start(counting, ()).await.unwrap();
        assert!(handle.result().await.unwrap() >= 1);
        let keys = ledger.lines();
        assert_eq!(keys.len(), 2, "{keys:?}");
        assert_eq!(keys[0], keys[1]);
        assert!(keys[0].starts_with(handle.run_id().unwrap()), "{keys:?}");
    })
    .await;
}

#[activity(start_to_close = "60s", heartbeat = "5s")]
async fn waits(acx: &Acx) -> Result<()> {
    loop {
        acx.heartbeat(&());
        select! {
            cancelled = Box::pin(acx.cancelled()) => {
                acx.dep::<Ledger>().write("cancelled".into());
                return Err(cancelled.into());
            }
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
}

#[workflow]
async fn gives_up(cx: &Cx) -> Result<String> {
    select! { cx;
        done = cx.call(waits, ()) => { done?; Ok("done".into()) }
        slept = cx.sleep(Duration::from_millis(500)) => {
            slept?;
            // The activity is asked to stop; wait for its answer, which comes with a later event.
            cx.sleep(Duration::from_secs(3)).await?;
            Ok("gave up".into())
        }
    }
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn the_loser_of_a_select_is_told_to_stop() {
    let client = connect("loser").await;
    let ledger = Ledger::default();
    with_worker(&client, |w| w.workflow(gives_up).activity(waits).dep(ledger.clone()), async {
        let handle = client.start(gives_up, ()).await.unwrap();
        assert_eq!(handle.result().await.unwrap(), "gave up");
        assert_eq!(ledger.lines(), ["cancelled"]);
        let history = handle.history().await.unwrap();
        assert!(history.events.iter().any(|event| event.event_type == 16), "the activity ended as cancelled");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn a_terminated_workflow_stops_its_activity() {
    let client = connect("terminate").await;
    let ledger = Ledger::default();
    with_worker(&client, |w| w.workflow(waiting).activity(waits).dep(ledger.clone()), async {
        let handle = client.start(waiting, ()).await.unwrap();
        eventually("the activity runs", || async {
            let described = handle.describe().await.ok()?;
            described.pending_activities.first().is_some_and(|a| a.activity_type == "waits").then_some(())
        })
        .await;
        handle.terminate("no longer needed").await.unwrap();
        match handle.result().await {
            Err(ResultError::Terminated(reason)) => assert_eq!(reason, "no longer needed"),
            other => panic!("{other:?}"),
        }
        eventually("the activity stops", || async { (ledger.lines() == ["cancelled"]).then_some(()) }).await;
    })
    .await;
}

#[workflow]
async fn waiting(cx: &Cx) -> Result<()> {
    Ok(cx.call(waits, ()).await?)
}

#[activity(start_to_close = "1s", retry(max = 1))]
async fn sleeps() -> Result<()> {
    tokio::time::sleep(Duration::from_secs(30)).await;
    Ok(())
}

#[workflow]
async fn timing_out(cx: &Cx) -> Result<String> {
    let slow = cx.call(sleeps, ()).await;
    let nobody = cx.call(sleeps, ()).queue("nobody-is-here").schedule_to_start(Duration::from_secs(1)).await;
    match (slow, nobody) {
        (
            Err(CallError::Timeout(TimeoutKind::StartToClose, _)),
            Err(CallError::Timeout(TimeoutKind::ScheduleToStart, _)),
        ) => Ok("both".into()),
        other => Err(Error::permanent(format!("{other:?}"))),
    }
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn timeouts_say_which_one_passed() {
    let client = connect("timeouts").await;
    with_worker(&client, |w| w.workflow(timing_out).activity(sleeps), async {
        let handle = client.start(timing_out, ()).await.unwrap();
        assert_eq!(handle.result().await.unwrap(), "both");
    })
    .await;
}
