//! Schedules in stories: `schedule`, `trigger`, `pause`, `unpause`, `backfill`, `update`, `unschedule`,
//! `describe-schedule`. What a schedule is like is shown when it is described.

use std::time::Duration;

use everlog_proto::api::{
    common::v1::WorkflowType,
    enums::v1::ScheduleOverlapPolicy,
    schedule::v1::{
        BackfillRequest, IntervalSpec, Schedule, ScheduleAction, SchedulePatch, SchedulePolicies,
        ScheduleSpec, ScheduleState, TriggerImmediatelyRequest, schedule_action::Action,
    },
    taskqueue::v1::TaskQueue,
    workflow::v1::NewWorkflowExecutionInfo,
    workflowservice::v1::{
        CreateScheduleRequest, DescribeScheduleResponse, PatchScheduleRequest, UpdateScheduleRequest,
    },
};

use super::{NAMESPACE, START, Story, words::duration, words::word};
use crate::{
    key::WorkflowKey,
    reject::Reject,
    reply::Reply,
    request::Request,
    schedule::{
        ScheduleKey,
        ask::Ask,
        request::{ScheduleReply, ScheduleRequest},
        spec,
        turn::fill_in_policies,
    },
    shard::{Call, Input},
    time::{Time, proto_duration},
};

impl Story {
    pub(super) fn tell_schedule(
        &mut self,
        verb: &str,
        id: &str,
        words: &[&str],
        line: &str,
    ) -> Result<Reply, Reject> {
        let request_id = word(words, "request").unwrap_or_default().to_owned();
        let request = match verb {
            "schedule" => ScheduleRequest::Create(Box::new(CreateScheduleRequest {
                namespace: NAMESPACE.into(),
                schedule_id: id.into(),
                schedule: Some(schedule(id, words)),
                request_id,
                ..Default::default()
            })),
            "update" => ScheduleRequest::Update(Box::new(UpdateScheduleRequest {
                schedule: Some(schedule(id, words)),
                conflict_token: word(words, "token")
                    .map(|token| token.parse::<i64>().unwrap().to_be_bytes().to_vec())
                    .unwrap_or_default(),
                request_id,
                ..Default::default()
            })),
            "trigger" | "pause" | "unpause" | "backfill" => {
                let patch = Some(patch(verb, words));
                let request = PatchScheduleRequest { patch, request_id, ..Default::default() };
                ScheduleRequest::Patch(Box::new(request))
            }
            "unschedule" => ScheduleRequest::Delete,
            "describe-schedule" => ScheduleRequest::Describe,
            "matching-times" => ScheduleRequest::MatchingTimes {
                after: Some(START),
                until: Some(START + duration(word(words, "within").unwrap_or("60s"))),
            },
            _ => panic!("no such verb: {line}"),
        };
        let reply = self.request_schedule(id, request)?;
        match &reply {
            Reply::Schedule(ScheduleReply::Described(described)) => {
                let shown = describe(described);
                self.say(&format!("{id}: {shown}"));
            }
            Reply::Schedule(ScheduleReply::Times(times)) => {
                let times: Vec<String> = times.iter().map(|time| shown_time(*time)).collect();
                self.say(&format!("{id} matches {}", times.join(" ")));
            }
            _ => {}
        }
        Ok(reply)
    }

    fn request_schedule(&mut self, id: &str, request: ScheduleRequest) -> Result<Reply, Reject> {
        let call = self.next_call();
        let key = ScheduleKey::new(NAMESPACE, id);
        self.input(Input::Schedule { call, key, request });
        self.replies.remove(&call).unwrap_or(Ok(Reply::Done))
    }

    pub(super) fn ask(&mut self, ask: u64, workflow: WorkflowKey, request: Ask) {
        if self.deaf {
            return;
        }
        let call = self.next_call();
        let asked: Request = request.request(&workflow.workflow_id);
        self.asks.insert(call, (ask, request));
        self.shard.handle(self.now, Input::Request { call, workflow, request: asked }, &self.tables);
    }

    pub(super) fn asked(&mut self, ask: u64, asked: &Ask, reply: Result<Reply, Reject>) {
        if self.mute {
            return;
        }
        let answer = asked.conclude(
            reply,
            |execution| self.tables.history(execution.key()).pop(),
            |run_id| {
                let executions = self.tables.executions();
                let found = executions.iter().find(|execution| execution.run_id() == run_id)?;
                Some(found.create_request_id.clone())
            },
        );
        self.shard.handle(self.now, Input::Answered { ask, answer }, &self.tables);
    }

    /// What was said until now.
    pub fn said(&self) -> String {
        self.told.clone()
    }

    pub fn schedules_in_memory(&self) -> usize {
        self.shard.schedules()
    }

    fn next_call(&mut self) -> Call {
        self.next_call += 1;
        self.next_call - 1
    }
}

fn schedule(id: &str, words: &[&str]) -> Schedule {
    let seconds = |key: &str| word(words, key).map(|text| proto_duration(duration(text)));
    let every = seconds("every").map(|interval| IntervalSpec { interval: Some(interval), phase: None });
    let given = ScheduleSpec {
        interval: every.into_iter().collect(),
        cron_string: word(words, "cron").map(|cron| cron.replace('_', " ")).into_iter().collect(),
        jitter: seconds("jitter"),
        ..ScheduleSpec::default()
    };
    let mut policies = SchedulePolicies {
        overlap_policy: overlap(words),
        catchup_window: seconds("catchup"),
        pause_on_failure: words.contains(&"pause-on-failure"),
        ..SchedulePolicies::default()
    };
    fill_in_policies(&mut policies);
    let action = NewWorkflowExecutionInfo {
        workflow_id: word(words, "workflow").unwrap_or(id).into(),
        workflow_type: Some(WorkflowType { name: "Type".into() }),
        task_queue: Some(TaskQueue { name: "q".into(), ..TaskQueue::default() }),
        ..NewWorkflowExecutionInfo::default()
    };
    Schedule {
        spec: Some(spec::canonical(&given).expect("a story's specification is right")),
        action: Some(ScheduleAction { action: Some(Action::StartWorkflow(action)) }),
        policies: Some(policies),
        state: Some(ScheduleState {
            paused: words.contains(&"paused"),
            limited_actions: word(words, "limit").is_some(),
            remaining_actions: word(words, "limit").map_or(0, |limit| limit.parse().unwrap()),
            ..ScheduleState::default()
        }),
    }
}

fn patch(verb: &str, words: &[&str]) -> SchedulePatch {
    let time = |key: &str| word(words, key).map(|text| (START + duration(text)).proto());
    let mut patch = SchedulePatch::default();
    match verb {
        "trigger" => {
            patch.trigger_immediately = Some(TriggerImmediatelyRequest {
                overlap_policy: overlap(words),
                scheduled_time: time("at"),
            });
        }
        "pause" => patch.pause = word(words, "notes").unwrap_or("paused").into(),
        "unpause" => patch.unpause = word(words, "notes").unwrap_or("unpaused").into(),
        _ => patch.backfill_request.push(BackfillRequest {
            start_time: time("from"),
            end_time: time("to"),
            overlap_policy: overlap(words),
        }),
    }
    patch
}

fn overlap(words: &[&str]) -> i32 {
    word(words, "overlap").map_or(0, |name| {
        let name = format!("SCHEDULE_OVERLAP_POLICY_{}", name.to_uppercase().replace('-', "_"));
        ScheduleOverlapPolicy::from_str_name(&name).expect("an overlap policy") as i32
    })
}

/// What matters of a description, in one line.
fn describe(described: &DescribeScheduleResponse) -> String {
    let (schedule, info) = (described.schedule.clone().unwrap(), described.info.clone().unwrap());
    let state = schedule.state.unwrap_or_default();
    let mut words = vec![format!("{} actions", info.action_count)];
    let mut count = |count: i64, name: &str| {
        if count > 0 {
            words.push(format!("{count} {name}"));
        }
    };
    count(info.missed_catchup_window, "missed");
    count(info.overlap_skipped, "skipped");
    count(info.buffer_dropped, "dropped");
    count(info.buffer_size, "buffered");
    count(info.running_workflows.len() as i64, "running");
    if state.limited_actions {
        words.push(format!("{} left", state.remaining_actions));
    }
    if state.paused || !state.notes.is_empty() {
        words.push(format!("{}: {:?}", if state.paused { "paused" } else { "not paused" }, state.notes));
    }
    let token = described.conflict_token.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
    words.push(format!("token {token}"));
    if let Some(next) = info.future_action_times.first() {
        words.push(format!("next {}", shown_time(Time::from_proto(next))));
    }
    words.join(", ")
}

/// Relative to the beginning of the story.
fn shown_time(time: Time) -> String {
    let since: Duration = time.since(START);
    format!("+{since:?}")
}
