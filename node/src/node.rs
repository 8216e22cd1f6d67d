//! One node: its folder, its store, its groups, its ports, from start to stop.
//!
//! [`run`] is the whole life of a node and can be read from top to bottom. Whoever serves the public
//! API is a guest here: it brings the machine that entries are applied to, gets a [`Node`], and gives
//! back its services. This module knows neither workflows nor histories.

use std::future::pending;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use everlog_raft_store::{Machine, Store, Trouble};
use futures::future::BoxFuture;
use tokio::sync::watch;
use tonic::service::Routes;

use crate::admin::Admin;
use crate::clock::Clock;
use crate::config::Config;
use crate::metrics::{self, Health, Metrics};
use crate::peer::{self, Handlers, Identity, Peers};
use crate::raft::{self, Bootstrap, Group, Groups};

mod api;
pub mod bare;
mod edge;
mod folder;
mod port;
mod web;

pub use folder::{Error as FolderError, Folder};
use port::Port;

/// A node is ready if no shard is further behind than this.
const READY_LAG_MAX: u64 = 1_000;
/// Nor if a leader was confirmed by its quorum longer ago than this.
const READY_QUORUM_AGE_MAX: Duration = Duration::from_secs(3);
/// How long each part of a stop may take; together they stay below [`STOP_TIMEOUT`].
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(4);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// A stop that takes longer is cut short: a supervisor would do it less gently.
const STOP_TIMEOUT: Duration = Duration::from_secs(9);
/// A full disk is waited for so long. Then the node stops: others can do its work, and a supervisor hears
/// of it.
const NO_ROOM_PATIENCE: Duration = Duration::from_secs(10);
/// How often the node looks whether its store is in trouble or one of its groups has died.
const WATCH_EVERY: Duration = Duration::from_millis(250);

/// What everyone in the process may use. Cloning is cheap.
#[derive(Clone)]
pub struct Node {
    pub config: Arc<Config>,
    pub clock: Clock,
    pub metrics: Metrics,
    pub health: Health,
    pub identity: Identity,
    pub store: Arc<Store>,
    pub groups: Groups,
    pub peers: Peers,
    /// Becomes true when the node begins to stop.
    pub stopping: watch::Receiver<bool>,
}

/// The guest: whoever serves the public API.
pub trait Application: Send + Sync + 'static {
    /// What committed entries are applied to.
    fn machine(&self, config: &Config) -> Arc<dyn Machine>;

    /// Starts the shards and services. Called once, when the groups run; they may not have leaders yet.
    fn start(&self, node: Node) -> anyhow::Result<Services>;
}

/// What the guest serves.
pub struct Services {
    /// The public API. On the API port the marks that only nodes may set are removed.
    pub api: Routes,
    /// The public API over HTTP with JSON.
    pub http: axum::Router,
    /// The Web UI.
    pub ui: axum::Router,
    /// Answer internal requests, and public calls that other nodes forwarded; for the latter `api`
    /// itself is a good choice.
    pub handlers: Handlers,
    /// Ends the polls that wait here with empty answers. Called once, on a stop.
    pub drain: Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>,
    /// Resolves with what has died, if something does without which the node must not go on.
    pub died: BoxFuture<'static, String>,
}

/// Where a node can be reached, once it is up.
#[derive(Clone, Debug)]
pub struct Addresses {
    pub api: SocketAddr,
    pub http: Option<SocketAddr>,
    pub ui: Option<SocketAddr>,
    pub peer: SocketAddr,
    pub metrics: SocketAddr,
}

/// Runs a node until `stop` resolves or something breaks. `up` hears of the addresses when all ports
/// are open, and again of nothing: whether the node is ready, its health says.
pub async fn run(
    config: Config,
    application: Arc<dyn Application>,
    up: impl FnOnce(&Node, &Addresses),
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let config = Arc::new(config);
    let clock = Clock;
    let metrics = Metrics::new();
    let health = Health::default();
    let serving = Arc::new(AtomicBool::new(false));
    let serves = serving.clone();
    // Asked from the first moment: the port of the checks is open before there is anything to check.
    health.check("started", move || match serves.load(Ordering::Relaxed) {
        true => Ok(()),
        false => Err("the node is still starting".to_owned()),
    });
    let (begin_stop, stopping) = watch::channel(false);
    let (close_api, api_closed) = watch::channel(false);
    let (close_ports, closed) = watch::channel(false);

    let folder = Arc::new(Folder::open(&config.data_dir, config.node_id, config.raft.shards)?);
    anyhow::ensure!(
        folder.shards() == config.raft.shards,
        "the data folder {} was made for {} shards, and the configuration says {}",
        folder.path().display(),
        folder.shards(),
        config.raft.shards
    );
    let api_port = Port::take("api", config.api.listen)?;
    let http_port = config.api.http_listen.map(|listen| Port::take("http", listen)).transpose()?;
    let ui_port = config.ui.listen.map(|listen| Port::take("ui", listen)).transpose()?;
    let peer_port = Port::take("peer", config.peer.listen)?;
    let metrics_address =
        metrics::serve(config.metrics.listen, metrics.clone(), health.clone(), closed.clone())
            .await
            .map_err(|error| {
                anyhow::anyhow!("cannot listen on {} (metrics): {error}", config.metrics.listen)
            })?;
    let addresses = Addresses {
        api: api_port.address(),
        http: http_port.as_ref().map(Port::address),
        ui: ui_port.as_ref().map(Port::address),
        peer: peer_port.address(),
        metrics: metrics_address,
    };

    let identity = Identity::new(config.node_id, folder.cluster_id());
    let peers = Peers::new(identity.clone(), clock, metrics.clone());
    for member in config.members() {
        peers.configure(member.id, &member.peer)?;
    }
    let store = Arc::new(open_store(&config).await?);
    metrics::store::report(&metrics, store.clone());
    let groups =
        Groups::start(config.node_id, &config.raft, &store, application.machine(&config), &peers, &metrics)
            .await?;
    raft::check_memory(config.node_id, &folder, &groups).await?;
    let node = Node {
        config: config.clone(),
        clock,
        metrics,
        health: health.clone(),
        identity: identity.clone(),
        store: store.clone(),
        groups: groups.clone(),
        peers: peers.clone(),
        stopping: stopping.clone(),
    };

    let draining = Arc::new(AtomicBool::new(false));
    let (initialize, requested) = watch::channel(forms_cluster(&config));
    let admin = Admin {
        me: config.me(),
        configured: config.members(),
        identity,
        folder: folder.clone(),
        groups: groups.clone(),
        peers: peers.clone(),
        health: health.clone(),
        started,
        draining: draining.clone(),
        initialize,
    };
    let peer_routes = peer::routes(&peers, Arc::new(groups.clone()), admin);
    let peer_server = tokio::spawn(peer::serve(peer_port.listen()?, peer_routes, closed.clone()));

    let services = application.start(node.clone())?;
    let _installed = peers.install(services.handlers);
    let api_server =
        api::serve(api_port.listen()?, services.api, health.clone(), stopping.clone(), api_closed.clone());
    let api_server = tokio::spawn(api_server);
    let mut web_servers = Vec::new();
    for (port, routes) in [(http_port, services.http), (ui_port, services.ui)] {
        let Some(port) = port else { continue };
        let (stopping, closed) = (stopping.clone(), api_closed.clone());
        web_servers.push(tokio::spawn(web::serve(port.listen()?, routes, config.insecure, stopping, closed)));
    }
    watch_readiness(&health, &folder, &store, &groups, &peers, draining.clone());
    serving.store(true, Ordering::Relaxed);
    up(&node, &addresses);

    let forming = raft::bootstrap(Bootstrap {
        me: config.node_id,
        members: config.members(),
        folder: folder.clone(),
        groups: groups.clone(),
        peers: peers.clone(),
        clock,
        requested,
    });
    let every = Duration::from_millis(config.raft.balance_ms);
    let balancing = async {
        if !every.is_zero() && config.members().len() > 1 {
            raft::balance(config.node_id, groups.clone(), peers.clone(), clock, every, stopping.clone())
                .await;
        }
        pending::<()>().await;
    };
    let formed_for_ever = async {
        forming.await?;
        pending::<Result<(), raft::Error>>().await
    };
    let failed = tokio::select! {
        () = stop => None,
        formed = formed_for_ever => formed.err().map(anyhow::Error::from),
        () = balancing => None,
        error = watch_store(&store, folder.path()) => Some(error),
        why = watch_groups(&groups) => Some(anyhow::anyhow!(why)),
        what = services.died => Some(anyhow::anyhow!("{what} has died, and its panic is in the log")),
    };
    // A group dies of what happened to its log, and that is the better reason.
    let failed = match (failed, store.trouble()) {
        (Some(_), Some(trouble)) => Some(stopped_by(&trouble, folder.path())),
        (failed, _) => failed,
    };

    tracing::info!("stopping");
    draining.store(true, Ordering::Relaxed);
    let stopped = tokio::time::timeout(STOP_TIMEOUT, async {
        if failed.is_none() {
            let handed_over = raft::hand_over(&groups, &peers);
            if tokio::time::timeout(HAND_OVER_TIMEOUT, handed_over).await.is_err() {
                tracing::warn!("not all leaderships were handed over in time");
            }
        }
        // What clients asked before is still answered, here or by the nodes that lead now, and no
        // connection is closed under a call.
        begin_stop.send_replace(true);
        close_api.send_replace(true);
        let answered = async {
            (services.drain)().await;
            let _ = api_server.await;
            futures::future::join_all(web_servers).await;
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, answered).await.is_err() {
            tracing::warn!("some connections were cut off");
        }
        // On a full disk the groups would wait for their log.
        store.lose_patience();
        groups.shutdown().await;
        close_ports.send_replace(true);
        // The streams of other nodes never end by themselves.
        peer_server.abort();
        close_store(&store, folder.path()).await
    })
    .await;
    match (failed, stopped) {
        (Some(error), _) => Err(error),
        (None, Ok(closed)) => closed,
        (None, Err(_)) => {
            Err(anyhow::anyhow!("the stop took longer than {STOP_TIMEOUT:?} and was cut short"))
        }
    }
}

/// Opens the store on a thread that may block: after a kill the tables' file takes seconds.
async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let (folder, options) = (config.data_dir.clone(), config.store.options());
    match tokio::task::spawn_blocking(move || Store::open(&folder, options)).await? {
        Err(error) if error.is_full() => Err(no_room(&error.to_string(), &config.data_dir)),
        opened => Ok(opened
            .with_context(|| format!("the data folder {} cannot be opened", config.data_dir.display()))?),
    }
}

/// Makes everything durable.
async fn close_store(store: &Arc<Store>, folder: &Path) -> anyhow::Result<()> {
    let store = store.clone();
    match tokio::task::spawn_blocking(move || store.close()).await? {
        Err(error) if error.is_full() => Err(no_room(&error.to_string(), folder)),
        closed => Ok(closed?),
    }
}

/// Returns when the store can't go on: at once if something failed for good, and after a while if there is
/// no room on the disk.
async fn watch_store(store: &Store, folder: &Path) -> anyhow::Error {
    let mut without_room: Option<Instant> = None;
    loop {
        match store.trouble() {
            None => without_room = None,
            Some(trouble) => {
                let since = *without_room.get_or_insert_with(Instant::now);
                if !trouble.may_pass || since.elapsed() >= NO_ROOM_PATIENCE {
                    return stopped_by(&trouble, folder);
                }
            }
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

/// What an operator is told of a store that stopped the node.
fn stopped_by(trouble: &Trouble, folder: &Path) -> anyhow::Error {
    if trouble.is_full {
        return no_room(&trouble.why, folder);
    }
    anyhow::anyhow!(
        "the data folder {} failed: {}. The node stops, because only a new start can tell what the disk holds",
        folder.display(),
        trouble.why
    )
}

fn no_room(why: &str, folder: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "no room is left on the disk for the data folder {}: {why}. Nothing that was acknowledged is lost; make \
         room and start the node again",
        folder.display()
    )
}

/// Whether this node is the one that forms the cluster by itself.
fn forms_cluster(config: &Config) -> bool {
    let lowest = config.members().iter().map(|member| member.id).min();
    config.bootstrap_expect > 0 && lowest == Some(config.node_id)
}

/// The checks behind `/readyz`.
fn watch_readiness(
    health: &Health,
    folder: &Arc<Folder>,
    store: &Arc<Store>,
    groups: &Groups,
    peers: &Peers,
    draining: Arc<AtomicBool>,
) {
    health.check("not-stopping", move || match draining.load(Ordering::Relaxed) {
        true => Err("the node is about to stop".to_owned()),
        false => Ok(()),
    });
    let folder = folder.clone();
    health.check("formed", move || match folder.initialized() {
        true => Ok(()),
        false => Err("the cluster is not formed yet".to_owned()),
    });
    let store = store.clone();
    health.check("disk", move || store.trouble().map_or(Ok(()), |trouble| Err(trouble.why)));
    let (of, peers) = (groups.clone(), peers.clone());
    health.check("leaders", move || {
        shards_where(&of, "shards without a leader", |group| !is_led(group, &peers))
    });
    let of = groups.clone();
    health.check("applied", move || {
        shards_where(&of, "shards that are behind", |group| {
            let status = group.status();
            status.commit_index > status.applied_index + READY_LAG_MAX
        })
    });
}

fn shards_where(groups: &Groups, what: &str, fails: impl Fn(&Group) -> bool) -> Result<(), String> {
    let shards: Vec<String> =
        groups.iter().filter(|group| fails(group)).map(|group| group.id().to_string()).collect();
    if shards.is_empty() { Ok(()) } else { Err(format!("{what}: {}", shards.join(" "))) }
}

/// Whether requests for the shard can be answered from here: by this node, if a quorum still follows
/// it, or by a leader that can be reached.
fn is_led(group: &Group, peers: &Peers) -> bool {
    let leadership = *group.leadership().borrow();
    match leadership.leader {
        None => false,
        Some(leader) if leader != peers.identity().node_id => peers.up_for(leader, Duration::ZERO),
        Some(_) if !leadership.is_me => false,
        Some(_) => {
            group.voters().len() == 1 || group.quorum_age().is_some_and(|age| age <= READY_QUORUM_AGE_MAX)
        }
    }
}

/// Returns when a group has died, which is a reason for the whole node to stop: what it would still
/// answer could not be trusted, and the others take over at once.
async fn watch_groups(groups: &Groups) -> String {
    loop {
        for group in groups.iter() {
            if let Some(why) = group.stopped() {
                return format!("group {} has stopped: {why}", group.id());
            }
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

/// Resolves when the flag is true, or nobody can set it any more.
pub(crate) async fn risen(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|flag| *flag).await;
}
