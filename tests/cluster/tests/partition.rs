//! A network that is cut, under load: both ways, one way, between two nodes only, and again and again.
//!
//! A leader that has lost its quorum must not acknowledge anything, and must not answer from the past. The
//! others go on without it. When the network is whole again everything is equal, whatever was held back and
//! arrives late.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use everlog_cluster_tests::{
    api::{Api, history},
    cluster::{
        Cluster, NODES, admin, metrics,
        network::{around, heard_by, pairs, said_by},
    },
    history::Run,
    load,
    past::{Tally, observe},
    record::{Kind, Outcome, Recorder},
    scenario::Load,
    unique::{Chance, unique},
};
use futures::future::{join_all, try_join_all};
use temporalio_protos::temporal::api::enums::v1::EventType;

/// How long the network stays cut.
const CUT: Duration = Duration::from_secs(10);
/// Calls to the lonely node are begun for so long: the last of them end before the network is whole.
const ASKED: Duration = Duration::from_secs(6);
const AFTER: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(20);
/// Enough that every node leads the shards of some.
const WORKFLOWS: usize = 48;
const ASKING_PAUSE: Duration = Duration::from_millis(50);
/// What is aimed at and printed, and what no busy machine excuses.
const RESUME_GOAL: Duration = Duration::from_secs(3);
const RESUME_LIMIT: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off() -> Result<()> {
    lonely_leader("neither hears nor is heard", |leader| around(leader).collect()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_heard_and_hears_nobody() -> Result<()> {
    lonely_leader("is heard and hears nobody", |leader| heard_by(leader).collect()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_hears_and_is_not_heard() -> Result<()> {
    lonely_leader("hears and is not heard", |leader| said_by(leader).collect()).await
}

/// It missed the heartbeats, wanted to be elected and was not: nobody should notice when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_comes_back_disturbs_nobody() -> Result<()> {
    let (cluster, network) = Cluster::start_over_network(&["raft.balance_ms=0"]).await?;
    let follower = NODES;
    for (shard, leader) in cluster.leaders().await {
        if leader == follower {
            admin::transfer_leader(&cluster, shard, 1 + shard as usize % (NODES - 1)).await?;
        }
    }
    let load = Load::start(cluster.api()?);
    load.run(Duration::from_secs(2)).await;
    let before = terms(&cluster).await?;
    network.hold(around(follower));
    load.run(CUT).await;
    network.heal();
    load.run(AFTER).await;
    let after = terms(&cluster).await?;
    println!("a follower was cut off for {} s; {}", CUT.as_secs(), load.slowest_write());
    load.conclude(Some(&cluster)).await?;
    ensure!(before == after, "there were elections: the terms were {before:?} and are {after:?}");
    cluster.passed()
}

/// Two nodes can't talk to each other, and the third with both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_have_lost_each_other() -> Result<()> {
    let (cluster, network) = Cluster::start_over_network(&[]).await?;
    cluster.wait_spread().await?;
    let load = Load::start(cluster.api()?);
    load.run(Duration::from_secs(2)).await;
    network.hold([(1, 3), (3, 1)]);
    load.run(CUT).await;
    network.heal();
    load.run(AFTER).await;
    println!("{}", load.slowest_write());
    load.conclude(Some(&cluster)).await?;
    cluster.passed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_and_healed_again_and_again() -> Result<()> {
    const ROUNDS: usize = 30;
    let (cluster, network) = Cluster::start_over_network(&[]).await?;
    let load = Load::start(cluster.api()?);
    let mut chance = Chance::new(7);
    for _ in 0..ROUNDS {
        let held: Vec<_> = pairs().filter(|_| chance.below(4) == 0).collect();
        network.hold(held);
        load.run(Duration::from_millis(100 + chance.below(900))).await;
        if chance.below(3) == 0 {
            network.heal();
            load.run(Duration::from_millis(chance.below(2_000))).await;
        }
    }
    network.heal();
    load.run(AFTER).await;
    println!("{}", load.slowest_write());
    load.conclude(Some(&cluster)).await?;
    cluster.passed()
}

type Directions = Vec<(usize, usize)>;

/// Cuts the leader of most shards off, asks it all the time, and sees how the others go on.
async fn lonely_leader(what: &str, directions: fn(usize) -> Directions) -> Result<()> {
    let (cluster, network) = Cluster::start_over_network(&[]).await?;
    cluster.wait_spread().await?;
    let load = Load::start(cluster.api()?);
    load.run(Duration::from_secs(2)).await;
    let watched = Watched::start(&cluster).await?;
    let (leader, shards) = cluster.busiest_leader().await?;
    let lone = Api::new(std::slice::from_ref(&cluster.nodes[leader - 1].addresses.api))?;

    network.hold(directions(leader));
    let cut = Instant::now();
    let asking = watched.ids.keys().map(|id| ask(&watched, lone.clone(), id, cut));
    let writing = watched.ids.keys().map(|id| write_in_vain(&watched, lone.clone(), id, cut));
    let (resumed, answers, _) =
        tokio::try_join!(go_on(&watched, leader, cut), try_join_all(asking), try_join_all(writing),)?;
    let (mut right, mut refused) = (0, 0);
    for answer in answers {
        right += answer.right;
        refused += answer.refused;
    }
    println!(
        "node {leader}, leader of {shards} shards, {what}: all writes worked again after {:.2} s (goal {} s); it \
         answered {right} questions rightly, {refused} not at all, and acknowledged nothing",
        resumed.as_secs_f64(),
        RESUME_GOAL.as_secs()
    );
    ensure!(resumed <= RESUME_LIMIT, "writes worked again after {resumed:?} only");

    load.run(CUT.saturating_sub(cut.elapsed())).await;
    network.heal();
    load.run(AFTER).await;
    let answers_again = async {
        loop {
            let (id, signals) = watched.ids.first_key_value().context("there are workflows")?;
            if observe(lone.clone(), id.clone(), signals.load(Ordering::SeqCst)).await? {
                return Ok::<_, anyhow::Error>(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, answers_again).await.context("the node does not answer any more")??;
    watched.verify().await?;
    load.conclude(Some(&cluster)).await?;
    cluster.passed()
}

/// Workflows that get signals, and how many were acknowledged.
struct Watched {
    api: Api,
    recorder: Recorder,
    ids: BTreeMap<String, Arc<AtomicUsize>>,
}

impl Watched {
    async fn start(cluster: &Cluster) -> Result<Self> {
        let (api, recorder) = (cluster.api()?, Recorder::new());
        let mut ids = BTreeMap::new();
        for index in 0..WORKFLOWS {
            let id = unique("watched");
            load::start_unattended(&api, &recorder, index, &id, PATIENCE).await.context("no start")?;
            ids.insert(id, Arc::default());
        }
        Ok(Self { api, recorder, ids })
    }

    fn acknowledged(&self, id: &str) -> usize {
        self.ids.get(id).map_or(0, |count| count.load(Ordering::SeqCst))
    }

    /// Every acknowledged signal is there, and none is there twice.
    async fn verify(&self) -> Result<()> {
        for (id, node) in self.ids.keys().zip(0..) {
            let run = Run::new(id, "", &history(self.api.node(node), id, "").await?);
            let signals =
                run.events.iter().filter(|event| event.kind == EventType::WorkflowExecutionSignaled);
            let marks: Vec<&str> = signals.filter_map(|event| event.mark.as_deref()).collect();
            let different: BTreeSet<&str> = marks.iter().copied().collect();
            ensure!(marks.len() == different.len(), "{id}: a signal is in the history twice: {marks:?}");
            for operation in self.recorder.operations() {
                let is_acknowledged = matches!(operation.outcome, Outcome::Acknowledged { .. });
                if operation.workflow_id == *id && matches!(operation.kind, Kind::Signal) && is_acknowledged {
                    ensure!(different.contains(&*operation.mark), "{id}: {} is lost", operation.mark);
                }
            }
        }
        Ok(())
    }
}

/// Writes to all workflows through the nodes that still have each other; how long until all had worked.
async fn go_on(watched: &Watched, without: usize, cut: Instant) -> Result<Duration> {
    let others: Vec<usize> = (0..NODES).filter(|node| node + 1 != without).collect();
    let writes = watched.ids.iter().zip(0..).map(|((id, count), index)| {
        let node = others[index % others.len()];
        async move {
            let told = load::signal(&watched.api, &watched.recorder, node, id, 0, PATIENCE).await;
            ensure!(told, "{id}: the majority did not acknowledge a signal");
            count.fetch_add(1, Ordering::SeqCst);
            Ok(cut.elapsed())
        }
    });
    let took = join_all(writes).await.into_iter().collect::<Result<Vec<_>>>()?;
    took.into_iter().max().context("there were writes")
}

/// Asks the lonely node all the time. What it says must not be from the past.
async fn ask(watched: &Watched, lone: Api, id: &str, cut: Instant) -> Result<Tally> {
    let mut answers = Tally::default();
    while cut.elapsed() < ASKED {
        let signals = watched.acknowledged(id);
        answers.add(observe(lone.clone(), id.to_owned(), signals).await?);
        tokio::time::sleep(ASKING_PAUSE).await;
    }
    Ok(answers)
}

/// Writes through the lonely node. It cannot know that a quorum has heard of it, so it must not say so.
async fn write_in_vain(watched: &Watched, lone: Api, id: &str, cut: Instant) -> Result<()> {
    let patience = ASKED.saturating_sub(cut.elapsed());
    if load::signal(&lone, &watched.recorder, 0, id, 1, patience).await {
        bail!("{id}: acknowledged {:?} after the cut by a node without a quorum", cut.elapsed());
    }
    Ok(())
}

/// The term of every shard.
async fn terms(cluster: &Cluster) -> Result<BTreeMap<String, u64>> {
    let figures = metrics::read(&cluster.nodes[0].addresses.metrics).await?;
    let shard = |labels| metrics::label(labels, "shard").map(str::to_owned);
    Ok(figures.all("raft_term").filter_map(|(labels, term)| Some((shard(labels)?, term as u64))).collect())
}
