//! Worker deployments: which version of the workers runs what.
//!
//! A deployment is a state of its own in the shard of its name, as a schedule is: requests are decided into
//! facts, facts are folded on every node, and what every node has folded is its [`Directory`], from which the
//! homes of task queues read where a task belongs. So a poll costs the log nothing unless it is the first of
//! its version at its queue, and a change of versions is in force on a node as soon as that has applied it.
//!
//! A fact carries the new value of a whole object, as in [`crate::cluster`]: the fold is trivial, and old
//! entries cannot come to mean something else.

pub mod decide;
pub mod describe;
pub mod directory;
pub mod fact;
pub mod name;
pub mod request;
pub mod rows;
pub mod state;

#[cfg(test)]
mod stories;

pub use self::{
    directory::{Directory, Placement, Target},
    name::{UNVERSIONED, WorkerVersion},
    state::{DeploymentKey, DeploymentState},
};
