//! Stories: each line asks the cluster for something; below stands what it answered and decided.

mod batch_stories;
mod namespaces;
mod task_queues;

use std::fmt::Write;

use everlog_proto::api::{
    enums::v1::{NamespaceState, ReplicationState},
    namespace::v1::{
        BadBinaries, BadBinaryInfo, NamespaceConfig, UpdateNamespaceInfo, namespace_info::Capabilities,
    },
    replication::v1::{ClusterReplicationConfig, NamespaceReplicationConfig},
};
use expect_test::{Expect, expect};

use super::*;

/// Asks one after the other, and checks after each that a stored cluster and a stored entry read back.
fn check(mut cluster: Cluster, requests: Vec<Request>, expected: Expect) -> Cluster {
    let limits = Limits::default();
    let mut text = String::new();
    for (i, request) in requests.into_iter().enumerate() {
        let stamp = Stamp::new(Time(1_000_000_000 * i as i64), i as u64, &limits);
        writeln!(text, "{}", told(&request)).unwrap();
        match decide(&cluster, &request, &stamp) {
            Ok((facts, _)) => {
                let stored = decode_facts(&encode_facts(&facts)).unwrap();
                assert_eq!(stored, facts);
                for fact in &stored {
                    writeln!(text, "  {}", folded(fact)).unwrap();
                    evolve(&mut cluster, fact);
                }
            }
            Err(reject) => writeln!(text, "  {reject:?}").unwrap(),
        }
        assert_eq!(Cluster::decode(&cluster.encode()).unwrap(), cluster);
    }
    expected.assert_eq(&text);
    cluster
}

fn told(request: &Request) -> String {
    match request {
        Request::RegisterNamespace(request) => format!("register {:.20}", request.namespace),
        Request::UpdateNamespace(request) => format!("update {}", request.namespace),
        Request::AddSearchAttributes { namespace, attributes } if attributes.len() > 3 => {
            format!("add {} attributes to {namespace}", attributes.len())
        }
        Request::StartBatch { namespace_id, request, .. } => {
            format!("start {} in {namespace_id}", request.job_id)
        }
        other => format!("{other:?}"),
    }
}

fn folded(fact: &Fact) -> String {
    match fact {
        Fact::Batch(batch) => format!("batch {} {:?}, of {:?}", batch.job_id, batch.kind(), batch.total),
        Fact::Namespace(n) => format!(
            "namespace {:.20} {:?} {} {:?} {:?} {:?} keep {:?}, bad {:?}, attributes {}, settings {:?}",
            n.name,
            NamespaceState::try_from(n.state).unwrap(),
            n.id,
            n.description,
            n.owner_email,
            n.data,
            n.retention,
            n.bad_binaries.keys().collect::<Vec<_>>(),
            fields(n),
            n.settings,
        ),
        Fact::Member(member) => format!("node {} at {:?}", member.info.id, member.state),
        other => format!("{other:?}"),
    }
}

fn fields(namespace: &Namespace) -> String {
    let all = &namespace.search_attributes;
    let first: Vec<_> = all.iter().take(4).map(|(name, a)| format!("{name}={}", a.field)).collect();
    format!("{} [{}]", all.len(), first.join(" "))
}

fn node(id: NodeId) -> NodeInfo {
    NodeInfo {
        id,
        peer_address: format!("10.0.0.{id}:7234"),
        public_address: format!("10.0.0.{id}:7233"),
        feature_level: FEATURE_LEVEL,
    }
}

fn register(name: &str) -> RegisterNamespaceRequest {
    RegisterNamespaceRequest {
        namespace: name.to_owned(),
        workflow_execution_retention_period: Some(hours(24)),
        ..RegisterNamespaceRequest::default()
    }
}

fn hours(hours: i64) -> prost_types::Duration {
    prost_types::Duration { seconds: hours * 3600, nanos: 0 }
}

fn other_cluster() -> ClusterReplicationConfig {
    ClusterReplicationConfig { cluster_name: "other".to_owned(), ..Default::default() }
}

fn asked(request: RegisterNamespaceRequest) -> Request {
    Request::RegisterNamespace(Proto(request))
}

fn update(change: impl FnOnce(&mut UpdateNamespaceRequest)) -> Request {
    let mut request = UpdateNamespaceRequest { namespace: "orders".to_owned(), ..Default::default() };
    change(&mut request);
    Request::UpdateNamespace(Proto(request))
}

fn update_state(state: i32) -> Request {
    let info = UpdateNamespaceInfo { state, ..Default::default() };
    update(|request| request.update_info = Some(info))
}

fn update_config(config: NamespaceConfig) -> Request {
    update(|request| request.config = Some(config))
}

fn add(attributes: &[(&str, i32)]) -> Request {
    let attributes = attributes.iter().map(|(name, value_type)| ((*name).to_owned(), *value_type)).collect();
    Request::AddSearchAttributes { namespace: "orders".to_owned(), attributes }
}

fn remove(attributes: &[&str]) -> Request {
    let attributes = attributes.iter().map(|name| (*name).to_owned()).collect();
    Request::RemoveSearchAttributes { namespace: "orders".to_owned(), attributes }
}

fn set(namespace: Option<&str>, key: &str, value: Option<&str>) -> Request {
    Request::Set {
        namespace: namespace.map(str::to_owned),
        key: key.to_owned(),
        value: value.map(str::to_owned),
    }
}

fn with_orders() -> Cluster {
    let mut cluster = Cluster::initial(4);
    let mut orders = Namespace::system(Time(0));
    (orders.name, orders.id) = ("orders".to_owned(), "11111111-2222-4333-8444-555555555555".to_owned());
    (orders.description, orders.owner_email) = (String::new(), String::new());
    evolve(&mut cluster, &Fact::Namespace(orders));
    cluster
}

#[test]
fn a_cluster_is_founded_once() {
    let cluster = check(
        Cluster::default(),
        vec![
            asked(register("early")),
            Request::Init { shards: 65, voters: vec![node(1)] },
            Request::Init { shards: 16, voters: vec![] },
            Request::Init { shards: 16, voters: vec![node(1), node(1)] },
            Request::Init { shards: 16, voters: vec![node(1), node(2), node(3)] },
            Request::Init { shards: 16, voters: vec![node(1)] },
        ],
        expect![[r#"
            register early
              FailedPrecondition("the cluster is not initialised yet")
            Init { shards: 65, voters: [NodeInfo { id: 1, peer_address: "10.0.0.1:7234", public_address: "10.0.0.1:7233", feature_level: 1 }] }
              InvalidArgument("65 shards are not between 1 and 64")
            Init { shards: 16, voters: [] }
              InvalidArgument("a cluster needs a voter")
            Init { shards: 16, voters: [NodeInfo { id: 1, peer_address: "10.0.0.1:7234", public_address: "10.0.0.1:7233", feature_level: 1 }, NodeInfo { id: 1, peer_address: "10.0.0.1:7234", public_address: "10.0.0.1:7233", feature_level: 1 }] }
              InvalidArgument("node 1 is named twice")
            Init { shards: 16, voters: [NodeInfo { id: 1, peer_address: "10.0.0.1:7234", public_address: "10.0.0.1:7233", feature_level: 1 }, NodeInfo { id: 2, peer_address: "10.0.0.2:7234", public_address: "10.0.0.2:7233", feature_level: 1 }, NodeInfo { id: 3, peer_address: "10.0.0.3:7234", public_address: "10.0.0.3:7233", feature_level: 1 }] }
              Founded { cluster_id: "6e73e372-e233-4aca-87e4-88f2b0173925", feature_level: 1, shards: 16 }
              node 1 at Voter
              node 2 at Voter
              node 3 at Voter
              namespace temporal-system Registered 32049b68-7872-4094-8e63-d0dd59896a83 "Temporal internal system namespace" "temporal-core@temporal.io" {} keep 604800s, bad [], attributes 0 [], settings {}
            Init { shards: 16, voters: [NodeInfo { id: 1, peer_address: "10.0.0.1:7234", public_address: "10.0.0.1:7233", feature_level: 1 }] }
              FailedPrecondition("the cluster is initialised already, as 6e73e372-e233-4aca-87e4-88f2b0173925")
        "#]],
    );
    assert_eq!(cluster.shard_of(0), Some(0));
    assert_eq!(cluster.shard_of(4095), Some(15));
    assert!(cluster.namespace(SYSTEM_NAMESPACE).is_ok());
}

#[test]
fn nodes_come_and_go_and_their_ids_are_never_used_again() {
    let old = NodeInfo { feature_level: 0, ..node(9) };
    let moved = NodeInfo { peer_address: "10.0.0.99:7234".to_owned(), ..node(4) };
    let founded = Request::Init { shards: 2, voters: vec![node(1), node(2), node(3)] };
    check(
        Cluster::default(),
        vec![
            founded,
            Request::Join { node: node(4) },
            Request::Join { node: node(4) },
            Request::Join { node: moved },
            Request::Join { node: old },
            Request::Join { node: node(0) },
            Request::Drain { node: 4 },
            Request::Promote { node: 4 },
            Request::Promote { node: 5 },
            Request::Drain { node: 1 },
            Request::Drain { node: 1 },
            Request::Drain { node: 2 },
            Request::Remove { node: 1, live: vec![1, 2] },
            Request::Remove { node: 1, live: vec![2, 3] },
            Request::Remove { node: 1, live: vec![] },
            Request::Join { node: node(1) },
            Request::Resume { node: 1 },
            Request::Remove { node: 2, live: vec![3, 4] },
            Request::Remove { node: 3, live: vec![4] },
            Request::Remove { node: 4, live: vec![4] },
            Request::Drain { node: 4 },
            Request::RaiseFeatureLevel { level: FEATURE_LEVEL },
            Request::RaiseFeatureLevel { level: FEATURE_LEVEL + 1 },
            Request::AssignSlots { first: 4032, last: 4095, shard: 2 },
            Request::AssignSlots { first: 4032, last: 4096, shard: 2 },
        ],
        expect![[r#"
            Init { shards: 2, voters: [NodeInfo { id: 1, peer_address: "10.0.0.1:7234", public_address: "10.0.0.1:7233", feature_level: 1 }, NodeInfo { id: 2, peer_address: "10.0.0.2:7234", public_address: "10.0.0.2:7233", feature_level: 1 }, NodeInfo { id: 3, peer_address: "10.0.0.3:7234", public_address: "10.0.0.3:7233", feature_level: 1 }] }
              Founded { cluster_id: "e220a839-7b1d-4daf-8d73-fe3de975ac26", feature_level: 1, shards: 2 }
              node 1 at Voter
              node 2 at Voter
              node 3 at Voter
              namespace temporal-system Registered 32049b68-7872-4094-8e63-d0dd59896a83 "Temporal internal system namespace" "temporal-core@temporal.io" {} keep 604800s, bad [], attributes 0 [], settings {}
            Join { node: NodeInfo { id: 4, peer_address: "10.0.0.4:7234", public_address: "10.0.0.4:7233", feature_level: 1 } }
              node 4 at Learner
            Join { node: NodeInfo { id: 4, peer_address: "10.0.0.4:7234", public_address: "10.0.0.4:7233", feature_level: 1 } }
            Join { node: NodeInfo { id: 4, peer_address: "10.0.0.99:7234", public_address: "10.0.0.4:7233", feature_level: 1 } }
              node 4 at Learner
            Join { node: NodeInfo { id: 9, peer_address: "10.0.0.9:7234", public_address: "10.0.0.9:7233", feature_level: 0 } }
              FailedPrecondition("node 9 reads feature level 0, the cluster writes 1: upgrade the node first")
            Join { node: NodeInfo { id: 0, peer_address: "10.0.0.0:7234", public_address: "10.0.0.0:7233", feature_level: 1 } }
              InvalidArgument("node ids begin at 1")
            Drain { node: 4 }
              FailedPrecondition("node 4 does not vote, there is nothing to drain")
            Promote { node: 4 }
              node 4 at Voter
            Promote { node: 5 }
              NotFound("node 5 is no member of the cluster")
            Drain { node: 1 }
              node 1 at Draining
            Drain { node: 1 }
            Drain { node: 2 }
              FailedPrecondition("node 1 is draining already; drain one node at a time")
            Remove { node: 1, live: [1, 2] }
              FailedPrecondition("without node 1 only 1 of 3 voters would be alive, which is no quorum")
            Remove { node: 1, live: [2, 3] }
              node 1 at Removed
            Remove { node: 1, live: [] }
            Join { node: NodeInfo { id: 1, peer_address: "10.0.0.1:7234", public_address: "10.0.0.1:7233", feature_level: 1 } }
              FailedPrecondition("node 1 was removed from the cluster; join under a new id, with empty data")
            Resume { node: 1 }
              FailedPrecondition("node 1 was removed from the cluster; join under a new id, with empty data")
            Remove { node: 2, live: [3, 4] }
              node 2 at Removed
            Remove { node: 3, live: [4] }
              node 3 at Removed
            Remove { node: 4, live: [4] }
              FailedPrecondition("node 4 is the last voter")
            Drain { node: 4 }
              FailedPrecondition("node 4 is the only voter, nobody could take over")
            RaiseFeatureLevel { level: 1 }
            RaiseFeatureLevel { level: 2 }
              FailedPrecondition("this build knows feature levels up to 1")
            AssignSlots { first: 4032, last: 4095, shard: 2 }
              SlotsAssigned { first: 4032, last: 4095, shard: 2 }
            AssignSlots { first: 4032, last: 4096, shard: 2 }
              InvalidArgument("slots 4032 to 4096 are no range below 4096")
        "#]],
    );
}

#[test]
fn settings_change_the_limits_of_one_namespace_or_of_all() {
    let cluster = check(
        with_orders(),
        vec![
            set(None, "limit.blobSize.error", Some("1000")),
            set(None, "limit.blobSize.error", Some("1000")),
            set(Some("orders"), "limit.blobSize.error", Some("2000")),
            set(Some("orders"), "history.defaultWorkflowTaskTimeout", Some("1m30s")),
            set(Some("orders"), "system.enableEagerWorkflowStart", Some("false")),
            set(Some("orders"), "limit.blobSize.error", Some("-1")),
            set(Some("orders"), "history.defaultWorkflowTaskTimeout", Some("soon")),
            set(Some("orders"), "system.enableEagerWorkflowStart", Some("maybe")),
            set(Some("orders"), "no.such.key", Some("1")),
            set(Some("nope"), "limit.blobSize.error", Some("1")),
        ],
        expect![[r#"
            Set { namespace: None, key: "limit.blobSize.error", value: Some("1000") }
              Setting { key: "limit.blobSize.error", value: Some("1000") }
            Set { namespace: None, key: "limit.blobSize.error", value: Some("1000") }
            Set { namespace: Some("orders"), key: "limit.blobSize.error", value: Some("2000") }
              namespace orders Registered 11111111-2222-4333-8444-555555555555 "" "" {} keep 604800s, bad [], attributes 0 [], settings {"limit.blobSize.error": "2000"}
            Set { namespace: Some("orders"), key: "history.defaultWorkflowTaskTimeout", value: Some("1m30s") }
              namespace orders Registered 11111111-2222-4333-8444-555555555555 "" "" {} keep 604800s, bad [], attributes 0 [], settings {"history.defaultWorkflowTaskTimeout": "1m30s", "limit.blobSize.error": "2000"}
            Set { namespace: Some("orders"), key: "system.enableEagerWorkflowStart", value: Some("false") }
              namespace orders Registered 11111111-2222-4333-8444-555555555555 "" "" {} keep 604800s, bad [], attributes 0 [], settings {"history.defaultWorkflowTaskTimeout": "1m30s", "limit.blobSize.error": "2000", "system.enableEagerWorkflowStart": "false"}
            Set { namespace: Some("orders"), key: "limit.blobSize.error", value: Some("-1") }
              InvalidArgument("limit.blobSize.error must be a number of at least 1")
            Set { namespace: Some("orders"), key: "history.defaultWorkflowTaskTimeout", value: Some("soon") }
              InvalidArgument("history.defaultWorkflowTaskTimeout must be a duration such as 10s")
            Set { namespace: Some("orders"), key: "system.enableEagerWorkflowStart", value: Some("maybe") }
              InvalidArgument("system.enableEagerWorkflowStart must be true or false")
            Set { namespace: Some("orders"), key: "no.such.key", value: Some("1") }
              InvalidArgument("there is no setting \"no.such.key\"")
            Set { namespace: Some("nope"), key: "limit.blobSize.error", value: Some("1") }
              NamespaceNotFound { namespace: "nope" }
        "#]],
    );
    let orders = cluster.namespace("orders").unwrap();
    let limits = cluster.limits(&orders.id);
    assert_eq!(limits.blob_bytes_max, 2000);
    assert_eq!(limits.workflow_task_timeout.as_secs(), 90);
    assert!(!limits.eager_workflow_start);
    assert_eq!(limits.retention, orders.retention);
    assert_eq!(cluster.limits(SYSTEM_NAMESPACE_ID).blob_bytes_max, 1000);
    let back = check(
        cluster.clone(),
        vec![
            set(Some("orders"), "limit.blobSize.error", None),
            set(None, "limit.blobSize.error", None),
            set(None, "limit.blobSize.error", None),
        ],
        expect![[r#"
            Set { namespace: Some("orders"), key: "limit.blobSize.error", value: None }
              namespace orders Registered 11111111-2222-4333-8444-555555555555 "" "" {} keep 604800s, bad [], attributes 0 [], settings {"history.defaultWorkflowTaskTimeout": "1m30s", "system.enableEagerWorkflowStart": "false"}
            Set { namespace: None, key: "limit.blobSize.error", value: None }
              Setting { key: "limit.blobSize.error", value: None }
            Set { namespace: None, key: "limit.blobSize.error", value: None }
        "#]],
    );
    assert_eq!(back.limits(&orders.id).blob_bytes_max, Limits::default().blob_bytes_max);
}

/// Entries that were once written mean the same for ever: these bytes must never change.
#[test]
fn stored_facts_keep_their_bytes() {
    let member = Member { info: node(7), state: MemberState::Draining, joined: Time(5) };
    let mut namespace = Namespace::system(Time(6));
    let bad = BadBinary { reason: "r".to_owned(), operator: "o".to_owned(), created: Time(8) };
    namespace.bad_binaries.insert("sum".to_owned(), bad);
    let attribute = SearchAttribute { value_type: 2, field: "Keyword01".to_owned() };
    namespace.search_attributes.insert("Customer".to_owned(), attribute);
    let facts = [
        Fact::Founded { cluster_id: "id".to_owned(), feature_level: 1, shards: 16 },
        Fact::Member(member),
        Fact::SlotsAssigned { first: 1, last: 2, shard: 3 },
        Fact::FeatureLevelRaised { level: 2 },
        Fact::Namespace(namespace),
        Fact::NamespacePurged { id: "gone".to_owned() },
        Fact::Setting { key: "k".to_owned(), value: Some("v".to_owned()) },
    ];
    let mut text = String::new();
    for fact in facts {
        let bytes = encode_facts(std::slice::from_ref(&fact));
        assert_eq!(decode_facts(&bytes).unwrap(), [fact]);
        for line in bytes.chunks(40) {
            line.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
            text.push('\n');
        }
        text.push('\n');
    }
    expect![[r#"
        6b0101000000000000000000000002000000000000006964010000001000

        6b0101000000000000000100000007000000000000000d0000000000000031302e302e302e373a37
        3233340d0000000000000031302e302e302e373a3732333301000000020000000500000000000000

        6b01010000000000000002000000010002000300

        6b0101000000000000000300000002000000

        6b01010000000000000004000000240000000000000033323034396236382d373837322d34303934
        2d386536332d6430646435393839366138330f0000000000000074656d706f72616c2d7379737465
        6d01000000220000000000000054656d706f72616c20696e7465726e616c2073797374656d206e61
        6d657370616365190000000000000074656d706f72616c2d636f72654074656d706f72616c2e696f
        0000000000000000803a090000000000000000000100000000000000030000000000000073756d01
        000000000000007201000000000000006f0800000000000000010000000000000008000000000000
        00437573746f6d65720200000009000000000000004b6579776f7264303100000000000000000600
        000000000000

        6b010100000000000000050000000400000000000000676f6e65

        6b0101000000000000000600000001000000000000006b01010000000000000076

    "#]]
    .assert_eq(&text);
    let mut longer = encode_facts(&[]);
    longer.push(0);
    assert!(decode_facts(&longer).is_err(), "trailing bytes are refused");
}
