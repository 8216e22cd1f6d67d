"""Runs that follow each other: continue-as-new and the workflow's own retry policy."""

from ..case import script
from ..commands import (
    complete_workflow,
    continue_as_new,
    fail_workflow,
    failure,
    payload,
    payloads,
    seconds,
    start_timer,
)

FAST = {"initial_interval": seconds(0.2), "backoff_coefficient": 1}


def delay(t):
    """How long the current run is delayed, in seconds."""
    backoff = t.events()[0].workflow_execution_started_event_attributes.first_workflow_task_backoff
    return backoff.seconds + backoff.nanos / 1e9


@script(seconds=2)
def continued_with_defaults(t):
    """What the command leaves out is taken from the run before; a quick successor waits a second."""
    t.start(
        workflow_run_timeout=seconds(100),
        workflow_task_timeout=seconds(7),
        memo={"fields": {"m": payload(1)}},
        header={"fields": {"h": payload(2)}},
        input=payloads("old"),
    )
    t.step(continue_as_new(t, workflow_type=None, task_queue=None, input=None))
    t.note("the successor waits", 0.1 < delay(t) <= 1)
    t.describe()
    t.step(complete_workflow())
    t.describe()


@script(seconds=2)
def continued_with_everything(t):
    """Every field of the command is in the old run's last event and the new run's first."""
    t.start(search_attributes={"indexed_fields": {"TemporalChangeVersion": payload(["old"])}})
    t.step(
        continue_as_new(
            t,
            workflow_type={"name": "another"},
            task_queue={"name": t.queue + "-next"},
            input=payloads("in"),
            workflow_run_timeout=seconds(50),
            workflow_task_timeout=seconds(9),
            backoff_start_interval=seconds(1),
            retry_policy={"maximum_attempts": 2},
            initiator="CONTINUE_AS_NEW_INITIATOR_WORKFLOW",
            failure=failure("carried"),
            last_completion_result=payloads("last"),
            header={"fields": {"h": payload(1)}},
            memo={"fields": {"m": payload(2)}},
            search_attributes={"indexed_fields": {"TemporalChangeVersion": payload(["new"])}},
        )
    )
    task = t.poll({"name": t.queue + "-next"})
    t.complete(task, complete_workflow())
    t.describe()


@script(seconds=2)
def continued_after_a_second(t):
    """A run that lived long enough has a successor without delay."""
    t.start()
    t.step(start_timer(after=1.2))
    t.step(continue_as_new(t))
    t.note("the successor waits", delay(t) > 0)
    t.step(complete_workflow())


@script(seconds=3)
def continued_twice(t):
    """The first run's id stays the same along the chain."""
    t.start()
    t.step(continue_as_new(t, input=payloads(1)))
    t.step(continue_as_new(t, input=payloads(2)))
    t.step(complete_workflow())
    t.describe()


@script(seconds=2)
def signals_during_the_delay(t):
    """The successor that waits can be signalled and does not start earlier for it; cancelling wakes it."""
    t.start()
    t.step(continue_as_new(t, backoff_start_interval=seconds(30)))
    t.signal("while waiting")
    t.poll(timeout=3)
    t.cancel()
    t.step(complete_workflow())


@script(seconds=2)
def failed_and_retried(t):
    """A failed run with attempts left is followed by another; the failure is carried along."""
    t.start(
        retry_policy={**FAST, "maximum_attempts": 3},
        memo={"fields": {"m": payload(1)}},
        header={"fields": {"h": payload(2)}},
        input=payloads("same for all"),
        workflow_execution_timeout=seconds(100),
    )
    t.step(fail_workflow("first"))
    t.step(fail_workflow("second"))
    t.step(fail_workflow("third"))
    t.describe()


@script(seconds=2)
def retried_until_it_completes(t):
    """The run that completes ends the chain."""
    t.start(retry_policy=FAST)
    t.step(fail_workflow("first"))
    t.step(complete_workflow())


@script(seconds=2)
def failures_that_are_not_retried(t):
    """By the failure's own flag, by its type, and for want of a policy."""
    policy = {**FAST, "non_retryable_error_types": ["Fatal"]}
    t.start(retry_policy=policy)
    t.step(fail_workflow("flag", "Some", non_retryable=True))
    t.start(retry_policy=policy)
    t.step(fail_workflow("type", "Fatal"))
    t.start()
    t.step(fail_workflow("no policy"))


@script(seconds=2)
def retried_with_a_delay_of_its_own(t):
    """`next_retry_delay` of the failure holds for workflows too."""
    t.start(retry_policy={"initial_interval": seconds(60)})
    t.step(fail_workflow("soon", next_retry_delay=seconds(1)))
    t.step(complete_workflow())


@script
def no_time_for_another_run(t):
    """A retry that would begin after the execution's expiry is not made."""
    t.start(retry_policy={"initial_interval": seconds(50)}, workflow_execution_timeout=seconds(20))
    t.step(fail_workflow("too late"))


@script(seconds=2)
def continued_with_a_retry_policy(t):
    """Continue-as-new begins with attempt 1 again, under the policy of the command."""
    t.start(retry_policy=FAST)
    t.step(fail_workflow("first"))
    t.step(continue_as_new(t, retry_policy=FAST))
    t.step(complete_workflow())


@script
def cancelled_during_the_retry_delay(t):
    """A run that waits for its retry can be cancelled, and then ends the chain."""
    t.start(retry_policy={"initial_interval": seconds(60)})
    t.step(fail_workflow("first"))
    t.cancel()
    t.step(complete_workflow())


@script
def terminated_during_the_retry_delay(t):
    """And terminated."""
    t.start(retry_policy={"initial_interval": seconds(60)})
    t.step(fail_workflow("first"))
    t.terminate(reason="enough")
    t.describe()


@script(seconds=2)
def continued_without_a_policy(t):
    """What the command leaves out is not taken from the run before: retries, cron, memo and header."""
    t.start(
        retry_policy={"initial_interval": seconds(7), "maximum_attempts": 5},
        workflow_execution_timeout=seconds(500),
        workflow_run_timeout=seconds(50),
        priority={"priority_key": 2},
        memo={"fields": {"m": payload(1)}},
    )
    t.step(continue_as_new(t))
    t.step(continue_as_new(t, retry_policy={"initial_interval": seconds(9)}))
    t.step(fail_workflow())
    t.describe()
    t.terminate()


@script(seconds=4)
def continued_from_cron(t):
    """The schedule goes on only if the command says so."""
    t.start(cron_schedule="@every 1s")
    t.step(continue_as_new(t, cron_schedule="@every 2s"))
    t.step(continue_as_new(t))
    t.step(complete_workflow())
