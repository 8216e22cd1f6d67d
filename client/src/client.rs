//! The client: starts workflows, talks to them, and waits for them.
//!
//! Every call that changes something carries an id that is made once, when its builder is made. So the
//! client may repeat a call whose answer was lost, on another node if need be, and it happens once.

mod connect;
mod execution;
mod handle;
mod list;
mod pool;
mod start;

pub use connect::{Addresses, Connect};
pub use execution::{Description, Execution, ExecutionStatus, PendingActivity};
pub use handle::{Handle, Query, Signal};
pub use list::List;
pub(crate) use pool::{Plan, Pool, Route, explain, is_too_large, rpc};
pub use start::{ReusePolicy, Start};

use std::borrow::Borrow;
use std::sync::Arc;

use everlog_proto::api::workflowservice::v1::CountWorkflowExecutionsRequest;

use crate::error::{ClientError, Error};
use crate::workflow::Workflow;

/// The task queue of clients and workers that name none.
pub const DEFAULT_QUEUE: &str = "default";

/// A connection to a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    pub(crate) pool: Arc<Pool>,
    queue: Arc<str>,
}

impl Client {
    /// Connects to a node, or to whichever of several nodes answers: `"http://127.0.0.1:7233"`, or
    /// `["http://a:7233", "http://b:7233"]`. When a node dies, calls go to the next.
    pub fn connect(addresses: impl Into<Addresses>) -> Connect {
        Connect::new(addresses.into())
    }

    /// Starts a workflow. See [`Start`] for its options; `.await` sends it.
    pub fn start<W: Workflow>(&self, _: W, input: impl Borrow<W::Input>) -> Start<W::Output, W::Error> {
        Start::new(self, W::NAME, W::encode(input.borrow()))
    }

    /// Starts a workflow by name, for example one that a worker in another language has. It takes one
    /// argument.
    pub fn start_named(&self, name: &str, input: impl serde::Serialize) -> Start<serde_json::Value, Error> {
        Start::new(self, name, crate::codec::encode_one(&input))
    }

    /// The current run of a workflow that was started elsewhere.
    pub fn handle<W: Workflow>(&self, id: impl Into<String>) -> Handle<W::Output, W::Error> {
        Handle::new(self, id.into(), None)
    }

    /// The current run of a workflow whose types are not known.
    pub fn handle_untyped(&self, id: impl Into<String>) -> Handle<serde_json::Value, Error> {
        Handle::new(self, id.into(), None)
    }

    /// The workflows that a filter matches, such as `WorkflowType = 'subscription' AND ExecutionStatus =
    /// 'Running'`. An empty filter matches all.
    pub fn list(&self, filter: impl Into<String>) -> List {
        List::new(self, filter.into())
    }

    /// How many workflows a filter matches.
    pub async fn count(&self, filter: impl Into<String>) -> Result<u64, ClientError> {
        let request =
            CountWorkflowExecutionsRequest { namespace: self.namespace().to_owned(), query: filter.into() };
        let response = rpc!(self.pool, Plan::quick(), count_workflow_executions, request)?;
        Ok(response.count.unsigned_abs())
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.pool.namespace
    }

    /// The task queue on which workflows are started unless they name another.
    pub fn queue(&self) -> &str {
        &self.queue
    }
}
