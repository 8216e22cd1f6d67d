//! One group's state machine: committed entries into rows, rows into snapshots and back.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder, StoredMembership,
    storage::{EntryResponder, RaftStateMachine},
    type_config::alias::{LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf},
};

use crate::{
    group::LogStore,
    snapshot::{SnapshotData, Snapshots, Source, install::Installation},
    table::{Batch, Mark, Tables, checkpoint::Mover},
    types::{Machine, Types},
};

pub struct StateMachine {
    pub(crate) group: u64,
    pub(crate) machine: Arc<dyn Machine>,
    pub(crate) log: LogStore,
    pub(crate) tables: Tables,
    pub(crate) mover: Arc<Mover>,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) mark: Mark,
}

impl StateMachine {
    fn meta(&self) -> SnapshotMetaOf<Types> {
        SnapshotMetaOf::<Types> {
            last_log_id: self.mark.applied,
            last_membership: (*self.mark.membership).clone(),
        }
    }
}

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>), io::Error> {
        Ok((self.mark.applied, (*self.mark.membership).clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            self.tables.room().await?;
            let log_id = entry.log_id;
            let mut batch = Batch::new(self.tables.clone());
            let reply = match entry.payload {
                EntryPayload::Blank => Bytes::new(),
                EntryPayload::Normal(payload) => {
                    let term = log_id.leader_id.term;
                    // A panic would end the library's task in silence: the group would look alive.
                    let apply = || self.machine.apply(self.group, log_id.index, term, &payload, &mut batch);
                    catch_unwind(AssertUnwindSafe(apply))
                        .map_err(|_| io::Error::other(format!("entry {} does not apply", log_id.index)))?
                }
                EntryPayload::Membership(membership) => {
                    self.mark.membership = Arc::new(StoredMembership::new(Some(log_id), membership));
                    Bytes::new()
                }
            };
            self.mark.applied = Some(log_id);
            self.tables.commit(self.group, batch, self.mark.clone());
            self.machine.applied(self.group, log_id.index);
            if let Some(responder) = responder {
                responder.send(reply);
            }
        }
        if let Some(applied) = self.mark.index() {
            self.log.release(applied);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder { tables: self.tables.clone(), meta: self.meta() }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<Types>,
        snapshot: SnapshotData,
    ) -> Result<(), io::Error> {
        let mark = Mark {
            applied: meta.last_log_id,
            membership: Arc::new(meta.last_membership.clone()),
            installed: meta.last_log_id.map(|log_id| log_id.index),
        };
        let (tables, mover, snapshots) = (self.tables.clone(), self.mover.clone(), self.snapshots.clone());
        let (group, ranges, installed) = (self.group, self.machine.ranges(self.group), mark.clone());
        let work = move || {
            let (tables, mover, snapshots) = (&tables, &*mover, &*snapshots);
            Installation { tables, mover, snapshots, group, ranges, mark }.run(&snapshot)
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)??;
        self.mark = installed;
        self.machine.restored(self.group);
        Ok(())
    }

    /// The rows as they are now. They are written out when somebody reads them; nothing of this group is
    /// applied before this returns, so they are those of one index.
    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, SnapshotData>>, io::Error> {
        if self.mark.applied.is_none() {
            return Ok(None);
        }
        let snapshot = SnapshotData::pinned(Source {
            group: self.group,
            view: self.tables.pin(),
            ranges: self.machine.ranges(self.group),
            snapshots: self.snapshots.clone(),
        });
        Ok(Some(SnapshotOf::<Types, _> { meta: self.meta(), snapshot }))
    }
}

/// "Builds" a snapshot by making the tables durable, at least up to the index at which it was asked for.
pub struct SnapshotBuilder {
    tables: Tables,
    meta: SnapshotMetaOf<Types>,
}

impl RaftSnapshotBuilder<Types> for SnapshotBuilder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, SnapshotData>, io::Error> {
        let tables = self.tables.clone();
        tokio::task::spawn_blocking(move || tables.checkpoint()).await.map_err(io::Error::other)??;
        Ok(SnapshotOf::<Types, _> { meta: self.meta.clone(), snapshot: SnapshotData::unreadable() })
    }
}
