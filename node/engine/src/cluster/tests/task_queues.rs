//! Stories of queues that operators have set rates and weights for.

use std::collections::BTreeMap;

use everlog_proto::api::{
    enums::v1::TaskQueueType,
    taskqueue::v1::RateLimit,
    workflowservice::v1::{UpdateTaskQueueConfigRequest, update_task_queue_config_request::RateLimitUpdate},
};

use super::*;

fn configure(request: UpdateTaskQueueConfigRequest) -> Request {
    let request = UpdateTaskQueueConfigRequest {
        task_queue: "q".into(),
        task_queue_type: TaskQueueType::Activity as i32,
        identity: "me".into(),
        ..request
    };
    Request::ConfigureTaskQueue { namespace_id: "n".into(), request: Proto(request) }
}

fn rate(requests_per_second: Option<f32>) -> Option<RateLimitUpdate> {
    let rate_limit = requests_per_second.map(|requests_per_second| RateLimit { requests_per_second });
    Some(RateLimitUpdate { rate_limit, reason: "why not".into() })
}

fn weights(of: &[(&str, f32)]) -> std::collections::HashMap<String, f32> {
    of.iter().map(|(key, weight)| ((*key).to_owned(), *weight)).collect()
}

#[test]
fn what_is_set_stays_until_it_is_taken_away() {
    let none = UpdateTaskQueueConfigRequest::default;
    let requests = [
        UpdateTaskQueueConfigRequest { update_queue_rate_limit: rate(Some(5.0)), ..none() },
        UpdateTaskQueueConfigRequest { update_fairness_key_rate_limit_default: rate(Some(2.0)), ..none() },
        UpdateTaskQueueConfigRequest {
            set_fairness_weight_overrides: weights(&[("a", 2.0), ("b", 3.0)]),
            ..none()
        },
        UpdateTaskQueueConfigRequest {
            update_queue_rate_limit: rate(None),
            set_fairness_weight_overrides: weights(&[("b", 4.0)]),
            unset_fairness_weight_overrides: vec!["a".into(), "nobody".into()],
            ..none()
        },
        none(),
    ];
    let mut cluster = Cluster::initial(1);
    for (second, request) in requests.into_iter().enumerate() {
        let limits = Limits::default();
        let stamp = Stamp::new(Time(1_000_000_000 * second as i64), 0, &limits);
        let (facts, _) = decide(&cluster, &configure(request), &stamp).unwrap();
        for fact in decode_facts(&encode_facts(&facts)).unwrap() {
            evolve(&mut cluster, &fact);
        }
        assert_eq!(Cluster::decode(&cluster.encode()).unwrap(), cluster);
    }
    let set = |per_second, second: i64| RateSetting {
        per_second,
        reason: "why not".into(),
        identity: "me".into(),
        at: Time(1_000_000_000 * second),
    };
    let settings = cluster.task_queue("n", "q", TaskQueueType::Activity).unwrap();
    assert_eq!(settings.queue_rate, Some(set(None, 3)));
    assert_eq!(settings.key_rate, Some(set(Some(2.0), 1)));
    assert_eq!(settings.weights, BTreeMap::from([("b".to_owned(), 4.0)]));
    assert!(cluster.task_queue("n", "q", TaskQueueType::Workflow).is_none(), "each type has its own");
    evolve(&mut cluster, &Fact::NamespacePurged { id: "n".into() });
    assert!(cluster.task_queues.is_empty(), "they go with their namespace");
}

#[test]
fn the_number_of_weights_is_bounded() {
    let many = |from: usize, to: usize| UpdateTaskQueueConfigRequest {
        set_fairness_weight_overrides: (from..to).map(|key| (key.to_string(), 1.0)).collect(),
        ..Default::default()
    };
    let limits = Limits::default();
    let stamp = Stamp::new(Time(0), 0, &limits);
    let mut cluster = Cluster::initial(1);
    let (facts, _) = decide(&cluster, &configure(many(0, 1_000)), &stamp).unwrap();
    facts.iter().for_each(|fact| evolve(&mut cluster, fact));
    assert!(decide(&cluster, &configure(many(0, 1_000)), &stamp).is_ok());
    let text = |request| format!("{:?}", decide(&cluster, &configure(request), &stamp).unwrap_err());
    assert!(text(many(1_000, 1_001)).contains("exceeding maximum key size"));
    assert!(text(many(0, 1_001)).contains("got 1001, maximum 1000"));
}
