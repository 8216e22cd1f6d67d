//! Lists and counts over all shards.
//!
//! Each shard's leader confirms that it leads and reads its own rows; whoever was asked merges. A row is
//! written in the same apply as the history, so a list sees every write that was acknowledged before it.

use everlog_engine::{
    reject::Reject,
    rows::{self, Kind},
    schedule,
    standalone::{self, Kind as StandaloneKind},
    visibility::{Filter, Row, Subject},
};
use serde::{Deserialize, Serialize};

use crate::{
    internal::{Internal, InternalReply},
    router::{Place, Router},
};

/// What one shard is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListQuery {
    pub namespace_id: String,
    pub query: String,
    /// Rows up to and including this sort key were listed before.
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
}

/// A row on its way to whoever merges.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListedRow {
    #[serde(with = "serde_bytes")]
    pub sort_key: Vec<u8>,
    #[serde(with = "serde_bytes")]
    pub row: Vec<u8>,
}

/// The first rows of a shard that pass the filter, in list order.
pub async fn of_shard(router: &Router, shard: u16, query: &ListQuery) -> Result<Vec<ListedRow>, Reject> {
    let group = router.groups().get(u64::from(shard)).map_err(|_| no_leader())?;
    group.read_index().await.map_err(|_| no_leader())?;
    let filter = parse(router, query)?;
    let slots: Vec<u16> = router.cluster().borrow().slots.slots_of(shard).collect();
    let router = router.clone();
    let query = query.clone();
    let read = tokio::task::spawn_blocking(move || {
        let mut listed = Vec::new();
        for slot in slots {
            let (prefix, kind) = match query.of {
                Listed::Workflows => (rows::visibility_start(slot, &query.namespace_id), Kind::Visibility),
                Listed::Schedules => {
                    (schedule::rows::list_start(slot, &query.namespace_id), Kind::ScheduleList)
                }
                Listed::Activities => {
                    let kind = StandaloneKind::Activity;
                    let prefix = standalone::rows::list_start(slot, kind, &query.namespace_id);
                    (prefix, Kind::StandaloneList)
                }
            };
            let mut from = [&prefix[..], &query.after].concat();
            if !query.after.is_empty() {
                from.push(0);
            }
            let end = successor(&prefix, slot, kind);
            let passing = router.tables().scan(from, end).filter_map(|(key, value)| {
                let bytes = value.to_bytes();
                let row = Row::decode(&bytes).ok()?;
                let sort_key = key[prefix.len()..].to_vec();
                filter.matches(&row).then(|| ListedRow { sort_key, row: bytes.to_vec() })
            });
            listed.extend(passing.take(query.most));
        }
        listed.sort_by(|a, b| a.sort_key.cmp(&b.sort_key));
        listed.truncate(query.most);
        listed
    });
    read.await.map_err(|error| Reject::Internal(error.to_string()))
}

/// The first rows of all shards, in list order.
pub async fn of_cluster(router: &Router, query: ListQuery) -> Result<Vec<ListedRow>, Reject> {
    parse(router, &query)?;
    let shards = router.cluster().borrow().slots.shards();
    let asked = shards.into_iter().map(|shard| ask(router, shard, query.clone()));
    let mut listed: Vec<ListedRow> =
        futures::future::try_join_all(asked).await?.into_iter().flatten().collect();
    listed.sort_by(|a, b| a.sort_key.cmp(&b.sort_key));
    listed.truncate(query.most);
    Ok(listed)
}

async fn ask(router: &Router, shard: u16, query: ListQuery) -> Result<Vec<ListedRow>, Reject> {
    match router.place(shard) {
        Place::Here { .. } => of_shard(router, shard, &query).await,
        Place::There { node, .. } => match router.internal(node, &Internal::List { shard, query }).await? {
            InternalReply::Rows(rows) => Ok(rows),
            InternalReply::Reject(reject) => Err(reject),
            _ => Err(no_leader()),
        },
        Place::Nowhere { .. } => Err(no_leader()),
    }
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
    }
}

/// The end of a namespace's rows in a slot.
fn successor(prefix: &[u8], slot: u16, kind: Kind) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    rows::kind_end(slot, kind)
}

fn no_leader() -> Reject {
    Reject::Unavailable("a shard has no leader at the moment, please retry".into())
}
