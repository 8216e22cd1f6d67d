//! Proposing an entry, and what can become of it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use openraft::errors::{ClientWriteError, ForwardReason, ForwardToLeader};
use openraft::raft::ClientWriteResult;
use openraft::type_config::alias::OneshotReceiverOf;

use super::{C, wire};

/// An entry that was committed and applied on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub term: u64,
    pub index: u64,
    /// What the machine returned for the entry.
    pub reply: Bytes,
}

/// Why there is no [`Applied`]. The variants are the caller's choices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This node does not lead in that term. The entry was not proposed and never will be.
    #[error("not the leader in this term; the leader is {leader:?}")]
    NotLeader { leader: Option<u64> },
    /// Not proposed either; the same node may take it a little later.
    #[error("not proposed: {0}")]
    NotProposed(&'static str),
    /// The leadership was lost while the entry was on its way. It may be committed, now or later.
    #[error("leadership was lost; the outcome is unknown")]
    Unknown,
    /// The group has stopped on this node, and if the entry was on its way its outcome is unknown.
    #[error("the group has stopped on this node")]
    Fatal,
}

/// The outcome of a proposal that is already in line.
#[must_use = "the outcome of a proposal matters"]
pub struct Proposal {
    state: State,
    /// Counts the proposal as pending until it is dropped.
    _pending: Option<Pending>,
    failed: prometheus_client::metrics::counter::Counter,
}

enum State {
    Refused(Option<ProposeError>),
    Waiting(OneshotReceiverOf<C, ClientWriteResult<C>>),
}

pub(super) struct Pending(prometheus_client::metrics::gauge::Gauge);

impl Pending {
    pub(super) fn new(gauge: prometheus_client::metrics::gauge::Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Proposal {
    pub(super) fn refused(error: ProposeError, failed: prometheus_client::metrics::counter::Counter) -> Self {
        Self { state: State::Refused(Some(error)), _pending: None, failed }
    }

    pub(super) fn waiting(
        answer: OneshotReceiverOf<C, ClientWriteResult<C>>,
        pending: Pending,
        failed: prometheus_client::metrics::counter::Counter,
    ) -> Self {
        Self { state: State::Waiting(answer), _pending: Some(pending), failed }
    }
}

impl Future for Proposal {
    type Output = Result<Applied, ProposeError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &mut self.state {
            State::Refused(error) => Err(error.take().unwrap_or(ProposeError::Fatal)),
            State::Waiting(answer) => match std::task::ready!(Pin::new(answer).poll(context)) {
                Ok(Ok(response)) => Ok(Applied {
                    term: wire::term(&response.log_id),
                    index: response.log_id.index,
                    reply: response.data,
                }),
                Ok(Err(error)) => Err(refused(error)),
                Err(_) => Err(ProposeError::Fatal),
            },
        };
        if outcome.is_err() {
            self.failed.inc();
        }
        Poll::Ready(outcome)
    }
}

fn refused(error: ClientWriteError<C>) -> ProposeError {
    match error {
        ClientWriteError::ForwardToLeader(ForwardToLeader { leader_id, reason, .. }) => match reason {
            ForwardReason::NotLeader => ProposeError::NotLeader { leader: leader_id },
            ForwardReason::LeadershipTransfer => ProposeError::NotProposed("leadership is being handed over"),
            ForwardReason::LeaseExpired => {
                ProposeError::NotProposed("the leader has lost touch with its quorum")
            }
        },
        ClientWriteError::LogEntryDiscarded(_) => ProposeError::Unknown,
        ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_) => {
            ProposeError::NotProposed("the entry was refused")
        }
    }
}
