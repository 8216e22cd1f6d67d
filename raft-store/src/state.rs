//! One group's state machine: committed entries into rows, rows into snapshots and back.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder, StoredMembership,
    storage::{EntryResponder, RaftStateMachine},
    type_config::alias::{LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf},
};

use crate::{
    group::{decode, encode},
    snapshot::{self, SnapshotData, Snapshots},
    table::{AppliedMark, Batch, Tables},
    types::{Machine, Types},
};

pub struct StateMachine {
    group: u64,
    machine: Arc<dyn Machine>,
    tables: Tables,
    snapshots: Arc<Snapshots>,
    applied: Option<LogIdOf<Types>>,
    membership: StoredMembershipOf<Types>,
    /// The first question for a snapshot is asked when the group starts, to learn how far it reaches.
    has_started: bool,
}

impl StateMachine {
    pub(crate) fn new(
        group: u64,
        machine: Arc<dyn Machine>,
        tables: Tables,
        snapshots: Arc<Snapshots>,
    ) -> Result<StateMachine, io::Error> {
        let (applied, membership) = match tables.applied(group) {
            Some(mark) => decode(&mark.record)?,
            None => Default::default(),
        };
        Ok(StateMachine { group, machine, tables, snapshots, applied, membership, has_started: false })
    }

    fn meta(&self) -> SnapshotMetaOf<Types> {
        SnapshotMetaOf::<Types> { last_log_id: self.applied, last_membership: self.membership.clone() }
    }

    fn mark(&self) -> Result<AppliedMark, io::Error> {
        let index = self.applied.map_or(0, |applied| applied.index);
        let record = encode(&(self.applied, &self.membership))?.into();
        Ok(AppliedMark { index, record })
    }
}

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>), io::Error> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let log_id = entry.log_id;
            let mut batch = Batch::new(self.tables.clone());
            let reply = match entry.payload {
                EntryPayload::Blank => Bytes::new(),
                EntryPayload::Normal(payload) => {
                    self.machine.apply(self.group, log_id.index, log_id.leader_id.term, &payload, &mut batch)
                }
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(log_id), membership);
                    Bytes::new()
                }
            };
            self.applied = Some(log_id);
            self.tables.commit(self.group, batch, self.mark()?);
            if let Some(responder) = responder {
                responder.send(reply);
            }
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
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        let mark = self.mark()?;
        let (tables, snapshots, group) = (self.tables.clone(), self.snapshots.clone(), self.group);
        let ranges = self.machine.ranges(group);
        let installed = tokio::task::spawn_blocking(move || {
            snapshot::install(&tables, &snapshots, group, &ranges, &mark, &snapshot)
        });
        installed.await.map_err(io::Error::other)??;
        self.machine.restored(self.group);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, SnapshotData>>, io::Error> {
        if self.applied.is_none() {
            return Ok(None);
        }
        let meta = self.meta();
        if !std::mem::replace(&mut self.has_started, true) {
            return Ok(Some(SnapshotOf::<Types, _> { meta, snapshot: SnapshotData::unwritten() }));
        }
        // Nothing of this group is applied until this is answered, so the rows are those of one index.
        let (tables, snapshots, group) = (self.tables.clone(), self.snapshots.clone(), self.group);
        let ranges = self.machine.ranges(group);
        let written = tokio::task::spawn_blocking(move || snapshots.write(group, &tables, &ranges));
        let snapshot = written.await.map_err(io::Error::other)??;
        Ok(Some(SnapshotOf::<Types, _> { meta, snapshot }))
    }
}

/// "Builds" a snapshot by making the tables durable: they are the snapshot. The rows are written to a
/// file only when a member needs them.
pub struct SnapshotBuilder {
    tables: Tables,
    meta: SnapshotMetaOf<Types>,
}

impl RaftSnapshotBuilder<Types> for SnapshotBuilder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, SnapshotData>, io::Error> {
        let tables = self.tables.clone();
        tokio::task::spawn_blocking(move || tables.checkpoint()).await.map_err(io::Error::other)??;
        Ok(SnapshotOf::<Types, _> { meta: self.meta.clone(), snapshot: SnapshotData::unwritten() })
    }
}
