//! Spreading the leaderships over the nodes, and handing them over before a stop.
//!
//! Shard `i` prefers the `i`-th of its voters, counted round. A node that leads a shard which another
//! should lead gives it away when that other node has been reachable for a while, is level with the
//! log, and says that it is not about to stop; one shard at a time, so that writes to the others go
//! on. Nothing is done while a group is young or a node has just come back: after a failure the first
//! duty is to serve, and an election that was just won should not be followed by another.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Group, Groups};
use crate::clock::Clock;
use crate::node::risen;
use crate::peer::Peers;

/// A node must have been reachable for so long before it is given a leadership.
const PEER_UP_MIN: Duration = Duration::from_secs(5);
/// A leader must have led for so long before it gives a leadership away.
const LEAD_MIN: Duration = Duration::from_secs(5);
/// After a transfer that failed the group is left alone for so long.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(30);

/// Gives leaderships to the nodes that should have them, until `stop` becomes true.
pub async fn balance(
    me: u64,
    groups: Groups,
    peers: Peers,
    clock: Clock,
    every: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let mut leading: Vec<Option<Instant>> = vec![None; groups.iter().count()];
    let mut paused_until: Vec<Option<Instant>> = vec![None; leading.len()];
    loop {
        tokio::select! {
            () = tokio::time::sleep(clock.jitter(every)) => {}
            () = risen(&mut stop) => return,
        }
        for (at, group) in groups.iter().enumerate() {
            if !group.leadership().borrow().is_me {
                leading[at] = None;
                continue;
            }
            let since = *leading[at].get_or_insert_with(Instant::now);
            let to = preferred(group);
            let ripe =
                since.elapsed() >= LEAD_MIN && paused_until[at].is_none_or(|until| Instant::now() >= until);
            if to == me
                || to == 0
                || !ripe
                || !peers.up_for(to, PEER_UP_MIN)
                || group.may_hand_over(to).is_err()
            {
                continue;
            }
            if !willing(&peers, to).await {
                continue;
            }
            match group.transfer_leader(to).await {
                Ok(()) => tracing::info!(group = group.id(), to, "leadership moved to where it belongs"),
                Err(error) => {
                    tracing::warn!(group = group.id(), to, %error, "leadership could not be moved");
                    paused_until[at] = Some(Instant::now() + PAUSE_AFTER_FAILURE);
                }
            }
        }
    }
}

/// Gives away all leaderships of this node, to whoever is best able to take each.
pub async fn hand_over(groups: &Groups, peers: &Peers) {
    let leading = groups.iter().filter(|group| group.leadership().borrow().is_me);
    futures::future::join_all(leading.map(|group| async move {
        for to in group.successors() {
            if group.may_hand_over(to).is_err() || !willing(peers, to).await {
                continue;
            }
            match group.transfer_leader(to).await {
                Ok(()) => tracing::info!(group = group.id(), to, "leadership handed over"),
                Err(error) => {
                    tracing::warn!(group = group.id(), to, %error, "leadership was not handed over")
                }
            }
            // The library does not try a second voter in the same term.
            return;
        }
    }))
    .await;
}

/// The voter that should lead the group.
fn preferred(group: &Group) -> u64 {
    let voters = group.voters();
    // Who leads a group is among its voters, so there is one.
    voters.get(group.id() as usize % voters.len().max(1)).copied().unwrap_or_default()
}

/// Whether the node answers, belongs to the cluster, and does not intend to stop.
pub async fn willing(peers: &Peers, node: u64) -> bool {
    match peers.status(node).await {
        Ok(status) => !status.draining && status.initialized,
        Err(_) => false,
    }
}
