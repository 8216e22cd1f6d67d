//! What schedules do, as stories. They begin at 01:46:40.

use expect_test::{Expect, expect};

use crate::{
    limits::Limits,
    testing::{Story, check},
};

/// Only what is said while the story is told, without the histories at its end.
fn check_said(story: &str, expect: Expect) {
    let mut teller = Story::new(Limits::default());
    story.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| teller.tell(line));
    expect.assert_eq(&teller.said());
}

#[test]
fn a_time_comes() {
    check(
        "schedule job every=60s
         wait     30s
         describe-schedule job",
        expect![[r#"
            job: 1 actions, 1 running, token 1, next +80s
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn a_workflow_is_skipped_while_another_runs() {
    check_said(
        "schedule job every=60s
         wait     200s
         describe-schedule job
         take     job-2001-09-09T01:47:00Z
         finish   job-2001-09-09T01:47:00Z complete=done
         wait     60s
         describe-schedule job",
        expect![[r#"
            job: 1 actions, 3 skipped, 1 running, token 1, next +260s
            job: 2 actions, 3 skipped, 1 running, token 1, next +320s
        "#]],
    );
}

#[test]
fn buffered_starts_follow_each_other() {
    check_said(
        "schedule job every=60s overlap=buffer-all
         wait     200s
         describe-schedule job
         take     job-2001-09-09T01:47:00Z
         finish   job-2001-09-09T01:47:00Z complete=done
         describe-schedule job
         take     job-2001-09-09T01:48:00Z
         finish   job-2001-09-09T01:48:00Z fail=bad
         describe-schedule job
         take     job-2001-09-09T01:49:00Z",
        expect![[r#"
            job: 1 actions, 3 buffered, 1 running, token 1, next +260s
            job: 2 actions, 2 buffered, 1 running, token 1, next +260s
            job: 3 actions, 1 buffered, 1 running, token 1, next +260s
        "#]],
    );
}

/// A thousand starts wait at most; what comes then is dropped, until one has begun.
#[test]
fn a_buffer_is_full() {
    check_said(
        "schedule job every=60s overlap=buffer-all
         wait     59970s
         describe-schedule job
         wait     60s
         describe-schedule job
         wait     60s
         describe-schedule job
         take     job-2001-09-09T01:47:00Z
         finish   job-2001-09-09T01:47:00Z complete=done
         describe-schedule job
         wait     60s
         describe-schedule job
         wait     60s
         describe-schedule job",
        expect![[r#"
            job: 1 actions, 999 buffered, 1 running, token 1, next +60020s
            job: 1 actions, 1000 buffered, 1 running, token 1, next +60080s
            job: 1 actions, 1 dropped, 1000 buffered, 1 running, token 1, next +60140s
            job: 2 actions, 1 dropped, 999 buffered, 1 running, token 1, next +60140s
            job: 2 actions, 1 dropped, 1000 buffered, 1 running, token 1, next +60200s
            job: 2 actions, 2 dropped, 1000 buffered, 1 running, token 1, next +60260s
        "#]],
    );
}

#[test]
fn others_make_room() {
    check(
        "schedule job every=60s overlap=cancel-other
         wait     100s
         describe-schedule job
         take     job-2001-09-09T01:47:00Z
         finish   job-2001-09-09T01:47:00Z canceled
         describe-schedule job
         update   job every=600s overlap=terminate-other
         trigger  job at=200s
         describe-schedule job",
        expect![[r#"
            job: 1 actions, 1 buffered, 1 running, token 1, next +140s
            job: 2 actions, 1 running, token 1, next +140s
            job: 3 actions, 1 running, token 2, next +200s
            -- job-2001-09-09T01:47:00Z
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionCancelRequested
            4 WorkflowTaskStarted
            5 WorkflowTaskCompleted
            6 WorkflowExecutionCanceled
            -- job-2001-09-09T01:48:00Z
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            3 WorkflowExecutionTerminated "terminated by schedule overlap policy"
            -- job-2001-09-09T01:50:00Z
            1 WorkflowExecutionStarted
            2 WorkflowTaskScheduled on q
            todo: workflow task on q
        "#]],
    );
}

#[test]
fn all_at_once() {
    check_said(
        "schedule job every=60s overlap=allow-all
         wait     200s
         describe-schedule job",
        expect![[r#"
            job: 4 actions, token 1, next +260s
        "#]],
    );
}

/// Each nominal time is acted upon once, whenever leaders change and whatever is lost.
#[test]
fn leaders_change() {
    check_said(
        "schedule job every=60s overlap=allow-all
         deaf
         wait     30s
         new-leader
         describe-schedule job
         hearing
         wait     5s
         new-leader
         wait     60s
         new-leader
         describe-schedule job",
        expect![[r#"
            job: 0 actions, token 1, next +80s
            job: 2 actions, token 1, next +140s
        "#]],
    );
}

/// A launch that a former leader had proposed and that was never committed is made by the next one.
#[test]
fn a_launch_is_lost() {
    check_said(
        "schedule job every=60s
         hold
         wait     30s
         new-leader
         commit
         describe-schedule job",
        expect![[r#"
            job: 1 actions, 1 running, token 1, next +80s
        "#]],
    );
}

/// The answer to a start is lost, and the workflow has continued as new by the time it is asked for again.
#[test]
fn a_started_workflow_has_gone_on() {
    check_said(
        "schedule job every=60s limit=1
         mute
         wait     30s
         take     job-2001-09-09T01:47:00Z
         finish   job-2001-09-09T01:47:00Z again
         unmute
         new-leader
         describe-schedule job",
        expect![[r#"
            job: 1 actions, 1 running, 0 left, token 2
        "#]],
    );
}

#[test]
fn late_times_are_missed() {
    check_said(
        "schedule job every=60s catchup=30s overlap=allow-all
         hold
         wait     200s
         new-leader
         commit
         describe-schedule job",
        expect![[r#"
            job: 1 actions, 3 missed, token 1, next +260s
        "#]],
    );
}

#[test]
fn a_pause_is_not_made_up_for() {
    check_said(
        "schedule job every=60s paused
         wait     200s
         unpause  job notes=go
         describe-schedule job
         wait     60s
         describe-schedule job
         pause    job notes=stop
         wait     600s
         describe-schedule job
         trigger  job overlap=allow-all
         describe-schedule job",
        expect![[r#"
            job: 0 actions, not paused: "go", token 2, next +260s
            job: 1 actions, 1 running, not paused: "go", token 2, next +320s
            job: 1 actions, 1 running, paused: "stop", token 3, next +920s
            job: 2 actions, 1 running, paused: "stop", token 3, next +920s
        "#]],
    );
}

#[test]
fn actions_are_limited() {
    check_said(
        "schedule job every=60s limit=2 overlap=allow-all
         describe-schedule job
         wait     600s
         describe-schedule job
         trigger  job overlap=allow-all
         describe-schedule job",
        expect![[r#"
            job: 0 actions, 2 left, token 1, next +20s
            job: 2 actions, 0 left, token 3
            job: 3 actions, 0 left, token 3
        "#]],
    );
}

#[test]
fn a_failure_pauses() {
    check_said(
        "schedule job every=60s pause-on-failure
         wait     30s
         take     job-2001-09-09T01:47:00Z
         finish   job-2001-09-09T01:47:00Z fail=bad
         describe-schedule job
         wait     600s
         describe-schedule job",
        expect![[r#"
            job: 1 actions, paused: "paused due to workflow failure: job-2001-09-09T01:47:00Z: bad", token 2, next +80s
            job: 1 actions, paused: "paused due to workflow failure: job-2001-09-09T01:47:00Z: bad", token 2, next +680s
        "#]],
    );
}

#[test]
fn the_past_is_filled_in() {
    check_said(
        "schedule job every=60s
         backfill job from=0s to=20m overlap=allow-all
         describe-schedule job
         wait     1s
         describe-schedule job
         wait     1s
         describe-schedule job",
        expect![[r#"
            job: 20 actions, token 1, next +20s
            job: 20 actions, token 1, next +20s
            job: 20 actions, token 1, next +20s
        "#]],
    );
}

#[test]
fn requests_are_repeated_and_refused() {
    check_said(
        "schedule job every=60s request=a
         schedule job every=60s request=a
         schedule job every=60s request=b
         trigger  job overlap=allow-all request=t
         trigger  job overlap=allow-all request=t
         describe-schedule job
         update   job every=120s token=7
         update   job every=120s token=1 request=u
         update   job every=120s token=1 request=u
         describe-schedule job
         matching-times job within=5m
         unschedule job
         unschedule job
         describe-schedule job
         trigger  job
         describe-schedule nobody
         trigger  nobody
         schedule job every=60s request=c
         describe-schedule job",
        expect![[r#"
            ! AlreadyStarted
            job: 1 actions, token 1, next +20s
            ! FailedPrecondition("mismatched conflict token")
            job: 1 actions, token 2, next +80s
            job matches +80s +200s
            ! NotFound: workflow execution already completed
            ! NotFound: schedule not found
            ! NotFound: workflow execution already completed
            ! NotFound: workflow not found for ID: temporal-sys-scheduler:nobody
            ! NotFound: workflow not found for ID: temporal-sys-scheduler:nobody
            job: 0 actions, token 1, next +20s
        "#]],
    );
}

#[test]
fn an_idle_schedule_ends() {
    check_said(
        "schedule job paused
         schedule once every=60s limit=1
         wait     167h
         describe-schedule once
         wait     2h
         describe-schedule once
         describe-schedule job
         wait     73h
         trigger  once",
        expect![[r#"
            once: 1 actions, 1 running, 0 left, token 2
            ! NotFound: schedule not found
            job: 0 actions, paused: "", token 1
            ! NotFound: workflow not found for ID: temporal-sys-scheduler:once
        "#]],
    );
}

/// What a run returned is given to the next one, and so is how a run failed.
#[test]
fn results_are_carried_on() {
    let mut story = Story::new(Limits::default());
    for line in [
        "schedule job every=60s",
        "wait 30s",
        "take job-2001-09-09T01:47:00Z",
        "finish job-2001-09-09T01:47:00Z complete=first",
        "wait 60s",
        "take job-2001-09-09T01:48:00Z",
        "finish job-2001-09-09T01:48:00Z fail=second",
        "wait 60s",
    ] {
        story.tell(line);
    }
    let mut carried = String::new();
    let mut executions = story.tables.executions();
    executions.sort_by_key(|execution| execution.start_time);
    for execution in executions {
        let start = &execution.start;
        let payload = start.last_completion_result.as_ref().map(|last| last.payloads[0].data.clone());
        let result = payload.map(|data| String::from_utf8_lossy(&data).into_owned());
        let failure = start.continued_failure.as_ref().map(|failure| failure.message.clone());
        carried += &format!("{}: {result:?} {failure:?}\n", execution.workflow_id());
    }
    expect![[r#"
        job-2001-09-09T01:47:00Z: None None
        job-2001-09-09T01:48:00Z: Some("first") None
        job-2001-09-09T01:49:00Z: Some("first") Some("second")
    "#]]
    .assert_eq(&carried);
}

/// Whoever sleeps costs no memory.
#[test]
fn schedules_sleep() {
    let mut story = Story::new(Limits::default());
    for number in 0..50 {
        story.tell(&format!("schedule job{number} every=1h"));
    }
    assert_eq!(story.schedules_in_memory(), 0);
    story.tell("wait 3h");
    assert_eq!(story.tables.executions().len(), 50, "one run each, the others are skipped");
    assert_eq!(story.schedules_in_memory(), 0);
}
