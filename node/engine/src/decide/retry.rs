//! When a failed attempt is tried again. One rule serves activities and workflows
//! (service/history/workflow/retry.go).

use std::time::Duration;

use everlog_proto::api::{
    common::v1::RetryPolicy,
    enums::v1::{RetryState, TimeoutType},
    failure::v1::{Failure, failure::FailureInfo},
};

use crate::{
    limits::Limits,
    time::{Time, duration, is_negative, proto_duration, set_duration},
};

/// Fills what a policy leaves open.
pub fn with_defaults(policy: Option<&RetryPolicy>, limits: &Limits) -> RetryPolicy {
    let mut policy = policy.cloned().unwrap_or_default();
    let initial = set_duration(policy.initial_interval.as_ref()).unwrap_or(limits.retry_initial_interval);
    policy.initial_interval = Some(proto_duration(initial));
    if policy.backoff_coefficient == 0.0 {
        policy.backoff_coefficient = limits.retry_backoff_coefficient;
    }
    if set_duration(policy.maximum_interval.as_ref()).is_none() {
        policy.maximum_interval =
            Some(proto_duration(initial.mul_f64(limits.retry_maximum_interval_coefficient)));
    }
    policy
}

/// What is wrong with a policy, in the real server's words.
pub fn validate(policy: &RetryPolicy) -> Result<(), String> {
    // A policy of one attempt is never consulted, so nothing else in it matters.
    if policy.maximum_attempts == 1 {
        return Ok(());
    }
    if is_negative(policy.initial_interval.as_ref()) {
        return Err("invalid InitialInterval set on retry policy: negative duration".into());
    }
    if policy.backoff_coefficient < 1.0 {
        return Err("BackoffCoefficient cannot be less than 1 on retry policy.".into());
    }
    if is_negative(policy.maximum_interval.as_ref()) {
        return Err("invalid MaximumInterval set on retry policy: negative duration".into());
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
            && !["StartToClose", "ScheduleToStart", "ScheduleToClose", "Heartbeat"].contains(&timeout)
        {
            return Err("Invalid timeout type value: %v.".replace("%v", timeout));
        }
    }
    Ok(())
}

/// Application types that begin so name a time-out.
const TIMEOUT_TYPE_PREFIX: &str = "TemporalTimeout:";

/// The next attempt, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    Retry { after: Duration },
    Stop(RetryState),
}

/// Decides over the attempt that follows `attempt`, which has just failed at `now`.
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
    if policy.maximum_attempts > 0 && attempt >= policy.maximum_attempts {
        return Next::Stop(RetryState::MaximumAttemptsReached);
    }
    let after = match requested_delay(failure) {
        Some(delay) => delay,
        None => interval(policy, attempt),
    };
    if expiration.is_some_and(|expiration| now + after > expiration) {
        return Next::Stop(RetryState::Timeout);
    }
    Next::Retry { after }
}

/// `initial * coefficient ^ (attempt - 1)`, at most the maximum. Saturates instead of overflowing.
pub fn interval(policy: &RetryPolicy, attempt: i32) -> Duration {
    let initial = duration(policy.initial_interval.as_ref()).as_secs_f64();
    let maximum = set_duration(policy.maximum_interval.as_ref());
    let coefficient = policy.backoff_coefficient.max(1.0);
    let seconds = initial * coefficient.powi(attempt.saturating_sub(1).max(0));
    let interval = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    maximum.map_or(interval, |maximum| interval.min(maximum))
}

fn requested_delay(failure: &Failure) -> Option<Duration> {
    match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) => {
            info.next_retry_delay.as_ref().map(|delay| duration(Some(delay)))
        }
        _ => None,
    }
}

pub fn is_retryable(failure: &Failure, non_retryable_types: &[String]) -> bool {
    match &failure.failure_info {
        Some(FailureInfo::TerminatedFailureInfo(_) | FailureInfo::CanceledFailureInfo(_)) => false,
        Some(FailureInfo::TimeoutFailureInfo(info)) => match info.timeout_type() {
            TimeoutType::StartToClose => !lists_timeout(non_retryable_types, "StartToClose"),
            TimeoutType::Heartbeat => !lists_timeout(non_retryable_types, "Heartbeat"),
            _ => false,
        },
        Some(FailureInfo::ServerFailureInfo(info)) => !info.non_retryable,
        Some(FailureInfo::ApplicationFailureInfo(info)) => {
            !info.non_retryable && !non_retryable_types.contains(&info.r#type)
        }
        _ => true,
    }
}

fn lists_timeout(types: &[String], timeout: &str) -> bool {
    types.iter().any(|kind| kind.strip_prefix(TIMEOUT_TYPE_PREFIX) == Some(timeout))
}
