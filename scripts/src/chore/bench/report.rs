//! The figures side by side, and the ratios that the design must reach.

use std::fmt::Write;

use super::{load::Figures, scenario, subject::Kind};

type Measured = (&'static str, Kind, Figures);

const OURS: Kind = Kind::Everlog { nodes: 1 };
const RESTATE: Kind = Kind::Restate { nodes: 1 };

/// What one node must reach beside a peer: a figure, and the most it may be of the peer's.
struct Goal {
    scenarios: &'static [&'static str],
    peer: Kind,
    what: &'static str,
    figure: fn(&Figures) -> f64,
    at_most: f64,
}

const GOALS: &[Goal] = &[
    Goal {
        scenarios: &["hello-c1", "hello-c16", "chain10-c1", "chain10-c16"],
        peer: Kind::Temporal,
        what: "server cpu a workflow",
        figure: |figures| figures.cpu_s_per_1000,
        at_most: 0.1,
    },
    Goal {
        scenarios: &["hello-c1", "chain10-c1"],
        peer: Kind::Temporal,
        what: "p50 of one client",
        figure: |figures| figures.p50_ms,
        at_most: 0.2,
    },
    Goal {
        scenarios: &["start-c16", "hello-c16", "chain10-c16", "local10-c16"],
        peer: RESTATE,
        what: "server cpu a workflow",
        figure: |figures| figures.cpu_s_per_1000,
        at_most: 1.0,
    },
];

/// What a sleeping workflow may take of the memory of one node of ours.
const IDLE_BYTES_MAX: f64 = 1024.0;
/// And all of them together of a processor: what an empty node takes.
const IDLE_CORES_MAX: f64 = 0.05;

/// One run, as it is printed when it ends.
pub fn line(name: &str, figures: &Figures) -> String {
    format!(
        "{name:13} {:9.1} workflows/s {:9.1} steps/s   p50 {:8.2} ms   p99 {:8.2} ms   cpu {:8.2} s/1000   {:6.0} MB   {} errors",
        figures.workflows_per_s,
        figures.steps_per_s,
        figures.p50_ms,
        figures.p99_ms,
        figures.cpu_s_per_1000,
        figures.rss_mb,
        figures.errors
    )
}

pub fn idle_line(asleep: u64, figures: &Figures) -> String {
    format!(
        "{asleep} asleep: {:.0} bytes each, {:.3} cores, {:.0} MB at the most",
        figures.idle_bytes.unwrap_or_default(),
        figures.idle_cores.unwrap_or_default(),
        figures.rss_mb
    )
}

pub fn text(measured: &[Measured]) -> String {
    let mut text = String::from("=== all\n");
    for row in rows(measured) {
        let [scenario, subject, rest @ ..] = &row;
        let rest: Vec<String> = rest.iter().map(|cell| format!("{cell:>11}")).collect();
        let _ = writeln!(text, "    {scenario:13} {subject:10} {}", rest.join(" "));
    }
    for ratio in ratios(measured) {
        let _ = writeln!(text, "    {ratio}");
    }
    text
}

pub fn markdown(measured: &[Measured]) -> String {
    let mut text = String::new();
    for (index, row) in rows(measured).iter().enumerate() {
        let _ = writeln!(text, "| {} |", row.join(" | "));
        if index == 0 {
            let _ = writeln!(text, "| --- | --- |{}", " ---: |".repeat(row.len() - 2));
        }
    }
    text.push('\n');
    for ratio in ratios(measured) {
        let _ = writeln!(text, "- {ratio}");
    }
    text
}

/// A header and a row for each run, scenario by scenario.
fn rows(measured: &[Measured]) -> Vec<[String; 9]> {
    let header = [
        "scenario",
        "subject",
        "workflows/s",
        "p50 ms",
        "p99 ms",
        "cpu s/1000",
        "peak MB",
        "idle B",
        "idle cores",
    ]
    .map(String::from);
    let mut rows = vec![header];
    let names = scenario::ALL.iter().map(|scenario| scenario.name).chain([scenario::IDLE]);
    for name in names {
        for (_, kind, figures) in measured.iter().filter(|(of, _, _)| *of == name) {
            rows.push([
                name.to_owned(),
                kind.name(),
                format!("{:.1}", figures.workflows_per_s),
                format!("{:.2}", figures.p50_ms),
                format!("{:.2}", figures.p99_ms),
                format!("{:.2}", figures.cpu_s_per_1000),
                format!("{:.0}", figures.rss_mb),
                figures.idle_bytes.map_or_else(String::new, |bytes| format!("{bytes:.0}")),
                figures.idle_cores.map_or_else(String::new, |cores| format!("{cores:.3}")),
            ]);
        }
    }
    rows
}

fn ratios(measured: &[Measured]) -> Vec<String> {
    let mut lines = Vec::new();
    for goal in GOALS {
        for name in goal.scenarios {
            let of = |kind: Kind| {
                measured
                    .iter()
                    .find(|(of, by, _)| of == name && *by == kind)
                    .map(|(_, _, it)| (goal.figure)(it))
            };
            let (Some(ours), Some(theirs)) = (of(OURS), of(goal.peer)) else { continue };
            if theirs <= 0.0 {
                continue;
            }
            let ratio = ours / theirs;
            lines.push(format!(
                "{name}: {} is {ratio:.3} of {}'s, to be at most {}: {}",
                goal.what,
                goal.peer.name(),
                goal.at_most,
                if ratio <= goal.at_most { "reached" } else { "NOT reached" }
            ));
        }
    }
    let asleep = measured.iter().find(|(of, by, _)| *of == scenario::IDLE && *by == OURS);
    if let Some((_, _, Figures { idle_bytes: Some(bytes), idle_cores: Some(cores), .. })) = asleep {
        let verdict = |reached: bool| if reached { "reached" } else { "NOT reached" };
        lines.push(format!(
            "idle: {bytes:.0} bytes a sleeping workflow, to be at most {IDLE_BYTES_MAX}: {}",
            verdict(*bytes <= IDLE_BYTES_MAX)
        ));
        lines.push(format!(
            "idle: {cores:.3} cores while all sleep, to be at most {IDLE_CORES_MAX}: {}",
            verdict(*cores <= IDLE_CORES_MAX)
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(p50_ms: f64, cpu_s_per_1000: f64) -> Figures {
        Figures { p50_ms, cpu_s_per_1000, workflows_per_s: 10.0, ..Figures::default() }
    }

    #[test]
    fn a_goal_is_judged_by_the_ratio() {
        let measured =
            [("hello-c1", OURS, figures(5.0, 1.0)), ("hello-c1", Kind::Temporal, figures(20.0, 20.0))];
        assert_eq!(
            ratios(&measured),
            [
                "hello-c1: server cpu a workflow is 0.050 of temporal's, to be at most 0.1: reached",
                "hello-c1: p50 of one client is 0.250 of temporal's, to be at most 0.2: NOT reached",
            ]
        );
    }

    #[test]
    fn a_peer_that_was_not_measured_gives_no_ratio() {
        assert!(ratios(&[("hello-c1", OURS, figures(5.0, 1.0))]).is_empty());
    }

    #[test]
    fn the_markdown_is_one_table() {
        let table = markdown(&[("hello-c1", OURS, figures(5.0, 1.0))]);
        assert!(table.starts_with("| scenario | subject |"), "{table}");
        assert!(table.contains("| hello-c1 | everlog-1 | 10.0 | 5.00 |"), "{table}");
    }
}
