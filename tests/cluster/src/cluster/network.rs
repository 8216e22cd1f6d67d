//! The network between the nodes, which can be cut.
//!
//! Each node reaches each other one through a proxy of its own, so what a node says can be held back from
//! one other node, from all, and in one direction only. Held bytes are not lost: they arrive when the
//! network is whole again, as they would from a network that dropped packets and a sender that repeats
//! them. So the nodes also hear messages that have long been overtaken.
//!
//! Clients reach the nodes directly. A node that is cut off from its own kind can still be asked, which is
//! what makes it dangerous.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

use super::{NODES, node::Addresses};

/// Read at once from a connection; what is held is so much at most for each.
const PIECE_BYTES: usize = 64 << 10;

/// From whom to whom: node numbers.
type Direction = (usize, usize);

/// A proxy for each ordered pair of nodes. Dropped, all connections between nodes are gone.
#[derive(Debug)]
pub struct Network {
    held: watch::Sender<BTreeSet<Direction>>,
    /// Where a node finds another one.
    routes: BTreeMap<Direction, String>,
    _proxies: JoinSet<()>,
}

impl Network {
    pub(super) async fn start(members: &[Addresses]) -> Result<Self> {
        let (held, _) = watch::channel(BTreeSet::new());
        let (mut routes, mut proxies) = (BTreeMap::new(), JoinSet::new());
        for (from, to) in pairs() {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            routes.insert((from, to), listener.local_addr()?.to_string());
            proxies.spawn(proxy(listener, members[to - 1].peer.clone(), (from, to), held.subscribe()));
        }
        Ok(Self { held, routes, _proxies: proxies })
    }

    /// The members as one node is told to reach them.
    pub(super) fn seen_from(&self, node: usize, members: &[Addresses]) -> Vec<Addresses> {
        let seen = |(member, to): (&Addresses, usize)| match self.routes.get(&(node, to)) {
            Some(route) => Addresses { peer: route.clone(), ..member.clone() },
            None => member.clone(),
        };
        members.iter().zip(1..).map(seen).collect()
    }

    /// From now on exactly these directions are held.
    pub fn hold(&self, directions: impl IntoIterator<Item = Direction>) {
        self.held.send_replace(directions.into_iter().collect());
    }

    /// Everything that was held arrives, and nothing is held any more.
    pub fn heal(&self) {
        self.hold([]);
    }
}

/// All ordered pairs of nodes.
pub fn pairs() -> impl Iterator<Item = Direction> {
    (1..=NODES).flat_map(|from| (1..=NODES).filter(move |to| *to != from).map(move |to| (from, to)))
}

/// All that a node says.
pub fn said_by(node: usize) -> impl Iterator<Item = Direction> {
    pairs().filter(move |(from, _)| *from == node)
}

/// All that a node hears.
pub fn heard_by(node: usize) -> impl Iterator<Item = Direction> {
    pairs().filter(move |(_, to)| *to == node)
}

/// All that is said between a node and the others.
pub fn around(node: usize) -> impl Iterator<Item = Direction> {
    said_by(node).chain(heard_by(node))
}

type Held = watch::Receiver<BTreeSet<Direction>>;

async fn proxy(listener: TcpListener, target: String, (from, to): Direction, held: Held) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let (target, held) = (target.clone(), held.clone());
        connections.spawn(async move {
            // A handshake needs both directions.
            pass(&held, (from, to)).await;
            pass(&held, (to, from)).await;
            let Ok(far) = TcpStream::connect(target).await else { return };
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
            tokio::join!(
                pump(near_read, far_write, (from, to), held.clone()),
                pump(far_read, near_write, (to, from), held),
            );
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Carries what one node says to another on one connection, in order, whenever the direction is open.
async fn pump(mut source: OwnedReadHalf, mut sink: OwnedWriteHalf, direction: Direction, held: Held) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = source.read(&mut piece).await.unwrap_or(0);
        // The end of a connection is told no sooner than what was said before it.
        pass(&held, direction).await;
        if read == 0 || sink.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}

/// Waits until a direction is open.
async fn pass(held: &Held, direction: Direction) {
    // A network that is gone holds nothing back: its tasks are gone, too.
    let _ = held.clone().wait_for(|held| !held.contains(&direction)).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(100);

    async fn echo(listener: TcpListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    }

    async fn answer(stream: &mut TcpStream) -> Option<u8> {
        tokio::time::timeout(MOMENT, stream.read_u8()).await.ok().and_then(Result::ok)
    }

    #[tokio::test]
    async fn what_is_held_arrives_later_and_each_direction_is_its_own() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let peer = listener.local_addr().expect("an address").to_string();
        tokio::spawn(echo(listener));
        let member = Addresses { api: String::new(), peer, metrics: String::new() };
        let members = vec![member; NODES];
        let network = Network::start(&members).await.expect("ports");
        let seen = network.seen_from(1, &members);
        assert_eq!(seen[0].peer, members[0].peer, "a node is where it is for itself");
        let mut stream = TcpStream::connect(&seen[1].peer).await.expect("connects");
        stream.write_u8(1).await.expect("written");
        assert_eq!(answer(&mut stream).await, Some(1));

        for held in [said_by(1).collect::<Vec<_>>(), heard_by(1).collect(), around(1).collect()] {
            network.hold(held);
            stream.write_u8(2).await.expect("written");
            assert_eq!(answer(&mut stream).await, None);
            network.heal();
            assert_eq!(answer(&mut stream).await, Some(2), "it was not lost");
        }
        network.hold(around(3));
        stream.write_u8(3).await.expect("written");
        assert_eq!(answer(&mut stream).await, Some(3), "others are not concerned");
    }
}
