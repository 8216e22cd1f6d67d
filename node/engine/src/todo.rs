//! What a state still owes: computed, never stored, so a new leader needs no recovery of its own.

use std::time::Duration;

use everlog_proto::api::enums::v1::ParentClosePolicy;

use crate::{
    decide::{update, workflow_task},
    execution::{Activity, Execution},
    message::Subject,
    nexus::{Attempts, Owed, callback},
    planted,
    queue::Fairness,
    time::{Time, set_duration},
    volatile::Volatile,
};

/// Something to be done for a run. Doing it twice is harmless: every effect is keyed by the run, the
/// event id and the attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Todo<'a> {
    /// A workflow task waits for a worker of this queue.
    WorkflowTask {
        queue: &'a str,
        sticky: bool,
        scheduled_event_id: i64,
        attempt: i32,
        /// 0 but for speculative tasks.
        stamp: u32,
        scheduled_time: Time,
    },
    /// An attempt of an activity waits for a worker of this queue.
    ActivityTask {
        queue: &'a str,
        scheduled_event_id: i64,
        attempt: i32,
        stamp: u32,
        scheduled_time: Time,
        priority: i32,
        fairness: Fairness,
    },
    /// Look at this run again at this moment.
    Wake(Time),
}

/// The tasks that wait for a worker at `now`.
pub fn tasks<'a>(execution: &'a Execution, volatile: &'a Volatile, now: Time) -> Vec<Todo<'a>> {
    let mut tasks = Vec::new();
    if !execution.hands_out() {
        return tasks;
    }
    if let Some(task) = execution.workflow_task.as_ref().or(volatile.speculative.as_ref())
        && volatile.started.is_none()
    {
        let sticky = task.sticky_timeout.is_some() && !volatile.moved_to_normal;
        let queue = if sticky { &task.queue } else { execution.task_queue() };
        // Each leader makes a new task for the updates that wait, and that must not send them to the back of a
        // long queue each time.
        let waits_since = volatile.updates.iter().map(|update| update.admitted).min();
        let waits_since = waits_since.unwrap_or(task.scheduled_time);
        tasks.push(Todo::WorkflowTask {
            queue,
            sticky,
            scheduled_event_id: task.scheduled_event_id,
            attempt: task.attempt,
            stamp: if execution.workflow_task.is_some() { 0 } else { workflow_task::stamp(task) },
            scheduled_time: task.scheduled_time.min(waits_since),
        });
    }
    for (id, activity) in &execution.activities {
        if activity.started.is_none() && !activity.is_paused() && activity.scheduled_time <= now {
            let priority = crate::decide::activity::priority(execution, activity);
            tasks.push(Todo::ActivityTask {
                queue: activity.queue(),
                scheduled_event_id: *id,
                attempt: activity.attempt,
                stamp: activity.stamp,
                scheduled_time: activity.scheduled_time,
                priority: priority.as_ref().map_or(0, |p| p.priority_key),
                fairness: Fairness::of(priority.as_ref()),
            });
        }
    }
    tasks
}

/// What the run has to say to other workflows.
pub fn messages(execution: &Execution) -> Vec<Subject> {
    let mut subjects = Vec::new();
    if execution.deleted {
        return subjects;
    }
    if execution.is_running() {
        let unstarted = execution.children.iter().filter(|(_, child)| !child.is_started());
        subjects.extend(unstarted.map(|(id, _)| Subject::Child(*id)));
        subjects.extend(execution.external_signals.keys().map(|id| Subject::Signal(*id)));
        subjects.extend(execution.external_cancels.keys().map(|id| Subject::Cancel(*id)));
        subjects.extend(execution.held_by_parent.then_some(Subject::Release));
        for (id, operation) in &execution.nexus_operations {
            subjects.extend(operation.owed().map(|(owed, _)| match owed {
                Owed::Start(made) => Subject::NexusStart(*id, made),
                Owed::Cancel(made) => Subject::NexusCancel(*id, made),
            }));
        }
        return subjects;
    }
    if planted::is("messages_of_closed_run_forgotten") {
        return subjects;
    }
    let left = execution.children.iter().filter(|(_, child)| {
        // Where a reset has ended the run, its children belong to the run that the reset made, or to nobody.
        !child.told_of_close
            && !execution.is_ended_by_reset()
            && (child.policy() != ParentClosePolicy::Abandon || !child.is_started())
    });
    subjects.extend(left.map(|(id, _)| Subject::ChildOfClosed(*id)));
    subjects.extend(execution.report.as_ref().map(|_| Subject::Parent));
    if callback::are_triggered(execution) {
        let left = execution.callbacks.iter().enumerate().filter(|(_, callback)| callback.settled.is_none());
        subjects
            .extend(left.map(|(index, callback)| Subject::Callback(index as u32, callback.attempts.made)));
    }
    subjects
}

/// What of it may be said now: what has failed before is put off for a while.
pub fn due_messages(execution: &Execution, now: Time) -> Vec<Subject> {
    let mut subjects = messages(execution);
    subjects.retain(|subject| {
        let attempts = match subject {
            Subject::NexusStart(id, _) => execution.nexus_operations.get(id).map(|o| &o.start),
            Subject::NexusCancel(id, _) => {
                let operation = execution.nexus_operations.get(id);
                operation.and_then(|operation| operation.cancel.as_ref()).map(|cancel| &cancel.attempts)
            }
            Subject::Callback(index, _) => {
                execution.callbacks.get(*index as usize).map(|callback| &callback.attempts)
            }
            _ => None,
        };
        attempts.is_none_or(|attempts| attempts.next_time <= now)
    });
    subjects
}

/// Whether the run owes something to the world: a task, now or as soon as a back-off passes, or a message.
pub fn owes(execution: &Execution) -> bool {
    owes_tasks(execution) || !messages(execution).is_empty()
}

/// Whether the run owes a task now or will as soon as a back-off passes. Runs that only wait for time or
/// for the world are not looked at by a new leader.
fn owes_tasks(execution: &Execution) -> bool {
    execution.hands_out()
        && (execution.workflow_task.is_some()
            || !execution.updates.admitted.is_empty()
            || execution.activities.values().any(|a| a.started.is_none() && !a.is_paused()))
}

/// The earliest moment at which something of this run falls due, by what is persisted alone. A wake-up
/// row is kept for it, so that a sleeping run costs no memory.
pub fn wake_at(execution: &Execution) -> Option<Time> {
    earliest(execution, None)
}

/// The same with what the leader alone knows: a task in a worker's hands cannot time out on its way to
/// one, a retry whose back-off has passed is a task and no wake-up.
pub fn wake_at_of_leader(execution: &Execution, volatile: &Volatile, now: Time) -> Option<Time> {
    let started = volatile.started.as_ref().map(|task| task.deadline);
    let started = started.filter(|_| !planted::is("held_task_forgotten"));
    let queries = volatile.queries.values().map(|query| query.deadline).min();
    let updates = updates_wake_at(execution, volatile, now);
    [started, queries, updates, earliest(execution, Some((volatile, now)))].into_iter().flatten().min()
}

/// When something falls due for updates that wait: the answer to a caller, a note in the state, the end of a
/// task that nobody takes. At once, if the leader is new and has to bring back what was noted.
fn updates_wake_at(execution: &Execution, volatile: &Volatile, now: Time) -> Option<Time> {
    let untaken = volatile.speculative.as_ref().filter(|_| volatile.started.is_none());
    let unnoted = volatile.updates.iter().filter(|update| !update.noted);
    let due = [
        lacks_task_for_updates(execution, volatile).then_some(now),
        volatile.update_waiters.iter().map(|waiter| waiter.deadline).min(),
        unnoted.map(update::noted_at).min(),
        untaken.map(workflow_task::taken_until),
    ];
    due.into_iter().flatten().min()
}

/// Whether updates wait for a worker, and no task is owed or held that could bring them to one.
pub fn lacks_task_for_updates(execution: &Execution, volatile: &Volatile) -> bool {
    execution.is_running()
        && !execution.is_paused()
        && execution.workflow_task.is_none()
        && volatile.speculative.is_none()
        && !execution.held_by_parent
        && (volatile.updates.iter().any(|update| !update.sent) || volatile.has_forgotten(&execution.updates))
}

fn earliest(execution: &Execution, leader: Option<(&Volatile, Time)>) -> Option<Time> {
    if execution.deleted {
        return None;
    }
    if !execution.is_running() {
        // What it still has to say keeps it, and wakes it by itself, unless it is put off.
        let kept = execution.retain_until.filter(|_| messages(execution).is_empty());
        let unsettled = execution.callbacks.iter().filter(|callback| callback.settled.is_none());
        let put_off = unsettled.filter_map(|callback| put_off(&callback.attempts, leader)).min();
        return kept.or_else(|| put_off.filter(|_| callback::are_triggered(execution)));
    }
    let mut due: Vec<Option<Time>> = vec![execution.run_expiration, execution.expiration()];
    if execution.is_backing_off() {
        due.push(Some(execution.execution_time));
    }
    if let Some(task) = &execution.workflow_task
        && leader.is_none_or(|(volatile, _)| volatile.started.is_none() && !volatile.moved_to_normal)
    {
        due.push(task.sticky_timeout.map(|timeout| task.scheduled_time + timeout));
    }
    due.extend(execution.timers.values().map(|timer| Some(timer.fire_at)));
    for activity in execution.activities.values().filter(|activity| !activity.is_paused()) {
        due.push(activity_deadline(activity));
        // A first attempt is put off only by a reset or an unpause.
        let backs_off = execution.hands_out()
            && activity.started.is_none()
            && (activity.attempt > 1 || activity.scheduled_time > activity.first_scheduled_time);
        if backs_off && leader.is_none_or(|(_, now)| activity.scheduled_time > now) {
            due.push(Some(activity.scheduled_time));
        }
    }
    for operation in execution.nexus_operations.values() {
        due.push(operation.deadline().map(|(time, _)| time));
        due.push(match operation.owed() {
            Some((Owed::Start(_), _)) => put_off(&operation.start, leader),
            Some((Owed::Cancel(_), _)) => {
                operation.cancel.as_ref().and_then(|cancel| put_off(&cancel.attempts, leader))
            }
            None => None,
        });
    }
    due.into_iter().flatten().min()
}

/// When a call that has failed may be made again, unless its leader is making it.
fn put_off(attempts: &Attempts, leader: Option<(&Volatile, Time)>) -> Option<Time> {
    let pending = attempts.made > 0 && leader.is_none_or(|(_, now)| attempts.next_time > now);
    pending.then_some(attempts.next_time)
}

/// The earliest time-out of an activity as it stands.
pub fn activity_deadline(activity: &Activity) -> Option<Time> {
    let a = &activity.scheduled;
    let after = |start: Time, timeout: Option<Duration>| timeout.map(|timeout| start + timeout);
    let mut deadline = activity.expiration();
    let mut consider = |time: Option<Time>| deadline = deadline.into_iter().chain(time).min();
    match &activity.started {
        None => consider(after(activity.scheduled_time, set_duration(a.schedule_to_start_timeout.as_ref()))),
        Some(start) => {
            consider(after(start.time, set_duration(a.start_to_close_timeout.as_ref())));
            let beat = activity.heartbeat_time.map_or(start.time, |beat| beat.max(start.time));
            consider(after(beat, set_duration(a.heartbeat_timeout.as_ref())));
        }
    }
    deadline
}
