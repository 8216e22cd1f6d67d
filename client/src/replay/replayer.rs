//! Replaying histories that already exist, as a test: does today's code still do what it did then?

use std::collections::HashMap;
#[cfg(feature = "json-history")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use everlog_proto::api::history::v1::History;
use everlog_proto::api::history::v1::history_event::Attributes;

use super::history::{HistoryError, Step, steps};
use super::run::{Definition, Identity, Run, workflow_name};
use super::{Divergence, TaskError};
use crate::workflow::{self, Workflow};

/// Replays histories against the workflows it is given.
///
/// The JSON that the `temporal` command line and the web interface export is read with the feature
/// `json-history`, which belongs into the development dependencies.
///
/// ```no_run
/// # use everlog_client::{prelude::*, Replayer};
/// # #[workflow] async fn subscription(cx: &Cx) -> Result<()> { Ok(()) }
/// Replayer::new().workflow(subscription).check_dir("histories/")?;
/// # Ok::<_, everlog_client::replay::ReplayError>(())
/// ```
#[derive(Default)]
pub struct Replayer {
    workflows: HashMap<&'static str, Arc<Definition>>,
}

/// What a replay that went well has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The name of the workflow.
    pub workflow: String,
    /// The workflow tasks that were lived through again.
    pub tasks: usize,
    /// The events of the history.
    pub events: usize,
}

/// A replay that did not go well.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A file could not be read.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// The history of a file did not replay.
    #[error("{path}: {error}")]
    In {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: Box<ReplayError>,
    },
    /// The history did not replay.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The directory has no histories.
    #[error("{0} has no histories (files that end in .json)")]
    NoHistories(PathBuf),
}

impl ReplayError {
    /// The place where code and history part, if that is what is wrong.
    pub fn divergence(&self) -> Option<&Divergence> {
        match self {
            ReplayError::Task(TaskError::Divergence(divergence)) => Some(divergence),
            ReplayError::In { error, .. } => error.divergence(),
            _ => None,
        }
    }
}

impl Replayer {
    /// A replayer that knows no workflow yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replays histories of this workflow.
    pub fn workflow<W: Workflow>(mut self, _: W) -> Self {
        self.workflows.insert(W::NAME, Arc::new(workflow::definition::<W>()));
        self
    }

    /// Replays a history, for example the one that `handle.history()` returns.
    pub fn check(&self, history: &History) -> Result<Report, ReplayError> {
        // On a thread of its own, so that a test that runs on an async runtime proves as much as a worker.
        let checked = std::thread::scope(|scope| scope.spawn(|| self.replay(history)).join());
        checked
            .unwrap_or_else(|panic| Err(TaskError::Panicked(crate::failure::panic_message(&*panic)).into()))
    }

    /// Replays a history that was exported as JSON.
    #[cfg(feature = "json-history")]
    pub fn check_json(&self, text: &str) -> Result<Report, ReplayError> {
        self.check(&super::json::read(text).map_err(TaskError::from)?)
    }

    /// Replays a history from a file of JSON.
    #[cfg(feature = "json-history")]
    pub fn check_file(&self, path: impl AsRef<Path>) -> Result<Report, ReplayError> {
        let path = path.as_ref().to_owned();
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                self.check_json(&text).map_err(|error| ReplayError::In { path, error: Box::new(error) })
            }
            Err(error) => Err(ReplayError::File { path, error }),
        }
    }

    /// Replays all histories of a directory. A directory without any is an error: such a test proves
    /// nothing.
    #[cfg(feature = "json-history")]
    pub fn check_dir(&self, path: impl AsRef<Path>) -> Result<Vec<Report>, ReplayError> {
        let directory = path.as_ref().to_owned();
        let failed = |error| ReplayError::File { path: directory.clone(), error };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&directory).map_err(failed)? {
            files.push(entry.map_err(failed)?.path());
        }
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        if files.is_empty() {
            return Err(ReplayError::NoHistories(directory));
        }
        files.sort();
        files.into_iter().map(|file| self.check_file(file)).collect()
    }

    fn replay(&self, history: &History) -> Result<Report, ReplayError> {
        let events = history.events.clone();
        let count = events.len();
        let name = workflow_name(&events).map_err(TaskError::from)?;
        let first = events.first().ok_or(HistoryError::Empty).map_err(TaskError::from)?.clone();
        let definition = self.workflows.get(name.as_str());
        let definition = definition.ok_or_else(|| TaskError::UnknownWorkflow(name.clone()))?;
        let mut identity = Identity { namespace: "replay".into(), ..identity_of(&first) };
        if identity.workflow_id.is_empty() {
            identity.workflow_id.clone_from(&name);
        }
        let mut run = Run::new(Arc::clone(definition), identity, &first)?;
        let steps = steps(events, 0, 0).map_err(TaskError::from)?;
        let tasks = steps.iter().filter(|step| matches!(step, Step::Opening(_))).count();
        run.advance(steps)?;
        Ok(Report { workflow: name, tasks, events: count })
    }
}

fn identity_of(first: &everlog_proto::api::history::v1::HistoryEvent) -> Identity {
    let (workflow_id, run_id) = match &first.attributes {
        Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => {
            (started.workflow_id.clone(), started.original_execution_run_id.clone())
        }
        _ => (String::new(), String::new()),
    };
    Identity { namespace: String::new(), workflow_id, run_id }
}
