//! Bugs that are planted on purpose, to prove that the simulation would find them.
//!
//! Without the feature `planted` every question here is answered by a constant `false`, and nothing of a
//! bug is left in the binary. With it, one bug can be chosen by name before anything runs.

/// What can be planted: the name, and what goes wrong.
pub const BUGS: [(&str, &str); 31] = [
    ("unseen_events_dropped_at_close", "a run closes over a signal that its worker has not seen"),
    ("stale_task_token_accepted", "the holder of a task under a former leader may complete it"),
    ("old_attempt_completes", "the completion of an attempt that timed out is accepted"),
    ("signal_dedupe_lost", "a signal that is sent twice with the same request id counts twice"),
    ("reply_before_commit", "the answer leaves before the entry is committed"),
    ("commands_half_applied", "a completion that is refused leaves its first commands behind"),
    ("wake_row_missing", "no wake-up row is written for a timer"),
    ("owed_row_missing", "a run that owes a task is not listed, and a new leader forgets it"),
    ("second_open_run", "a start does not see that the workflow is running"),
    ("closed_again", "a run that is closed can be terminated"),
    ("read_without_barrier", "a leader answers reads without asking whether it still leads"),
    ("once_not_durable", "an activity with one attempt is handed out before that is durable"),
    ("flush_misordered", "buffered completions get their place before their Started events"),
    ("flush_loses_event", "the first of several buffered events is lost when the others get their place"),
    ("held_task_forgotten", "a workflow task in the hands of a worker never times out"),
    ("child_started_twice", "a repeated request to start a child does not see the run that it made"),
    ("message_heard_twice", "a repeated signal of another workflow is taken for a new one by the next run"),
    (
        "messages_of_closed_run_forgotten",
        "a run that has closed says nothing more to its parent and children",
    ),
    (
        "repetition_unseen",
        "a request that an earlier run of the workflow has answered is taken for a new one",
    ),
    ("signal_reapplied_twice", "a signal behind the point of a reset is in the new run twice"),
    ("signal_not_reapplied", "a signal behind the point of a reset is in no run any more"),
    ("reset_repetition_unseen", "a reset that is asked for again makes another run"),
    ("launch_forgotten", "a new leader does not look at a schedule whose start is on its way"),
    ("launch_renamed", "a start of a schedule that is asked for again has another request id"),
    ("index_row_left", "a list's index still finds a run as what it was"),
    ("version_change_answered_early", "a change of a deployment is answered before it is committed"),
    ("update_asked_twice", "an update that is asked for again goes to the worker again"),
    ("standalone_row_missing", "a new leader does not find what runs on its own"),
    ("standalone_ends_twice", "what runs on its own and has ended can be completed again"),
    ("paused_run_handed_out", "the tasks that a run owed when it was paused are handed out"),
    ("replica_differs", "a replica's fold is not the leader's"),
];

#[cfg(feature = "planted")]
mod chosen {
    use std::sync::OnceLock;

    static NAME: OnceLock<String> = OnceLock::new();

    /// Chooses the bug of this process, once. False if there is no such bug, or another one was chosen.
    pub fn plant(name: &str) -> bool {
        super::BUGS.iter().any(|(known, _)| *known == name) && NAME.set(name.to_owned()).is_ok()
    }

    pub fn is(name: &str) -> bool {
        NAME.get().is_some_and(|chosen| chosen == name)
    }
}

#[cfg(feature = "planted")]
pub use chosen::{is, plant};

#[cfg(not(feature = "planted"))]
pub const fn is(_: &str) -> bool {
    false
}
