//! Stories: what clients and workers do, as text; the history that comes of it, as text.
//!
//! ```text
//! start   order queue=q
//! take    order
//! signal  order paid
//! finish  order timer=t1,5s
//! wait    5s
//! ```
//!
//! Workflow ids come first; `key=value` words refine a verb. A refusal is shown where it happened, as
//! `! NotFound: ...`. At the end each run's history is printed, then what is still owed.

mod nexus;
mod resets;
mod schedules;
mod shown;
mod updates;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
    time::Duration,
};

use everlog_proto::api::{
    enums::v1::{QueryRejectCondition, QueryResultType, VersioningBehavior, WorkflowTaskFailedCause},
    query::v1::{WorkflowQuery, WorkflowQueryResult},
    workflowservice::v1::*,
};
use expect_test::Expect;
use resets::options_request;
use shown::{name, shown, shown_reject};
use words::{
    command, duration, failure, pause_request, payloads, routed, signal_request, signal_with_start,
    start_request, sticky, text_of, unpause_request, word, worker_of,
};

use super::MemoryTables;
use crate::{
    execution::Execution,
    key::WorkflowKey,
    limits::Limits,
    message::Message,
    reject::Reject,
    reply::Reply,
    request::{ActivityRef, Namespaces, Request, TakeActivityTask, TakeQuery, TakeWorkflowTask},
    schedule::ask::Ask,
    shard::{Call, Input, Offer, OfferedTask, Output, Shard},
    time::Time,
    token::TaskToken,
};

/// Tells a story and compares what came of it. `UPDATE_EXPECT=1` rewrites expectations.
pub fn check(story: &str, expect: Expect) {
    check_with(story, Limits::default(), expect);
}

pub fn check_with(story: &str, limits: Limits, expect: Expect) {
    let mut teller = Story::new(limits);
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        teller.tell(line);
    }
    expect.assert_eq(&teller.end());
}

const NAMESPACE: &str = "ns";
const WORKER: &str = "worker";
const START: Time = Time(1_000_000_000_000_000_000);

/// One shard with all slots, its log and its clock.
pub struct Story {
    shard: Shard,
    pub tables: MemoryTables,
    now: Time,
    term: u64,
    next_call: Call,
    replies: BTreeMap<Call, Result<Reply, Reject>>,
    /// Messages on their way, and what was told to their senders.
    messages: BTreeMap<Call, Message>,
    /// Calls to Nexus handlers, in the order in which they were made.
    calls: Vec<Message>,
    noted: BTreeSet<Call>,
    /// Questions of schedules on their way.
    asks: BTreeMap<Call, (u64, Ask)>,
    /// Answers to the questions of schedules are lost from here on.
    mute: bool,
    /// Messages are lost from here on.
    deaf: bool,
    offers: Vec<Offer>,
    /// Workflow task tokens, activity tokens and query tokens by workflow id and name.
    tokens: BTreeMap<String, Vec<u8>>,
    queries: BTreeMap<String, Call>,
    /// Names of the queries that the last task carried.
    carried: Vec<String>,
    /// Entries that were proposed, and the bytes of each.
    pub entries: u64,
    pub sizes: Vec<usize>,
    hold: bool,
    held: Vec<(u64, crate::fact::Entry)>,
    told: String,
}

impl Story {
    pub fn new(limits: Limits) -> Story {
        let tables = MemoryTables { limits: Arc::new(limits), ..MemoryTables::default() };
        let mut story = Story {
            shard: Shard::new((0..crate::key::SLOTS).collect()),
            tables,
            now: START,
            term: 1,
            next_call: 1,
            replies: BTreeMap::new(),
            messages: BTreeMap::new(),
            calls: Vec::new(),
            noted: BTreeSet::new(),
            asks: BTreeMap::new(),
            mute: false,
            deaf: false,
            offers: Vec::new(),
            tokens: BTreeMap::new(),
            queries: BTreeMap::new(),
            carried: Vec::new(),
            entries: 0,
            sizes: Vec::new(),
            hold: false,
            held: Vec::new(),
            told: String::new(),
        };
        story.input(Input::Lead { term: 1, seed: 7 });
        story
    }

    /// Carries out one line.
    pub fn tell(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap_or_default();
        let words: Vec<&str> = words.collect();
        let id = words.first().copied().unwrap_or_default();
        let outcome = match verb {
            "start" => self.request(id, Request::Start(Box::new(start_request(id, &words)))),
            "signal-with-start" => {
                self.request(id, Request::SignalWithStart(Box::new(signal_with_start(id, &words))))
            }
            "signal" => self.request(id, Request::Signal(Box::new(signal_request(id, &words)))),
            "cancel" => {
                let request = RequestCancelWorkflowExecutionRequest {
                    first_execution_run_id: word(&words, "first").unwrap_or_default().into(),
                    reason: word(&words, "reason").unwrap_or_default().into(),
                    identity: "client".into(),
                    ..Default::default()
                };
                self.request(id, Request::Cancel(Box::new(request)))
            }
            "terminate" => {
                let request = TerminateWorkflowExecutionRequest {
                    reason: word(&words, "reason").unwrap_or_default().into(),
                    identity: "client".into(),
                    ..Default::default()
                };
                self.request(id, Request::Terminate(Box::new(request)))
            }
            "pause-workflow" => self.request(id, Request::PauseWorkflow(Box::new(pause_request(&words)))),
            "unpause-workflow" => self.request(id, Request::UnpauseWorkflow(Box::new(unpause_request()))),
            "delete" => self.request(id, Request::Delete { run_id: String::new() }),
            "reset" => {
                let request = self.reset_request(id, &words);
                self.request(id, Request::Reset { request: Box::new(request), to: None })
            }
            "set-priority" => self.request(id, Request::UpdateOptions(Box::new(options_request(&words)))),
            "reset-sticky" => self.request(id, Request::ResetSticky { run_id: String::new() }),
            "take" => self.take(id, &words),
            "finish" => self.finish(id, &words),
            "fail-task" => self.fail_task(id, &words),
            "no-poller" => self.no_poller(id),
            "take-activity" => self.take_activity(id, &words),
            "complete-activity" | "fail-activity" | "cancel-activity" | "heartbeat" => {
                self.activity(verb, id, &words)
            }
            "query" => self.query(id, &words),
            "send-update" | "poll-update" | "update-with-start" => self.update(verb, id, &words),
            "take-query" => self.take_query(id),
            "answer-query" => self.answer_query(id, &words),
            "wait" => {
                self.wait(duration(id));
                Ok(Reply::Done)
            }
            "new-leader" => {
                self.new_leader();
                Ok(Reply::Done)
            }
            // From here on messages between workflows are lost.
            "deaf" => {
                self.deaf = true;
                Ok(Reply::Done)
            }
            // From here on the answers to schedules are lost.
            "mute" | "unmute" => {
                self.mute = verb == "mute";
                Ok(Reply::Done)
            }
            "hearing" => {
                self.deaf = false;
                Ok(Reply::Done)
            }
            // From here on nothing commits until `commit`.
            "hold" => {
                self.hold = true;
                Ok(Reply::Done)
            }
            "commit" => {
                self.hold = false;
                self.commit_held();
                Ok(Reply::Done)
            }
            _ => self
                .tell_nexus(verb, id, &words)
                .unwrap_or_else(|| self.tell_schedule(verb, id, &words, line)),
        };
        match outcome {
            Ok(Reply::TaskGone) => self.say(&format!("! {line}: task gone")),
            Ok(Reply::QueryRejected(rejected)) => {
                self.say(&format!("! {line}: rejected {}", rejected.status))
            }
            Ok(Reply::Started(started)) if !started.started => {
                self.say(&format!("! {line}: not started anew"))
            }
            Ok(_) => {}
            Err(reject) => self.say(&format!("! {}", shown_reject(&reject))),
        }
        self.answered_queries();
    }

    /// What is there at the end of the story.
    pub fn end(mut self) -> String {
        let mut told = std::mem::take(&mut self.told);
        let mut executions = self.tables.executions();
        executions.sort_by_key(|execution| (execution.workflow_id().to_owned(), execution.start_time));
        let several = executions.len() > 1;
        for execution in &executions {
            if several {
                let _ = writeln!(told, "-- {}", execution.workflow_id());
            }
            for event in self.tables.history(execution.key()) {
                let _ = writeln!(told, "{}", shown(&event));
            }
            if !execution.buffered.is_empty() {
                let names: Vec<String> = execution.buffered.iter().map(|event| name(event)).collect();
                let _ = writeln!(told, "buffered: {}", names.join(", "));
            }
            for owed in self.owed(execution) {
                let _ = writeln!(told, "todo: {owed}");
            }
        }
        told
    }

    fn owed(&self, execution: &Execution) -> Vec<String> {
        use crate::todo::Todo;
        let held = self.held_task(execution.workflow_id());
        let nothing = crate::volatile::Volatile::default();
        let mut owed: Vec<String> = crate::todo::tasks(execution, &nothing, self.now)
            .into_iter()
            .map(|todo| match todo {
                Todo::WorkflowTask { queue, attempt, .. } => {
                    let held = if held { ", held" } else { "" };
                    let attempt = if attempt > 1 { format!(" attempt {attempt}") } else { String::new() };
                    format!("workflow task on {queue}{attempt}{held}")
                }
                Todo::ActivityTask { queue, scheduled_event_id, attempt, .. } => {
                    format!("activity {scheduled_event_id} attempt {attempt} on {queue}")
                }
                Todo::Wake(_) => String::new(),
            })
            .collect();
        owed.extend(crate::todo::messages(execution).iter().map(|subject| format!("message {subject:?}")));
        if let Some(at) = crate::todo::wake_at(execution).filter(|_| execution.is_running()) {
            owed.push(format!("wake in {:?}", at.since(self.now)));
        }
        owed
    }

    fn held_task(&self, id: &str) -> bool {
        self.shard.holds_task(&WorkflowKey::new(NAMESPACE, id))
    }

    fn say(&mut self, text: &str) {
        let _ = writeln!(self.told, "{text}");
    }

    fn request(&mut self, id: &str, request: Request) -> Result<Reply, Reject> {
        let call = self.call(id, request);
        self.replies.remove(&call).unwrap_or(Ok(Reply::Done))
    }

    pub fn call(&mut self, id: &str, request: Request) -> Call {
        let call = self.next_call;
        self.next_call += 1;
        let workflow = WorkflowKey::new(NAMESPACE, id);
        self.input(Input::Request { call, workflow, request });
        call
    }

    /// How many actors are in memory.
    pub fn actors(&self) -> usize {
        self.shard.actors()
    }

    /// How often the tasks of a workflow were offered; of all, without a name.
    pub fn offers_of(&self, id: Option<&str>) -> usize {
        let is_meant = |offer: &&Offer| id.is_none_or(|id| &*offer.run.workflow.workflow_id == id);
        self.offers.iter().filter(is_meant).count()
    }

    /// Since when the task waits that was offered last of a workflow, as the queue is told.
    pub fn waits_since(&self, id: &str) -> Option<Time> {
        self.offered(id, |_| true).map(|offer| offer.scheduled_time)
    }

    /// A queue refuses what it was offered last of a workflow.
    pub fn refuse_offer(&mut self, id: &str) {
        if let Some(offer) = self.offered(id, |_| true) {
            self.input(Input::OfferRefused { run: offer.run });
        }
    }

    fn input(&mut self, input: Input) {
        self.shard.handle(self.now, input, &self.tables);
        self.run();
    }

    fn run(&mut self) {
        self.shard.end_turn(self.now, &self.tables);
        while let Some(output) = self.shard.poll() {
            match output {
                Output::Propose { proposal, entry, .. } => {
                    self.entries += 1;
                    self.sizes.push(entry.encode().len());
                    if self.hold {
                        self.held.push((proposal, entry));
                    } else {
                        self.commit(proposal, &entry);
                    }
                }
                Output::ReadIndex { read } => {
                    self.shard.handle(self.now, Input::ReadReady { read }, &self.tables);
                }
                Output::Reply { call, reply } => self.answered(call, reply),
                Output::Offer(offer) => self.offers.push(offer),
                Output::Send(message) => self.send(*message),
                Output::Ask { ask, workflow, request } => self.ask(ask, workflow, request),
            }
            self.shard.end_turn(self.now, &self.tables);
        }
    }

    fn send(&mut self, mut message: Message) {
        if self.deaf || self.is_for_a_handler(&message) {
            return;
        }
        message.from_namespace = NAMESPACE.into();
        let call = self.next_call;
        self.next_call += 1;
        let (workflow, request) = (message.to.clone(), Request::Message(Box::new(message.clone())));
        self.messages.insert(call, message);
        self.shard.handle(self.now, Input::Request { call, workflow, request }, &self.tables);
    }

    /// An answer for whoever tells the story, or for the workflow that has sent a message.
    fn answered(&mut self, call: Call, reply: Result<Reply, Reject>) {
        if self.noted.remove(&call) {
            if let Ok(Reply::Noted(Some(next))) = reply {
                self.send(*next);
            }
            return;
        }
        if let Some((ask, asked)) = self.asks.remove(&call) {
            return self.asked(ask, &asked, reply);
        }
        let Some(message) = self.messages.remove(&call) else {
            self.replies.insert(call, reply);
            return;
        };
        let Ok(Reply::Message(outcome)) = reply else { return };
        let call = self.next_call;
        self.next_call += 1;
        self.noted.insert(call);
        let run_id = message.from.run_id.to_string();
        let namespace = NAMESPACE.to_owned();
        let request = Request::Delivered { run_id, subject: message.subject, outcome, namespace };
        let workflow = message.from.workflow;
        self.shard.handle(self.now, Input::Request { call, workflow, request }, &self.tables);
    }

    fn commit(&mut self, proposal: u64, entry: &crate::fact::Entry) {
        self.tables.apply(entry).expect("a committed entry applies");
        self.shard.handle(self.now, Input::Committed { proposal }, &self.tables);
    }

    fn commit_held(&mut self) {
        for (proposal, entry) in std::mem::take(&mut self.held) {
            self.commit(proposal, &entry);
        }
        self.run();
    }

    /// Lets time pass, stopping wherever something falls due.
    fn wait(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.shard.wake_at().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.run();
            if self.shard.wake_at().is_some_and(|next| next <= at) {
                // A task that nobody takes stays due; time goes on.
                self.now = self.now + Duration::from_millis(1);
            }
        }
        self.now = end;
        self.run();
    }

    fn new_leader(&mut self) {
        self.term += 1;
        self.held.clear();
        let (term, seed) = (self.term, self.term * 7);
        self.input(Input::Lead { term, seed });
    }

    fn offered(&self, id: &str, pick: impl Fn(&OfferedTask) -> bool) -> Option<Offer> {
        let of = |offer: &&Offer| &*offer.run.workflow.workflow_id == id && pick(&offer.task);
        self.offers.iter().rev().find(of).cloned()
    }

    fn take(&mut self, id: &str, words: &[&str]) -> Result<Reply, Reject> {
        let Some(offer) = self.offered(id, |task| matches!(task, OfferedTask::Workflow { .. })) else {
            return Err(Reject::Internal("no workflow task was offered".into()));
        };
        let OfferedTask::Workflow { scheduled_event_id, attempt, .. } = offer.task else { unreachable!() };
        let take = TakeWorkflowTask {
            run_id: offer.run.run_id.to_string(),
            scheduled_event_id,
            attempt,
            queue: word(words, "queue").map_or(offer.queue, str::to_owned),
            identity: WORKER.into(),
            request_id: word(words, "request").unwrap_or("poll").into(),
            build_id: String::new(),
            routed: routed(words),
        };
        let reply = self.request(id, Request::TakeWorkflowTask(take))?;
        if let Reply::WorkflowTask(task) = &reply {
            self.tokens.insert(id.to_owned(), task.response.task_token.clone());
            if !task.response.queries.is_empty() {
                let mut ids: Vec<_> = task.response.queries.keys().cloned().collect();
                ids.sort();
                self.carried = ids.clone();
                self.say(&format!("{id}: task carries {} queries", ids.len()));
            }
            self.say_messages(id, &task.response.messages);
        }
        Ok(reply)
    }

    /// The updates that a task brings.
    fn say_messages(&mut self, id: &str, messages: &[everlog_proto::api::protocol::v1::Message]) {
        if !messages.is_empty() {
            let names: Vec<&str> =
                messages.iter().map(|message| message.protocol_instance_id.as_str()).collect();
            self.say(&format!("{id}: task brings {}", names.join(", ")));
        }
    }

    fn token(&self, name: &str) -> Result<TaskToken, Reject> {
        TaskToken::decode(self.tokens.get(name).map(Vec::as_slice).unwrap_or_default())
    }

    fn finish(&mut self, id: &str, words: &[&str]) -> Result<Reply, Reject> {
        let token = self.token(id)?;
        let mut request =
            RespondWorkflowTaskCompletedRequest { identity: WORKER.into(), ..Default::default() };
        for word in &words[1..] {
            match *word {
                "force" => request.force_create_new_workflow_task = true,
                "inline" => request.return_new_workflow_task = true,
                word if word.starts_with("sticky=") => request.sticky_attributes = Some(sticky(&word[7..])),
                word if word.starts_with("pinned=") || word.starts_with("moving=") => {
                    let (behavior, build_id) = (&word[..6], &word[7..]);
                    request.versioning_behavior = match behavior {
                        "pinned" => VersioningBehavior::Pinned as i32,
                        _ => VersioningBehavior::AutoUpgrade as i32,
                    };
                    request.deployment_options = Some(worker_of(build_id));
                }
                word if word.starts_with("answer=") => {
                    for id in self.open_query_ids() {
                        let result = WorkflowQueryResult {
                            result_type: QueryResultType::Answered as i32,
                            answer: Some(payloads(&word[7..])),
                            ..Default::default()
                        };
                        request.query_results.insert(id, result);
                    }
                }
                word if updates::answer(&mut request, word) => {}
                word => request.commands.push(command(word)),
            }
        }
        let (endpoint, endpoint_id) = nexus::ENDPOINT;
        let namespaces = Namespaces {
            own: NAMESPACE.into(),
            endpoints: [(endpoint.to_owned(), endpoint_id.to_owned())].into(),
            ..Namespaces::default()
        };
        let request = Request::CompleteWorkflowTask { token, request: Box::new(request), namespaces };
        let reply = self.request(id, request)?;
        if let Reply::Completed(completed) = &reply {
            if completed.response.reset_history_event_id > 0 {
                let event_id = completed.response.reset_history_event_id;
                self.say(&format!("{id}: go back to {event_id}"));
            }
            if let Some(task) = &completed.workflow_task {
                self.say_messages(id, &task.response.messages);
            }
            if let Some(task) = &completed.workflow_task {
                self.tokens.insert(id.to_owned(), task.response.task_token.clone());
            }
            for task in &completed.response.activity_tasks {
                self.tokens.insert(format!("{id}/{}", task.activity_id), task.task_token.clone());
            }
        }
        Ok(reply)
    }

    fn fail_task(&mut self, id: &str, words: &[&str]) -> Result<Reply, Reject> {
        let token = self.token(id)?;
        let request = RespondWorkflowTaskFailedRequest {
            cause: WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure as i32,
            failure: Some(failure(words.get(1).copied().unwrap_or("broken"))),
            identity: WORKER.into(),
            ..Default::default()
        };
        self.request(id, Request::FailWorkflowTask { token, request: Box::new(request) })
    }

    fn no_poller(&mut self, id: &str) -> Result<Reply, Reject> {
        let Some(offer) = self.offered(id, |task| {
            matches!(task, OfferedTask::Workflow { sticky: true, .. } | OfferedTask::Query { .. })
        }) else {
            return Err(Reject::Internal("nothing was offered that has to have a poller".into()));
        };
        let (scheduled_event_id, query, sticky) = match offer.task {
            OfferedTask::Workflow { scheduled_event_id, sticky, .. } => (scheduled_event_id, None, sticky),
            OfferedTask::Query { id, sticky } => (0, Some(id), sticky),
            OfferedTask::Activity { .. }
            | OfferedTask::StandaloneActivity { .. }
            | OfferedTask::Nexus { .. } => unreachable!(),
        };
        let run_id = offer.run.run_id.to_string();
        self.request(id, Request::NoPoller { run_id, scheduled_event_id, query, sticky })
    }

    fn take_activity(&mut self, id: &str, words: &[&str]) -> Result<Reply, Reject> {
        let Some(offer) = self.offered(id, |task| matches!(task, OfferedTask::Activity { .. })) else {
            return Err(Reject::Internal("no activity task was offered".into()));
        };
        let OfferedTask::Activity { scheduled_event_id, attempt, stamp } = offer.task else { unreachable!() };
        let take = TakeActivityTask {
            run_id: offer.run.run_id.to_string(),
            scheduled_event_id,
            attempt,
            stamp,
            identity: WORKER.into(),
            request_id: word(words, "request").unwrap_or("poll").into(),
            build_id: String::new(),
            routed: routed(words),
        };
        let reply = self.request(id, Request::TakeActivityTask(take))?;
        if let Reply::ActivityTask(task) = &reply {
            self.tokens.insert(format!("{id}/{}", task.activity_id), task.task_token.clone());
        }
        Ok(reply)
    }

    fn activity(&mut self, verb: &str, id: &str, words: &[&str]) -> Result<Reply, Reject> {
        let name = words.get(1).copied().unwrap_or_default();
        let of = match word(words, "by") {
            Some("id") => ActivityRef::Id { run_id: String::new(), activity_id: name.to_owned() },
            _ => ActivityRef::Token(self.token(&format!("{id}/{name}"))?),
        };
        let text = words.get(2).copied().unwrap_or("x");
        let identity = WORKER.to_owned();
        let request = match verb {
            "complete-activity" => Request::CompleteActivity {
                of,
                request: Box::new(RespondActivityTaskCompletedRequest {
                    result: Some(payloads(text)),
                    identity,
                    ..Default::default()
                }),
            },
            "fail-activity" => Request::FailActivity {
                of,
                request: Box::new(RespondActivityTaskFailedRequest {
                    failure: Some(failure(text)),
                    identity,
                    ..Default::default()
                }),
            },
            "cancel-activity" => Request::CancelActivity {
                of,
                request: Box::new(RespondActivityTaskCanceledRequest { identity, ..Default::default() }),
            },
            _ => Request::HeartbeatActivity {
                of,
                details: Some(Box::new(crate::codec::Proto(payloads(text)))),
                identity,
            },
        };
        let reply = self.request(id, request)?;
        if let Reply::Heartbeat { cancel_requested: true, .. } = reply {
            self.say(&format!("{id}/{name}: asked to stop"));
        }
        Ok(reply)
    }

    fn query(&mut self, id: &str, words: &[&str]) -> Result<Reply, Reject> {
        let name = words.get(1).copied().unwrap_or("state");
        let reject = match word(words, "reject") {
            Some("not-open") => QueryRejectCondition::NotOpen,
            Some("not-clean") => QueryRejectCondition::NotCompletedCleanly,
            _ => QueryRejectCondition::None,
        };
        let query = WorkflowQuery { query_type: name.to_owned(), ..Default::default() };
        let call = self.call(
            id,
            Request::Query { run_id: String::new(), query: Box::new(query), reject, timeout_ms: 10_000 },
        );
        match self.replies.remove(&call) {
            Some(reply) => reply,
            None => {
                self.queries.insert(format!("{id} {name}"), call);
                Ok(Reply::Done)
            }
        }
    }

    fn open_query_ids(&self) -> Vec<String> {
        self.carried.clone()
    }

    fn answered_queries(&mut self) {
        for (name, call) in self.queries.clone() {
            let Some(reply) = self.replies.remove(&call) else { continue };
            self.queries.remove(&name);
            match reply {
                Ok(Reply::QueryAnswer { result }) => {
                    let text = result.map(|result| text_of(&result)).unwrap_or_default();
                    self.say(&format!("query {name}: {text}"));
                }
                Ok(Reply::Update(reply)) => {
                    self.say(&format!("update {name}: {}", updates::shown(&reply)));
                }
                Ok(other) => self.say(&format!("query {name}: {other:?}")),
                Err(reject) => self.say(&format!("query {name}: ! {}", shown_reject(&reject))),
            }
        }
    }

    fn take_query(&mut self, id: &str) -> Result<Reply, Reject> {
        let Some(offer) = self.offered(id, |task| matches!(task, OfferedTask::Query { .. })) else {
            return Err(Reject::Internal("no query was offered".into()));
        };
        let OfferedTask::Query { id: query, .. } = offer.task else { unreachable!() };
        let run_id = offer.run.run_id.to_string();
        let take = TakeQuery { run_id, query, queue: offer.queue, identity: WORKER.into() };
        let reply = self.request(id, Request::TakeQuery(take))?;
        if let Reply::WorkflowTask(task) = &reply {
            self.say(&format!("{id}: query with events {}..={}", task.history.from, task.history.to));
            self.tokens.insert(format!("{id}?"), task.response.task_token.clone());
        }
        Ok(reply)
    }

    fn answer_query(&mut self, id: &str, words: &[&str]) -> Result<Reply, Reject> {
        let token = self.token(&format!("{id}?"))?;
        let request = RespondQueryTaskCompletedRequest {
            completed_type: QueryResultType::Answered as i32,
            query_result: Some(payloads(words.get(1).copied().unwrap_or("x"))),
            ..Default::default()
        };
        self.request(id, Request::AnswerQuery { token, request: Box::new(request) })
    }
}
