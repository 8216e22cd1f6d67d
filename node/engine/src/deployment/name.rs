//! How a version of workers is named: by its deployment and a build id.

use everlog_proto::api::{
    deployment::v1::{WorkerDeploymentOptions, WorkerDeploymentVersion},
    enums::v1::WorkerVersioningMode,
};
use serde::{Deserialize, Serialize};

/// What stands for "no version" where the API wants a text.
pub const UNVERSIONED: &str = "__unversioned__";

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerVersion {
    pub deployment: String,
    pub build_id: String,
}

impl WorkerVersion {
    pub fn new(deployment: &str, build_id: &str) -> WorkerVersion {
        WorkerVersion { deployment: deployment.to_owned(), build_id: build_id.to_owned() }
    }

    /// The version of a worker that wants to be versioned.
    pub fn of_worker(options: Option<&WorkerDeploymentOptions>) -> Option<WorkerVersion> {
        let options = options?;
        (options.worker_versioning_mode == WorkerVersioningMode::Versioned as i32)
            .then(|| WorkerVersion::new(&options.deployment_name, &options.build_id))
    }

    pub fn from_api(version: &WorkerDeploymentVersion) -> WorkerVersion {
        WorkerVersion::new(&version.deployment_name, &version.build_id)
    }

    pub fn api(&self) -> WorkerDeploymentVersion {
        WorkerDeploymentVersion { deployment_name: self.deployment.clone(), build_id: self.build_id.clone() }
    }

    /// As older clients write it: the deployment's name has no dot, a build id may have some.
    pub fn dotted(&self) -> String {
        format!("{}.{}", self.deployment, self.build_id)
    }

    pub fn from_dotted(text: &str) -> Option<WorkerVersion> {
        let (deployment, build_id) = text.split_once('.')?;
        let is_named = !deployment.is_empty() && !build_id.is_empty();
        is_named.then(|| WorkerVersion::new(deployment, build_id))
    }

    /// As search attributes have it.
    pub fn colon(&self) -> String {
        format!("{}:{}", self.deployment, self.build_id)
    }
}

/// The older text of what may be no version at all.
pub fn dotted_or_unversioned(version: Option<&WorkerVersion>) -> String {
    version.map_or_else(|| UNVERSIONED.to_owned(), WorkerVersion::dotted)
}
