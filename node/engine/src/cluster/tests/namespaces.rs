//! Stories of namespaces and their search attributes.

use super::*;

#[test]
fn namespaces_are_registered() {
    let mut full = register("orders");
    full.description = "All orders".to_owned();
    full.owner_email = "o@example.com".to_owned();
    full.data.insert("team".to_owned(), "a".to_owned());
    full.active_cluster_name = "active".to_owned();
    full.history_archival_state = 2;
    let mut bad = vec![register(""), register(&"x".repeat(1001)), register("g"), register("r0")];
    bad[2].is_global_namespace = true;
    bad[3].workflow_execution_retention_period = None;
    for (name, period) in [("r1", prost_types::Duration { seconds: 3599, nanos: 0 }), ("r2", hours(-24))] {
        bad.push(RegisterNamespaceRequest {
            workflow_execution_retention_period: Some(period),
            ..register(name)
        });
    }
    bad.push(RegisterNamespaceRequest { active_cluster_name: "other".to_owned(), ..register("c1") });
    bad.push(RegisterNamespaceRequest { clusters: vec![other_cluster()], ..register("c2") });
    bad.push(RegisterNamespaceRequest {
        description: "d".repeat(NAMESPACE_INFO_BYTES_MAX + 1),
        ..register("l")
    });
    bad.extend([full, register("orders"), register(SYSTEM_NAMESPACE), register(&"x".repeat(1000))]);
    bad.push(RegisterNamespaceRequest {
        workflow_execution_retention_period: Some(hours(1)),
        ..register("an odd näme")
    });
    check(
        Cluster::initial(1),
        bad.into_iter().map(asked).collect(),
        expect![[r#"
            register 
              InvalidArgument("Namespace not set on request.")
            register xxxxxxxxxxxxxxxxxxxx
              InvalidArgument("Namespace length exceeds limit.")
            register g
              InvalidArgument("Cannot register global namespace when not enabled")
            register r0
              InvalidArgument("A valid retention period is not set on request.")
            register r1
              InvalidArgument("A valid retention period is not set on request.")
            register r2
              InvalidArgument("A valid retention period is not set on request.")
            register c1
              InvalidArgument("Invalid cluster name: other")
            register c2
              InvalidArgument("Invalid cluster name: other")
            register l
              InvalidArgument("Namespace info size exceeds limit.")
            register orders
              namespace orders Registered aeaf52fe-be70-4064-a503-35343ae6a84c "All orders" "o@example.com" {"team": "a"} keep 86400s, bad [], attributes 0 [], settings {}
            register orders
              NamespaceAlreadyExists("Namespace \"orders\" already exists")
            register temporal-system
              NamespaceAlreadyExists("Namespace \"temporal-system\" already exists")
            register xxxxxxxxxxxxxxxxxxxx
              namespace xxxxxxxxxxxxxxxxxxxx Registered 943ff9fc-99de-4f03-a51e-8bac71646580 "" "" {} keep 86400s, bad [], attributes 0 [], settings {}
            register an odd näme
              namespace an odd näme Registered c4ca37b7-f8ad-4aff-827c-80c67ab713ed "" "" {} keep 3600s, bad [], attributes 0 [], settings {}
        "#]],
    );
}

#[test]
fn namespaces_are_updated() {
    let bad_binary = BadBinaryInfo { reason: "r".to_owned(), operator: "o".to_owned(), create_time: None };
    let bad_binaries = BadBinaries { binaries: [("sum".to_owned(), bad_binary)].into() };
    check(
        with_orders(),
        vec![
            update(|_| {}),
            update(|request| request.namespace = "nope".to_owned()),
            update(|request| {
                request.update_info = Some(UpdateNamespaceInfo {
                    description: "d".to_owned(),
                    owner_email: "e".to_owned(),
                    data: [("a".to_owned(), "1".to_owned())].into(),
                    state: 0,
                });
            }),
            update(|request| {
                let data = [("b".to_owned(), "2".to_owned())].into();
                request.update_info = Some(UpdateNamespaceInfo { data, ..Default::default() });
            }),
            update_config(NamespaceConfig {
                workflow_execution_retention_ttl: Some(hours(2)),
                ..Default::default()
            }),
            update_config(NamespaceConfig {
                workflow_execution_retention_ttl: Some(hours(0)),
                ..Default::default()
            }),
            update_config(NamespaceConfig { bad_binaries: Some(bad_binaries), ..Default::default() }),
            update(|request| request.delete_bad_binary = "other".to_owned()),
            update(|request| request.delete_bad_binary = "sum".to_owned()),
            update(|request| request.promote_namespace = true),
            update(|request| {
                let state = ReplicationState::Handover as i32;
                request.replication_config = Some(NamespaceReplicationConfig { state, ..Default::default() });
            }),
            update(|request| {
                let clusters = vec![other_cluster()];
                request.replication_config =
                    Some(NamespaceReplicationConfig { clusters, ..Default::default() });
            }),
            update_state(4),
            update_state(NamespaceState::Deprecated as i32),
            update_state(NamespaceState::Registered as i32),
            update_state(NamespaceState::Deleted as i32),
            update_state(NamespaceState::Deprecated as i32),
        ],
        expect![[r#"
            update orders
            update nope
              NamespaceNotFound { namespace: "nope" }
            update orders
              namespace orders Registered 11111111-2222-4333-8444-555555555555 "d" "e" {"a": "1"} keep 604800s, bad [], attributes 0 [], settings {}
            update orders
              namespace orders Registered 11111111-2222-4333-8444-555555555555 "d" "e" {"a": "1", "b": "2"} keep 604800s, bad [], attributes 0 [], settings {}
            update orders
              namespace orders Registered 11111111-2222-4333-8444-555555555555 "d" "e" {"a": "1", "b": "2"} keep 7200s, bad [], attributes 0 [], settings {}
            update orders
              InvalidArgument("A valid retention period is not set on request.")
            update orders
              namespace orders Registered 11111111-2222-4333-8444-555555555555 "d" "e" {"a": "1", "b": "2"} keep 7200s, bad ["sum"], attributes 0 [], settings {}
            update orders
              InvalidArgument("Bad binary checksum other doesn't exists.")
            update orders
              namespace orders Registered 11111111-2222-4333-8444-555555555555 "d" "e" {"a": "1", "b": "2"} keep 7200s, bad [], attributes 0 [], settings {}
            update orders
              InvalidArgument("global namespace is not enabled on this cluster, cannot update global namespace or promote local namespace: orders")
            update orders
              InvalidArgument("Handover can only be set for global namespace")
            update orders
              InvalidArgument("Invalid cluster name: other")
            update orders
              InvalidArgument("Invalid namespace state update.")
            update orders
              namespace orders Deprecated 11111111-2222-4333-8444-555555555555 "d" "e" {"a": "1", "b": "2"} keep 7200s, bad [], attributes 0 [], settings {}
            update orders
              InvalidArgument("Invalid namespace state update.")
            update orders
              namespace orders Deleted 11111111-2222-4333-8444-555555555555 "d" "e" {"a": "1", "b": "2"} keep 7200s, bad [], attributes 0 [], settings {}
            update orders
              InvalidArgument("Invalid namespace state update.")
        "#]],
    );
}

#[test]
fn a_deleted_namespace_frees_its_name() {
    let id = "11111111-2222-4333-8444-555555555555";
    let delete = |name: &str, id: &str| Request::DeleteNamespace {
        name: name.to_owned(),
        id: id.to_owned(),
        delay: None,
    };
    let cluster = check(
        with_orders(),
        vec![
            Request::DeprecateNamespace { name: "orders".to_owned() },
            Request::DeprecateNamespace { name: "orders".to_owned() },
            delete("", ""),
            delete("orders", id),
            delete("nope", ""),
            delete("", "nope"),
            delete(SYSTEM_NAMESPACE, ""),
            Request::PurgeNamespace { id: id.to_owned() },
            asked(register("orders-deleted-11111")),
            delete("orders", ""),
            delete("", id),
            asked(register("orders")),
            Request::PurgeNamespace { id: id.to_owned() },
            Request::PurgeNamespace { id: id.to_owned() },
        ],
        expect![[r#"
            DeprecateNamespace { name: "orders" }
              namespace orders Deprecated 11111111-2222-4333-8444-555555555555 "" "" {} keep 604800s, bad [], attributes 0 [], settings {}
            DeprecateNamespace { name: "orders" }
            DeleteNamespace { name: "", id: "", delay: None }
              InvalidArgument("Namespace not set on request.")
            DeleteNamespace { name: "orders", id: "11111111-2222-4333-8444-555555555555", delay: None }
              InvalidArgument("Only one of namespace name or Id should be set on request.")
            DeleteNamespace { name: "nope", id: "", delay: None }
              NamespaceNotFound { namespace: "nope" }
            DeleteNamespace { name: "", id: "nope", delay: None }
              NamespaceNotFound { namespace: "nope" }
            DeleteNamespace { name: "temporal-system", id: "", delay: None }
              FailedPrecondition("unable to delete system namespace")
            PurgeNamespace { id: "11111111-2222-4333-8444-555555555555" }
              FailedPrecondition("namespace orders is not deleted")
            register orders-deleted-11111
              namespace orders-deleted-11111 Registered 9e5651b0-ef95-4636-9b17-110ea91b60da "" "" {} keep 86400s, bad [], attributes 0 [], settings {}
            DeleteNamespace { name: "orders", id: "", delay: None }
              namespace orders-deleted-11111 Deleted 11111111-2222-4333-8444-555555555555 "" "" {} keep 604800s, bad [], attributes 0 [], settings {}
              NamespacePurgeDue { id: "11111111-2222-4333-8444-555555555555", at: Time(10000000000) }
            DeleteNamespace { name: "", id: "11111111-2222-4333-8444-555555555555", delay: None }
            register orders
              namespace orders Registered 50f5647d-2380-409d-84c2-dd2dd4781f76 "" "" {} keep 86400s, bad [], attributes 0 [], settings {}
            PurgeNamespace { id: "11111111-2222-4333-8444-555555555555" }
              NamespacePurged { id: "11111111-2222-4333-8444-555555555555" }
            PurgeNamespace { id: "11111111-2222-4333-8444-555555555555" }
        "#]],
    );
    assert!(cluster.namespace("orders").is_ok());
    assert!(cluster.namespace_by_id(id).is_err());
}

#[test]
fn search_attributes_are_added_and_removed() {
    let many: Vec<(String, i32)> = (0..99).map(|i| (format!("B{i}"), ValueType::Bool.api())).collect();
    let many: Vec<(&str, i32)> = many.iter().map(|(name, value_type)| (name.as_str(), *value_type)).collect();
    let aliases = |field: &str, alias: &str| {
        update_config(NamespaceConfig {
            custom_search_attribute_aliases: [(field.to_owned(), alias.to_owned())].into(),
            ..Default::default()
        })
    };
    check(
        with_orders(),
        vec![
            add(&[]),
            add(&[("Customer", ValueType::Keyword.api()), ("Amount", ValueType::Double.api())]),
            add(&[("Customer", ValueType::Keyword.api())]),
            add(&[("Customer", ValueType::Int.api())]),
            add(&[("Region", ValueType::Keyword.api())]),
            add(&[("X", 0)]),
            add(&[("X", 99)]),
            add(&[("", 2)]),
            add(&[("WorkflowId", 2)]),
            add(&[("BuildIds", 2)]),
            add(&[("TemporalX", 2)]),
            add(&[("Memo", 2)]),
            remove(&[]),
            remove(&["Unknown"]),
            remove(&["WorkflowId"]),
            remove(&["Customer"]),
            add(&[("Again", ValueType::Keyword.api())]),
            aliases("Keyword01", "Taken"),
            aliases("Kw", "New"),
            aliases("Keyword05", "Region"),
            aliases("Keyword00", "New"),
            aliases("KeywordList05", "New"),
            aliases("Keyword01", ""),
            add(&many),
            add(&[("OneMore", ValueType::Bool.api())]),
            add(&[("OneMore", ValueType::Bool.api()), ("AndMore", ValueType::Bool.api())]),
        ]
        .into_iter()
        .chain([Request::AddSearchAttributes {
            namespace: String::new(),
            attributes: [("X".into(), 2)].into(),
        }])
        .chain([Request::AddSearchAttributes {
            namespace: "no".into(),
            attributes: [("X".into(), 2)].into(),
        }])
        .collect(),
        expect![[r#"
            AddSearchAttributes { namespace: "orders", attributes: {} }
              InvalidArgument("SearchAttributes are not set on request.")
            AddSearchAttributes { namespace: "orders", attributes: {"Amount": 4, "Customer": 2} }
              namespace orders Registered 11111111-2222-4333-8444-555555555555 "" "" {} keep 604800s, bad [], attributes 2 [Amount=Double01 Customer=Keyword01], settings {}
            AddSearchAttributes { namespace: "orders", attributes: {"Customer": 2} }
            AddSearchAttributes { namespace: "orders", attributes: {"Customer": 3} }
            AddSearchAttributes { namespace: "orders", attributes: {"Region": 2} }
              namespace orders Registered 11111111-2222-4333-8444-555555555555 "" "" {} keep 604800s, bad [], attributes 3 [Amount=Double01 Customer=Keyword01 Region=Keyword02], settings {}
            AddSearchAttributes { namespace: "orders", attributes: {"X": 0} }
              InvalidArgument("Unknown search attribute type: 0.")
            AddSearchAttributes { namespace: "orders", attributes: {"X": 99} }
              InvalidArgument("Unknown search attribute type: 99.")
            AddSearchAttributes { namespace: "orders", attributes: {"": 2} }
              InvalidArgument("Search attribute name \"\" is empty or too long.")
            AddSearchAttributes { namespace: "orders", attributes: {"WorkflowId": 2} }
              InvalidArgument("Search attribute WorkflowId is reserved by system.")
            AddSearchAttributes { namespace: "orders", attributes: {"BuildIds": 2} }
              InvalidArgument("Search attribute BuildIds is reserved by system.")
            AddSearchAttributes { namespace: "orders", attributes: {"TemporalX": 2} }
              InvalidArgument("Search attribute TemporalX is reserved by system.")
            AddSearchAttributes { namespace: "orders", attributes: {"Memo": 2} }
              InvalidArgument("Search attribute Memo is reserved by system.")
            RemoveSearchAttributes { namespace: "orders", attributes: [] }
              InvalidArgument("SearchAttributes are not set on request.")
            RemoveSearchAttributes { namespace: "orders", attributes: ["Unknown"] }
            RemoveSearchAttributes { namespace: "orders", attributes: ["WorkflowId"] }
              InvalidArgument("Unable to remove non-custom search attributes: WorkflowId.")
            RemoveSearchAttributes { namespace: "orders", attributes: ["Customer"] }
              namespace orders Registered 11111111-2222-4333-8444-555555555555 "" "" {} keep 604800s, bad [], attributes 2 [Amount=Double01 Region=Keyword02], settings {}
            AddSearchAttributes { namespace: "orders", attributes: {"Again": 2} }
              namespace orders Registered 11111111-2222-4333-8444-555555555555 "" "" {} keep 604800s, bad [], attributes 3 [Again=Keyword01 Amount=Double01 Region=Keyword02], settings {}
            update orders
              InvalidArgument("Custom search attribute field name already allocated.")
            update orders
              InvalidArgument("Search attribute field Kw is not defined.")
            update orders
              InvalidArgument("Search attribute Region already exists.")
            update orders
              InvalidArgument("Search attribute field Keyword00 is not defined.")
            update orders
              namespace orders Registered 11111111-2222-4333-8444-555555555555 "" "" {} keep 604800s, bad [], attributes 4 [Again=Keyword01 Amount=Double01 New=KeywordList05 Region=Keyword02], settings {}
            update orders
              namespace orders Registered 11111111-2222-4333-8444-555555555555 "" "" {} keep 604800s, bad [], attributes 3 [Amount=Double01 New=KeywordList05 Region=Keyword02], settings {}
            add 99 attributes to orders
              namespace orders Registered 11111111-2222-4333-8444-555555555555 "" "" {} keep 604800s, bad [], attributes 102 [Amount=Double01 B0=Bool01 B1=Bool02 B10=Bool03], settings {}
            AddSearchAttributes { namespace: "orders", attributes: {"OneMore": 5} }
              InvalidArgument("Unable to create search attributes: cannot have more than 99 search attribute of type Bool.")
            AddSearchAttributes { namespace: "orders", attributes: {"AndMore": 5, "OneMore": 5} }
              InvalidArgument("Unable to create search attributes: cannot have more than 99 search attribute of type Bool.")
            AddSearchAttributes { namespace: "", attributes: {"X": 2} }
              InvalidArgument("Namespace is not set on request.")
            AddSearchAttributes { namespace: "no", attributes: {"X": 2} }
              NamespaceNotFound { namespace: "no" }
        "#]],
    );
}

#[test]
fn a_namespace_is_described_as_the_api_shows_it() {
    let mut cluster = with_orders();
    let limits = Limits::default();
    let stamp = Stamp::new(Time(0), 0, &limits);
    let (facts, _) = decide(&cluster, &add(&[("Customer", ValueType::Keyword.api())]), &stamp).unwrap();
    facts.iter().for_each(|fact| evolve(&mut cluster, fact));
    let features = Features {
        capabilities: Capabilities { eager_workflow_start: true, ..Default::default() },
        schedules: false,
        workflow_task_completion_bytes_max: 0,
    };
    let described = cluster.namespace("orders").unwrap().describe(&features, &limits);
    expect![[r#"
        DescribeNamespaceResponse {
            namespace_info: Some(
                NamespaceInfo {
                    name: "orders",
                    state: Registered,
                    description: "",
                    owner_email: "",
                    data: {},
                    id: "11111111-2222-4333-8444-555555555555",
                    capabilities: Some(
                        Capabilities {
                            eager_workflow_start: true,
                            sync_update: false,
                            async_update: false,
                            worker_heartbeats: false,
                            reported_problems_search_attribute: false,
                            workflow_pause: false,
                            standalone_activities: false,
                            worker_poll_complete_on_shutdown: false,
                            poller_autoscaling: false,
                            worker_commands: false,
                            standalone_nexus_operation: false,
                            workflow_update_callbacks: false,
                            poller_autoscaling_auto_enroll: false,
                            workflow_task_completion_pagination: false,
                            standalone_activity_start_delay: false,
                            standalone_activity_batch_operations: false,
                            standalone_activity_operator_commands: false,
                        },
                    ),
                    limits: Some(
                        Limits {
                            blob_size_limit_error: 2097152,
                            memo_size_limit_error: 2097152,
                            workflow_task_completion_size_limit_error: 0,
                        },
                    ),
                    supports_schedules: false,
                },
            ),
            config: Some(
                NamespaceConfig {
                    workflow_execution_retention_ttl: Some(
                        Duration {
                            seconds: 604800,
                            nanos: 0,
                        },
                    ),
                    bad_binaries: Some(
                        BadBinaries {
                            binaries: {},
                        },
                    ),
                    history_archival_state: Disabled,
                    history_archival_uri: "",
                    visibility_archival_state: Disabled,
                    visibility_archival_uri: "",
                    custom_search_attribute_aliases: {
                        "Keyword01": "Customer",
                    },
                },
            ),
            replication_config: Some(
                NamespaceReplicationConfig {
                    active_cluster_name: "active",
                    clusters: [
                        ClusterReplicationConfig {
                            cluster_name: "active",
                            replication_ramp_duration: None,
                        },
                    ],
                    state: Normal,
                },
            ),
            failover_version: 0,
            is_global_namespace: false,
            failover_history: [],
            poller_group_infos: [],
            poller_groups_info: None,
        }
    "#]]
    .assert_debug_eq(&described);
    let listed = cluster.namespace("orders").unwrap().list_search_attributes();
    assert_eq!(listed.custom_attributes.len(), 1);
    assert_eq!(listed.system_attributes["CloseTime"], ValueType::Datetime.api());
    assert_eq!(listed.system_attributes["BuildIds"], ValueType::KeywordList.api());
}
