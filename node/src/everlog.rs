//! Everlog as a guest of the node: the machine, the shards, the queues and the public API, put together.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use everlog_raft_store::Machine;
use futures::FutureExt as _;
use tonic::Status;

use crate::{
    backend::NodeBackend,
    batches, cluster,
    config::Config,
    deployments,
    frontend::{Frontend, dynamic_config::DynamicConfig, metrics::ApiMetrics},
    internal::{Internal, InternalReply},
    machine::Folding,
    node::{Application, Node, Services},
    peer::{Handlers, InternalHandler},
    post::Post,
    queue,
    router::Router,
    shard::{self, NodeWorld, Surroundings},
};

/// What a node of Everlog runs.
#[derive(Default)]
pub struct Everlog {
    machine: OnceLock<Arc<Folding>>,
}

impl Everlog {
    fn folding(&self, config: &Config) -> Arc<Folding> {
        self.machine.get_or_init(|| Arc::new(Folding::new(config.raft.shards as u16))).clone()
    }
}

impl Application for Everlog {
    fn machine(&self, config: &Config) -> Arc<dyn Machine> {
        self.folding(config)
    }

    fn start(&self, node: Node) -> anyhow::Result<Services> {
        let tables = node.store.tables();
        let machine = self.folding(&node.config);
        machine.load(&tables)?;
        let view = machine.cluster();
        let dynamic = Arc::new(dynamic_config(&node.config)?);
        let router = Router::new(
            node.config.node_id,
            node.groups.clone(),
            node.peers.clone(),
            tables.clone(),
            view.clone(),
            machine.deployments(),
            node.clock,
            node.metrics.clone(),
        );
        let queues = queue::start(router.clone(), node.clock);
        let limits = limits_of(view.clone(), dynamic.clone());
        let post = Post::new(router.clone(), limits.clone());
        let world = NodeWorld { tables, limits };
        let slots = view.borrow().slots.clone();
        let mut shards = Vec::new();
        for group in node.groups.iter() {
            let id = group.id() as u16;
            shards.push(shard::start(Surroundings {
                id,
                slots: slots.slots_of(id).collect(),
                group: group.clone(),
                world: world.clone(),
                queues: queues.clone(),
                post: post.clone(),
                router: router.clone(),
                clock: node.clock,
                metrics: node.metrics.clone(),
            }));
        }
        router.install(shards.clone(), queues.clone());
        for group in node.groups.iter() {
            tokio::spawn(follow_leaders(group.leadership(), shards.clone(), queues.clone()));
        }
        tokio::spawn(cluster::ensure_default_namespace(router.clone()));
        tokio::spawn(deployments::watch_drainage(router.clone(), dynamic.drainage()));
        tokio::spawn(batches::carry_out(router.clone()));
        tokio::spawn(batches::empty_deleted_namespaces(router.clone()));
        let backend =
            Arc::new(NodeBackend { node: node.clone(), router: router.clone(), queues: queues.clone() });
        let frontend = Frontend::new(backend, dynamic.clone(), Arc::new(ApiMetrics::new(&node.metrics)));
        Ok(Services {
            api: frontend.routes()?,
            http: frontend.http(),
            ui: frontend.ui(&node.config.ui.assets),
            handlers: Handlers {
                internal: Arc::new(Answers { router }),
                forward: Arc::new(frontend.forwarded_routes()),
            },
            died: Box::pin(died(shards, queues.clone())),
            drain: Box::new(move || Box::pin(async move { queues.drain().await })),
        })
    }
}

/// A shard without its task would lead and answer nothing, for ever.
async fn died(shards: Vec<shard::ShardHandle>, queues: queue::QueuesHandle) -> String {
    let shards = shards.into_iter().enumerate().map(|(id, shard)| {
        async move {
            shard.ended().await;
            format!("shard {id}")
        }
        .boxed()
    });
    let queues = async move {
        queues.ended().await;
        "the task of the queues".to_owned()
    };
    futures::future::select_all(shards.chain([queues.boxed()])).await.0
}

/// The settings under the names that users know. An unknown one is no error: it may be another server's.
fn dynamic_config(config: &Config) -> anyhow::Result<DynamicConfig> {
    let pairs = config.dynamic.iter().map(|(key, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (key.clone(), text)
    });
    let (dynamic, unknown) = DynamicConfig::read(pairs)?;
    for warning in unknown {
        tracing::warn!("{warning}");
    }
    Ok(dynamic)
}

/// The limits in force: what was configured for the namespace or for all of them, with the namespace's own
/// retention.
fn limits_of(view: crate::machine::ClusterView, dynamic: Arc<DynamicConfig>) -> shard::LimitsOf {
    Arc::new(move |namespace_id| {
        let cluster = view.borrow().clone();
        match cluster.namespace_by_id(namespace_id) {
            Ok(namespace) => dynamic.limits(&crate::backend::shown(namespace)),
            Err(_) => Arc::default(),
        }
    })
}

/// Queues live with the leaders of shards: when a leader changes, what is owed is offered again.
async fn follow_leaders(
    mut leadership: tokio::sync::watch::Receiver<crate::raft::Leadership>,
    shards: Vec<shard::ShardHandle>,
    queues: queue::QueuesHandle,
) {
    while leadership.changed().await.is_ok() {
        leadership.borrow_and_update();
        queues.moved();
        for shard in &shards {
            shard.queues_moved();
        }
    }
}

struct Answers {
    router: Router,
}

#[tonic::async_trait]
impl InternalHandler for Answers {
    async fn handle(&self, _from: u64, request: Bytes) -> Result<Bytes, Status> {
        let request =
            Internal::decode(&request).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let reply: InternalReply = self.router.answer(request).await;
        Ok(reply.encode())
    }
}
