//! The consensus shell, with real ports and a real store, and a machine that counts.

mod harness;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use everlog_node::config::Config;
use everlog_node::node::bare::{Bare, count_key, number};
use everlog_node::node::{self, Application, Node, Services};
use everlog_node::peer::NOT_APPLIED;
use everlog_node::raft::{ProposeError, ReadError};
use everlog_proto::cluster as proto;
use everlog_raft_store::Machine;
use harness::{Cluster, PATIENCE, payload, wait_until};
use tonic::metadata::MetadataMap;

/// Writes must work again so soon after a leader's death.
const REPLACED_WITHIN: Duration = Duration::from_secs(3);

#[test]
fn one_node_serves_at_once() {
    let started = Instant::now();
    let cluster = Cluster::start(1, |_| {});
    let took = started.elapsed();
    assert!(took < Duration::from_secs(1), "it took {took:?}");
    let (id, term) = cluster.leader(2);
    let applied = cluster.propose(id, 2, term, "hello").expect("taken");
    assert_eq!(applied.reply, Bytes::from("hello"));
    assert_eq!(cluster.running(id).machine.count(2), 1);
}

#[test]
fn a_dead_leader_is_replaced_and_comes_back() {
    let mut cluster = Cluster::start(3, |_| {});
    let (first, term) = cluster.leader(1);
    let before = cluster.propose(first, 1, term, "before").expect("taken");

    cluster.kill(first);
    let (after, took) = cluster.propose_anywhere(1, "after");
    println!("writes again after {took:?}");
    assert!(took < REPLACED_WITHIN, "it took {took:?}");
    assert!(after.index > before.index && after.term > before.term);

    cluster.start_node(first).expect("starts again");
    let group = cluster.group(first, 1);
    wait_until("the node has caught up", || group.status().applied_index >= after.index);
    wait_until("the node knows the leader", || {
        group.leadership().borrow().leader.is_some_and(|id| id != first)
    });
}

#[test]
fn proposals_are_fenced_by_their_term() {
    let cluster = Cluster::start(3, |_| {});
    let (leader, term) = cluster.leader(0);
    let applied_before = cluster.group(leader, 0).status().last_log_index;
    for wrong in [0, term - 1, term + 1] {
        let refused = cluster.propose(leader, 0, wrong, "no").expect_err("another term");
        assert!(matches!(refused, ProposeError::NotLeader { .. }), "term {wrong}: {refused}");
    }
    let follower = cluster.ids().into_iter().find(|id| *id != leader).expect("there are three");
    let refused = cluster.propose(follower, 0, term, "no").expect_err("a follower");
    assert_eq!(refused, ProposeError::NotLeader { leader: Some(leader) });
    assert_eq!(cluster.group(leader, 0).status().last_log_index, applied_before, "nothing was appended");
}

#[test]
fn proposals_keep_their_order() {
    const COUNT: u64 = 500;
    let cluster = Cluster::start(3, |_| {});
    let (leader, term) = cluster.leader(0);
    let group = cluster.group(leader, 0);
    let first = group.status().last_log_index + 1;
    let outcomes = cluster.on(leader, async move {
        // None is waited for before all are in line.
        let proposals = group.propose_many(term, (0..COUNT).map(|at| payload(&at.to_string())));
        futures::future::join_all(proposals).await
    });
    for (at, outcome) in outcomes.into_iter().enumerate() {
        let applied = outcome.expect("taken");
        assert_eq!(applied.index, first + at as u64);
        assert_eq!(applied.reply, Bytes::from(at.to_string()));
    }
    for id in cluster.ids() {
        wait_until("all replicas applied", || cluster.running(id).machine.count(0) == COUNT);
    }
}

#[test]
fn leadership_can_be_handed_over() {
    let cluster = Cluster::start(3, |_| {});
    let (old, old_term) = cluster.leader(1);
    let to = cluster.group(old, 1).successors()[0];
    let group = cluster.group(old, 1);
    let started = Instant::now();
    cluster.on(old, async move { group.transfer_leader(to).await }).expect("handed over");
    let (new, new_term) = cluster.leader(1);
    println!("handed over in {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(1), "without an election timeout");
    assert_eq!(new, to);
    assert!(new_term > old_term);
    assert!(cluster.propose(old, 1, old_term, "no").is_err());
    cluster.propose(new, 1, new_term, "yes").expect("taken");
}

/// A transfer that fails costs an election, so the target is looked at before.
#[test]
fn leadership_is_not_given_to_who_cannot_take_it() {
    let mut cluster = Cluster::start(3, |_| {});
    let (leader, term) = cluster.leader(1);
    let transfer = |cluster: &Cluster, to: u64| {
        let address = cluster.configs[leader as usize - 1].peer.listen.to_string();
        cluster.on(leader, async move {
            let mut client = everlog_node::peer::admin_client(&address).await?;
            client.transfer_leader(proto::TransferLeaderRequest { group: 1, to }).await
        })
    };
    let refused = transfer(&cluster, 9).expect_err("there is no such node");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused}");
    assert_eq!(transfer(&cluster, leader).expect("nothing to do").into_inner().leader, leader);

    let dead = cluster.ids().into_iter().find(|id| *id != leader).expect("there are three");
    cluster.kill(dead);
    let refused = transfer(&cluster, dead).expect_err("it is dead");
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused}");
    assert_eq!(cluster.leader(1), (leader, term), "and nobody was elected for it");

    let other = cluster.ids().into_iter().find(|id| *id != leader).expect("two are left");
    assert_eq!(transfer(&cluster, 0).expect("to whoever is ready").into_inner().leader, other);
}

#[test]
fn reads_are_confirmed_by_a_quorum() {
    let mut cluster = Cluster::start(3, |_| {});
    let (leader, term) = cluster.leader(0);
    let written = cluster.propose(leader, 0, term, "x").expect("taken");
    let group = cluster.group(leader, 0);
    let reader = group.clone();
    let index = cluster.on(leader, async move { reader.read_index().await }).expect("confirmed");
    assert!(index >= written.index);

    let follower = cluster.ids().into_iter().find(|id| *id != leader).expect("there are three");
    let reader = cluster.group(follower, 0);
    let refused = cluster.on(follower, async move { reader.read_index().await }).expect_err("a follower");
    assert_eq!(refused, ReadError::NotLeader { leader: Some(leader) });

    // Alone, the leader still believes that it leads, and must not answer.
    for id in cluster.ids() {
        if id != leader {
            cluster.kill(id);
        }
    }
    let started = Instant::now();
    let refused = cluster.on(leader, async move { group.read_index().await }).expect_err("nobody confirms");
    assert_eq!(refused, ReadError::NoQuorum);
    assert!(started.elapsed() < Duration::from_secs(3), "it took {:?}", started.elapsed());
    // Nor does it take writes once its lease is over.
    wait_until("writes are refused", || {
        let proposal = cluster.group(leader, 0).propose(term, payload("lost"));
        let refused = cluster
            .on(leader, async move { tokio::time::timeout(Duration::from_millis(100), proposal).await });
        matches!(refused, Ok(Err(ProposeError::NotProposed(_))))
    });
}

#[test]
fn a_graceful_stop_hands_leaderships_over() {
    let mut cluster = Cluster::start(3, |_| {});
    let (leader, _) = cluster.leader(2);
    let started = Instant::now();
    cluster.stop(leader).expect("stops cleanly");
    println!("stopped in {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(10));
    let (_, took) = cluster.propose_anywhere(2, "next");
    assert!(took < Duration::from_secs(1), "an election was needed: {took:?}");
}

#[test]
fn leaderships_spread_over_the_nodes() {
    let cluster = Cluster::start(3, |config| config.raft.balance_ms = 200);
    wait_until("each node leads the shard that prefers it", || {
        (0..3).all(|group| cluster.group(group + 1, group).leadership().borrow().is_me)
    });
}

#[test]
fn a_follower_catches_up_by_snapshot() {
    const COUNT: u64 = 300;
    let mut cluster = Cluster::start(3, |config| {
        config.raft.snapshot_entries = 50;
        config.raft.snapshot_keep_entries = 10;
        config.raft.lag_entries_max = 100;
    });
    let (leader, term) = cluster.leader(0);
    let absent = cluster.ids().into_iter().find(|id| *id != leader).expect("there are three");
    cluster.kill(absent);
    for at in 0..COUNT {
        cluster.propose(leader, 0, term, &at.to_string()).expect("taken");
    }
    let group = cluster.group(leader, 0);
    let snapshotting = group.clone();
    cluster.on(leader, async move { snapshotting.snapshot().await }).expect("asked for");
    wait_until("the log is cut behind the absent node", || {
        let purging = group.clone();
        cluster.on(leader, async move { purging.purge(COUNT - 20).await }).expect("asked for");
        group.status().purged_index > COUNT / 2
    });
    cluster.start_node(absent).expect("starts again");
    let behind = cluster.group(absent, 0);
    wait_until("the node has caught up", || behind.status().applied_index >= COUNT);
    assert!(behind.status().snapshot_index > COUNT / 2, "by snapshot: {:?}", behind.status());
    // Rows that came in the snapshot and rows that were applied here are the same rows.
    let hash = |id: u64| {
        let group = cluster.group(id, 0);
        cluster.on(id, async move { group.state_hash().await }).expect("hashed")
    };
    wait_until("all are at the same index", || hash(absent).0 == hash(leader).0);
    assert_eq!(hash(absent), hash(leader));
    let rows = cluster.running(absent).node.store.tables();
    assert_eq!(number(rows.get(&count_key(0))), COUNT);
}

#[test]
fn a_node_that_lost_its_folder_does_not_start() {
    let mut cluster = Cluster::start(3, |_| {});
    let (leader, _) = cluster.leader(0);
    let victim = cluster.ids().into_iter().find(|id| *id != leader).expect("there are three");
    cluster.kill(victim);
    std::fs::remove_dir_all(&cluster.configs[victim as usize - 1].data_dir).expect("removed");
    cluster.start_node(victim).expect("it comes up, and finds out");
    let why = cluster.running(victim).ended().expect_err("it must not go on").to_string();
    assert!(why.contains("must not vote"), "{why}");
}

#[test]
fn calls_for_another_cluster_or_node_are_refused() {
    let cluster = Cluster::start(1, |_| {});
    let address = cluster.configs[0].peer.listen.to_string();
    let ours = cluster.running(1).node.identity.cluster_id().expect("formed").to_owned();
    let call = |cluster_id: &str, target: &str| {
        let (address, cluster_id, target) = (address.clone(), cluster_id.to_owned(), target.to_owned());
        cluster.on(1, async move {
            let channel = everlog_node::peer::endpoint(&address)
                .expect("an address")
                .connect()
                .await
                .expect("connects");
            let mut client = proto::peer_client::PeerClient::new(channel);
            let mut request = tonic::Request::new(proto::InternalMessage { payload: Bytes::from("hello") });
            request.metadata_mut().insert("everlog-cluster-id", cluster_id.parse().expect("ascii"));
            request.metadata_mut().insert("everlog-target", target.parse().expect("ascii"));
            request.metadata_mut().insert("everlog-from", "2".parse().expect("ascii"));
            client.internal(request).await
        })
    };
    let answer = call(&ours, "1").expect("the right one").into_inner();
    assert_eq!(answer.payload, Bytes::from("hello"));
    let refused = call("another", "1").expect_err("another cluster");
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    assert!(refused.message().contains(&ours), "{}", refused.message());
    assert!(refused.metadata().contains_key(NOT_APPLIED));
    let refused = call(&ours, "7").expect_err("another node");
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
}

#[test]
fn public_calls_are_forwarded_as_they_are() {
    use prost::Message as _;
    use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
    const CHECK: &str = "/grpc.health.v1.Health/Check";
    let cluster = Cluster::start(3, |_| {});
    let forward = |path: &'static str, service: &str| {
        let peers = cluster.running(1).node.peers.clone();
        let request = HealthCheckRequest { service: service.to_owned() }.encode_to_vec();
        cluster
            .on(1, async move { peers.forward(2, path, request.into(), MetadataMap::new(), PATIENCE).await })
    };
    let answer = forward(CHECK, "").expect("answered").into_inner();
    assert_eq!(HealthCheckResponse::decode(answer).expect("an answer").status, 1);
    let refused = forward(CHECK, "unknown").expect_err("no such service");
    assert_eq!(refused.code(), tonic::Code::NotFound, "the other node's own status comes back");
    let refused = forward("/nobody.Knows/This", "").expect_err("no such method");
    assert_eq!(refused.code(), tonic::Code::Unimplemented);
}

#[test]
fn internal_requests_reach_their_node() {
    let mut cluster = Cluster::start(3, |_| {});
    let internal = |cluster: &Cluster, node: u64| {
        let peers = cluster.running(1).node.peers.clone();
        cluster.on(1, async move { peers.internal(node, Bytes::from("hello")).await })
    };
    for node in cluster.ids() {
        assert_eq!(internal(&cluster, node).expect("answered"), Bytes::from("hello"));
    }
    cluster.kill(3);
    // The first call may find the old connection before it is known to be broken.
    wait_until("a call to a dead node is known to have reached nobody", || {
        let refused = internal(&cluster, 3).expect_err("it is gone");
        assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
        refused.metadata().contains_key(NOT_APPLIED)
    });
    let refused = internal(&cluster, 9).expect_err("there is no such node");
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
    assert!(refused.metadata().contains_key(NOT_APPLIED));
}

/// A guest whose only part dies.
struct Mortal(Bare);

impl Application for Mortal {
    fn machine(&self, config: &Config) -> Arc<dyn Machine> {
        self.0.machine(config)
    }

    fn start(&self, node: Node) -> anyhow::Result<Services> {
        Ok(Services { died: Box::pin(async { "the heart".to_owned() }), ..self.0.start(node)? })
    }
}

#[test]
fn a_node_does_not_outlive_its_guest() {
    let data = tempfile::tempdir().expect("a folder");
    let mut config = Config { data_dir: data.path().to_owned(), bootstrap_expect: 1, ..Config::default() };
    for listen in [&mut config.api.listen, &mut config.peer.listen, &mut config.metrics.listen] {
        listen.set_port(0);
    }
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let ran = runtime.block_on(async {
        let node = node::run(config, Arc::new(Mortal(Bare::default())), |_, _| {}, std::future::pending());
        tokio::time::timeout(PATIENCE, node).await.expect("it ends")
    });
    let why = ran.expect_err("it must not go on").to_string();
    assert!(why.contains("the heart has died"), "{why}");
}

#[test]
fn a_folder_is_used_once() {
    let mut cluster = Cluster::start(1, |_| {});
    let mut second = cluster.configs[0].clone();
    for listen in [&mut second.api.listen, &mut second.peer.listen, &mut second.metrics.listen] {
        listen.set_port(0);
    }
    cluster.configs.push(second);
    cluster.nodes.push(None);
    let why = cluster.start_node(2).expect_err("the folder is in use").to_string();
    assert!(why.contains("in use by another process"), "{why}");
    wait_until("the first goes on", || cluster.running(1).node.health.ready().0);
}
