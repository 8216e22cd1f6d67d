//! `everlog cluster`: what an operator asks of a running cluster.
//!
//! Any node's peer address will do: it knows the others, and each of them is asked for its own
//! account. A node that doesn't answer is shown as such and makes the exit code non-zero.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use everlog_proto::cluster as proto;
use serde_json::json;

use super::server::runtime;
use crate::peer;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The peer address of any node.
    #[arg(long, global = true, env = "EVERLOG_PEER", default_value = "127.0.0.1:7333")]
    peer: String,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Form the cluster from the configured peers. Done once.
    Init,
    /// Show all nodes and the leader of each shard.
    Status,
    /// Show the members and their addresses.
    Members,
    /// Move the leadership of a shard.
    TransferLeader {
        #[arg(long)]
        shard: u64,
        /// The node that should lead; the voter that is furthest ahead, if it is not given.
        #[arg(long)]
        to: Option<u64>,
    },
    /// Show the hash of each shard's state on each node; equal indexes must have equal hashes.
    Hashes,
}

/// A node's answer, or why there is none.
struct Answer {
    node: u64,
    address: String,
    status: Result<proto::StatusReply, String>,
}

pub(super) fn run(options: Options) -> anyhow::Result<()> {
    runtime()?.block_on(async move {
        match options.command {
            Command::Init => init(&options.peer).await,
            Command::Status => status(&options.peer, options.json).await,
            Command::Members => members(&options.peer, options.json).await,
            Command::TransferLeader { shard, to } => transfer(&options.peer, shard, to).await,
            Command::Hashes => hashes(&options.peer, options.json).await,
        }
    })
}

async fn init(address: &str) -> anyhow::Result<()> {
    let mut client = connect(address).await?;
    let reply = client.initialize(proto::InitializeRequest {}).await.map_err(plain)?.into_inner();
    println!("cluster {} is formed", reply.cluster_id);
    Ok(())
}

async fn status(address: &str, as_json: bool) -> anyhow::Result<()> {
    let answers = ask_all(address).await?;
    if as_json {
        let nodes: Vec<_> = answers.iter().map(node_json).collect();
        println!("{}", serde_json::to_string_pretty(&json!({ "nodes": nodes }))?);
    } else {
        print_nodes(&answers);
        print_shards(&answers);
    }
    let silent = answers.iter().filter(|answer| answer.status.is_err()).count();
    anyhow::ensure!(silent == 0, "{silent} of {} nodes did not answer", answers.len());
    Ok(())
}

fn print_nodes(answers: &[Answer]) {
    println!("{:<5} {:<22} {:<22} {:>7} {:>9} {:>6}  state", "NODE", "PEER", "API", "PID", "UPTIME", "LEADS");
    for Answer { node, address, status } in answers {
        match status {
            Ok(status) => {
                let leads = status.groups.iter().filter(|group| group.role == "leader").count();
                let state = match (status.draining, status.ready) {
                    (true, _) => "stopping".to_owned(),
                    (false, true) => "ready".to_owned(),
                    (false, false) => status.not_ready.replace('\n', "; "),
                };
                println!(
                    "{node:<5} {address:<22} {:<22} {:>7} {:>8}s {leads:>6}  {state}",
                    status.api_address, status.process_id, status.uptime_seconds
                );
            }
            Err(why) => {
                println!("{node:<5} {address:<22} {:<22} {:>7} {:>9} {:>6}  {why}", "-", "-", "-", "-")
            }
        }
    }
}

fn print_shards(answers: &[Answer]) {
    println!();
    println!(
        "{:<6} {:>6} {:>5} {:>10}  {:<12} applied on each node",
        "SHARD", "LEADER", "TERM", "COMMITTED", "VOTERS"
    );
    for (shard, views) in shards(answers) {
        let term = views.iter().map(|(_, view)| view.term).max().unwrap_or_default();
        let leader = views
            .iter()
            .find(|(_, view)| view.role == "leader" && view.term == term)
            .map_or_else(|| "none".to_owned(), |(node, _)| node.to_string());
        let committed = views.iter().map(|(_, view)| view.commit_index).max().unwrap_or_default();
        let voters = views.first().map(|(_, view)| list(&view.voters)).unwrap_or_default();
        let applied: Vec<String> =
            views.iter().map(|(node, view)| format!("{node}:{}", view.applied_index)).collect();
        println!("{shard:<6} {leader:>6} {term:>5} {committed:>10}  {voters:<12} {}", applied.join(" "));
    }
}

/// What each node says about each shard.
fn shards(answers: &[Answer]) -> BTreeMap<u64, Vec<(u64, &proto::GroupStatus)>> {
    let mut shards: BTreeMap<u64, Vec<(u64, &proto::GroupStatus)>> = BTreeMap::new();
    for answer in answers {
        for group in answer.status.iter().flat_map(|status| &status.groups) {
            shards.entry(group.group).or_default().push((answer.node, group));
        }
    }
    shards
}

fn node_json(answer: &Answer) -> serde_json::Value {
    let Answer { node, address, status } = answer;
    let status = match status {
        Ok(status) => status,
        Err(why) => return json!({ "node": node, "peer": address, "error": why }),
    };
    let shards: Vec<_> = status
        .groups
        .iter()
        .map(|group| {
            json!({
                "shard": group.group, "role": group.role, "leader": group.leader, "term": group.term,
                "serving": group.serving, "last_log_index": group.last_log_index,
                "commit_index": group.commit_index, "applied_index": group.applied_index,
                "snapshot_index": group.snapshot_index, "purged_index": group.purged_index,
                "voters": group.voters, "learners": group.learners, "error": group.error,
            })
        })
        .collect();
    json!({
        "node": node, "cluster": status.cluster_id, "initialized": status.initialized, "ready": status.ready,
        "not_ready": status.not_ready, "draining": status.draining, "version": status.version,
        "api": status.api_address, "peer": status.peer_address, "pid": status.process_id,
        "uptime_seconds": status.uptime_seconds, "shards": shards,
    })
}

async fn members(address: &str, as_json: bool) -> anyhow::Result<()> {
    let status = ask(address).await?;
    if as_json {
        let members: Vec<_> = status
            .members
            .iter()
            .map(|member| json!({ "node": member.node_id, "peer": member.peer_address, "api": member.api_address }))
            .collect();
        println!(
            "{}",
            serde_json::to_string_pretty(&json!({ "cluster": status.cluster_id, "members": members }))?
        );
        return Ok(());
    }
    println!("cluster {}", status.cluster_id);
    println!("{:<5} {:<22} API", "NODE", "PEER");
    for member in status.members {
        println!("{:<5} {:<22} {}", member.node_id, member.peer_address, member.api_address);
    }
    Ok(())
}

async fn transfer(address: &str, shard: u64, to: Option<u64>) -> anyhow::Result<()> {
    let answers = ask_all(address).await?;
    let views = shards(&answers);
    let views = views.get(&shard).ok_or_else(|| anyhow::anyhow!("there is no shard {shard}"))?;
    let leader = views
        .iter()
        .filter(|(_, view)| view.role == "leader")
        .max_by_key(|(_, view)| view.term)
        .map(|(node, _)| *node)
        .ok_or_else(|| anyhow::anyhow!("shard {shard} has no leader now"))?;
    let at =
        answers.iter().find(|answer| answer.node == leader).map_or(address, |answer| answer.address.as_str());
    let mut client = connect(at).await?;
    let request = proto::TransferLeaderRequest { group: shard, to: to.unwrap_or_default() };
    if to == Some(leader) {
        println!("shard {shard} is led by node {leader} already");
        return Ok(());
    }
    let reply = client.transfer_leader(request).await.map_err(plain)?.into_inner();
    println!("shard {shard} was led by node {leader}, and now is by node {}", reply.leader);
    if let Some(to) = to {
        anyhow::ensure!(reply.leader == to, "node {} was faster than node {to}", reply.leader);
    }
    Ok(())
}

async fn hashes(address: &str, as_json: bool) -> anyhow::Result<()> {
    let answers = ask_all(address).await?;
    // By shard and index: the hashes, and who has them.
    let mut found: BTreeMap<u64, Vec<(u64, u64, String)>> = BTreeMap::new();
    for answer in &answers {
        let mut client = connect(&answer.address).await?;
        let reply = client.hashes(proto::HashesRequest {}).await.map_err(plain)?.into_inner();
        for group in reply.groups {
            found.entry(group.group).or_default().push((answer.node, group.applied_index, hex(&group.hash)));
        }
    }
    let differ = |views: &[(u64, u64, String)]| {
        views
            .iter()
            .any(|(_, index, hash)| views.iter().any(|(_, other, theirs)| index == other && hash != theirs))
    };
    let different: Vec<u64> =
        found.iter().filter(|(_, views)| differ(views)).map(|(shard, _)| *shard).collect();
    if as_json {
        let shards: Vec<_> = found
            .iter()
            .map(|(shard, views)| {
                let nodes: Vec<_> = views
                    .iter()
                    .map(|(node, index, hash)| json!({ "node": node, "applied_index": index, "hash": hash }))
                    .collect();
                json!({ "shard": shard, "nodes": nodes })
            })
            .collect();
        println!("{}", serde_json::to_string_pretty(&json!({ "shards": shards, "different": different }))?);
    } else {
        for (shard, views) in &found {
            let views: Vec<String> =
                views.iter().map(|(node, index, hash)| format!("{node}: {hash} at {index}")).collect();
            println!("{shard:<6} {}", views.join("   "));
        }
    }
    anyhow::ensure!(different.is_empty(), "shards {} differ between nodes", list(&different));
    Ok(())
}

/// Asks one node, then every node it knows.
async fn ask_all(address: &str) -> anyhow::Result<Vec<Answer>> {
    let first = ask(address).await?;
    let mut known: BTreeMap<u64, String> =
        first.members.iter().map(|member| (member.node_id, member.peer_address.clone())).collect();
    known.insert(first.node_id, address.to_owned());
    let answers = known.into_iter().map(|(node, address)| async move {
        let status = ask(&address).await.map_err(|error| error.to_string());
        Answer { node, address, status }
    });
    Ok(futures::future::join_all(answers).await)
}

async fn ask(address: &str) -> anyhow::Result<proto::StatusReply> {
    let mut client = connect(address).await?;
    let answer = tokio::time::timeout(peer::STATUS_TIMEOUT * 2, client.status(proto::StatusRequest {})).await;
    Ok(answer.map_err(|_| anyhow::anyhow!("{address} does not answer"))?.map_err(plain)?.into_inner())
}

async fn connect(
    address: &str,
) -> anyhow::Result<proto::admin_client::AdminClient<tonic::transport::Channel>> {
    peer::admin_client(address).await.map_err(plain)
}

fn plain(status: tonic::Status) -> anyhow::Error {
    anyhow::anyhow!("{}", status.message())
}

fn list(numbers: &[u64]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
