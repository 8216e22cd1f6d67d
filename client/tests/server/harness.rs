//! A client, and a worker for the length of a test.

use std::future::Future;
use std::time::Duration;

use everlog_client::{Client, Worker};

/// Longer than anything that a test waits for on a busy machine.
const TEST_MAX: Duration = Duration::from_secs(120);

pub(crate) async fn connect(queue: &str) -> Client {
    let address =
        std::env::var("EVERLOG_TEST_ADDRESS").expect("EVERLOG_TEST_ADDRESS names the server to test");
    // Tests run side by side and again; each has a queue of its own.
    let queue = format!("{queue}-{}", uuid());
    Client::connect(address).queue(queue).deadline(Duration::from_secs(30)).await.expect("the server answers")
}

/// Runs `story` while a worker that `set_up` prepares serves the client's queue. The worker must stop
/// cleanly when the story ends.
pub(crate) async fn with_worker<T>(
    client: &Client,
    set_up: impl FnOnce(Worker) -> Worker,
    story: impl Future<Output = T>,
) -> T {
    let (mut told, worker) = (None, set_up(Worker::new(client, client.queue())));
    let run = worker.run_until(async { told = Some(story.await) });
    tokio::time::timeout(TEST_MAX, run).await.expect("the story ends in time").expect("the worker runs");
    told.expect("the story was told")
}

/// Asks again until the answer is the one that is waited for.
pub(crate) async fn eventually<T, Asked>(what: &str, ask: impl Fn() -> Asked) -> T
where
    Asked: Future<Output = Option<T>>,
{
    for _ in 0..300 {
        if let Some(found) = ask().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never happened: {what}");
}

pub(crate) fn uuid() -> String {
    everlog_client::new_id()
}
