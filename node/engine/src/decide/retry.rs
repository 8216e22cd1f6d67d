//! When a failed attempt is tried again. One rule serves activities and workflows
//! (service/history/workflow/retry.go), but for what a failure may ask: the delay that an activity's
//! failure names stands above the policy's maximum, that of a run's failure does not.

use std::time::Duration;

use everlog_proto::api::{
    common::v1::RetryPolicy,
    enums::v1::{RetryState, TimeoutType},
    failure::v1::{Failure, failure::FailureInfo},
};

use crate::{
    limits::Limits,
    time::{self, Time, duration, proto_duration, set_duration},
};

/// Fills what a policy leaves open. What is set wrongly stays as it is, for [`validate`] to see.
pub fn with_defaults(policy: Option<&RetryPolicy>, limits: &Limits) -> RetryPolicy {
    let mut policy = policy.cloned().unwrap_or_default();
    if is_zero(policy.initial_interval.as_ref()) {
        policy.initial_interval = Some(proto_duration(limits.retry_initial_interval));
    }
    if is_zero(policy.maximum_interval.as_ref()) {
        let initial = policy.initial_interval.unwrap_or_default();
        policy.maximum_interval = Some(multiple(initial, limits.retry_maximum_interval_coefficient));
    }
    if policy.backoff_coefficient == 0.0 {
        policy.backoff_coefficient = limits.retry_backoff_coefficient;
    }
    policy
}

fn is_zero(duration: Option<&prost_types::Duration>) -> bool {
    duration.is_none_or(|duration| duration.seconds == 0 && duration.nanos == 0)
}

/// A whole multiple of a duration that may be negative.
fn multiple(duration: prost_types::Duration, coefficient: f64) -> prost_types::Duration {
    const NANOS_PER_SECOND: i128 = 1_000_000_000;
    let nanos = i128::from(duration.seconds) * NANOS_PER_SECOND + i128::from(duration.nanos);
    let most = time::DURATION_MAX.as_nanos() as i128;
    let product = nanos.saturating_mul(coefficient as i128).clamp(-most, most);
    prost_types::Duration {
        seconds: (product / NANOS_PER_SECOND) as i64,
        nanos: (product % NANOS_PER_SECOND) as i32,
    }
}

/// What is wrong with a policy, in the real server's words.
pub fn validate(policy: &RetryPolicy) -> Result<(), String> {
    // A policy of one attempt is never consulted, so nothing else in it matters.
    if policy.maximum_attempts == 1 {
        return Ok(());
    }
    if let Some(fault) = time::fault(policy.initial_interval.as_ref()) {
        return Err(format!("invalid InitialInterval set on retry policy: {fault}"));
    }
    if policy.backoff_coefficient < 1.0 {
        return Err("BackoffCoefficient cannot be less than 1 on retry policy.".into());
    }
    if let Some(fault) = time::fault(policy.maximum_interval.as_ref()) {
        return Err(format!("invalid MaximumInterval set on retry policy: {fault}"));
    }
    let maximum = duration(policy.maximum_interval.as_ref());
    if maximum > Duration::ZERO && maximum < duration(policy.initial_interval.as_ref()) {
        return Err("MaximumInterval cannot be less than InitialInterval on retry policy.".into());
    }
    if policy.maximum_attempts < 0 {
        return Err("MaximumAttempts cannot be negative on retry policy.".into());
    }
    for kind in &policy.non_retryable_error_types {
        if let Some(timeout) = kind.strip_prefix(TIMEOUT_TYPE_PREFIX)
            && !names_timeout_type(timeout)
        {
            return Err(format!("Invalid timeout type value: {timeout}."));
        }
    }
    Ok(())
}

/// Application types that begin so name a time-out.
const TIMEOUT_TYPE_PREFIX: &str = "TemporalTimeout:";

const TIMEOUT_TYPES: [TimeoutType; 4] = [
    TimeoutType::StartToClose,
    TimeoutType::ScheduleToStart,
    TimeoutType::ScheduleToClose,
    TimeoutType::Heartbeat,
];

/// The long spelling is let through as well, though no failure ever matches it.
fn names_timeout_type(text: &str) -> bool {
    TIMEOUT_TYPES.into_iter().any(|kind| text == timeout_name(kind) || text == kind.as_str_name())
}

/// A type of time-out as messages and policies spell it: `StartToClose`.
pub fn timeout_name(kind: TimeoutType) -> &'static str {
    match kind {
        TimeoutType::Unspecified => "Unspecified",
        TimeoutType::StartToClose => "StartToClose",
        TimeoutType::ScheduleToStart => "ScheduleToStart",
        TimeoutType::ScheduleToClose => "ScheduleToClose",
        TimeoutType::Heartbeat => "Heartbeat",
    }
}

/// The next attempt, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    Retry { after: Duration },
    Stop(RetryState),
}

/// Decides over the run that follows attempt `attempt`, which has just failed at `now`.
pub fn next(
    policy: Option<&RetryPolicy>,
    attempt: i32,
    expiration: Option<Time>,
    failure: &Failure,
    now: Time,
) -> Next {
    let Some(policy) = policy else { return Next::Stop(RetryState::RetryPolicyNotSet) };
    if !is_retryable(failure, &policy.non_retryable_error_types) {
        return Next::Stop(RetryState::NonRetryableFailure);
    }
    let maximum = set_duration(policy.maximum_interval.as_ref());
    after(policy, attempt, maximum, expiration, requested_delay(failure), now)
}

/// The same for an attempt of an activity. Whoever made it may have given no reason at all.
pub fn next_of_activity(
    policy: Option<&RetryPolicy>,
    attempt: i32,
    expiration: Option<Time>,
    failure: Option<&Failure>,
    now: Time,
) -> Next {
    let Some(policy) = policy else { return Next::Stop(RetryState::RetryPolicyNotSet) };
    if failure.is_some_and(|failure| !is_retryable(failure, &policy.non_retryable_error_types)) {
        return Next::Stop(RetryState::NonRetryableFailure);
    }
    match failure.and_then(requested_delay) {
        // A negative delay: the moment has passed already.
        Some(delay) if time::is_negative(Some(delay)) => {
            after(policy, attempt, Some(Duration::ZERO), expiration, Some(delay), now)
        }
        Some(delay) => after(policy, attempt, set_duration(Some(delay)), expiration, Some(delay), now),
        None => after(policy, attempt, set_duration(policy.maximum_interval.as_ref()), expiration, None, now),
    }
}

fn after(
    policy: &RetryPolicy,
    attempt: i32,
    maximum: Option<Duration>,
    expiration: Option<Time>,
    requested: Option<&prost_types::Duration>,
    now: Time,
) -> Next {
    if policy.maximum_attempts > 0 && attempt >= policy.maximum_attempts {
        return Next::Stop(RetryState::MaximumAttemptsReached);
    }
    let wanted = match requested {
        Some(delay) => set_duration(Some(delay)),
        None => Some(interval(policy, attempt)).filter(|interval| !interval.is_zero()),
    };
    // Without an interval the maximum takes its place; without that either there is none to wait for.
    let after = match (wanted, maximum) {
        (Some(wanted), Some(maximum)) => wanted.min(maximum),
        (Some(wanted), None) => wanted,
        (None, Some(maximum)) => maximum,
        (None, None) => return Next::Stop(RetryState::Timeout),
    };
    if expiration.is_some_and(|expiration| now + after > expiration) {
        return Next::Stop(RetryState::Timeout);
    }
    Next::Retry { after }
}

/// `initial * coefficient ^ (attempt - 1)`, at most the maximum. Saturates instead of overflowing.
pub fn interval(policy: &RetryPolicy, attempt: i32) -> Duration {
    let initial = duration(policy.initial_interval.as_ref()).as_nanos() as f64;
    let exponent = f64::from(attempt.saturating_sub(1).max(0));
    let nanos = (initial * policy.backoff_coefficient.max(1.0).powf(exponent)) as i64;
    let interval = Duration::from_nanos(nanos.unsigned_abs());
    set_duration(policy.maximum_interval.as_ref()).map_or(interval, |maximum| interval.min(maximum))
}

/// The delay that the failed code asks for. Zero is a delay too.
fn requested_delay(failure: &Failure) -> Option<&prost_types::Duration> {
    match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) => info.next_retry_delay.as_ref(),
        _ => None,
    }
}

pub fn is_retryable(failure: &Failure, non_retryable_types: &[String]) -> bool {
    match &failure.failure_info {
        Some(FailureInfo::TerminatedFailureInfo(_) | FailureInfo::CanceledFailureInfo(_)) => false,
        Some(FailureInfo::TimeoutFailureInfo(info)) => match info.timeout_type() {
            kind @ (TimeoutType::StartToClose | TimeoutType::Heartbeat) => {
                !lists_timeout(non_retryable_types, kind)
            }
            _ => false,
        },
        Some(FailureInfo::ServerFailureInfo(info)) => !info.non_retryable,
        Some(FailureInfo::ApplicationFailureInfo(info)) => {
            !info.non_retryable && !non_retryable_types.contains(&info.r#type)
        }
        _ => true,
    }
}

fn lists_timeout(types: &[String], kind: TimeoutType) -> bool {
    types.iter().any(|listed| listed.strip_prefix(TIMEOUT_TYPE_PREFIX) == Some(timeout_name(kind)))
}
