//! What operators ask of the whole cluster.

use std::collections::HashMap;

use everlog_proto::api::{
    operatorservice::v1::{
        ClusterMetadata, ListClustersRequest, ListClustersResponse, ListSearchAttributesRequest,
        ListSearchAttributesResponse,
    },
    workflowservice::v1::{GetSearchAttributesRequest, GetSearchAttributesResponse},
};
use tonic::Status;

use super::{
    call::{Answer, Call, encode},
    search_attributes::{PREDEFINED, SYSTEM},
};

/// The names of all attributes that queries may use, without those of single namespaces.
pub(super) async fn get_search_attributes(_: Call, _: GetSearchAttributesRequest) -> Answer {
    Ok(encode(&GetSearchAttributesResponse { keys: built_in() }))
}

pub(super) async fn list_search_attributes(call: Call, request: ListSearchAttributesRequest) -> Answer {
    if request.namespace.is_empty() {
        return Err(Status::invalid_argument("Namespace is not set on request."));
    }
    let namespace = call.shared.namespace(&request.namespace).await?;
    let custom = call.shared.backend.search_attributes(&namespace.id).unwrap_or_default();
    Ok(encode(&ListSearchAttributesResponse {
        custom_attributes: custom.into_iter().map(|(name, kind)| (name, kind as i32)).collect(),
        system_attributes: built_in(),
        storage_schema: HashMap::new(),
    }))
}

/// There is one cluster, this one.
pub(super) async fn list_clusters(call: Call, _: ListClustersRequest) -> Answer {
    let cluster = call.shared.backend.cluster();
    Ok(encode(&ListClustersResponse {
        clusters: vec![ClusterMetadata {
            cluster_name: cluster.cluster_name,
            cluster_id: cluster.cluster_id,
            address: cluster.address,
            initial_failover_version: 1,
            history_shard_count: cluster.shards,
            is_connection_enabled: true,
            ..ClusterMetadata::default()
        }],
        next_page_token: Vec::new(),
    }))
}

fn built_in() -> HashMap<String, i32> {
    SYSTEM.iter().chain(&PREDEFINED).map(|(name, kind)| ((*name).to_owned(), *kind as i32)).collect()
}
