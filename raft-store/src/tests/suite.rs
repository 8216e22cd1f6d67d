//! openraft's own test suite for storage, over real files and over simulated ones.

use std::sync::Arc;

use openraft::{
    StorageError,
    testing::log::{StoreBuilder, Suite},
};

use super::support::{Folding, World, options, run};
use crate::{LogStore, StateMachine, Store, Types};

struct OnFiles;

impl StoreBuilder<Types, LogStore, StateMachine, (Store, tempfile::TempDir)> for OnFiles {
    async fn build(
        &self,
    ) -> Result<((Store, tempfile::TempDir), LogStore, StateMachine), StorageError<Types>> {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), options()).expect("it opens");
        let (log, state) = store.group(7, Arc::new(Folding)).expect("a group");
        Ok(((store, folder), log, state))
    }
}

struct Simulated;

impl StoreBuilder<Types, LogStore, StateMachine, Store> for Simulated {
    async fn build(&self) -> Result<(Store, LogStore, StateMachine), StorageError<Types>> {
        let store = World::new(1).open().expect("it opens");
        let (log, state) = store.group(7, Arc::new(Folding)).expect("a group");
        Ok((store, log, state))
    }
}

#[test]
fn files_pass_openrafts_suite() {
    run(Suite::test_all(OnFiles)).expect("the suite passes");
}

#[test]
fn a_simulated_disk_passes_openrafts_suite() {
    run(Suite::test_all(Simulated)).expect("the suite passes");
}
