//! Load without any fault: if this fails, no other test here says anything.
//!
//! With `EVERLOG_ADDRESS=HOST:PORT` it runs against any server with the public API. Against the real
//! one it shows that the clients, the workers and the checker expect what is right.

use std::time::Duration;

use anyhow::Result;
use everlog_cluster_tests::{api::Api, cluster::Cluster, scenario::Load};

const LENGTH: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_happens_and_everything_finishes() -> Result<()> {
    if let Ok(address) = std::env::var("EVERLOG_ADDRESS") {
        let load = Load::start(Api::new(&[address])?);
        load.run(LENGTH).await;
        return load.conclude(None).await;
    }
    let cluster = Cluster::start().await?;
    let load = Load::start(cluster.api()?);
    load.run(LENGTH).await;
    load.conclude(Some(&cluster)).await?;
    cluster.passed()
}
