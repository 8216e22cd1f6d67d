//! Workers that die, and workflows that misbehave.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use everlog_client::prelude::*;

use super::harness::{connect, eventually, with_worker};

#[workflow(name = "changed")]
async fn before(cx: &Cx) -> Result<()> {
    cx.sleep(Duration::from_secs(1)).await?;
    cx.sleep(Duration::from_secs(3600)).await?;
    Ok(())
}

#[activity(start_to_close = "5s")]
async fn nothing() -> Result<()> {
    Ok(())
}

#[workflow(name = "changed")]
async fn after(cx: &Cx) -> Result<()> {
    cx.call(nothing, ()).await?;
    cx.sleep(Duration::from_secs(1)).await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn changed_code_fails_the_task_and_names_the_event() {
    let client = connect("changed").await;
    let handle = client.start(before, ()).await.unwrap();
    with_worker(&client, |w| w.workflow(before), async {
        eventually("it sleeps", || async { (handle.history().await.ok()?.events.len() > 4).then_some(()) })
            .await;
    })
    .await;
    with_worker(&client, |w| w.workflow(after).activity(nothing), async {
        let failed = eventually("the task fails", || async {
            let events = handle.history().await.ok()?.events;
            events.into_iter().find(|event| event.event_type == 9).map(|event| format!("{event:?}"))
        })
        .await;
        assert!(failed.contains("TimerStarted(id 1) (event 5)"), "{failed}");
        assert!(failed.contains("ScheduleActivity(nothing, id 1)"), "{failed}");
        assert!(failed.contains("NonDeterministicError") || failed.contains("cause: 24"), "{failed}");
    })
    .await;
    handle.terminate("the test is over").await.unwrap();
}

static MENDED: AtomicBool = AtomicBool::new(false);

#[workflow]
async fn has_a_bug(cx: &Cx) -> Result<u8> {
    cx.sleep(Duration::from_millis(10)).await?;
    assert!(MENDED.load(Ordering::SeqCst), "not mended yet");
    Ok(7)
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn a_workflow_goes_on_when_its_bug_is_mended() {
    let client = connect("bug").await;
    with_worker(&client, |w| w.workflow(has_a_bug), async {
        let handle = client.start(has_a_bug, ()).task_timeout(Duration::from_secs(1)).await.unwrap();
        eventually("the task fails", || async {
            handle.history().await.ok()?.events.iter().any(|event| event.event_type == 9).then_some(())
        })
        .await;
        MENDED.store(true, Ordering::SeqCst);
        assert_eq!(handle.result().await.unwrap(), 7);
    })
    .await;
}

static BLOCKED: AtomicU32 = AtomicU32::new(0);

#[workflow(unchecked)]
async fn blocks(cx: &Cx) -> Result<u8> {
    if BLOCKED.fetch_add(1, Ordering::SeqCst) == 0 {
        std::thread::sleep(Duration::from_secs(6));
    }
    cx.sleep(Duration::from_millis(10)).await?;
    Ok(1)
}

#[workflow]
async fn quick(cx: &Cx) -> Result<u8> {
    cx.sleep(Duration::from_millis(10)).await?;
    Ok(2)
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn a_workflow_that_blocks_its_thread_does_not_stop_the_others() {
    let client = connect("blocks").await;
    with_worker(&client, |w| w.workflow(blocks).workflow(quick).threads(1), async {
        let blocking = client.start(blocks, ()).await.unwrap();
        eventually("it blocks", || async { (BLOCKED.load(Ordering::SeqCst) > 0).then_some(()) }).await;
        let started = std::time::Instant::now();
        let handle = client.start(quick, ()).await.unwrap();
        assert_eq!(handle.result().await.unwrap(), 2);
        assert_eq!(blocking.result().await.unwrap(), 1);
        let failed = blocking.history().await.unwrap();
        let failed =
            failed.events.iter().find(|event| event.event_type == 9).map(|event| format!("{event:?}"));
        assert!(failed.expect("a task failed").contains("blocked its thread"));
        assert!(started.elapsed() < Duration::from_secs(60));
    })
    .await;
}

#[activity(start_to_close = "3s", retry(initial = "10ms"))]
async fn step(n: u32) -> Result<u32> {
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok(n)
}

#[workflow]
async fn steps(cx: &Cx, count: u32) -> Result<u32> {
    let mut sum = 0;
    for n in 0..count {
        sum += cx.call(step, n).await?;
        cx.sleep(Duration::from_millis(20)).await?;
    }
    Ok(sum)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn workers_die_without_a_word_and_nothing_is_lost() {
    let client = connect("dying").await;
    let mut handles = Vec::new();
    for _ in 0..10 {
        handles.push(client.start(steps, 12).task_timeout(Duration::from_secs(2)).await.unwrap());
    }
    // Two workers that are cut off in the middle, with no time to say goodbye.
    for _ in 0..2 {
        let worker = Worker::new(&client, client.queue()).workflow(steps).activity(step);
        let dying = tokio::spawn(worker.run_until(std::future::pending()));
        tokio::time::sleep(Duration::from_secs(1)).await;
        dying.abort();
    }
    with_worker(&client, |w| w.workflow(steps).activity(step), async {
        for handle in &handles {
            assert_eq!(handle.result().await.unwrap(), 66);
        }
    })
    .await;
}

#[workflow]
async fn returns_too_much(cx: &Cx, megabytes: usize) -> Result<String> {
    cx.sleep(Duration::from_millis(10)).await?;
    Ok("x".repeat(megabytes << 20))
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn what_is_too_large_ends_the_workflow_and_not_the_worker() {
    let client = connect("large").await;
    with_worker(&client, |w| w.workflow(returns_too_much).workflow(quick), async {
        for megabytes in [3, 6] {
            let large = client.start(returns_too_much, megabytes).await.unwrap();
            match large.result().await {
                Err(ResultError::Terminated(_) | ResultError::Other(_) | ResultError::Failed(_)) => {}
                other => panic!("{megabytes} MiB: {:?}", other.map(|text| text.len())),
            }
        }
        let handle = client.start(quick, ()).await.unwrap();
        assert_eq!(handle.result().await.unwrap(), 2);
    })
    .await;
}
