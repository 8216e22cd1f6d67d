//! What operators have set for a queue.

use std::collections::BTreeMap;

use crate::cluster::TaskQueueSettings;

/// Rates and weights of one queue. Without any of them a queue is as fast as its workers ask for, and all keys
/// weigh the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Tasks a second, in place of what workers ask for.
    pub per_second: Option<f64>,
    /// Tasks a second for each fairness key, to be multiplied by its weight.
    pub key_per_second: Option<f64>,
    /// In place of the weights that tasks bring with them.
    pub weights: BTreeMap<String, f64>,
}

impl Config {
    /// Rates that are no numbers limit nothing.
    pub fn of(settings: &TaskQueueSettings) -> Config {
        let rate = |per_second: Option<f32>| per_second.map(f64::from).filter(|rate| rate.is_finite());
        Config {
            per_second: rate(settings.queue_rate.as_ref().and_then(|rate| rate.per_second)),
            key_per_second: rate(settings.key_rate.as_ref().and_then(|rate| rate.per_second)),
            weights: settings.weights.iter().map(|(key, weight)| (key.clone(), f64::from(*weight))).collect(),
        }
    }
}
