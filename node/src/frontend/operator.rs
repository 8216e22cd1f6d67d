//! What operators ask of the whole cluster.

use std::collections::HashMap;

use everlog_engine::cluster::{predefined_attributes, system_attributes};
use everlog_proto::api::{
    operatorservice::v1::{
        AddSearchAttributesRequest, AddSearchAttributesResponse, ClusterMetadata, ListClustersRequest,
        ListClustersResponse, ListSearchAttributesRequest, ListSearchAttributesResponse,
        RemoveSearchAttributesRequest, RemoveSearchAttributesResponse,
    },
    workflowservice::v1::{GetSearchAttributesRequest, GetSearchAttributesResponse},
};
use tonic::Status;

use super::{
    backend::SearchAttributesChange,
    call::{Answer, Call, encode},
};
use crate::route::Failure;

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

/// Adding what is there already, with the same type, changes nothing.
pub(super) async fn add_search_attributes(call: Call, request: AddSearchAttributesRequest) -> Answer {
    check(&request.namespace, request.search_attributes.is_empty())?;
    let namespace = call.shared.namespace(&request.namespace).await?;
    let change = SearchAttributesChange::Add(request.search_attributes.into_iter().collect());
    change_search_attributes(&call, &namespace.name, change).await?;
    Ok(encode(&AddSearchAttributesResponse {}))
}

pub(super) async fn remove_search_attributes(call: Call, request: RemoveSearchAttributesRequest) -> Answer {
    check(&request.namespace, request.search_attributes.is_empty())?;
    let namespace = call.shared.namespace(&request.namespace).await?;
    let change = SearchAttributesChange::Remove(request.search_attributes);
    change_search_attributes(&call, &namespace.name, change).await?;
    Ok(encode(&RemoveSearchAttributesResponse {}))
}

fn check(namespace: &str, is_empty: bool) -> Result<(), Status> {
    if is_empty {
        return Err(Status::invalid_argument("SearchAttributes are not set on request."));
    }
    if namespace.is_empty() {
        return Err(Status::invalid_argument("Namespace is not set on request."));
    }
    Ok(())
}

async fn change_search_attributes(
    call: &Call,
    namespace: &str,
    change: SearchAttributesChange,
) -> Result<(), Status> {
    let changed = call.shared.backend.change_search_attributes(namespace, change).await;
    changed.map_err(|error| Failure::from(error).into_status())
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
    let all = system_attributes().iter().chain(predefined_attributes());
    all.map(|(name, kind)| ((*name).to_owned(), kind.api())).collect()
}
