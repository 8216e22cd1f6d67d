//! What a client sees without looking into workflows.

use everlog_client::client::ExecutionStatus;
use everlog_client::prelude::*;
use futures_util::TryStreamExt as _;

use super::harness::{connect, eventually, uuid, with_worker};

#[workflow]
async fn sleeper(cx: &Cx) -> Result<()> {
    cx.sleep(Duration::from_secs(3600)).await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn a_start_may_be_repeated_and_a_second_one_is_refused_with_the_first_ones_run() {
    let client = connect("start").await;
    let id = format!("start-{}", uuid());
    let start = client.start(sleeper, ()).id(&id).memo("why", "a test");
    let first = start.clone().await.unwrap();
    // The same builder carries the same request id: this is the same start.
    let again = start.await.unwrap();
    assert_eq!(first.run_id(), again.run_id());
    match client.start(sleeper, ()).id(&id).await.map(|handle| handle.run_id().map(str::to_owned)) {
        Err(ClientError::AlreadyStarted { run_id, .. }) => assert_eq!(Some(run_id.as_str()), first.run_id()),
        other => panic!("{other:?}"),
    }
    let attached = client.start(sleeper, ()).id(&id).or_attach().await.unwrap();
    assert_eq!(attached.run_id(), first.run_id());
    let replaced = client.start(sleeper, ()).id(&id).or_replace().await.unwrap();
    assert_ne!(replaced.run_id(), first.run_id());
    assert!(matches!(first.result().await, Err(ResultError::Terminated(_))));
    let described = replaced.describe().await.unwrap().execution;
    assert_eq!((described.status, described.workflow_type.as_str()), (ExecutionStatus::Running, "sleeper"));
    assert_eq!(described.memo::<String>("why"), None);
    assert_eq!(first.describe().await.unwrap().execution.memo::<String>("why").as_deref(), Some("a test"));
    replaced.terminate("the test is over").await.unwrap();
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn what_is_not_there_is_not_found() {
    let client = connect("missing").await;
    let handle = client.handle::<sleeper>(format!("missing-{}", uuid()));
    for error in [
        handle.send(1).await.unwrap_err(),
        handle.cancel().await.unwrap_err(),
        handle.terminate("").await.unwrap_err(),
        handle.describe().await.map(drop).unwrap_err(),
        handle.query::<u32>("state").await.unwrap_err(),
    ] {
        assert!(matches!(error, ClientError::NotFound(_)), "{error:?}");
    }
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn lists_and_counts() {
    let client = connect("list").await;
    let mut handles = Vec::new();
    for _ in 0..7 {
        handles.push(client.start(sleeper, ()).await.unwrap());
    }
    let filter = format!("TaskQueue = '{}' AND ExecutionStatus = 'Running'", client.queue());
    // Temporal's own lists lag behind a little.
    eventually("all are counted", || async { (client.count(&filter).await.unwrap() == 7).then_some(()) })
        .await;
    let listed: Vec<_> = client.list(&filter).page_rows(3).stream().try_collect().await.unwrap();
    let mut ids: Vec<_> = listed.iter().map(|execution| execution.id.as_str()).collect();
    let mut expected: Vec<_> = handles.iter().map(|handle| handle.id()).collect();
    ids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    for handle in handles {
        handle.terminate("the test is over").await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn a_dead_address_among_others_does_no_harm() {
    let good = std::env::var("EVERLOG_TEST_ADDRESS").unwrap();
    let addresses = std::iter::once("127.0.0.1:1").chain(good.split(',')).map(str::to_owned);
    let client = Client::connect(addresses.collect::<Vec<_>>()).queue(uuid()).await.unwrap();
    #[workflow]
    async fn short(cx: &Cx) -> Result<u8> {
        cx.sleep(Duration::from_millis(10)).await?;
        Ok(7)
    }
    with_worker(&client, |w| w.workflow(short), async {
        let handle = client.start(short, ()).await.unwrap();
        assert_eq!(handle.result().await.unwrap(), 7);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn a_worker_of_a_namespace_that_does_not_exist_says_so() {
    let address = std::env::var("EVERLOG_TEST_ADDRESS").unwrap();
    let client = Client::connect(address).namespace("no-such-namespace").await.unwrap();
    let error =
        Worker::new(&client, "q").workflow(sleeper).run_until(std::future::pending()).await.unwrap_err();
    assert!(error.to_string().contains("no-such-namespace"), "{error}");
}
