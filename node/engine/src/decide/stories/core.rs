//! The life of a workflow task, told from the start of a run to its end.

use super::{check, expect};
use crate::{limits::Limits, testing::Story};

#[test]
fn a_workflow_starts_and_completes() {
    check(
        "
        start  order
        take   order
        finish order complete=ok
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn a_signal_waits_for_the_running_task() {
    check(
        "
        start  order
        take   order
        signal order paid
        finish order
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionSignaled paid
            6 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn a_signal_before_the_task_is_taken_comes_before_its_start() {
    check(
        "
        start  order
        signal order paid
        take   order
        finish order
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionSignaled paid
            4 WorkflowTaskStarted
            5 WorkflowTaskCompleted
        "#]],
    );
}

#[test]
fn failed_attempts_after_the_first_leave_no_events() {
    check(
        "
        start     order
        take      order
        fail-task order
        take      order
        fail-task order
        take      order
        finish    order complete=ok
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed WorkflowWorkerUnhandledFailure "broken"
            5 WorkflowTaskScheduled on q attempt 3
            6 WorkflowTaskStarted
            7 WorkflowTaskCompleted
            8 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn a_signal_makes_a_transient_task_an_ordinary_one() {
    check(
        "
        start     order
        take      order
        fail-task order
        signal    order paid
        take      order
        finish    order complete=ok
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed WorkflowWorkerUnhandledFailure "broken"
            5 WorkflowExecutionSignaled paid
            6 WorkflowTaskScheduled on q
            7 WorkflowTaskStarted
            8 WorkflowTaskCompleted
            9 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn a_task_that_times_out_is_tried_again() {
    check(
        "
        start  order task-timeout=10s
        take   order
        wait   10s
        finish order complete=late
        take   order
        finish order complete=ok
        ",
        expect![[r#"
            ! NotFound: Workflow task not found.
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskTimedOut StartToClose
            5 WorkflowTaskScheduled on q attempt 2
            6 WorkflowTaskStarted
            7 WorkflowTaskCompleted
            8 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn closing_over_an_unseen_signal_is_refused() {
    check(
        "
        start  order
        take   order
        signal order paid
        finish order complete=ok
        take   order
        signal order again
        finish order complete=ok
        ",
        expect![[r#"
            ! InvalidArgument: UnhandledCommand
            ! BusyWorkflow: workflow operation can not be applied because workflow is closing
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed UnhandledCommand "UnhandledCommand"
            5 WorkflowExecutionSignaled paid
            6 WorkflowTaskScheduled on q
            7 WorkflowTaskStarted
            8 WorkflowTaskCompleted
            9 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn timers_fire_in_order_and_wake_the_worker() {
    check(
        "
        start  order
        take   order
        finish order timer=b,2s timer=a,1s timer=c,1h
        wait   2s
        take   order
        finish order cancel-timer=c complete=ok
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 TimerStarted b
            6 TimerStarted a
            7 TimerStarted c
            8 TimerFired a of 6
            9 WorkflowTaskScheduled on q
            10 TimerFired b of 5
            11 WorkflowTaskStarted
            12 WorkflowTaskCompleted
            13 TimerCanceled c of 7
            14 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn a_timer_that_fired_unseen_can_be_cancelled() {
    check(
        "
        start  order
        take   order
        finish order timer=a,1s
        signal order go
        take   order
        wait   1s
        finish order cancel-timer=a complete=ok
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 TimerStarted a
            6 WorkflowExecutionSignaled go
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskCompleted
            10 TimerCanceled a of 5
            11 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn a_sticky_task_nobody_takes_goes_to_the_normal_queue() {
    check(
        "
        start  order
        take   order
        finish order sticky=s
        signal order go
        wait   5s
        take   order
        finish order complete=ok
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionSignaled go
            6 WorkflowTaskScheduled on s
            7 WorkflowTaskTimedOut ScheduleToStart
            8 WorkflowTaskScheduled on q
            9 WorkflowTaskStarted
            10 WorkflowTaskCompleted
            11 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn continue_as_new_begins_another_run() {
    check(
        "
        start  order
        take   order
        finish order again
        wait   1s
        take   order
        finish order complete=ok
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted continued
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionCompleted
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
fn a_failed_workflow_is_retried_by_its_policy() {
    check(
        "
        start  order retry=1s,2
        take   order
        finish order fail=oops
        wait   1s
        take   order
        finish order fail=oops
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted attempt 2 continued
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionFailed MaximumAttemptsReached
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionFailed InProgress
        "#]],
    );
}

#[test]
fn queries_travel_with_the_pending_task_or_go_directly() {
    check(
        "
        start        order
        query        order state
        take         order
        finish       order answer=early
        query        order state
        take-query   order
        answer-query order late
        ",
        expect![[r#"
            order: task carries 1 queries
            query order state: early
            order: query with events 1..=4
            query order state: late
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
        "#]],
    );
}

#[test]
fn a_query_waits_for_a_first_task_that_is_due_before_its_deadline() {
    check(
        "
        start        soon  delay=9s
        query        soon  state
        start        later delay=11s
        query        later state
        wait         9s
        take         soon
        finish       soon answer=here
        ",
        expect![[r#"
            ! WorkflowNotReady: Workflow task is not scheduled yet.
            soon: task carries 1 queries
            query soon state: here
            -- later
            1 WorkflowExecutionStarted
            todo: wake in 2s
            -- soon
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
        "#]],
    );
}

#[test]
fn a_new_leader_offers_the_task_again_and_refuses_the_old_token() {
    check(
        "
        start  order
        take   order
        signal order paid
        new-leader
        finish order complete=stale
        take   order
        finish order complete=ok
        ",
        expect![[r#"
            ! NotFound: Workflow task not found.
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionSignaled paid
            4 WorkflowTaskStarted
            5 WorkflowTaskCompleted
            6 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn terminate_keeps_the_signals_that_waited() {
    check(
        "
        start     order
        take      order
        signal    order paid
        terminate order reason=enough
        signal    order late
        ",
        expect![[r#"
            ! NotFound: workflow execution already completed
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskFailed ForceCloseCommand
            5 WorkflowExecutionSignaled paid
            6 WorkflowExecutionTerminated "enough"
        "#]],
    );
}

#[test]
fn a_start_that_replaces_the_running_one_ends_it() {
    check(
        "
        start order
        wait  2s
        start order conflict=terminate request=2
        start order request=3
        start order conflict=use request=4
        start order request=2
        ",
        expect![[r#"
            ! AlreadyStarted
            ! start order conflict=use request=4: not started anew
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionTerminated "TerminateIfRunning WorkflowIdReusePolicy"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn a_request_that_an_earlier_run_answered_is_no_new_request() {
    check(
        "
        start  order request=1
        signal order paid request=2
        take   order
        finish order again
        wait   1s
        signal order paid request=2
        start  order request=1
        signal order again request=3
        take   order
        finish order complete
        signal order paid request=2
        start  order request=1
        signal-with-start order request=3
        ",
        expect![[r#"
            ! signal-with-start order request=3: not started anew
            -- order
            1 WorkflowExecutionStarted continued
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionSignaled again
            4 WorkflowTaskStarted
            5 WorkflowTaskCompleted
            6 WorkflowExecutionCompleted
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionSignaled paid
            4 WorkflowTaskStarted
            5 WorkflowTaskCompleted
            6 WorkflowExecutionContinuedAsNew
        "#]],
    );
}

#[test]
fn a_request_that_comes_long_after_is_a_new_one() {
    check(
        "
        start  order request=1
        take   order
        finish order complete
        wait   10m
        start  order request=2
        wait   10m
        terminate order
        start  order request=1
        ",
        expect![[r#"
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowExecutionCompleted
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionTerminated ""
            -- order
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn a_request_is_looked_for_in_the_sixteen_runs_before_the_current_one() {
    for (runs_since, is_known) in [(15, true), (16, true), (17, false)] {
        let mut story = Story::new(Limits::default());
        for number in 0..=runs_since {
            story.tell(&format!("start order request=r{number}"));
            story.tell("terminate order");
        }
        story.tell("start order request=r0");
        let runs = story.end().lines().filter(|line| line.contains("1 WorkflowExecutionStarted")).count();
        assert_eq!(runs, runs_since + if is_known { 1 } else { 2 }, "{runs_since} runs since");
    }
}

#[test]
fn a_delayed_start_waits_unless_cancelled() {
    check(
        "
        start  order delay=1h
        signal order early
        cancel order
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowExecutionSignaled early
            3 WorkflowExecutionCancelRequested
            4 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn a_heartbeat_keeps_the_task() {
    check(
        "
        start  order
        take   order
        finish order force inline
        finish order complete=ok
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 WorkflowTaskScheduled on q
            6 WorkflowTaskStarted
            7 WorkflowTaskCompleted
            8 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn a_start_is_one_entry() {
    let mut story = Story::new(Limits::default());
    story.tell("start order");
    assert_eq!(story.entries, 1);
    story.tell("take order");
    assert_eq!(story.entries, 1, "handing a task out writes nothing");
    story.tell("finish order activity=a");
    story.tell("take-activity order");
    assert_eq!(story.entries, 2, "handing an activity out writes nothing that is waited for");
    story.tell("complete-activity order a ok");
    assert_eq!(story.entries, 3);
    story.tell("signal order go");
    assert_eq!(story.entries, 4);
}

#[test]
fn an_activity_runs_in_two_rounds() {
    check(
        "
        start             order
        take              order
        finish            order activity=a
        take-activity     order
        complete-activity order a ok
        take              order
        finish            order complete=ok
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 ActivityTaskScheduled a
            6 ActivityTaskStarted 5 attempt 1
            7 ActivityTaskCompleted 5 started 6
            8 WorkflowTaskScheduled on q
            9 WorkflowTaskStarted
            10 WorkflowTaskCompleted
            11 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn cancelling_an_unstarted_activity_does_not_stop_the_workflow_from_closing() {
    check(
        "
        start  order
        take   order
        finish order activity=a
        signal order go
        take   order
        finish order cancel-activity=5 complete=ok
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 ActivityTaskScheduled a
            6 WorkflowExecutionSignaled go
            7 WorkflowTaskScheduled on q
            8 WorkflowTaskStarted
            9 WorkflowTaskCompleted
            10 ActivityTaskCancelRequested 5
            11 WorkflowExecutionCompleted
        "#]],
    );
}

#[test]
fn an_activity_is_retried_by_the_clock_and_its_attempts_leave_no_events() {
    check(
        "
        start             order
        take              order
        finish            order activity=a
        take-activity     order
        fail-activity     order a oops
        wait              1s
        take-activity     order request=2
        complete-activity order a ok
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 ActivityTaskScheduled a
            6 ActivityTaskStarted 5 attempt 2 after "oops"
            7 ActivityTaskCompleted 5 started 6
            8 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn the_first_of_two_timeouts_decides() {
    check(
        "
        start             order
        take              order
        finish            order activity=a,s2c:1s,max:1
        wait              10ms
        take-activity     order
        wait              2s
        ",
        expect![[r#"
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowTaskStarted
            4 WorkflowTaskCompleted
            5 ActivityTaskScheduled a
            6 ActivityTaskStarted 5 attempt 1
            7 ActivityTaskTimedOut 5 started 6 Timeout "Not enough time to schedule next retry before activity ScheduleToClose timeout, giving up retrying"
            8 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}
