//! Nexus in stories: what a handler answers to the calls of operations.

use everlog_proto::api::{
    common::v1::{Callback, Payload, callback},
    failure::v1::Failure,
};

use super::{NAMESPACE, Story, start_request, word};
use crate::{
    codec::Proto,
    message::{Body, Message, Outcome},
    nexus::{
        CallOf, Outcome as Called,
        callback::{SYSTEM_URL, TOKEN_HEADER},
    },
    reject::Reject,
    reply::Reply,
    request::Request,
};

/// The endpoint that stories know, and its id.
pub(super) const ENDPOINT: (&str, &str) = ("endpoint", "endpoint-id");

impl Story {
    /// What leaves for a handler waits for the story to answer.
    pub(super) fn is_for_a_handler(&mut self, message: &Message) -> bool {
        let is_call = matches!(message.body, Body::NexusCall(_) | Body::Post(_));
        if is_call {
            self.calls.push(message.clone());
        }
        is_call
    }

    pub(super) fn tell_nexus(
        &mut self,
        verb: &str,
        id: &str,
        words: &[&str],
    ) -> Option<Result<Reply, Reject>> {
        match verb {
            // `answer order started=token`: of the latest call.
            "answer" => Some(self.answer_call(id, words)),
            // `handle order ship`: the workflow `ship` is started to carry the operation out.
            "handle" => Some(self.handle_by_workflow(id, words)),
            _ => None,
        }
    }

    fn latest_call(&self, id: &str) -> Result<Message, Reject> {
        let found = self.calls.iter().rev().find(|call| &*call.from.workflow.workflow_id == id);
        found.cloned().ok_or_else(|| Reject::Internal("no call was made".into()))
    }

    fn answer_call(&mut self, id: &str, words: &[&str]) -> Result<Reply, Reject> {
        let message = self.latest_call(id)?;
        let failure = |text: &str| {
            let message = text.trim_end_matches('!').to_owned();
            Box::new(Proto(Failure { message, ..Failure::default() }))
        };
        let (what, text) = words[1].split_once('=').unwrap_or((words[1], ""));
        let outcome = match what {
            "started" => Called::Started { operation_token: text.into(), links: Vec::new() },
            "done" => {
                let payload = Payload { data: text.as_bytes().to_vec(), ..Payload::default() };
                Called::Succeeded { payload: Some(Proto(payload)), links: Vec::new() }
            }
            "failed" => Called::Unsuccessful { failure: failure(text), canceled: false },
            "canceled" => Called::Unsuccessful { failure: failure(text), canceled: true },
            "error" => Called::Error { failure: failure(text), retryable: !text.ends_with('!') },
            "taken" => Called::Taken,
            other => panic!("no such answer: {other}"),
        };
        let delivered = Request::Delivered {
            run_id: message.from.run_id.to_string(),
            subject: message.subject,
            outcome: Outcome::Nexus(Box::new(outcome)),
            namespace: NAMESPACE.into(),
        };
        self.request(id, delivered)
    }

    fn handle_by_workflow(&mut self, id: &str, words: &[&str]) -> Result<Reply, Reject> {
        let message = self.latest_call(id)?;
        let Body::NexusCall(call) = &message.body else { return Err(Reject::Internal("no call".into())) };
        let CallOf::Start { callback, request_id, .. } = &call.what else {
            return Err(Reject::Internal("the latest call starts nothing".into()));
        };
        let nexus = callback::Nexus {
            url: SYSTEM_URL.into(),
            header: [(TOKEN_HEADER.to_owned(), callback.encode())].into(),
        };
        let handler = words[1];
        let mut request = start_request(handler, &words[1..]);
        request.request_id = word(words, "request").unwrap_or(request_id).to_owned();
        request.completion_callbacks =
            vec![Callback { variant: Some(callback::Variant::Nexus(nexus)), ..Callback::default() }];
        if let Some(options) = &mut request.on_conflict_options {
            options.attach_completion_callbacks = true;
        }
        self.request(handler, Request::Start(Box::new(request)))
    }
}
