//! A leader is killed every few seconds while a mix of all features runs: every workflow ends with the result that
//! was computed beforehand, and nothing is lost or doubled.
//!
//! `EVERLOG_CHAOS_SECONDS` says for how long; `cargo x chaos --seconds 300` sets it. With `EVERLOG_ADDRESS=HOST:PORT`
//! the mix runs against any server with the public API and nobody is killed, which shows that it expects what is
//! right; it waits for versions to drain, which is to be set to a second there as well ([`SETTINGS`]).

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use everlog_cluster_tests::{
    api::Api,
    cluster::{Cluster, admin},
    mix::Mix,
};

const LENGTH_SECONDS: u64 = 30;
const KILL_EVERY: Duration = Duration::from_secs(3);
/// How long a node that was killed stays away.
const AWAY: Duration = Duration::from_millis(500);
/// Versions are looked at soon, and often.
const SETTINGS: [&str; 2] = [
    "dynamic.\"matching.wv.VersionDrainageStatusVisibilityGracePeriod\"='1s'",
    "dynamic.\"matching.wv.VersionDrainageStatusRefreshInterval\"='1s'",
];
const CALM_LENGTH: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_dies_every_three_seconds() -> Result<()> {
    if let Ok(address) = std::env::var("EVERLOG_ADDRESS") {
        let mix = Mix::start(&Api::new(&[address])?);
        tokio::time::sleep(CALM_LENGTH).await;
        return mix.conclude().await;
    }
    let mut cluster = Cluster::start_with(&SETTINGS).await?;
    cluster.wait_spread().await?;
    let mix = Mix::start(&cluster.api()?);
    let (until, mut kills) = (Instant::now() + length()?, 0);
    while Instant::now() < until {
        tokio::time::sleep(KILL_EVERY - AWAY).await;
        // Who leads most may be unknown while leaders are being elected; then nobody dies this time.
        if let Ok((leader, _)) = cluster.busiest_leader().await {
            cluster.node(leader).kill();
            tokio::time::sleep(AWAY).await;
            cluster.node(leader).start()?;
            kills += 1;
        }
    }
    println!("{kills} leaders were killed");
    cluster.wait_ready().await?;
    mix.conclude().await?;
    let compared = admin::compare_replicas(&cluster).await?;
    println!("{compared} shards have the same bytes on all nodes");
    cluster.passed()
}

fn length() -> Result<Duration> {
    let seconds = match std::env::var("EVERLOG_CHAOS_SECONDS") {
        Ok(seconds) => seconds.parse().context("EVERLOG_CHAOS_SECONDS is no number of seconds")?,
        Err(_) => LENGTH_SECONDS,
    };
    Ok(Duration::from_secs(seconds))
}
