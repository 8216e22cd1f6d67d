//! Workflows that know their own result.
//!
//! A program is a line of words that travels as the workflow's input: `a3` three activities at once,
//! `t50` a timer of 50 ms, `s2` wait until two more signals have come. Activities and signals carry numbers
//! that follow from their position, and the result is their sum; so every worker computes the same
//! commands from the same history, and the test knows the result before the first task was handed out.
//!
//! The worker keeps nothing between tasks. It reads the whole history each time, as a worker does that
//! has just taken over from one that died.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use temporalio_protos::temporal::api::{
    command::v1::{
        Command, CompleteWorkflowExecutionCommandAttributes, ScheduleActivityTaskCommandAttributes,
        StartTimerCommandAttributes, command::Attributes as CommandAttributes,
    },
    common::v1::{ActivityType, RetryPolicy},
    enums::v1::CommandType,
    history::v1::{HistoryEvent, history_event::Attributes},
    taskqueue::v1::TaskQueue,
};

use crate::{
    api::{duration, number, payloads, text},
    unique::Chance,
};

/// How long one attempt of an activity may take before it is given to another worker.
const ACTIVITY_TIMEOUT: Duration = Duration::from_secs(4);
const RETRY_FIRST: Duration = Duration::from_millis(200);

#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    pub steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// So many activities at once, then all their results.
    Activities(u64),
    Timer(Duration),
    /// Wait for so many more signals.
    Signals(u64),
}

/// What an activity gives back.
pub fn activity_value(index: u64) -> u64 {
    index * 7 + 3
}

/// What the signal of this position carries.
pub fn signal_value(index: u64) -> u64 {
    index * 11 + 5
}

impl Program {
    /// Two to five steps of any kind; without signals if the starter may never learn that it exists.
    pub fn random(chance: &mut Chance, signals: bool) -> Self {
        let kinds = if signals { 3 } else { 2 };
        let steps = (0..2 + chance.below(4))
            .map(|_| match chance.below(kinds) {
                0 => Step::Activities(1 + chance.below(3)),
                1 => Step::Timer(Duration::from_millis(20 + chance.below(600))),
                _ => Step::Signals(1 + chance.below(2)),
            })
            .collect();
        Self { steps }
    }

    pub fn signals(&self) -> u64 {
        self.steps.iter().map(|step| if let Step::Signals(count) = step { *count } else { 0 }).sum()
    }

    pub fn activities(&self) -> u64 {
        self.steps.iter().map(|step| if let Step::Activities(count) = step { *count } else { 0 }).sum()
    }

    /// The number that the workflow must end with.
    pub fn result(&self) -> u64 {
        let activities: u64 = (0..self.activities()).map(activity_value).sum();
        let signals: u64 = (0..self.signals()).map(signal_value).sum();
        activities + signals
    }

    /// The commands that follow from this history. Empty: something else must happen first.
    pub fn decide(&self, events: &[HistoryEvent], queue: &str) -> Vec<Command> {
        match self.advance(events, queue) {
            Progress::Done(sum) => vec![complete(sum)],
            Progress::Next(commands) => commands,
        }
    }

    /// How far it is by this history.
    pub fn advance(&self, events: &[HistoryEvent], queue: &str) -> Progress {
        let seen = Seen::of(events);
        let (mut activity, mut signals_wanted, mut sum) = (0, 0, 0);
        for (index, step) in self.steps.iter().enumerate() {
            let mut commands = Vec::new();
            let mut waiting = false;
            match step {
                Step::Activities(count) => {
                    for id in activity..activity + count {
                        match seen.activities.get(&activity_id(id)) {
                            None => commands.push(schedule_activity("value", id, queue)),
                            Some(None) => waiting = true,
                            Some(Some(value)) => sum += value,
                        }
                    }
                    activity += count;
                }
                Step::Timer(length) => match seen.timers.get(&timer_id(index)) {
                    None => commands.push(start_timer(index, *length)),
                    Some(fired) => waiting = !fired,
                },
                Step::Signals(count) => {
                    signals_wanted += count;
                    waiting = (seen.signals.len() as u64) < signals_wanted;
                }
            }
            if waiting || !commands.is_empty() {
                return Progress::Next(commands);
            }
        }
        sum += seen.signals.iter().take(signals_wanted as usize).sum::<u64>();
        Progress::Done(sum)
    }
}

/// How far a program is.
#[derive(Debug)]
pub enum Progress {
    /// All steps are done, and this is what they came to.
    Done(u64),
    /// The commands that are due; none: something else must happen first.
    Next(Vec<Command>),
}

/// What the history tells a program.
#[derive(Default)]
struct Seen {
    /// By activity id: nothing before it was completed.
    activities: BTreeMap<String, Option<u64>>,
    timers: BTreeMap<String, bool>,
    signals: Vec<u64>,
}

impl Seen {
    fn of(events: &[HistoryEvent]) -> Self {
        let mut seen = Self::default();
        let mut scheduled: BTreeMap<i64, String> = BTreeMap::new();
        for event in events {
            match &event.attributes {
                Some(Attributes::ActivityTaskScheduledEventAttributes(it)) => {
                    scheduled.insert(event.event_id, it.activity_id.clone());
                    seen.activities.insert(it.activity_id.clone(), None);
                }
                Some(Attributes::ActivityTaskCompletedEventAttributes(it)) => {
                    if let Some(id) = scheduled.get(&it.scheduled_event_id) {
                        seen.activities.insert(id.clone(), Some(number(it.result.as_ref())));
                    }
                }
                Some(Attributes::TimerStartedEventAttributes(it)) => {
                    seen.timers.insert(it.timer_id.clone(), false);
                }
                Some(Attributes::TimerFiredEventAttributes(it)) => {
                    seen.timers.insert(it.timer_id.clone(), true);
                }
                Some(Attributes::WorkflowExecutionSignaledEventAttributes(it)) => {
                    seen.signals.push(number(it.input.as_ref()));
                }
                _ => {}
            }
        }
        seen
    }
}

/// The program that a history was started with.
pub fn program_of(events: &[HistoryEvent]) -> Option<Program> {
    match &events.first()?.attributes {
        Some(Attributes::WorkflowExecutionStartedEventAttributes(it)) => {
            text(it.input.as_ref())?.parse().ok()
        }
        _ => None,
    }
}

pub fn activity_id(index: u64) -> String {
    format!("a{index}")
}

/// The position of an activity, from its id.
pub fn activity_index(id: &str) -> Option<u64> {
    id.strip_prefix('a')?.parse().ok()
}

fn timer_id(step: usize) -> String {
    format!("t{step}")
}

/// Schedules the activity of this position.
pub fn schedule_activity(activity_type: &str, index: u64, queue: &str) -> Command {
    command(
        CommandType::ScheduleActivityTask,
        CommandAttributes::ScheduleActivityTaskCommandAttributes(ScheduleActivityTaskCommandAttributes {
            activity_id: activity_id(index),
            activity_type: Some(ActivityType { name: activity_type.into() }),
            task_queue: Some(TaskQueue { name: queue.into(), ..Default::default() }),
            start_to_close_timeout: Some(duration(ACTIVITY_TIMEOUT)),
            retry_policy: Some(RetryPolicy {
                initial_interval: Some(duration(RETRY_FIRST)),
                backoff_coefficient: 1.0,
                ..Default::default()
            }),
            ..Default::default()
        }),
    )
}

fn start_timer(step: usize, length: Duration) -> Command {
    command(
        CommandType::StartTimer,
        CommandAttributes::StartTimerCommandAttributes(StartTimerCommandAttributes {
            timer_id: timer_id(step),
            start_to_fire_timeout: Some(duration(length)),
        }),
    )
}

/// Ends the workflow with this number.
pub fn complete(result: u64) -> Command {
    command(
        CommandType::CompleteWorkflowExecution,
        CommandAttributes::CompleteWorkflowExecutionCommandAttributes(
            CompleteWorkflowExecutionCommandAttributes { result: Some(payloads(&result.to_string())) },
        ),
    )
}

/// A command of a worker.
pub fn command(kind: CommandType, attributes: CommandAttributes) -> Command {
    Command { command_type: kind as i32, attributes: Some(attributes), ..Default::default() }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            let gap = if index == 0 { "" } else { " " };
            match step {
                Step::Activities(count) => write!(f, "{gap}a{count}")?,
                Step::Timer(length) => write!(f, "{gap}t{}", length.as_millis())?,
                Step::Signals(count) => write!(f, "{gap}s{count}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Program {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let step = |word: &str| {
            let (kind, number) = word.split_at_checked(1)?;
            let number: u64 = number.parse().ok()?;
            match kind {
                "a" => Some(Step::Activities(number)),
                "t" => Some(Step::Timer(Duration::from_millis(number))),
                "s" => Some(Step::Signals(number)),
                _ => None,
            }
        };
        let steps =
            line.split_whitespace().map(|word| step(word).ok_or_else(|| format!("`{word}` is no step")));
        Ok(Self { steps: steps.collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_survives_its_own_text() {
        let mut chance = Chance::new(7);
        for _ in 0..200 {
            let program = Program::random(&mut chance, true);
            assert_eq!(program.to_string().parse(), Ok(program));
        }
        assert!("a1 x2".parse::<Program>().is_err());
    }

    #[test]
    fn the_result_is_known_before_the_start() {
        let program: Program = "a2 t10 s2 a1".parse().expect("a program");
        assert_eq!((program.activities(), program.signals()), (3, 2));
        assert_eq!(program.result(), (3 + 10 + 17) + (5 + 16));
    }

    #[test]
    fn nothing_is_decided_twice() {
        let program: Program = "a2 t10".parse().expect("a program");
        let kinds = |commands: Vec<Command>| commands.iter().map(|it| it.command_type).collect::<Vec<_>>();
        let schedule = CommandType::ScheduleActivityTask as i32;
        assert_eq!(kinds(program.decide(&[], "q")), [schedule, schedule]);
        let scheduled: Vec<HistoryEvent> = (0..2u64).map(scheduled_event).collect();
        assert!(program.decide(&scheduled, "q").is_empty(), "both are under way");
    }

    fn scheduled_event(index: u64) -> HistoryEvent {
        use temporalio_protos::temporal::api::history::v1::ActivityTaskScheduledEventAttributes;
        HistoryEvent {
            event_id: 5 + index as i64,
            attributes: Some(Attributes::ActivityTaskScheduledEventAttributes(
                ActivityTaskScheduledEventAttributes {
                    activity_id: activity_id(index),
                    ..Default::default()
                },
            )),
            ..Default::default()
        }
    }
}
