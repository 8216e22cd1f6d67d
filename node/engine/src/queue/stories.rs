//! Stories: each line is a call at a moment, and below it stands what came out.

mod fairness;

use std::{fmt::Write, time::Duration};

use expect_test::{Expect, expect};

use super::*;
use crate::{deployment::Placement, key::WorkflowKey, shard::OfferedTask};

/// Runs a story. `at <seconds>` moves the clock and lets due things happen; queues are `normal`, `sticky`
/// and `activity`; a task is a name with options, a poll a number with options.
fn check(story: &str, expected: Expect) {
    let mut teller = Teller::default();
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        teller.tell(line);
    }
    expected.assert_eq(&teller.text);
}

#[derive(Default)]
struct Teller {
    queues: Queues,
    now: Time,
    text: String,
}

impl Teller {
    fn tell(&mut self, line: &str) {
        writeln!(self.text, "{line}").unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let option = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let number = |name: &str| option(name).map(|value| value.parse::<f64>().unwrap());
        let queue = || key(words[1]);
        match words[0] {
            "at" => self.advance(seconds(words[1].parse().unwrap())),
            "offer" => {
                let mut task = task(words[1], words[2]);
                task.queued_at = number("since").map_or(self.now, seconds);
                task.priority_key = number("priority").map_or(0, |priority| priority as i32);
                task.fairness.key = option("key").unwrap_or_default().to_owned();
                task.fairness.weight = number("weight").unwrap_or_default() as f32;
                task.deadline = number("deadline").map(seconds);
                self.queues.offer(self.now, &queue(), task);
            }
            "poll" => {
                let poller = Poller {
                    id: words[2].parse().unwrap(),
                    identity: option("identity").unwrap_or("worker").to_owned(),
                    worker_instance_key: option("instance").unwrap_or_default().to_owned(),
                    deadline: number("deadline").map(seconds),
                    max_tasks_per_second: number("rate"),
                    ..Poller::default()
                };
                self.queues.poll(self.now, &queue(), poller);
            }
            "cancel" => self.queues.cancel_poll(self.now, words[1].parse().unwrap()),
            "withdraw" => self.queues.withdraw(self.now, &queue(), &task(words[1], words[2]).key),
            "fail" => self.queues.match_failed(self.now, &queue(), &task(words[1], words[2]).key),
            "shutdown" => self.queues.shut_down_worker(self.now, &queue(), words[2]),
            "configure" => {
                let mut config = Config {
                    per_second: number("rate"),
                    key_per_second: number("key-rate"),
                    ..Config::default()
                };
                for word in words.iter().filter_map(|word| word.strip_prefix("weight:")) {
                    let (key, weight) = word.split_once('=').unwrap();
                    config.weights.insert(key.to_owned(), weight.parse().unwrap());
                }
                self.queues.configure(self.now, [(queue(), config)].into());
            }
            "describe" => self.describe(&queue()),
            "move-away" => self.queues.close_where(self.now, |_| true),
            other => panic!("unknown word {other}"),
        }
        self.drain();
    }

    /// Steps from wake-up to wake-up, as a shell would.
    fn advance(&mut self, until: Time) {
        while self.queues.wake_at() <= until {
            self.now = self.queues.wake_at().max(self.now);
            self.queues.expire(self.now);
            self.drain();
        }
        self.now = until;
    }

    fn drain(&mut self) {
        let now = self.now.0 as f64 / 1e9;
        while let Some(output) = self.queues.poll_output() {
            let text = match output {
                Output::Match(m) => {
                    format!("{} to {}, {} behind", name(&m.task), m.poller.id, m.backlog_count_hint)
                }
                Output::PollerTimedOut { poller, .. } => format!("nothing for {}", poller.id),
                Output::PollerRefused { poller, .. } => format!("{} refused", poller.id),
                Output::TaskRefused { task, reason, .. } => format!("{} refused: {reason:?}", name(&task)),
            };
            writeln!(self.text, "  {now}s {text}").unwrap();
        }
    }

    fn describe(&mut self, key: &QueueKey) {
        let Some(description) = self.queues.describe(self.now, key, true) else {
            writeln!(self.text, "  no such queue").unwrap();
            return;
        };
        for poller in &description.pollers {
            let at = poller.last_access_time.as_ref().unwrap().seconds;
            writeln!(self.text, "  {} at {at}s, rate {}", poller.identity, poller.rate_per_second).unwrap();
        }
        let mut write = |name: &str, stats: &TaskQueueStats| {
            writeln!(
                self.text,
                "  {name}: {} waiting for {}s, in {:.2}/s, out {:.2}/s{}",
                stats.approximate_backlog_count,
                stats.approximate_backlog_age.as_ref().unwrap().seconds,
                stats.tasks_add_rate,
                stats.tasks_dispatch_rate,
                if stats.rate_limiting_active { ", rate limited" } else { "" },
            )
            .unwrap();
        };
        write("all", &description.stats);
        for (priority, stats) in &description.stats_by_priority {
            write(&format!("priority {priority}"), stats);
        }
    }
}

fn seconds(seconds: f64) -> Time {
    Time((seconds * 1e9) as i64)
}

fn key(kind: &str) -> QueueKey {
    let kind = match kind {
        "normal" => QueueKind::Workflow,
        "sticky" => QueueKind::Sticky,
        "activity" => QueueKind::Activity,
        other => panic!("unknown queue {other}"),
    };
    QueueKey::unversioned("n", "q", kind)
}

/// A task whose workflow id is its name; a name that begins with `query` is a query.
fn task(queue: &str, name: &str) -> Task {
    let sticky = queue == "sticky";
    let offered = match (name.starts_with("query"), queue) {
        (true, _) => OfferedTask::Query { id: 1, sticky },
        (_, "activity") => OfferedTask::Activity { scheduled_event_id: 5, attempt: 1, stamp: 0 },
        _ => OfferedTask::Workflow { scheduled_event_id: 2, attempt: 1, sticky, stamp: 0 },
    };
    let key = TaskKey { run: WorkflowKey::new("n", name).run("r"), task: offered };
    Task {
        key,
        shard: 0,
        queued_at: Time(0),
        priority_key: 0,
        fairness: Fairness::default(),
        deadline: None,
        placement: Placement::default(),
    }
}

fn name(task: &Task) -> String {
    task.key.run.workflow.workflow_id.to_string()
}

#[test]
fn whoever_comes_first_waits_for_the_other() {
    check(
        "
        offer normal a
        offer normal b
        poll normal 1
        poll normal 2
        poll normal 3
        poll normal 4
        offer normal c
        offer normal d
        ",
        expect![[r#"
            offer normal a
            offer normal b
            poll normal 1
              0s a to 1, 1 behind
            poll normal 2
              0s b to 2, 0 behind
            poll normal 3
            poll normal 4
            offer normal c
              0s c to 3, 0 behind
            offer normal d
              0s d to 4, 0 behind
        "#]],
    );
}

#[test]
fn workflow_and_activity_tasks_never_mix() {
    check(
        "
        poll activity 1
        offer normal a
        poll normal 2
        offer activity b
        ",
        expect![[r#"
            poll activity 1
            offer normal a
            poll normal 2
              0s a to 2, 0 behind
            offer activity b
              0s b to 1, 0 behind
        "#]],
    );
}

#[test]
fn priority_then_age_then_arrival_and_queries_overtake() {
    check(
        "
        at 100
        offer normal late since=90
        offer normal early since=80
        offer normal low since=10 priority=5
        offer normal lower-than-lowest since=11 priority=9
        offer normal high since=99 priority=1
        offer normal default since=85 priority=3
        offer normal query since=100 deadline=130
        poll normal 1
        poll normal 2
        poll normal 3
        poll normal 4
        poll normal 5
        poll normal 6
        poll normal 7
        ",
        expect![[r#"
            at 100
            offer normal late since=90
            offer normal early since=80
            offer normal low since=10 priority=5
            offer normal lower-than-lowest since=11 priority=9
            offer normal high since=99 priority=1
            offer normal default since=85 priority=3
            offer normal query since=100 deadline=130
            poll normal 1
              100s query to 1, 6 behind
            poll normal 2
              100s high to 2, 5 behind
            poll normal 3
              100s early to 3, 4 behind
            poll normal 4
              100s default to 4, 3 behind
            poll normal 5
              100s late to 5, 2 behind
            poll normal 6
              100s low to 6, 1 behind
            poll normal 7
              100s lower-than-lowest to 7, 0 behind
        "#]],
    );
}

#[test]
fn a_repeated_offer_is_the_same_task() {
    check(
        "
        offer normal a
        offer normal a
        poll normal 1
        poll normal 2
        at 4
        offer normal a
        at 5
        offer normal a
        ",
        expect![[r#"
            offer normal a
            offer normal a
            poll normal 1
              0s a to 1, 0 behind
            poll normal 2
            at 4
            offer normal a
            at 5
            offer normal a
              5s a to 2, 0 behind
        "#]],
    );
}

#[test]
fn a_failed_match_can_be_made_again_at_once_and_the_poller_keeps_its_place() {
    check(
        "
        poll normal 1
        poll normal 2
        offer normal a
        fail normal a
        poll normal 1
        offer normal a
        ",
        expect![[r#"
            poll normal 1
            poll normal 2
            offer normal a
              0s a to 1, 0 behind
            fail normal a
            poll normal 1
            offer normal a
              0s a to 1, 0 behind
        "#]],
    );
}

#[test]
fn a_withdrawn_task_and_a_cancelled_poll_are_gone() {
    check(
        "
        offer normal a
        offer normal b
        withdraw normal a
        poll normal 1
        poll normal 2
        poll normal 3
        cancel 2
        offer normal c
        offer normal d
        ",
        expect![[r#"
            offer normal a
            offer normal b
            withdraw normal a
            poll normal 1
              0s b to 1, 0 behind
            poll normal 2
            poll normal 3
            cancel 2
            offer normal c
              0s c to 3, 0 behind
            offer normal d
        "#]],
    );
}

#[test]
fn a_poll_ends_before_its_caller_gives_up() {
    check(
        "
        poll normal 1
        poll normal 2 deadline=70
        poll normal 3 deadline=30
        poll normal 4 deadline=0.5
        at 100
        ",
        expect![[r#"
            poll normal 1
            poll normal 2 deadline=70
            poll normal 3 deadline=30
            poll normal 4 deadline=0.5
              0s nothing for 4
            at 100
              29s nothing for 3
              60s nothing for 1
              60s nothing for 2
        "#]],
    );
}

#[test]
fn a_query_that_nobody_could_take_is_refused() {
    check(
        "
        offer normal query deadline=5
        offer normal a
        at 20
        poll normal 1
        ",
        expect![[r#"
            offer normal query deadline=5
            offer normal a
            at 20
              5s query refused: NoPoller
            poll normal 1
              20s a to 1, 0 behind
        "#]],
    );
}

#[test]
fn a_query_waits_on_if_there_was_a_worker_lately() {
    check(
        "
        offer normal a
        poll normal 1
        offer normal query deadline=20
        at 25
        poll normal 2
        offer normal query-2 deadline=46
        at 50
        ",
        expect![[r#"
            offer normal a
            poll normal 1
              0s a to 1, 0 behind
            offer normal query deadline=20
            at 25
            poll normal 2
              25s query to 2, 0 behind
            offer normal query-2 deadline=46
            at 50
              46s query-2 refused: NoPoller
        "#]],
    );
}

#[test]
fn a_sticky_queue_without_its_worker_refuses() {
    check(
        "
        offer sticky a
        poll sticky 1
        offer sticky b
        at 5
        offer sticky c
        at 9.9
        offer sticky d
        at 20
        offer sticky e
        poll sticky 2
        at 75
        offer sticky f
        ",
        expect![[r#"
            offer sticky a
              0s a refused: NoPoller
            poll sticky 1
            offer sticky b
              0s b to 1, 0 behind
            at 5
            offer sticky c
            at 9.9
            offer sticky d
            at 20
              10s c refused: NoPoller
              10s d refused: NoPoller
            offer sticky e
              20s e refused: NoPoller
            poll sticky 2
            at 75
            offer sticky f
              75s f to 2, 0 behind
        "#]],
    );
}

#[test]
fn a_worker_that_shuts_down_gets_its_polls_back() {
    check(
        "
        poll normal 1 instance=x identity=x
        poll normal 2 instance=y identity=y
        poll normal 3
        poll sticky 4 instance=x identity=x
        shutdown normal x
        shutdown sticky x
        describe normal
        offer sticky a
        poll normal 5 instance=x
        offer normal b
        at 31
        poll normal 6 instance=x
        ",
        expect![[r#"
            poll normal 1 instance=x identity=x
            poll normal 2 instance=y identity=y
            poll normal 3
            poll sticky 4 instance=x identity=x
            shutdown normal x
              0s nothing for 1
            shutdown sticky x
              0s nothing for 4
            describe normal
              worker at 0s, rate 100000
              y at 0s, rate 100000
              all: 0 waiting for 0s, in 0.00/s, out 0.00/s
              priority 3: 0 waiting for 0s, in 0.00/s, out 0.00/s
            offer sticky a
              0s a refused: NoPoller
            poll normal 5 instance=x
              0s nothing for 5
            offer normal b
              0s b to 2, 0 behind
            at 31
            poll normal 6 instance=x
        "#]],
    );
}

#[test]
fn workers_limit_the_rate_of_an_activity_queue() {
    check(
        "
        at 10
        poll activity 1 rate=2
        poll activity 2 rate=2
        poll activity 3 rate=2
        poll activity 4 rate=2
        offer activity a
        offer activity b
        offer activity c
        offer activity d
        at 11
        describe activity
        poll activity 5 rate=0.1
        offer activity e
        at 15
        poll activity 6 rate=10
        offer activity f
        at 60
        ",
        expect![[r#"
            at 10
            poll activity 1 rate=2
            poll activity 2 rate=2
            poll activity 3 rate=2
            poll activity 4 rate=2
            offer activity a
              10s a to 1, 0 behind
            offer activity b
              10s b to 2, 0 behind
            offer activity c
            offer activity d
            at 11
              10.5s c to 3, 1 behind
              11s d to 4, 0 behind
            describe activity
              worker at 11s, rate 2
              all: 0 waiting for 0s, in 0.13/s, out 0.13/s, rate limited
              priority 3: 0 waiting for 0s, in 0.13/s, out 0.13/s
            poll activity 5 rate=0.1
            offer activity e
            at 15
              12s e to 5, 0 behind
            poll activity 6 rate=10
            offer activity f
            at 60
              15.1s f to 6, 0 behind
        "#]],
    );
}

#[test]
fn the_rate_of_a_workflow_queue_is_not_limited_and_zero_stops_an_activity_queue() {
    check(
        "
        poll normal 1 rate=0
        offer normal a
        poll activity 2 rate=0
        offer activity b
        at 50
        poll activity 3 rate=5
        ",
        expect![[r#"
            poll normal 1 rate=0
            offer normal a
              0s a to 1, 0 behind
            poll activity 2 rate=0
            offer activity b
            at 50
            poll activity 3 rate=5
              50s b to 2, 0 behind
        "#]],
    );
}

#[test]
fn a_description_tells_backlog_rates_and_pollers() {
    check(
        "
        at 100
        offer normal a since=70
        offer normal b since=60 priority=1
        offer normal c since=95 priority=1
        offer normal query deadline=200
        describe normal
        poll normal 1 identity=w1
        poll normal 2 identity=w2
        at 110
        describe normal
        at 140
        describe normal
        ",
        expect![[r#"
            at 100
            offer normal a since=70
            offer normal b since=60 priority=1
            offer normal c since=95 priority=1
            offer normal query deadline=200
            describe normal
              all: 3 waiting for 40s, in 0.13/s, out 0.00/s
              priority 1: 2 waiting for 40s, in 0.07/s, out 0.00/s
              priority 3: 1 waiting for 30s, in 0.07/s, out 0.00/s
            poll normal 1 identity=w1
              100s query to 1, 3 behind
            poll normal 2 identity=w2
              100s b to 2, 2 behind
            at 110
            describe normal
              w1 at 100s, rate 100000
              w2 at 100s, rate 100000
              all: 2 waiting for 40s, in 0.13/s, out 0.07/s
              priority 1: 1 waiting for 15s, in 0.07/s, out 0.03/s
              priority 3: 1 waiting for 40s, in 0.07/s, out 0.03/s
            at 140
            describe normal
              w1 at 100s, rate 100000
              w2 at 100s, rate 100000
              all: 2 waiting for 70s, in 0.00/s, out 0.00/s
              priority 1: 1 waiting for 45s, in 0.00/s, out 0.00/s
              priority 3: 1 waiting for 70s, in 0.00/s, out 0.00/s
        "#]],
    );
}

#[test]
fn what_nobody_repeats_is_forgotten_and_idle_queues_are_dropped() {
    check(
        "
        offer normal kept
        offer normal forgotten
        at 200
        offer normal kept
        at 310
        describe normal
        poll normal 1
        at 609
        describe normal
        at 611
        describe normal
        ",
        expect![[r#"
            offer normal kept
            offer normal forgotten
            at 200
            offer normal kept
            at 310
            describe normal
              all: 1 waiting for 310s, in 0.00/s, out 0.00/s
              priority 3: 1 waiting for 310s, in 0.00/s, out 0.00/s
            poll normal 1
              310s kept to 1, 0 behind
            at 609
            describe normal
              worker at 310s, rate 100000
              all: 0 waiting for 0s, in 0.00/s, out 0.00/s
              priority 3: 0 waiting for 0s, in 0.00/s, out 0.00/s
            at 611
            describe normal
              no such queue
        "#]],
    );
}

#[test]
fn a_queue_that_moves_sends_its_polls_away() {
    check(
        "
        poll normal 1
        offer activity a
        move-away
        describe normal
        poll activity 2
        ",
        expect![[r#"
            poll normal 1
            offer activity a
            move-away
              0s nothing for 1
            describe normal
              no such queue
            poll activity 2
        "#]],
    );
}

#[test]
fn a_full_backlog_refuses_what_would_be_served_last() {
    let mut queues = Queues::new();
    let now = Time(1_000_000_000_000);
    for i in 0..BACKLOG_TASKS_MAX {
        let mut task = task("normal", &i.to_string());
        task.queued_at = now + Duration::from_secs(i as u64);
        queues.offer(now, &key("normal"), task);
    }
    assert_eq!(queues.poll_output(), None);
    let mut refused = |queued_at: Time| {
        let mut task = task("normal", "one more");
        task.queued_at = queued_at;
        queues.offer(now, &key("normal"), task);
        match queues.poll_output() {
            Some(Output::TaskRefused { task, reason: Refusal::Full, .. }) => name(&task),
            other => panic!("expected a refusal, found {other:?}"),
        }
    };
    assert_eq!(refused(Time::NEVER), "one more");
    assert_eq!(refused(now), (BACKLOG_TASKS_MAX - 1).to_string());
}
