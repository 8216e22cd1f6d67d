//! Whose the id is: a start meets what runs, or has run, under the same id.

use everlog_proto::api::{
    common::v1::Link,
    enums::v1::{
        ActivityIdConflictPolicy, ActivityIdReusePolicy, NexusOperationIdConflictPolicy,
        NexusOperationIdReusePolicy,
    },
};

use super::{
    fact::{Creation, StandaloneFact},
    key::StandaloneKey,
    state::{Standalone, Status},
    turn::Turn,
};
use crate::{codec::Proto, reject::Reject, reply::Reply, stamp::Stamp};

/// What the policies of all kinds come down to.
#[derive(Clone, Copy, Debug)]
pub struct Policies {
    pub reuse: Reuse,
    /// What runs is used instead of being in the way.
    pub uses_existing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    Allowed,
    /// Unless the former run has completed.
    AfterFailure,
    Rejected,
}

impl Policies {
    /// Policies that nobody knows count as none given, which callers have refused before.
    pub fn of_activity(reuse: ActivityIdReusePolicy, conflict: ActivityIdConflictPolicy) -> Policies {
        Policies {
            reuse: match reuse {
                ActivityIdReusePolicy::AllowDuplicateFailedOnly => Reuse::AfterFailure,
                ActivityIdReusePolicy::RejectDuplicate => Reuse::Rejected,
                ActivityIdReusePolicy::Unspecified | ActivityIdReusePolicy::AllowDuplicate => Reuse::Allowed,
            },
            uses_existing: conflict == ActivityIdConflictPolicy::UseExisting,
        }
    }

    /// Policies that nobody knows count as none given.
    pub fn of_operation(
        reuse: NexusOperationIdReusePolicy,
        conflict: NexusOperationIdConflictPolicy,
    ) -> Policies {
        Policies {
            reuse: match reuse {
                NexusOperationIdReusePolicy::AllowDuplicateFailedOnly => Reuse::AfterFailure,
                NexusOperationIdReusePolicy::RejectDuplicate => Reuse::Rejected,
                NexusOperationIdReusePolicy::Unspecified | NexusOperationIdReusePolicy::AllowDuplicate => {
                    Reuse::Allowed
                }
            },
            uses_existing: conflict == NexusOperationIdConflictPolicy::UseExisting,
        }
    }
}

/// A start, whatever of.
#[derive(Debug)]
pub struct Start<'s> {
    pub request_id: &'s str,
    pub policies: Policies,
    /// Links that are to be kept with a run that is used instead.
    pub attached_links: &'s [Link],
}

/// What a start led to.
pub struct Started<'a> {
    /// A run that is new, or to which something was attached.
    pub turn: Option<Turn<'a>>,
    pub reply: Reply,
}

/// Decides over a start; `create` says what a new run begins with.
pub fn start<'a>(
    stamp: &'a Stamp<'a>,
    key: &StandaloneKey,
    current: Option<&Standalone>,
    start: &Start<'_>,
    create: impl FnOnce() -> Creation,
) -> Result<Started<'a>, Reject> {
    let current = current.filter(|current| !current.deleted);
    if let Some(current) = current {
        let existing = |turn| Started {
            turn,
            reply: Reply::StandaloneStarted { run_id: current.run_id().to_owned(), started: false },
        };
        if current.create_request_id == start.request_id {
            return Ok(existing(None));
        }
        if current.is_running() && start.policies.uses_existing {
            let known = current.links.iter().any(|(request_id, _)| request_id == start.request_id);
            if known || start.attached_links.is_empty() {
                return Ok(existing(None));
            }
            let mut turn = Turn::new(stamp, current.clone());
            turn.fact(StandaloneFact::LinksAttached {
                request_id: start.request_id.to_owned(),
                links: start.attached_links.iter().cloned().map(Proto).collect(),
            });
            return Ok(existing(Some(turn)));
        }
        let allowed = !current.is_running()
            && match start.policies.reuse {
                Reuse::Allowed => true,
                Reuse::AfterFailure => current.status != Status::Completed,
                Reuse::Rejected => false,
            };
        if !allowed {
            return Err(Reject::StandaloneAlreadyStarted {
                kind: key.kind,
                start_request_id: current.create_request_id.clone(),
                run_id: current.run_id().to_owned(),
            });
        }
    }
    let run_id = stamp.uuid();
    let mut turn = Turn::new(stamp, Standalone::fresh(key.run(&run_id)));
    turn.fact(StandaloneFact::Created(Box::new(create())));
    Ok(Started { turn: Some(turn), reply: Reply::StandaloneStarted { run_id, started: true } })
}
