//! What the server is and can do. Only what works is advertised: a client believes it.

use everlog_proto::api::{
    version::v1::VersionInfo,
    workflowservice::v1::{
        GetClusterInfoRequest, GetClusterInfoResponse, GetSystemInfoRequest, GetSystemInfoResponse,
        get_system_info_response::Capabilities,
    },
};

use super::{
    call::{Answer, Call, encode},
    version::{self, SERVER_VERSION},
};

/// How the stores are called, where the real server names a database.
const STORE: &str = "everlog";

pub(super) async fn system_info(_: Call, _: GetSystemInfoRequest) -> Answer {
    Ok(encode(&GetSystemInfoResponse {
        server_version: SERVER_VERSION.to_owned(),
        capabilities: Some(Capabilities {
            signal_and_query_header: true,
            internal_error_differentiation: true,
            activity_failure_include_heartbeat: true,
            supports_schedules: false,
            encoded_failure_attributes: true,
            build_id_based_versioning: true,
            upsert_memo: true,
            eager_workflow_start: true,
            sdk_metadata: true,
            count_group_by_execution_status: true,
            nexus: true,
            ..Capabilities::default()
        }),
    }))
}

pub(super) async fn cluster_info(call: Call, _: GetClusterInfoRequest) -> Answer {
    let cluster = call.shared.backend.cluster();
    Ok(encode(&GetClusterInfoResponse {
        supported_clients: version::supported().collect(),
        server_version: SERVER_VERSION.to_owned(),
        cluster_id: cluster.cluster_id,
        version_info: None::<VersionInfo>,
        cluster_name: cluster.cluster_name,
        history_shard_count: cluster.shards,
        persistence_store: STORE.to_owned(),
        visibility_store: STORE.to_owned(),
        initial_failover_version: 1,
        failover_version_increment: 10,
    }))
}
