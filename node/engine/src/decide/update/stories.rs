//! The life of updates, told from the first request to the answer.

use expect_test::expect;

use crate::{
    limits::Limits,
    testing::{Story, check, check_with},
};

#[test]
fn it_is_accepted_and_completed_in_a_task_of_its_own() {
    check(
        "
        start  order
        take   order
        finish order
        send-update order change
        take   order
        finish order accept=change respond=change,ok
        poll-update order change
        ",
        expect![[r#"
            order: task brings change
            update order change (send-update 4): Completed by event 9
            poll-update order change: Completed by event 9
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowTaskScheduled on q
            6 WorkflowTaskStarted
            7 WorkflowTaskCompleted
            8 WorkflowExecutionUpdateAccepted change
            9 WorkflowExecutionUpdateCompleted change of 8
        "#]],
    );
}

#[test]
fn a_rejection_leaves_nothing_behind() {
    check(
        "
        start  order
        take   order
        finish order
        send-update order change
        take   order
        finish order reject=change,no
        poll-update order change
        ",
        expect![[r#"
            order: task brings change
            order: go back to 3
            update order change (send-update 4): Completed failed: no
            ! NotFound: update "change" not found
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
        "#]],
    );
}

#[test]
fn a_rejection_behind_a_command_is_written_unless_the_worker_goes_back() {
    check(
        "
        start  order
        take   order
        finish order timer=t,60s
        send-update order one
        take   order
        finish order reject=one,no goes-back
        send-update order two
        take   order
        finish order reject=two,no
        ",
        expect![[r#"
            order: task brings one
            order: go back to 3
            update order one (send-update 4): Completed failed: no
            order: task brings two
            update order two (send-update 7): Completed failed: no
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 TimerStarted t
            6 WorkflowTaskScheduled on q
            7 WorkflowTaskStarted
            8 WorkflowTaskCompleted
            todo: wake in 60s
        "#]],
    );
}

#[test]
fn a_signal_makes_its_task_an_ordinary_one() {
    check(
        "
        start  order
        take   order
        finish order
        send-update order change
        signal order paid
        take   order
        finish order reject=change,no
        ",
        expect![[r#"
            order: task brings change
            update order change (send-update 4): Completed failed: no
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowTaskScheduled on q
            6 WorkflowExecutionSignaled paid
            7 WorkflowTaskStarted
            8 WorkflowTaskCompleted
        "#]],
    );
}

#[test]
fn a_signal_makes_the_task_that_is_held_an_ordinary_one() {
    check(
        "
        start  order
        take   order
        finish order
        send-update order change
        take   order
        signal order paid
        finish order reject=change,no
        ",
        expect![[r#"
            order: task brings change
            update order change (send-update 4): Completed failed: no
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowTaskScheduled on q
            6 WorkflowTaskStarted
            7 WorkflowTaskCompleted
            8 WorkflowExecutionSignaled paid
            9 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn one_that_comes_while_a_task_is_held_comes_with_the_next() {
    check(
        "
        start  order
        take   order
        send-update order change
        finish order inline
        finish order reject=change,no inline
        send-update order other
        take   order
        send-update order third
        finish order accept=other respond=other
        take   order
        finish order accept=third respond=third
        ",
        expect![[r#"
            order: task brings change
            order: go back to 3
            update order change (send-update 3): Completed failed: no
            order: task brings other
            update order other (send-update 6): Completed by event 9
            order: task brings third
            update order third (send-update 8): Completed by event 14
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowTaskScheduled on q
            6 WorkflowTaskStarted
            7 WorkflowTaskCompleted
            8 WorkflowExecutionUpdateAccepted other
            9 WorkflowExecutionUpdateCompleted other of 8
            10 WorkflowTaskScheduled on q
            11 WorkflowTaskStarted
            12 WorkflowTaskCompleted
            13 WorkflowExecutionUpdateAccepted third
            14 WorkflowExecutionUpdateCompleted third of 13
        "#]],
    );
}

#[test]
fn a_worker_that_needs_more_time_is_not_told_again() {
    check(
        "
        start  order
        take   order
        finish order
        send-update order change
        take   order
        finish order force inline
        finish order accept=change respond=change
        ",
        expect![[r#"
            order: task brings change
            update order change (send-update 4): Completed by event 12
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowTaskScheduled on q
            6 WorkflowTaskStarted
            7 WorkflowTaskCompleted
            8 WorkflowTaskScheduled on q
            9 WorkflowTaskStarted
            10 WorkflowTaskCompleted
            11 WorkflowExecutionUpdateAccepted change
            12 WorkflowExecutionUpdateCompleted change of 11
        "#]],
    );
}

#[test]
fn an_unanswered_update_is_rejected() {
    check(
        "
        start  order
        send-update order change
        take   order
        finish order
        ",
        expect![[r#"
            order: task brings change
            update order change (send-update 2): Completed failed: Workflow Update is rejected because it wasn't processed by worker. Probably, Workflow Update is not supported by the worker.
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
        "#]],
    );
}

#[test]
fn callers_wait_for_their_stage_or_for_twenty_seconds() {
    check(
        "
        start  order
        take   order
        finish order
        send-update order change stage=accepted
        send-update order change
        send-update order change stage=any
        take   order
        finish order accept=change
        wait   20s
        poll-update order change stage=accepted
        ",
        expect![[r#"
            send-update order change: Admitted
            order: task brings change
            update order change (send-update 4): Accepted
            update order change (send-update 5): Accepted
            poll-update order change: Accepted
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowTaskScheduled on q
            6 WorkflowTaskStarted
            7 WorkflowTaskCompleted
            8 WorkflowExecutionUpdateAccepted change
        "#]],
    );
}

#[test]
fn a_task_that_nobody_takes_is_written() {
    check(
        "
        start  order
        take   order
        finish order
        send-update order change
        wait   6s
        take   order
        finish order accept=change respond=change
        ",
        expect![[r#"
            order: task brings change
            update order change (send-update 4): Completed by event 11
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowTaskScheduled on q
            6 WorkflowTaskTimedOut ScheduleToStart
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskCompleted
            10 WorkflowExecutionUpdateAccepted change
            11 WorkflowExecutionUpdateCompleted change of 10
        "#]],
    );
}

#[test]
fn a_failed_task_brings_it_again_twice() {
    check(
        "
        start     order
        take      order
        finish    order
        update    order change
        take      order
        fail-task order
        take      order
        fail-task order
        update    order other
        take      order
        finish    order
        ",
        expect![[r#"
            ! NotFound: workflow not found for ID: temporal-sys-scheduler:order
            ! take      order: task gone
            ! NotFound: Workflow task not found.
            ! take      order: task gone
            ! NotFound: Workflow task not found.
            ! NotFound: workflow not found for ID: temporal-sys-scheduler:order
            ! take      order: task gone
            ! NotFound: Workflow task not found.
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
        "#]],
    );
}

#[test]
fn nonsense_fails_the_task_and_the_update() {
    check(
        "
        start  order
        take   order
        finish order
        send-update order change
        take   order
        finish order say=change
        poll-update order change
        ",
        expect![[r#"
            order: task brings change
            ! InvalidArgument: BadUpdateWorkflowExecutionMessage: ProtocolMessageCommand referenced absent message ID change/say
            query order change (send-update 4): ! WorkflowNotReady: Unable to perform workflow execution update due to unexpected workflow task failure.
            ! NotFound: update "change" not found
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowTaskScheduled on q
            6 WorkflowTaskStarted
            7 WorkflowTaskFailed BadUpdateWorkflowExecutionMessage "BadUpdateWorkflowExecutionMessage: ProtocolMessageCommand referenced absent message ID change/say"
            todo: workflow task on q attempt 2
        "#]],
    );
}

#[test]
fn a_worker_may_know_more_than_the_server() {
    check(
        "
        start  order
        take   order
        finish order accept=change,all respond=change
        poll-update order change
        ",
        expect![[r#"
            poll-update order change: Completed by event 6
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionUpdateAccepted change
            6 WorkflowExecutionUpdateCompleted change of 5
        "#]],
    );
}

#[test]
fn an_end_fails_what_was_accepted_and_aborts_the_rest() {
    check(
        "
        start  order
        send-update order one
        take   order
        send-update order two
        finish order accept=one complete=ok
        poll-update order one
        poll-update order two
        poll-update order three
        send-update order two
        send-update order three
        ",
        expect![[r#"
            order: task brings one
            update order one (send-update 2): Completed failed: Workflow Update failed because the Workflow completed before the Update completed.
            query order two (send-update 4): ! UpdateAborted
            poll-update order one: Completed failed: Workflow Update failed because the Workflow completed before the Update completed.
            ! UpdateAborted
            ! NotFound: update "three" not found
            ! UpdateAborted
            ! NotFound: workflow execution already completed
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionUpdateAccepted one
            6 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn what_an_old_run_has_not_accepted_may_be_tried_again() {
    check(
        "
        start  order
        send-update order change
        take   order
        finish order again
        ",
        expect![[r#"
            order: task brings change
            query order change (send-update 2): ! BusyWorkflow: workflow operation can not be applied because workflow is closing
            -- order
            1 WorkflowExecutionStarted continued
            todo: wake in 1s
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionContinuedAsNew
        "#]],
    );
}

#[test]
fn a_termination_does_not_write_a_task_that_nobody_had() {
    check(
        "
        start  order
        take   order
        finish order
        send-update order change
        terminate order
        ",
        expect![[r#"
            query order change (send-update 4): ! UpdateAborted
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionTerminated ""
        "#]],
    );
}

#[test]
fn an_update_starts_its_workflow() {
    check(
        "
        update-with-start order one
        take   order
        finish order accept=one respond=one
        update-with-start order one
        update-with-start order two
        take   order
        finish order reject=two,no complete=ok
        ",
        expect![[r#"
            order: task brings one
            update order one (update-with-start 1): Completed by event 6, started anew
            update-with-start order one: Completed by event 6, not started anew
            order: task brings two
            update order two (update-with-start 5): Completed failed: no, not started anew
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionUpdateAccepted one
            6 WorkflowExecutionUpdateCompleted one of 5
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskCompleted
            10 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn ten_may_be_under_way() {
    let limits = Limits { updates_in_flight_max: 2, updates_total_max: 3, ..Limits::default() };
    check_with(
        "
        start  order
        send-update order one
        send-update order two
        send-update order three
        take   order
        finish order accept=one respond=one accept=two
        send-update order three
        take   order
        finish order accept=three respond=three respond=two
        send-update order four
        ",
        limits,
        expect![[r#"
            ! TooManyUpdates("limit on number of concurrent in-flight updates has been reached (2)")
            order: task brings one, two
            update order one (send-update 2): Completed by event 6
            order: task brings three
            update order three (send-update 7): Completed by event 12
            update order two (send-update 3): Completed by event 13
            ! FailedPrecondition("The limit on the total number of distinct updates in this workflow has been reached (3). Make sure any duplicate updates share an Update ID so the server can deduplicate them, and consider rejecting updates that you aren't going to process. You can also Continue-as-New to avoid this; we recommend you check Continue-as-New Suggested in your Workflow.")
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionUpdateAccepted one
            6 WorkflowExecutionUpdateCompleted one of 5
            7 WorkflowExecutionUpdateAccepted two
            8 WorkflowTaskScheduled on q
            9 WorkflowTaskStarted
            10 WorkflowTaskCompleted
            11 WorkflowExecutionUpdateAccepted three
            12 WorkflowExecutionUpdateCompleted three of 11
            13 WorkflowExecutionUpdateCompleted two of 7
        "#]],
    );
}

#[test]
fn twenty_megabytes_may_be_under_way() {
    let limits = Limits { updates_in_flight_bytes_max: 1000, ..Limits::default() };
    check_with(
        "
        start  order
        send-update order one size=500
        send-update order two size=500
        send-update order three size=200
        ",
        limits,
        expect![[r#"
            ! TooManyUpdates("limit on total payload size of in-flight updates has been reached (1000 bytes)")
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn an_update_outlives_its_leader_once_it_has_waited() {
    check(
        "
        start  order
        take   order
        finish order
        send-update order change
        wait   200ms
        new-leader
        take   order
        finish order accept=change respond=change
        ",
        expect![[r#"
            query order change (send-update 4): ! Unavailable("the leader of this workflow's shard is changing, please retry")
            order: task brings change
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowTaskScheduled on q
            6 WorkflowTaskStarted
            7 WorkflowTaskCompleted
            8 WorkflowExecutionUpdateAccepted change
            9 WorkflowExecutionUpdateCompleted change of 8
        "#]],
    );
}

#[test]
fn an_update_outlives_its_leader_once_anything_is_written() {
    check(
        "
        start  order
        take   order
        send-update order change
        signal order paid
        new-leader
        take   order
        finish order accept=change respond=change
        ",
        expect![[r#"
            query order change (send-update 3): ! Unavailable("the leader of this workflow's shard is changing, please retry")
            order: task brings change
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionSignaled paid
            4 WorkflowTaskStarted
            5 WorkflowTaskCompleted
            6 WorkflowExecutionUpdateAccepted change
            7 WorkflowExecutionUpdateCompleted change of 6
        "#]],
    );
}

#[test]
fn an_update_that_was_rejected_does_not_come_back() {
    check(
        "
        start  order
        take   order
        finish order
        send-update order change
        wait   200ms
        take   order
        finish order reject=change,no
        new-leader
        poll-update order change
        ",
        expect![[r#"
            order: task brings change
            order: go back to 3
            update order change (send-update 4): Completed failed: no
            ! NotFound: update "change" not found
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
        "#]],
    );
}

#[test]
fn an_update_costs_one_entry() {
    let mut story = Story::new(Limits::default());
    ["start order", "take order", "finish order"].iter().for_each(|line| story.tell(line));
    let before = story.entries;
    ["send-update order one", "take order", "finish order accept=one respond=one"]
        .iter()
        .for_each(|line| story.tell(line));
    assert_eq!(story.entries - before, 1);
    ["send-update order two", "take order", "finish order reject=two,no goes-back"]
        .iter()
        .for_each(|line| story.tell(line));
    assert_eq!(story.entries - before, 1, "a rejection writes nothing");
}

#[test]
fn a_new_leader_does_not_send_an_update_to_the_back_of_the_queue() {
    let mut story = Story::new(Limits::default());
    for line in ["start order", "take order", "finish order", "send-update order change", "wait 200ms"] {
        story.tell(line);
    }
    let since = story.waits_since("order");
    let offers = story.offers_of(Some("order"));
    story.tell("new-leader");
    story.tell("wait 1s");
    assert!(story.offers_of(Some("order")) > offers, "the new leader offers it");
    assert_eq!(story.waits_since("order"), since);
}

#[test]
fn a_task_for_those_that_came_later_is_written_when_the_others_were_rejected() {
    check(
        "
        start  order
        take   order
        finish order
        send-update order first
        take   order
        send-update order second
        finish order reject=first,no
        take   order
        ",
        expect![[r#"
            order: task brings first
            order: go back to 3
            update order first (send-update 4): Completed failed: no
            order: task brings second
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowTaskScheduled on q
            todo: workflow task on q, held
        "#]],
    );
}

#[test]
fn an_update_that_is_applied_again_outlives_nonsense() {
    check(
        "
        start  order
        take   order
        finish order
        send-update order change
        take   order
        finish order accept=change respond=change,done
        reset  order 4
        take   order
        finish order say=change
        new-leader
        take   order
        finish order say=change
        take   order
        finish order accept=change respond=change,again
        poll-update order change
        ",
        expect![[r#"
            order: task brings change
            update order change (send-update 4): Completed by event 9
            ! InvalidArgument: BadUpdateWorkflowExecutionMessage: ProtocolMessageCommand referenced absent message ID change/say
            ! InvalidArgument: BadUpdateWorkflowExecutionMessage: ProtocolMessageCommand referenced absent message ID change/say
            poll-update order change: Completed by event 13
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowTaskScheduled on q
            6 WorkflowTaskStarted
            7 WorkflowTaskCompleted
            8 WorkflowExecutionUpdateAccepted change
            9 WorkflowExecutionUpdateCompleted change of 8
            10 WorkflowExecutionTerminated "again"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed ResetWorkflow "again"
            5 WorkflowExecutionUpdateAdmitted
            6 WorkflowTaskScheduled on q
            7 WorkflowTaskStarted
            8 WorkflowTaskFailed BadUpdateWorkflowExecutionMessage "BadUpdateWorkflowExecutionMessage: ProtocolMessageCommand referenced absent message ID change/say"
            9 WorkflowTaskScheduled on q attempt 2
            10 WorkflowTaskStarted
            11 WorkflowTaskCompleted
            12 WorkflowExecutionUpdateAccepted change as admitted
            13 WorkflowExecutionUpdateCompleted change of 12
        "#]],
    );
}
