//! One place for every message that crosses a wire.
//!
//! `api` are the messages of the public API, compiled by the crate `temporalio-protos`. With the
//! feature `services` there are also the server traits of the public services and the protocol that
//! the nodes of a cluster speak among themselves.

pub use prost;
pub use prost_types;
pub use temporalio_protos::temporal::api;

/// The descriptors of the public API with their annotations, for gRPC reflection and the HTTP API.
pub const PUBLIC_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/public.bin"));

/// The API's own OpenAPI 2 document, JSON, compressed with gzip.
pub const OPENAPI_V2_JSON_GZ: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapiv2.json.gz"));

/// The API's own OpenAPI 3 document, YAML, compressed with gzip.
pub const OPENAPI_V3_YAML_GZ: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapiv3.yaml.gz"));

#[cfg(feature = "services")]
pub mod workflow_service {
    //! The server trait of `temporal.api.workflowservice.v1.WorkflowService`.
    #![allow(clippy::all, unreachable_pub)]
    include!(concat!(env!("OUT_DIR"), "/temporal.api.workflowservice.v1.rs"));
}

#[cfg(feature = "services")]
pub mod operator_service {
    //! The server trait of `temporal.api.operatorservice.v1.OperatorService`.
    #![allow(clippy::all, unreachable_pub)]
    include!(concat!(env!("OUT_DIR"), "/temporal.api.operatorservice.v1.rs"));
}

#[cfg(feature = "services")]
pub mod cluster {
    //! What the nodes of a cluster say to each other.
    #![allow(clippy::all, unreachable_pub)]
    include!(concat!(env!("OUT_DIR"), "/everlog.cluster.v1.rs"));
}
