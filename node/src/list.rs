//! Lists and counts over all shards.
//!
//! Each shard's leader confirms that it leads and reads its own rows, a bounded number at a time; whoever was
//! asked merges, and asks again if that was not enough. A caller that goes away is therefore read for no
//! longer than one piece. A row is written in the same apply as the history, so a list sees every write that
//! was acknowledged before it.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use everlog_engine::{
    codec::CodecError,
    key::SLOTS_PER_BLOCK,
    reject::Reject,
    schedule,
    standalone::{self, Kind as StandaloneKind},
    visibility::{Counts, Filter, Part, Rows, Search, Stored, Subject, merge},
};
use everlog_raft_store::Tables;
use serde::{Deserialize, Serialize};

use crate::{
    internal::{Internal, InternalReply},
    router::{Place, Router},
};

/// Rows that one shard reads at once for a list or a count.
const READS_MAX: usize = 16 * 1024;
/// A list that has found less than a page by then is handed out as it is, to be gone on with.
const LIST_PATIENCE: Duration = Duration::from_secs(5);

/// What one shard is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListQuery {
    pub namespace_id: String,
    pub query: String,
    /// Rows up to and including this sort key were read before.
    pub after: Vec<u8>,
    pub most: usize,
    pub of: Listed,
}

/// What a list is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Listed {
    Workflows,
    Schedules,
    Activities,
    Operations,
}

/// Tables as lists read them, counting what they read.
struct Counted<'a> {
    tables: &'a Tables,
    reads: Cell<u64>,
}

impl Stored for Counted<'_> {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.reads.set(self.reads.get() + 1);
        self.tables.get(key).map(|value| value.to_bytes().to_vec())
    }

    fn scan(&self, from: Vec<u8>, to: Vec<u8>) -> Rows<'_> {
        let mut scan = self.tables.scan(from, to);
        let mut known = 0;
        Box::new(std::iter::from_fn(move || {
            let row = scan.next();
            self.reads.set(self.reads.get() + scan.rows_read() - known);
            known = scan.rows_read();
            row.map(|(key, value)| (key, value.to_bytes().to_vec()))
        }))
    }
}

/// The first rows of a shard that pass the filter, in list order.
pub async fn of_shard(router: &Router, shard: u16, query: &ListQuery) -> Result<Part, Reject> {
    let (most, of) = (query.most, query.of);
    in_shard(router, shard, query, move |search, tables| match starts(&search, of) {
        None => search.list(tables, most),
        Some(starts) => search.list_at(tables, starts, most),
    })
    .await
}

/// How many rows of a shard pass the filter, and up to where they were counted if there are more.
pub async fn count_of_shard(
    router: &Router,
    shard: u16,
    query: &ListQuery,
) -> Result<(Counts, Option<Vec<u8>>), Reject> {
    let of = query.of;
    in_shard(router, shard, query, move |search, tables| match starts(&search, of) {
        None => search.count(tables),
        Some(starts) => search.count_at(tables, starts),
    })
    .await
}

/// Behind what the rows of a list lie that has no index.
fn starts(search: &Search<'_>, of: Listed) -> Option<Vec<Vec<u8>>> {
    let namespace_id = search.namespace_id;
    let start = |block: &u16| match of {
        Listed::Workflows => None,
        Listed::Schedules => Some(schedule::rows::list_start(*block, namespace_id)),
        Listed::Activities => {
            Some(standalone::rows::list_start(*block, StandaloneKind::Activity, namespace_id))
        }
        Listed::Operations => {
            Some(standalone::rows::list_start(*block, StandaloneKind::Operation, namespace_id))
        }
    };
    search.blocks.iter().map(start).collect()
}

/// Reads rows of a shard, once its leader is known to lead, where it is no harm to wait for the disk.
async fn in_shard<T: Send + 'static>(
    router: &Router,
    shard: u16,
    query: &ListQuery,
    read: impl FnOnce(Search<'_>, &Counted<'_>) -> Result<T, CodecError> + Send + 'static,
) -> Result<T, Reject> {
    let group = router.groups().get(u64::from(shard)).map_err(|_| no_leader())?;
    group.read_index().await.map_err(|_| no_leader())?;
    let filter = parse(router, query)?;
    let slots = router.cluster().borrow().slots.clone();
    let blocks: Vec<u16> = slots.slots_of(shard).step_by(usize::from(SLOTS_PER_BLOCK)).collect();
    let (tables, metrics, query) = (router.tables().clone(), router.metrics().clone(), query.clone());
    let read = tokio::task::spawn_blocking(move || {
        let tables = Counted { tables: &tables, reads: Cell::new(0) };
        let search = Search {
            namespace_id: &query.namespace_id,
            filter: &filter,
            blocks: &blocks,
            after: &query.after,
            reads_max: READS_MAX,
        };
        let outcome = read(search, &tables);
        metrics.list_rows_read(tables.reads.get());
        outcome
    });
    let read = read.await.map_err(|error| Reject::Internal(error.to_string()))?;
    read.map_err(|error| Reject::Internal(format!("a row of a list is unreadable: {error}")))
}

/// The first rows of all shards, in list order: as many as are wanted, unless there are no more of them or
/// they are hard to find.
pub async fn of_cluster(router: &Router, mut query: ListQuery) -> Result<Part, Reject> {
    parse(router, &query)?;
    let until = Instant::now() + LIST_PATIENCE;
    let mut listed = Part::default();
    loop {
        let asked = shards(router).into_iter().map(|shard| ask(router, shard, query.clone()));
        let part = merge(futures::future::try_join_all(asked).await?, query.most);
        query.most -= part.rows.len();
        listed.rows.extend(part.rows);
        listed.read_to = part.read_to;
        match &listed.read_to {
            Some(read_to) if query.most > 0 && Instant::now() < until => query.after.clone_from(read_to),
            _ => return Ok(listed),
        }
    }
}

/// How many rows of all shards pass the filter.
pub async fn count_of_cluster(router: &Router, query: ListQuery) -> Result<Counts, Reject> {
    parse(router, &query)?;
    let counted = shards(router).into_iter().map(|shard| {
        let mut query = query.clone();
        async move {
            let mut counts = Counts::default();
            loop {
                let (part, read_to) = ask_count(router, shard, query.clone()).await?;
                counts.merge(&part);
                match read_to {
                    Some(read_to) => query.after = read_to,
                    None => return Ok::<_, Reject>(counts),
                }
            }
        }
    });
    let mut counts = Counts::default();
    for part in futures::future::try_join_all(counted).await? {
        counts.merge(&part);
    }
    Ok(counts)
}

async fn ask(router: &Router, shard: u16, query: ListQuery) -> Result<Part, Reject> {
    match router.place(shard) {
        Place::Here { .. } => of_shard(router, shard, &query).await,
        Place::There { node, .. } => match router.internal(node, &Internal::List { shard, query }).await? {
            InternalReply::Rows(part) => Ok(part),
            InternalReply::Reject(reject) => Err(reject),
            _ => Err(no_leader()),
        },
        Place::Nowhere { .. } => Err(no_leader()),
    }
}

async fn ask_count(
    router: &Router,
    shard: u16,
    query: ListQuery,
) -> Result<(Counts, Option<Vec<u8>>), Reject> {
    match router.place(shard) {
        Place::Here { .. } => count_of_shard(router, shard, &query).await,
        Place::There { node, .. } => match router.internal(node, &Internal::Count { shard, query }).await? {
            InternalReply::Counted { counts, read_to } => Ok((counts, read_to)),
            InternalReply::Reject(reject) => Err(reject),
            _ => Err(no_leader()),
        },
        Place::Nowhere { .. } => Err(no_leader()),
    }
}

fn shards(router: &Router) -> Vec<u16> {
    router.cluster().borrow().slots.shards()
}

pub fn parse(router: &Router, query: &ListQuery) -> Result<Filter, Reject> {
    let cluster = router.cluster().borrow().clone();
    let attributes = cluster
        .namespace_by_id(&query.namespace_id)
        .map(|namespace| namespace.custom_attributes())
        .unwrap_or_default();
    match query.of {
        Listed::Workflows => Ok(Filter::parse(&query.query, &attributes)?),
        Listed::Schedules => Filter::parse_for_schedules(&query.query, &attributes),
        Listed::Activities => Ok(Filter::parse_of(Subject::Activities, &query.query, &attributes)?),
        Listed::Operations => Ok(Filter::parse_of(Subject::Operations, &query.query, &attributes)?),
    }
}

fn no_leader() -> Reject {
    Reject::Unavailable("a shard has no leader at the moment, please retry".into())
}
