//! Activities that run on their own in the simulation: clients start one each, asking until they are answered,
//! and then ask until they hear how it ended. Workers say what they have to say once, perhaps late; what gets
//! lost is left to time-outs and retries.

use std::time::Duration;

use everlog_engine::{
    queue::Match,
    reject::Reject,
    reply::Reply,
    shard::{Input as ShardInput, OfferedTask, World},
    standalone::{
        Kind, Standalone, StandaloneKey,
        request::{Asked, AttemptRef, StandaloneRequest, TakeStandaloneActivity, Until},
        state::Status,
    },
    time::proto_duration,
    token::TaskToken,
};
use everlog_proto::api::{
    common::v1::{ActivityType, RetryPolicy},
    failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo},
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        RespondActivityTaskCompletedRequest, RespondActivityTaskFailedRequest, StartActivityExecutionRequest,
    },
};

use crate::{
    agenda::{About, Asker, Event, Message},
    machine::{QUEUE, payloads},
    random::Random,
    sim::{NAMESPACE, Sim},
};

const WANTED_MAX: usize = 6;
/// How long the client of an activity waits for its end, before it asks again.
const END_POLL: Duration = Duration::from_secs(3);

/// An activity that somebody wants.
#[derive(Clone, Debug)]
pub struct WantedActivity {
    pub key: StandaloneKey,
    pub attempts_max: i32,
    /// Attempts that fail before one succeeds.
    failures: usize,
    start_to_close: Duration,
    start: StartActivityExecutionRequest,
    /// As the answer to the start named it.
    pub run_id: Option<String>,
    pub is_cancelled: bool,
    /// Its client need not ask again.
    cancel_acknowledged: bool,
    /// What workers were given.
    pub attempts: Vec<Attempt>,
    /// Its client asks for the end. Nobody's question keeps the others in a leader's memory.
    is_awaited: bool,
    /// What the client was told of the end.
    pub told: Option<Status>,
}

/// An attempt in the hands of a worker.
#[derive(Clone, Debug)]
pub struct Attempt {
    token: TaskToken,
    fails: bool,
    /// The worker was told that this is how the activity ends, or goes on.
    pub acknowledged: bool,
}

impl Attempt {
    /// Whether its worker says that it succeeded.
    pub fn completes(&self) -> bool {
        !self.fails
    }
}

pub fn draw(random: &mut Random) -> Vec<WantedActivity> {
    (0..random.below(WANTED_MAX)).map(|number| WantedActivity::draw(number, random)).collect()
}

impl WantedActivity {
    fn draw(number: usize, random: &mut Random) -> WantedActivity {
        let id = format!("alone-{number}");
        // Without a bound of attempts it ends with a success, however much is lost.
        let attempts_max = *random.pick(&[0, 0, 1, 3]);
        let start_to_close = random.millis(500, 3_000);
        let policy = RetryPolicy {
            initial_interval: Some(proto_duration(random.millis(10, 1_000))),
            backoff_coefficient: 1.0,
            maximum_attempts: attempts_max,
            ..RetryPolicy::default()
        };
        let start = StartActivityExecutionRequest {
            namespace: NAMESPACE.into(),
            request_id: format!("start-{id}"),
            activity_id: id.clone(),
            activity_type: Some(ActivityType { name: "alone".into() }),
            task_queue: Some(TaskQueue { name: QUEUE.into(), ..TaskQueue::default() }),
            start_to_close_timeout: Some(proto_duration(start_to_close)),
            start_delay: random.chance(0.3).then(|| proto_duration(random.millis(100, 4_000))),
            retry_policy: Some(policy),
            ..StartActivityExecutionRequest::default()
        };
        WantedActivity {
            key: StandaloneKey::new(Kind::Activity, NAMESPACE, &id),
            attempts_max,
            failures: random.below(3),
            start_to_close,
            start,
            run_id: None,
            is_cancelled: random.chance(0.2),
            cancel_acknowledged: false,
            attempts: Vec::new(),
            is_awaited: random.chance(0.6),
            told: None,
        }
    }
}

/// What a match asks of the shard of such an activity; none for other tasks.
pub fn take_request(matched: &Match) -> Option<(StandaloneKey, TakeStandaloneActivity)> {
    let OfferedTask::StandaloneActivity { attempt, stamp } = matched.task.key.task else { return None };
    let run = &matched.task.key.run;
    let key = StandaloneKey { kind: Kind::Activity, named: run.workflow.clone() };
    let take = TakeStandaloneActivity {
        run_id: run.run_id.to_string(),
        attempt,
        stamp,
        identity: matched.poller.identity.clone(),
        request_id: matched.poller.request_id.clone(),
        build_id: String::new(),
        sdk_name: String::new(),
        sdk_version: String::new(),
    };
    Some((key, take))
}

impl Sim {
    /// A client asks at whatever node: first for the start, then for the end.
    pub fn want_activity(&mut self, index: usize) {
        let wanted = &self.activities[index];
        let (request, about) = match &wanted.run_id {
            _ if wanted.told.is_some() => return,
            Some(_) if !wanted.is_awaited => return,
            None => (StandaloneRequest::StartActivity(Box::new(wanted.start.clone())), About::Start),
            Some(run_id) => {
                let (run_id, until) = (run_id.clone(), Until::Closed);
                let timeout_ms = END_POLL.as_millis() as u64;
                (StandaloneRequest::Watch { run_id, until, timeout_ms }, About::End)
            }
        };
        self.tell_activity(index, request, about);
        let at = self.now + END_POLL + self.random.millis(0, 2_000);
        self.agenda.plan(at, Event::WantActivity { activity: index });
    }

    pub fn cancel_activity(&mut self, index: usize) {
        if self.activities[index].cancel_acknowledged {
            return;
        }
        let asked = Asked {
            run_id: String::new(),
            request_id: format!("cancel-{index}"),
            identity: "client".into(),
            reason: "no longer wanted".into(),
        };
        self.tell_activity(index, StandaloneRequest::Cancel(asked), About::Cancel);
        let at = self.now + self.random.millis(500, 3_000);
        self.agenda.plan(at, Event::CancelActivity { activity: index });
    }

    fn tell_activity(&mut self, index: usize, request: StandaloneRequest, about: About) {
        let key = self.activities[index].key.clone();
        let node = self.random.below(self.nodes.len());
        let asker = Asker::Activity { activity: index, about };
        self.send(None, node, Message::Standalone { key, request: Box::new(request), asker, hops: 0 });
    }

    /// A worker has got an attempt.
    pub fn take_standalone(&mut self, worker: usize, token: TaskToken) {
        let id = &*token.run.workflow.workflow_id;
        let Some(index) = self.activities.iter().position(|wanted| wanted.key.id() == id) else { return };
        self.trace.say(self.now, Some(id), || format!("worker {worker} runs {:?}", token.task));
        let fails = self.activities[index].attempts.len() < self.activities[index].failures;
        let attempt = self.activities[index].attempts.len();
        self.activities[index].attempts.push(Attempt { token, fails, acknowledged: false });
        if self.strikes(self.settings.activity_abandoned) {
            self.coverage.hit("an attempt of an activity on its own was abandoned");
            return;
        }
        let slow = self.strikes(self.settings.activity_slow);
        let longest = self.activities[index].start_to_close.as_millis() as u64;
        let (low, high) = if slow { (longest, longest * 2) } else { (0, 300) };
        let at = self.now + self.random.millis(low, high);
        self.agenda.plan(at, Event::AttemptActs { activity: index, attempt });
        if self.strikes(self.settings.answer_doubled) {
            let at = at + self.random.millis(0, 5_000);
            self.agenda.plan(at, Event::AttemptActs { activity: index, attempt });
        }
    }

    pub fn attempt_acts(&mut self, index: usize, number: usize) {
        let attempt = self.activities[index].attempts[number].clone();
        let of = AttemptRef::Token(attempt.token);
        let identity = "worker".to_owned();
        let request = if attempt.fails {
            let info = ApplicationFailureInfo::default();
            let failure = Some(Failure {
                message: "on purpose".into(),
                failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
                ..Failure::default()
            });
            let request = RespondActivityTaskFailedRequest { failure, identity, ..Default::default() };
            StandaloneRequest::FailActivity { of, request: Box::new(request) }
        } else {
            let result = Some(payloads(&format!("result-{number}")));
            let request = RespondActivityTaskCompletedRequest { result, identity, ..Default::default() };
            StandaloneRequest::CompleteActivity { of, request: Box::new(request) }
        };
        self.tell_activity(index, request, About::Attempt(number));
    }

    pub fn activity_answered(&mut self, index: usize, about: About, reply: &Result<Reply, Reject>) {
        let wanted = &mut self.activities[index];
        let reply = match reply {
            Ok(reply) => reply,
            // It is over, and asking again will not change that.
            Err(Reject::FailedPrecondition(_)) if matches!(about, About::Cancel) => {
                wanted.cancel_acknowledged = true;
                return;
            }
            Err(_) => return,
        };
        match (about, reply) {
            (About::Start, Reply::StandaloneStarted { run_id, .. }) => match &wanted.run_id {
                None => {
                    wanted.run_id = Some(run_id.clone());
                    self.coverage.hit("an activity on its own was started");
                }
                Some(known) if known != run_id => {
                    let (id, text) = (wanted.key.id().to_owned(), format!("{known} and {run_id}"));
                    self.fail("a start that is repeated gets the same answer (I10)", Some(&id), text);
                }
                Some(_) => {}
            },
            (About::End, Reply::Standalone(Some(state))) => {
                wanted.told = Some(state.status);
                self.coverage.hit("the end of an activity on its own was heard of");
            }
            (About::Cancel, _) => {
                wanted.cancel_acknowledged = true;
                self.coverage.hit("an activity on its own was to be cancelled");
            }
            (About::Attempt(number), Reply::Done) => wanted.attempts[number].acknowledged = true,
            _ => {}
        }
    }

    /// The leader is here, or one forward away.
    pub fn route_standalone(
        &mut self,
        node: usize,
        key: StandaloneKey,
        request: Box<StandaloneRequest>,
        asker: Asker,
        hops: u32,
    ) {
        let shard = self.shard_of_slot(key.slot());
        match self.nodes[node].shells[shard].known_leader {
            Some(leader) if leader == node => {
                let shell = &mut self.nodes[node].shells[shard];
                let call = shell.next_call;
                shell.next_call += 1;
                shell.calls.insert(call, asker);
                self.push_input(node, shard, ShardInput::Standalone { call, key, request: *request });
            }
            Some(leader) if hops == 0 => {
                self.send(Some(node), leader, Message::Standalone { key, request, asker, hops: 1 });
            }
            // Whoever asked asks again by itself.
            _ => {}
        }
    }

    /// What all members have agreed upon of an activity that was started.
    pub fn activity_state(&self, wanted: &WantedActivity) -> Option<std::sync::Arc<Standalone>> {
        let log = &self.logs[self.shard_of_slot(wanted.key.slot())];
        World::standalone(&log.truth, &wanted.key.run(wanted.run_id.as_ref()?))
    }

    /// Whether its client has heard of the end, or it has come to one of which nobody asks.
    fn is_over(&self, wanted: &WantedActivity) -> bool {
        match wanted.is_awaited {
            true => wanted.told.is_some(),
            false => self.activity_state(wanted).is_some_and(|state| !state.is_running()),
        }
    }

    pub fn activities_are_done(&self) -> bool {
        self.activities.iter().all(|wanted| self.is_over(wanted))
    }

    /// The state of those that are not.
    pub fn activities_not_done(&self) -> String {
        let open = self.activities.iter().filter(|wanted| !self.is_over(wanted));
        open.map(|wanted| format!("{:?}: {:?}", wanted.key, self.activity_state(wanted))).collect()
    }
}
