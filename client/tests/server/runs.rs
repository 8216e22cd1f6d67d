//! Workflows from start to end.

use everlog_client::prelude::*;
use everlog_client::{CallError, Replayer};

use super::harness::{connect, eventually, with_worker};

#[activity(start_to_close = "10s", retry(initial = "10ms"))]
async fn shout(text: String, times: u32) -> Result<String> {
    Ok(text.to_uppercase().repeat(times as usize))
}

#[workflow]
async fn hello(cx: &Cx, name: String) -> Result<String> {
    let loud = cx.call(shout, (name, 2)).summary("twice").await?;
    cx.sleep(Duration::from_millis(50)).summary("a breath").await?;
    Ok(format!("Hello, {loud}!"))
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn a_workflow_calls_an_activity_and_sleeps() {
    let client = connect("hello").await;
    with_worker(&client, |w| w.workflow(hello).activity(shout), async {
        let handle = client.start(hello, "ada".to_owned()).summary("greets").await.unwrap();
        assert_eq!(handle.result().await.unwrap(), "Hello, ADAADA!");
        let report = Replayer::new().workflow(hello).check(&handle.history().await.unwrap()).unwrap();
        assert_eq!((report.workflow.as_str(), report.tasks), ("hello", 3));
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn without_a_cache_every_task_is_a_replay() {
    let client = connect("replay").await;
    with_worker(&client, |w| w.workflow(hello).activity(shout).cached_runs(0), async {
        let handle = client.start(hello, "ada".to_owned()).await.unwrap();
        assert_eq!(handle.result().await.unwrap(), "Hello, ADAADA!");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn a_cache_of_one_serves_many_workflows() {
    let client = connect("small-cache").await;
    with_worker(
        &client,
        |w| w.workflow(hello).activity(shout).cached_runs(1).threads(1).max_concurrent(1),
        async {
            let mut handles = Vec::new();
            for n in 0..20 {
                handles.push(client.start(hello, format!("{n}.")).await.unwrap());
            }
            for (n, handle) in handles.iter().enumerate() {
                assert_eq!(handle.result().await.unwrap(), format!("Hello, {n}.{n}.!"));
            }
        },
    )
    .await;
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Order {
    Add(u32),
    Stop,
}

#[workflow]
async fn adds(cx: &Cx, start: u32) -> Result<u32> {
    let inbox = cx.inbox::<Order>();
    let mut sum = start;
    cx.on_query("doubled", |sum: &u32| sum * 2);
    cx.on_query_with("plus", |sum: &u32, more: u32| sum + more);
    loop {
        cx.publish(&sum);
        match inbox.recv().await? {
            Order::Add(n) => sum += n,
            Order::Stop => return Ok(sum),
        }
        // A new run after each message: none may get lost on the way.
        if start < sum && sum.is_multiple_of(3) {
            match cx.continue_as_new(adds, sum).await {}
        }
    }
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn messages_survive_continue_as_new_and_queries_see_the_state() {
    let client = connect("adds").await;
    with_worker(&client, |w| w.workflow(adds), async {
        let handle = client.start(adds, 1).signal_with(Order::Add(1)).await.unwrap();
        eventually("the first message is counted", || async {
            (handle.query::<u32>("doubled").await.ok()? == 4).then_some(())
        })
        .await;
        assert_eq!(handle.query_with::<u32>("plus", 40).await.unwrap(), 42);
        assert_eq!(handle.state::<u32>().await.unwrap(), 2);
        let unknown = handle.query::<u32>("nonsense").await.unwrap_err();
        assert!(unknown.to_string().contains("doubled, plus, state"), "{unknown}");
        for _ in 0..30 {
            handle.send(Order::Add(1)).await.unwrap();
        }
        handle.send(Order::Stop).await.unwrap();
        assert_eq!(handle.result().await.unwrap(), 32);
        // A closed workflow still answers.
        assert_eq!(client.handle::<adds>(handle.id()).query::<u32>("doubled").await.unwrap(), 64);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn a_signal_with_the_same_key_arrives_once() {
    let client = connect("dedupe").await;
    with_worker(&client, |w| w.workflow(adds), async {
        let handle = client.start(adds, 0).await.unwrap();
        for _ in 0..3 {
            handle.send(Order::Add(5)).dedupe("only once").await.unwrap();
        }
        let signal = handle.send(Order::Add(2));
        signal.clone().await.unwrap();
        signal.await.unwrap();
        handle.send(Order::Stop).await.unwrap();
        assert_eq!(handle.result().await.unwrap(), 7);
    })
    .await;
}

#[workflow]
async fn races(cx: &Cx) -> Result<Vec<String>> {
    let (slow, quick) = join!(cx.call(shout, ("slow".to_owned(), 1)), cx.sleep(Duration::from_millis(10)));
    quick?;
    let mut results = vec![slow?];
    let won = select! { cx;
        slept = cx.sleep(Duration::from_secs(3600)) => { slept?; "timer".to_owned() }
        loud = cx.call(shout, ("won".to_owned(), 1)) => loud?,
    };
    results.push(won);
    for loud in cx.join_all((1..4).map(|n| cx.call(shout, ("x".to_owned(), n)))).await {
        results.push(loud?);
    }
    results.push(cx.run("pid", || std::process::id() > 0).await.to_string());
    let (random, uuid) = (cx.random(), cx.uuid());
    cx.sleep(Duration::from_millis(10)).await?;
    results.push(format!("{}", random > 0 && uuid.get_version_num() == 4 && cx.patched("new")));
    Ok(results)
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn select_join_values_and_patches() {
    let client = connect("races").await;
    with_worker(&client, |w| w.workflow(races).activity(shout).cached_runs(2), async {
        let handle = client.start(races, ()).await.unwrap();
        let results = handle.result().await.unwrap();
        assert_eq!(results, ["SLOW", "WON", "X", "XX", "XXX", "true", "true"]);
        let history = handle.history().await.unwrap();
        assert!(history.events.iter().any(|event| event.event_type == 18), "the losing timer was cancelled");
        Replayer::new().workflow(races).check(&history).unwrap();
    })
    .await;
}

#[workflow]
async fn cleans_up(cx: &Cx) -> Result<String> {
    if let Err(cancelled) = cx.sleep(Duration::from_secs(3600)).await {
        cx.shielded(async { cx.call(shout, ("bye".to_owned(), 1)).await }).await?;
        return Err(cancelled.into());
    }
    Ok("slept".into())
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn a_cancelled_workflow_cleans_up_first() {
    let client = connect("cancel").await;
    with_worker(&client, |w| w.workflow(cleans_up).activity(shout), async {
        let handle = client.start(cleans_up, ()).await.unwrap();
        eventually("it sleeps", || async { (handle.history().await.ok()?.events.len() > 4).then_some(()) })
            .await;
        handle.cancel().await.unwrap();
        assert!(matches!(handle.result().await, Err(ResultError::Cancelled)));
        let history = handle.history().await.unwrap();
        assert!(history.events.iter().any(|event| event.event_type == 12), "the clean-up ran");
        Replayer::new().workflow(cleans_up).check(&history).unwrap();
    })
    .await;
}

#[workflow]
async fn local(cx: &Cx, rounds: u32) -> Result<String> {
    let mut all = String::new();
    for n in 0..rounds {
        all += &cx.local(slowly, n).await?;
    }
    let (a, b) = join!(cx.local(slowly, 8), cx.local(slowly, 9));
    Ok(all + &a? + &b?)
}

#[activity(start_to_close = "10s", retry(initial = "10ms", max = 3))]
async fn slowly(acx: &Acx, n: u32) -> Result<String> {
    tokio::time::sleep(Duration::from_millis(700)).await;
    if acx.attempt() == 1 && n == 1 {
        return Err(Error::new("not at the first attempt"));
    }
    Ok(n.to_string())
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn local_activities_outlast_a_workflow_task() {
    let client = connect("local").await;
    with_worker(&client, |w| w.workflow(local).activity(slowly), async {
        let handle = client.start(local, 3).task_timeout(Duration::from_secs(2)).await.unwrap();
        assert_eq!(handle.result().await.unwrap(), "01289");
        let history = handle.history().await.unwrap();
        let completed = history.events.iter().filter(|event| event.event_type == 7).count();
        assert!(completed > 1, "there was a heartbeat");
        let timed_out = history.events.iter().filter(|event| event.event_type == 8).count();
        assert_eq!(timed_out, 0);
        Replayer::new().workflow(local).check(&history).unwrap();
    })
    .await;
}

#[derive(Debug, PartialEq, thiserror::Error, AppError, Serialize, Deserialize)]
enum PayError {
    #[error("declined, {cents} short")]
    #[retryable(false)]
    Declined { cents: u64 },
    #[error("the bank is away")]
    Away,
}

#[activity(start_to_close = "10s", retry(initial = "10ms", max = 4))]
async fn pay(acx: &Acx, cents: u64) -> Result<u32, PayError> {
    match cents {
        0 => Err(PayError::Declined { cents: 5 }),
        1 if acx.attempt() < 3 => Err(PayError::Away),
        2 => Err(PayError::Away),
        3 => panic!("the cash box is open"),
        _ => Ok(acx.attempt()),
    }
}

#[workflow]
async fn pays(cx: &Cx, cents: u64) -> Result<u32, CallError<PayError>> {
    cx.call(pay, cents).await
}

#[tokio::test]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn errors_keep_their_type_from_activity_to_client() {
    let client = connect("errors").await;
    with_worker(&client, |w| w.workflow(pays).activity(pay), async {
        let start = |cents| client.start(pays, cents);
        assert_eq!(start(1).await.unwrap().result().await.unwrap(), 3);
        match start(0).await.unwrap().result().await {
            Err(ResultError::Failed(CallError::App(error))) => {
                assert_eq!(error, PayError::Declined { cents: 5 })
            }
            other => panic!("{other:?}"),
        }
        match start(2).await.unwrap().result().await {
            Err(ResultError::Failed(CallError::App(error))) => assert_eq!(error, PayError::Away),
            other => panic!("{other:?}"),
        }
        let panicked = start(3).await.unwrap().result().await.unwrap_err();
        assert!(panicked.to_string().contains("the cash box is open"), "{panicked}");
    })
    .await;
}
