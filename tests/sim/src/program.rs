//! Random workflow programs, and what must come of each.
//!
//! A program is a list of steps drawn from the seed. Its result names, step by step, what happened; for
//! most steps only one outcome is legal whatever the faults, for some (a race against a timer, an
//! activity that may run once) there are a few. So every workflow knows its own expected end.

use std::time::Duration;

use crate::{handler::AT_ONCE, random::Random};

#[derive(Clone, Debug)]
pub struct Program {
    pub steps: Vec<Step>,
    /// Runs of the workflow's own retry policy that fail before one may complete.
    pub failing_runs: i32,
    /// Ends with a cancelled workflow as soon as it is asked to; others ignore the request.
    pub heeds_cancel: bool,
    /// The workflow task timeout, and whether the first task is taken eagerly by the client.
    pub task_timeout: Duration,
}

#[derive(Clone, Debug)]
pub enum Step {
    Activities(Vec<ActivitySpec>),
    Timer(Duration),
    /// Waits for so many signals, and notes which they were.
    Signals(usize),
    /// Whichever comes first; the timer is cancelled if the signal wins.
    SignalOrTimer(Duration),
    /// A local activity: some heartbeats of the workflow task, then a marker.
    Local {
        heartbeats: u32,
    },
    /// Cancels the activity unless it has ended by then.
    CancelActivity(ActivitySpec, Duration),
    /// Carries on in a new run.
    ContinueAsNew,
    /// Starts a child workflow, sends it so many signals, and waits for its end.
    Child {
        program: usize,
        signals: usize,
    },
    /// A Nexus operation, carried out by a workflow or answered at once, by a handler that is unavailable so
    /// often before.
    Operation {
        program: Option<usize>,
        failures: i32,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct ActivitySpec {
    /// 0 means without end.
    pub attempts_max: i32,
    /// So many attempts fail by themselves.
    pub failures: i32,
    pub heartbeats: bool,
    pub eager: bool,
    /// Runs until it is asked to stop.
    pub endless: bool,
    pub start_to_close: Duration,
    pub schedule_to_close: Option<Duration>,
}

impl Program {
    pub fn draw(random: &mut Random, hot: bool) -> Program {
        let failing_runs = if !hot && random.chance(0.15) { random.between(1, 2) as i32 } else { 0 };
        let steps = random.between(1, if hot { 2 } else { 6 });
        let mut program = Program {
            steps: Vec::new(),
            failing_runs,
            heeds_cancel: random.chance(0.7),
            task_timeout: random.millis(1_500, 10_000),
        };
        for _ in 0..steps {
            program.steps.push(Step::draw(random, failing_runs > 0 || hot));
        }
        program
    }

    fn draw_child(random: &mut Random, signals: usize) -> Program {
        let mut program = Program { failing_runs: 0, ..Program::draw(random, true) };
        program.steps.retain(|step| !matches!(step, Step::Child { .. } | Step::Operation { .. }));
        if signals > 0 {
            program.steps.push(Step::Signals(signals));
        }
        program
    }

    pub fn signals_needed(&self) -> usize {
        let needed = |step: &Step| match step {
            Step::Signals(count) => *count,
            // A signal that ends a race is missing elsewhere.
            Step::SignalOrTimer(_) => 1,
            _ => 0,
        };
        self.steps.iter().map(needed).sum()
    }

    /// Whether each of its runs comes to its end again from any point, with the signals that it has got: no race
    /// may leave out one that is needed after the other end of it.
    pub fn can_be_reset(&self) -> bool {
        let is_open = |step: &Step| {
            matches!(step, Step::SignalOrTimer(_) | Step::Child { .. } | Step::Operation { .. })
        };
        self.failing_runs == 0 && !self.steps.iter().any(is_open)
    }

    pub fn continues(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::ContinueAsNew))
    }

    /// Whether a result is one that this program may have. `sent` are the signals ever sent to it.
    pub fn check_result(
        &self,
        programs: &[Program],
        result: &str,
        sent: &dyn Fn(&str) -> bool,
    ) -> Result<(), String> {
        let mut words = result.split(';').filter(|word| !word.is_empty());
        for (index, step) in self.steps.iter().enumerate() {
            match step {
                Step::Activities(specs) => {
                    for (k, spec) in specs.iter().enumerate() {
                        let word = words.next().ok_or("the result ends too early")?;
                        let name = activity_id(index, k);
                        let outcome = word
                            .strip_prefix(&format!("{name}="))
                            .ok_or_else(|| format!("expected the outcome of {name}, found {word}"))?;
                        if !spec.allows(outcome) {
                            return Err(format!("{name} cannot end as {outcome}"));
                        }
                    }
                }
                Step::CancelActivity(..) => {
                    let word = words.next().ok_or("the result ends too early")?;
                    let name = activity_id(index, 0);
                    let outcome = word.strip_prefix(&format!("{name}="));
                    if !outcome.is_some_and(|o| ["ok", "canceled", "failed", "timed-out"].contains(&o)) {
                        return Err(format!("{name} cannot end as {word}"));
                    }
                }
                Step::Timer(_) => expect_word(words.next(), &format!("t{index}"))?,
                Step::Local { .. } => expect_word(words.next(), &format!("m{index}"))?,
                Step::Signals(count) => {
                    for _ in 0..*count {
                        let word = words.next().ok_or("the result ends too early")?;
                        if !word.strip_prefix("s:").is_some_and(sent) {
                            return Err(format!("{word} is not a signal that was sent"));
                        }
                    }
                }
                Step::SignalOrTimer(_) => {
                    let word = words.next().ok_or("the result ends too early")?;
                    if word != format!("t{index}") && !word.strip_prefix("s:").is_some_and(sent) {
                        return Err(format!("{word} ended the race of step {index}"));
                    }
                }
                Step::ContinueAsNew => {}
                Step::Operation { program, .. } => {
                    let word = words.next().ok_or("the result ends too early")?;
                    let result = word
                        .strip_prefix(&format!("o{index}="))
                        .ok_or_else(|| format!("expected the result of operation {index}, found {word}"))?;
                    match program {
                        Some(program) => {
                            let handler = programs.get(*program).ok_or("no such program")?;
                            handler.check_result(programs, &result.replace(',', ";"), &is_of_parent)?;
                        }
                        None => expect_word(Some(result), AT_ONCE)?,
                    }
                }
                Step::Child { program, .. } => {
                    let word = words.next().ok_or("the result ends too early")?;
                    let result = word
                        .strip_prefix(&format!("c{index}="))
                        .ok_or_else(|| format!("expected the result of child {index}, found {word}"))?;
                    let child = programs.get(*program).ok_or("no such program")?;
                    child.check_result(programs, &result.replace(',', ";"), &is_of_parent)?;
                }
            }
        }
        match words.next() {
            Some(word) => Err(format!("the result goes on with {word}")),
            None => Ok(()),
        }
    }
}

/// Whether a signal is one that a parent sends its child.
pub fn is_of_parent(signal: &str) -> bool {
    signal.starts_with("x-")
}

/// Draws the programs of all children that the programs start.
pub fn add_children(programs: &mut Vec<Program>, random: &mut Random) {
    let mut next = programs.len();
    let mut children = Vec::new();
    for step in programs.iter_mut().flat_map(|program| &mut program.steps) {
        if let Step::Child { program, signals } = step {
            *program = next;
            next += 1;
            children.push(Program::draw_child(random, *signals));
        }
        if let Step::Operation { program: Some(program), .. } = step {
            *program = next;
            next += 1;
            children.push(Program::draw_child(random, 0));
        }
    }
    programs.extend(children);
}

fn expect_word(found: Option<&str>, expected: &str) -> Result<(), String> {
    match found {
        Some(word) if word == expected => Ok(()),
        found => Err(format!("expected {expected}, found {found:?}")),
    }
}

impl Step {
    fn draw(random: &mut Random, without_waits: bool) -> Step {
        loop {
            return match random.below(18) {
                0..=4 => {
                    let count = random.between(1, 3);
                    Step::Activities((0..count).map(|_| ActivitySpec::draw(random)).collect())
                }
                5 | 6 => Step::Timer(random.millis(10, 6_000)),
                7 | 8 if !without_waits => Step::Signals(random.between(1, 4)),
                9 if !without_waits => Step::SignalOrTimer(random.millis(200, 4_000)),
                10 => Step::Local { heartbeats: random.below(3) as u32 },
                11 => {
                    let spec = ActivitySpec {
                        endless: random.chance(0.8),
                        heartbeats: true,
                        ..ActivitySpec::draw(random)
                    };
                    Step::CancelActivity(spec, random.millis(5, 2_000))
                }
                12 | 13 => Step::ContinueAsNew,
                16 | 17 => Step::Operation {
                    program: random.chance(0.7).then_some(0),
                    failures: random.below(3) as i32,
                },
                14 | 15 => Step::Child { program: 0, signals: random.below(3) },
                _ => continue,
            };
        }
    }
}

impl ActivitySpec {
    fn draw(random: &mut Random) -> ActivitySpec {
        let attempts_max = *random.pick(&[0, 0, 0, 1, 1, 3]);
        ActivitySpec {
            attempts_max,
            failures: if random.chance(0.3) { random.between(1, 4) as i32 } else { 0 },
            heartbeats: random.chance(0.3),
            eager: random.chance(0.3),
            endless: false,
            start_to_close: random.millis(500, 3_000),
            schedule_to_close: (attempts_max != 0 && random.chance(0.3)).then(|| random.millis(1_000, 8_000)),
        }
    }

    /// Legal ends, as far as the schedule and faults outside the engine allow them.
    fn allows(&self, outcome: &str) -> bool {
        let bounded = self.attempts_max != 0;
        match outcome {
            "ok" => !bounded || self.failures < self.attempts_max,
            "failed" | "timed-out" => bounded,
            _ => false,
        }
    }
}

pub fn activity_id(step: usize, k: usize) -> String {
    format!("a{step}.{k}")
}
