//! Traces to test the checker with: a good one, and ways to spoil it.

use temporalio_protos::temporal::api::enums::v1::EventType;

use super::{Complaints, Evidence, Listed, View, judge};
use crate::{
    history::{Event, Run},
    program::{Program, activity_value, signal_value},
    record::{Kind, Operation, Outcome, Recorder},
};

/// A trace under construction; each method spoils it, or not, in one way.
#[derive(Clone)]
pub(super) struct Trace(Evidence);

/// Nothing is wrong with this trace.
pub(super) fn keeps(trace: &Trace) {
    assert_eq!(judge(&trace.0), []);
}

/// This invariant finds fault with this trace.
pub(super) fn broken(invariant: fn(&Evidence, &mut Complaints), trace: &Trace) {
    let mut complaints = Complaints::default();
    invariant(&trace.0, &mut complaints);
    assert!(!complaints.found.is_empty(), "the checker is content with {:#?}", trace.0);
}

impl Trace {
    /// One workflow with one signal and one activity, told alike by two nodes.
    pub(super) fn good() -> Self {
        let program: Program = "s1 a1".parse().expect("a program");
        let run = Run {
            workflow_id: "w".into(),
            run_id: "run".into(),
            fingerprint: 7,
            events: vec![
                event(1, EventType::WorkflowExecutionStarted).marked("start"),
                event(2, EventType::WorkflowTaskScheduled),
                event(3, EventType::WorkflowExecutionSignaled).marked("s-1"),
                event(4, EventType::WorkflowTaskStarted).answering(2),
                event(5, EventType::WorkflowTaskCompleted).answering(2).marked("t-1"),
                event(6, EventType::ActivityTaskScheduled),
                event(7, EventType::ActivityTaskStarted).answering(6),
                event(8, EventType::ActivityTaskCompleted).answering(6).marked("a-1"),
                event(9, EventType::WorkflowTaskScheduled),
                event(10, EventType::WorkflowTaskStarted).answering(9),
                event(11, EventType::WorkflowTaskCompleted).answering(9).marked("t-2"),
                Event {
                    result: Some(activity_value(0) + signal_value(0)),
                    ..event(12, EventType::WorkflowExecutionCompleted)
                },
            ],
        };
        let view = |node: &str| View { node: node.into(), runs: [("w".to_owned(), run.clone())].into() };
        let acknowledged = Outcome::Acknowledged { run_id: "run".into() };
        let listed = Listed { workflow_id: "w".into(), run_id: "run".into(), running: false };
        Self(Evidence {
            operations: Vec::new(),
            views: vec![view("node 1"), view("node 2")],
            listed: vec![listed],
        })
        .operation("w", Kind::Start { program }, "start", acknowledged.clone())
        .operation("w", Kind::Signal, "s-1", acknowledged.clone())
        .operation("w", Kind::CompleteTask, "t-1", acknowledged.clone())
        .operation("w", Kind::CompleteActivity, "a-1", acknowledged.clone())
        .operation("w", Kind::CompleteTask, "t-2", acknowledged)
    }

    pub(super) fn operation(mut self, workflow_id: &str, kind: Kind, mark: &str, outcome: Outcome) -> Self {
        let recorder = Recorder::new();
        recorder.invoke(workflow_id, kind, mark).end(outcome);
        self.0.operations.extend(recorder.operations());
        self
    }

    pub(super) fn outcome(self, mark: &str, outcome: Outcome) -> Self {
        self.each_operation(|operation| {
            if operation.mark == mark {
                operation.outcome = outcome.clone();
            }
        })
    }

    pub(super) fn told_run(self, workflow_id: &str, run_id: &str) -> Self {
        self.each_operation(|operation| {
            if operation.workflow_id == workflow_id && matches!(operation.kind, Kind::Start { .. }) {
                operation.outcome = Outcome::Acknowledged { run_id: run_id.into() };
            }
        })
    }

    pub(super) fn without_run(mut self, workflow_id: &str) -> Self {
        self.0.views.iter_mut().for_each(|view| drop(view.runs.remove(workflow_id)));
        self
    }

    /// The first event of a kind is there a second time, before the close, with ids made dense again.
    pub(super) fn repeated(self, kind: EventType) -> Self {
        self.each_history(|events| {
            let copy = events.iter().find(|event| event.kind == kind).expect("such an event").clone();
            events.insert(events.len() - 1, copy);
            for (event, id) in events.iter_mut().zip(1..) {
                event.id = id;
            }
        })
    }

    pub(super) fn without_event(self, id: i64) -> Self {
        self.each_history(|events| events.retain(|event| event.id != id))
    }

    pub(super) fn mark(self, from: &str, to: &str) -> Self {
        self.each_event(|event| {
            if event.mark.as_deref() == Some(from) {
                event.mark = Some(to.into());
            }
        })
    }

    pub(super) fn answering(self, kind: EventType, scheduled: i64) -> Self {
        self.each_event(|event| {
            if event.kind == kind {
                event.answers = Some(scheduled);
            }
        })
    }

    pub(super) fn close_moved_to_the_front(self) -> Self {
        self.each_history(|events| events.rotate_right(1))
    }

    pub(super) fn still_open(self) -> Self {
        self.each_history(|events| drop(events.pop()))
    }

    pub(super) fn result(self, result: u64) -> Self {
        self.each_event(|event| {
            if event.kind == EventType::WorkflowExecutionCompleted {
                event.result = Some(result);
            }
        })
    }

    pub(super) fn second_node_differs(mut self) -> Self {
        self.0.views[1].runs.values_mut().for_each(|run| run.fingerprint += 1);
        self
    }

    pub(super) fn unlisted(mut self) -> Self {
        self.0.listed.clear();
        self
    }

    pub(super) fn listed_as_running(mut self) -> Self {
        self.0.listed[0].running = true;
        self
    }

    pub(super) fn listed_twice(mut self) -> Self {
        let again = self.0.listed[0].clone();
        self.0.listed.push(again);
        self
    }

    fn each_operation(mut self, change: impl Fn(&mut Operation)) -> Self {
        self.0.operations.iter_mut().for_each(change);
        self
    }

    fn each_history(mut self, change: impl Fn(&mut Vec<Event>)) -> Self {
        for view in &mut self.0.views {
            view.runs.values_mut().for_each(|run| change(&mut run.events));
        }
        self
    }

    fn each_event(self, change: impl Fn(&mut Event)) -> Self {
        self.each_history(|events| events.iter_mut().for_each(&change))
    }
}

fn event(id: i64, kind: EventType) -> Event {
    Event { id, kind, mark: None, answers: None, result: None }
}

impl Event {
    fn marked(self, mark: &str) -> Self {
        Self { mark: Some(mark.into()), ..self }
    }

    fn answering(self, scheduled: i64) -> Self {
        Self { answers: Some(scheduled), ..self }
    }
}
