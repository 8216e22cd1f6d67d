//! What an operator can choose, with every default in one place.
//!
//! A value comes from the defaults here, then the file, then the environment (`EVERLOG__RAFT__SHARDS`),
//! then the command line, later ones winning. An unknown key is an error wherever it comes from: a
//! misspelt limit that is silently ignored is worse than a node that doesn't start.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use everlog_raft_store::Options;
use serde::{Deserialize, Serialize};

mod load;

pub use load::{ENVIRONMENT_PREFIX, Error, load};

/// Most shards of a cluster: the cost of an idle group is paid by every node, all the time.
pub const SHARDS_MAX: u64 = 64;
/// A cluster of more voters would only be slower.
pub const VOTERS_MAX: usize = 7;

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// This node's number, unique in the cluster for ever. Never 0.
    pub node_id: u64,
    /// Where everything durable is kept. It belongs to one node of one cluster.
    pub data_dir: PathBuf,
    /// Form the cluster as soon as all configured peers, which must be so many, are reachable. It happens
    /// once. 0 waits for `everlog cluster init`.
    pub bootstrap_expect: usize,
    /// Accept addresses that other machines can reach although there is no TLS.
    pub insecure: bool,
    pub api: Api,
    pub peer: Peer,
    pub metrics: MetricsPort,
    pub ui: Ui,
    pub raft: Raft,
    pub store: Store,
    pub log: Log,
    /// Limits and switches under the names that users of the real server know.
    pub dynamic: BTreeMap<String, toml::Value>,
    /// All nodes that form the cluster, this one included. Empty means a cluster of one.
    pub peers: Vec<Member>,
}

/// The port of the public API.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    pub listen: SocketAddr,
    /// Where the same API is served over HTTP with JSON. Empty means nowhere.
    #[serde(with = "optional_address")]
    pub http_listen: Option<SocketAddr>,
    /// What other nodes and clients are told to connect to. Empty means `listen`.
    pub advertise: String,
}

/// The port where nodes talk to each other and operators talk to a node.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Peer {
    pub listen: SocketAddr,
    /// What other nodes are told to connect to. Empty means `listen`.
    pub advertise: String,
    pub tls: Option<PeerTls>,
}

/// Certificates for the peer port. The shape is settled; serving with them is still to come, and a
/// node that is given them refuses to start rather than talk in the clear.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PeerTls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Who must have signed the other side's certificate.
    pub authority: PathBuf,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsPort {
    pub listen: SocketAddr,
}

/// The port of the Web UI.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Ui {
    /// Empty means that it is not served.
    #[serde(with = "optional_address")]
    pub listen: Option<SocketAddr>,
    /// The folder with the files of the Web UI.
    pub assets: PathBuf,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Raft {
    /// Raft groups of the cluster. Settled when the cluster is formed.
    pub shards: u64,
    /// How often a leader says that it is alive.
    pub heartbeat_ms: u64,
    /// A silent leader is given up after `election_max_ms` plus a random time between the two.
    pub election_min_ms: u64,
    pub election_max_ms: u64,
    /// Most entries and most bytes of one message to a follower.
    pub append_entries_max: u64,
    pub append_bytes_max: u64,
    /// A snapshot is taken after so many entries.
    pub snapshot_entries: u64,
    /// So many entries that are in the snapshot stay in the log for followers that are a little late.
    pub snapshot_keep_entries: u64,
    /// A follower further behind than this gets a snapshot instead of entries.
    pub lag_entries_max: u64,
    /// How often a node looks whether it leads shards that another should lead. 0 never.
    pub balance_ms: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// A segment of the log is preallocated with so many bytes.
    pub segment_bytes: u64,
    /// The most that is written and synced at once.
    pub batch_bytes_max: usize,
    /// Applied changes go to the tables' file after so many bytes, or so many seconds.
    pub checkpoint_bytes: usize,
    pub checkpoint_seconds: u64,
    /// Memory for pages of the tables' file.
    pub cache_bytes: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub format: LogFormat,
    /// A level, or directives such as `info,everlog_node::raft=debug`.
    pub level: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// One node of the cluster, as the others know it.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub id: u64,
    pub peer: String,
    pub api: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node_id: 1,
            data_dir: PathBuf::from("everlog-data"),
            bootstrap_expect: 0,
            insecure: false,
            api: Api::default(),
            peer: Peer::default(),
            metrics: MetricsPort::default(),
            ui: Ui::default(),
            raft: Raft::default(),
            store: Store::default(),
            log: Log::default(),
            dynamic: BTreeMap::new(),
            peers: Vec::new(),
        }
    }
}

impl Default for Api {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 7233));
        Self { listen, http_listen: None, advertise: String::new() }
    }
}

impl Default for Peer {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7333)), advertise: String::new(), tls: None }
    }
}

impl Default for MetricsPort {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7433)) }
    }
}

impl Default for Raft {
    /// The library gives a leader a lease of `election_max_ms` and starts counting the election
    /// timeout after it, so these figures replace a dead leader in 1.3 to 1.6 seconds, and a leader
    /// may be silent for six heartbeats before anyone stirs.
    fn default() -> Self {
        Self {
            shards: 16,
            heartbeat_ms: 200,
            election_min_ms: 500,
            election_max_ms: 800,
            append_entries_max: 512,
            append_bytes_max: 4 << 20,
            snapshot_entries: 20_000,
            snapshot_keep_entries: 5_000,
            lag_entries_max: 40_000,
            balance_ms: 2_000,
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        let Options { wal, checkpoint, cache_bytes } = Options::default();
        Self {
            segment_bytes: wal.segment_bytes,
            batch_bytes_max: wal.batch_bytes_max,
            checkpoint_bytes: checkpoint.overlay_bytes_max,
            checkpoint_seconds: checkpoint.every.as_secs(),
            cache_bytes,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

impl Config {
    /// Refuses what cannot work together, with the name of the key that is wrong.
    pub fn validate(&self) -> Result<(), Error> {
        let raft = &self.raft;
        require(self.node_id > 0, "node_id", "must not be 0")?;
        require((1..=SHARDS_MAX).contains(&raft.shards), "raft.shards", "must be 1 to 64")?;
        require(raft.heartbeat_ms >= 20, "raft.heartbeat_ms", "must be at least 20")?;
        require(
            raft.election_min_ms >= 2 * raft.heartbeat_ms,
            "raft.election_min_ms",
            "must be at least two heartbeats",
        )?;
        require(
            raft.election_max_ms > raft.election_min_ms,
            "raft.election_max_ms",
            "must exceed election_min_ms",
        )?;
        require(raft.append_entries_max > 0, "raft.append_entries_max", "must not be 0")?;
        require(raft.append_bytes_max > 0, "raft.append_bytes_max", "must not be 0")?;
        require(
            raft.lag_entries_max > raft.snapshot_entries,
            "raft.lag_entries_max",
            "must exceed snapshot_entries, or a snapshot cannot bring a follower close enough",
        )?;
        require(self.store.segment_bytes >= 1 << 20, "store.segment_bytes", "must be at least 1 MiB")?;
        require(self.store.cache_bytes >= 1 << 20, "store.cache_bytes", "must be at least 1 MiB")?;
        require(self.store.checkpoint_seconds > 0, "store.checkpoint_seconds", "must not be 0")?;
        require(self.peers.len() <= VOTERS_MAX, "peers", "must not be more than 7")?;
        let mut ids: Vec<u64> = self.peers.iter().map(|peer| peer.id).collect();
        ids.sort_unstable();
        ids.dedup();
        require(ids.len() == self.peers.len(), "peers", "must have different ids")?;
        require(!ids.contains(&0), "peers", "must not have the id 0")?;
        require(self.peers.is_empty() || ids.contains(&self.node_id), "peers", "must contain this node")?;
        require(
            self.bootstrap_expect == 0 || self.bootstrap_expect == self.members().len(),
            "bootstrap_expect",
            "must be 0, or the number of peers (1 without peers)",
        )?;
        require(self.peer.tls.is_none(), "peer.tls", "is not supported yet")?;
        require(
            self.insecure || self.peer.listen.ip().is_loopback(),
            "peer.listen",
            "can be reached by other machines and has no TLS; use a loopback address, or `insecure = true` \
             in a network that you trust",
        )?;
        let is_safe = |listen: SocketAddr| self.insecure || listen.ip().is_loopback();
        for (key, listen) in [
            ("api.listen", Some(self.api.listen)),
            ("api.http_listen", self.api.http_listen),
            ("ui.listen", self.ui.listen),
        ] {
            require(
                listen.is_none_or(is_safe),
                key,
                "can be reached by other machines and has no TLS; use a loopback address, or `insecure = true` \
                 in a network that you trust",
            )?;
        }
        require(
            self.ui.listen.is_none() || !self.ui.assets.as_os_str().is_empty(),
            "ui.assets",
            "must name the folder with the files of the Web UI, which `cargo x ui-assets` makes",
        )
    }

    /// All nodes of the cluster to be formed; this one alone if no peers are configured.
    pub fn members(&self) -> Vec<Member> {
        if self.peers.is_empty() { vec![self.me()] } else { self.peers.clone() }
    }

    /// This node, as the others should know it.
    pub fn me(&self) -> Member {
        let advertised = |advertise: &str, listen: SocketAddr| match advertise {
            "" => listen.to_string(),
            given => given.to_owned(),
        };
        self.peers.iter().find(|peer| peer.id == self.node_id).cloned().unwrap_or_else(|| Member {
            id: self.node_id,
            peer: advertised(&self.peer.advertise, self.peer.listen),
            api: advertised(&self.api.advertise, self.api.listen),
        })
    }

    /// The whole configuration as a file that would give the same.
    pub fn to_toml(&self) -> Result<String, Error> {
        toml::to_string_pretty(self).map_err(|error| Error::Render(error.to_string()))
    }
}

impl Store {
    /// The same in the store's terms.
    pub fn options(&self) -> Options {
        let mut options = Options { cache_bytes: self.cache_bytes, ..Options::default() };
        options.wal.segment_bytes = self.segment_bytes;
        options.wal.batch_bytes_max = self.batch_bytes_max;
        options.checkpoint.overlay_bytes_max = self.checkpoint_bytes;
        options.checkpoint.every = Duration::from_secs(self.checkpoint_seconds);
        options
    }
}

/// An address, or an empty text for none.
mod optional_address {
    use std::net::SocketAddr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(address: &Option<SocketAddr>, to: S) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => to.collect_str(address),
            None => to.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(D::Error::custom) }
    }
}

fn require(holds: bool, key: &'static str, why: &'static str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Invalid { key, why }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_round_trip() {
        let config = Config::default();
        config.validate().expect("the defaults are valid");
        let text = config.to_toml().expect("renders");
        assert_eq!(toml::from_str::<Config>(&text).expect("parses"), config);
    }

    #[test]
    fn the_readme_shows_the_defaults() {
        let readme = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"));
        let defaults = Config::default().to_toml().expect("renders");
        assert!(
            readme.contains(&format!("```toml\n{defaults}```\n")),
            "`everlog config show` says\n{defaults}"
        );
    }

    #[test]
    fn an_open_port_without_tls_is_refused() {
        let mut config = Config::default();
        config.peer.listen = SocketAddr::from(([0, 0, 0, 0], 7333));
        assert!(matches!(config.validate(), Err(Error::Invalid { key: "peer.listen", .. })));
        config.insecure = true;
        config.validate().expect("the operator insisted");
    }

    #[test]
    fn this_node_must_be_among_the_peers() {
        let config = Config {
            node_id: 3,
            peers: vec![Member { id: 1, peer: "a:1".into(), api: "a:2".into() }],
            ..Config::default()
        };
        assert!(matches!(config.validate(), Err(Error::Invalid { key: "peers", .. })));
    }
}
