//! Namespaces and search attributes as the API shows them.

use everlog_proto::api::{
    enums::v1::{ArchivalState, ReplicationState},
    namespace::v1::{
        BadBinaries, BadBinaryInfo, NamespaceConfig, NamespaceInfo,
        namespace_info::{Capabilities, Limits},
    },
    operatorservice::v1::ListSearchAttributesResponse,
    replication::v1::{ClusterReplicationConfig, NamespaceReplicationConfig},
    workflowservice::v1::{DescribeNamespaceResponse, UpdateNamespaceResponse},
};

use super::{
    Namespace,
    attributes::{predefined_attributes, system_attributes},
    namespace::CLUSTER_NAME,
};
use crate::time::proto_duration;

/// What this build can do. It is given by whoever knows; nothing is advertised that does not work.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Features {
    pub capabilities: Capabilities,
    pub schedules: bool,
    /// `limit.workflowTaskCompletionSize.error`; 0 if there is none.
    pub workflow_task_completion_bytes_max: i64,
}

impl Namespace {
    /// The answer to DescribeNamespace, and a line of ListNamespaces.
    pub fn describe(&self, features: &Features, limits: &crate::limits::Limits) -> DescribeNamespaceResponse {
        DescribeNamespaceResponse {
            namespace_info: Some(self.info(features, limits)),
            config: Some(self.config()),
            replication_config: Some(replication()),
            ..DescribeNamespaceResponse::default()
        }
    }

    /// The answer to UpdateNamespace.
    pub fn updated(&self, features: &Features, limits: &crate::limits::Limits) -> UpdateNamespaceResponse {
        UpdateNamespaceResponse {
            namespace_info: Some(self.info(features, limits)),
            config: Some(self.config()),
            replication_config: Some(replication()),
            ..UpdateNamespaceResponse::default()
        }
    }

    /// The answer to ListSearchAttributes.
    pub fn list_search_attributes(&self) -> ListSearchAttributesResponse {
        let system = system_attributes().iter().chain(predefined_attributes());
        ListSearchAttributesResponse {
            custom_attributes: self
                .search_attributes
                .iter()
                .map(|(name, attribute)| (name.clone(), attribute.value_type))
                .collect(),
            system_attributes: system
                .map(|(name, value_type)| ((*name).to_owned(), value_type.api()))
                .collect(),
            ..ListSearchAttributesResponse::default()
        }
    }

    fn info(&self, features: &Features, limits: &crate::limits::Limits) -> NamespaceInfo {
        NamespaceInfo {
            name: self.name.clone(),
            state: self.state,
            description: self.description.clone(),
            owner_email: self.owner_email.clone(),
            data: self.data.clone().into_iter().collect(),
            id: self.id.clone(),
            capabilities: Some(features.capabilities),
            limits: Some(Limits {
                blob_size_limit_error: limits.blob_bytes_max as i64,
                memo_size_limit_error: limits.memo_bytes_max as i64,
                workflow_task_completion_size_limit_error: features.workflow_task_completion_bytes_max,
            }),
            supports_schedules: features.schedules,
        }
    }

    fn config(&self) -> NamespaceConfig {
        let binaries = self.bad_binaries.iter().map(|(checksum, bad)| {
            let info = BadBinaryInfo {
                reason: bad.reason.clone(),
                operator: bad.operator.clone(),
                create_time: Some(bad.created.proto()),
            };
            (checksum.clone(), info)
        });
        let aliases =
            self.search_attributes.iter().map(|(alias, attribute)| (attribute.field.clone(), alias.clone()));
        NamespaceConfig {
            workflow_execution_retention_ttl: Some(proto_duration(self.retention)),
            bad_binaries: Some(BadBinaries { binaries: binaries.collect() }),
            history_archival_state: ArchivalState::Disabled as i32,
            visibility_archival_state: ArchivalState::Disabled as i32,
            custom_search_attribute_aliases: aliases.collect(),
            ..NamespaceConfig::default()
        }
    }
}

/// There is one cluster, and nothing is replicated to another.
fn replication() -> NamespaceReplicationConfig {
    NamespaceReplicationConfig {
        active_cluster_name: CLUSTER_NAME.to_owned(),
        clusters: vec![ClusterReplicationConfig {
            cluster_name: CLUSTER_NAME.to_owned(),
            ..Default::default()
        }],
        state: ReplicationState::Normal as i32,
    }
}
