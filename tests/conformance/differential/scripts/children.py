"""Child workflows: started in two phases, closed in every way, and what becomes of them when parents close."""

from ..case import script
from ..commands import (
    cancel_external,
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    payload,
    payloads,
    seconds,
    start_child,
)


def started(t, count=1):
    t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED", count)


def child_step(t, *commands, name="child"):
    task = t.poll(t.queue_of(name))
    t.complete(task, *commands)


@script
def completed(t):
    """A child runs, and its result is in its parent's history."""
    t.start()
    t.step(start_child(t))
    started(t)
    t.describe()
    t.describe(t.other("child"))
    t.step()
    child_step(t, complete_workflow("child's"))
    t.until_event("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    t.describe()
    t.step(complete_workflow())


@script
def with_everything(t):
    """Every field of the command is in the initiated event and in the child's first."""
    t.start()
    t.step(
        start_child(
            t,
            namespace=t.namespace,
            workflow_execution_timeout=seconds(100),
            workflow_run_timeout=seconds(50),
            workflow_task_timeout=seconds(7),
            parent_close_policy="PARENT_CLOSE_POLICY_ABANDON",
            control="control",
            workflow_id_reuse_policy="WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE",
            retry_policy={"maximum_attempts": 3},
            header={"fields": {"h": payload(1)}},
            memo={"fields": {"m": payload(2)}},
            priority={"priority_key": 2},
        )
    )
    started(t)
    child_step(t, complete_workflow())
    t.until_event("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    t.step(complete_workflow())


@script
def with_defaults(t):
    """The child has its parent's queue if none is named; its time-outs are its own."""
    t.start(workflow_execution_timeout=seconds(100), workflow_run_timeout=seconds(90))
    t.step(start_child(t, task_queue=None, input=None))
    started(t)
    t.describe(t.other("child"))


@script
def metadata_and_headers(t):
    """Summary and details of the command are those of the child."""
    t.start()
    child = start_child(t)
    child["user_metadata"] = {"summary": payload("sum"), "details": payload("det")}
    t.step(child)
    started(t)
    t.describe(t.other("child"))


@script
def failed(t):
    """A child's failure, with its retry state."""
    t.start()
    t.step(start_child(t))
    started(t)
    t.step()
    child_step(t, fail_workflow("bad"))
    t.until_event("CHILD_WORKFLOW_EXECUTION_FAILED")
    t.step(complete_workflow())


@script
def canceled(t):
    """A child that heeds a request to cancel."""
    t.start()
    t.step(start_child(t))
    started(t)
    t.step(cancel_external(t, "child", child_workflow_only=True))
    t.until_event("EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED")
    t.step()
    child_step(t, cancel_workflow())
    t.until_event("CHILD_WORKFLOW_EXECUTION_CANCELED")
    t.step(complete_workflow())


@script
def terminated(t):
    """A child that somebody terminates."""
    t.start()
    t.step(start_child(t))
    started(t)
    t.step()
    t.terminate(t.other("child"))
    t.until_event("CHILD_WORKFLOW_EXECUTION_TERMINATED")
    t.step(complete_workflow())


@script(seconds=3)
def timed_out(t):
    """A child that has no time left."""
    t.start()
    t.step(start_child(t, workflow_run_timeout=seconds(1)))
    started(t)
    t.step()
    t.until_event("CHILD_WORKFLOW_EXECUTION_TIMED_OUT")
    t.step(complete_workflow())


@script
def closed_during_a_task(t):
    """The child's end waits for the parent's running workflow task, and forbids its completion."""
    t.start()
    t.step(start_child(t))
    started(t)
    task = t.poll()
    child_step(t, complete_workflow())
    t.sleep(0.3)
    t.complete(task, complete_workflow())
    t.step(complete_workflow())


@script
def started_and_closed_during_a_task(t):
    """Start and end of a child meet a running task; the end follows its start."""
    t.start()
    t.step(start_child(t, "first"))
    started(t)
    task = t.poll()
    # The next task is started with the child's start on its way, and not a moment later.
    again = {"force_create_new_workflow_task": True, "return_new_workflow_task": True}
    task = t.complete(task, start_child(t, "second"), **again).workflow_task
    child_step(t, complete_workflow(), name="second")
    t.sleep(0.3)
    t.complete(task)
    t.until_event("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    t.step(complete_workflow())
    t.until_event("WORKFLOW_EXECUTION_TERMINATED", workflow_id=t.other("first"))


@script
def id_in_use(t):
    """An id that runs already is no child's."""
    t.start(t.other("child"), task_queue={"name": t.queue_of("child")})
    t.start()
    t.step(start_child(t, control="control"))
    t.until_event("START_CHILD_WORKFLOW_EXECUTION_FAILED")
    t.step(complete_workflow())


@script
def id_used_before(t):
    """The reuse policy of the command decides over closed runs."""
    t.start(t.other("child"), task_queue={"name": t.queue_of("child")})
    t.terminate(t.other("child"))
    t.start()
    t.step(start_child(t, workflow_id_reuse_policy="WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE"))
    t.until_event("START_CHILD_WORKFLOW_EXECUTION_FAILED")
    t.step(start_child(t, workflow_id_reuse_policy="WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY"))
    started(t)
    t.step(complete_workflow())
    t.until_event("WORKFLOW_EXECUTION_TERMINATED", workflow_id=t.other("child"))


@script
def policies_of_a_completed_parent(t):
    """Terminate, request to cancel, or leave alone."""
    t.start()
    t.step(
        start_child(t, "a", parent_close_policy="PARENT_CLOSE_POLICY_TERMINATE"),
    )
    started(t, 1)
    t.step(
        start_child(t, "b", parent_close_policy="PARENT_CLOSE_POLICY_REQUEST_CANCEL"),
    )
    started(t, 2)
    t.step(
        start_child(t, "c", parent_close_policy="PARENT_CLOSE_POLICY_ABANDON"),
    )
    started(t, 3)
    t.step(complete_workflow())
    t.until_event("WORKFLOW_EXECUTION_TERMINATED", workflow_id=t.other("a"))
    t.until_event("WORKFLOW_EXECUTION_CANCEL_REQUESTED", workflow_id=t.other("b"))
    t.describe()
    t.describe(t.other("c"))


@script
def policies_of_a_terminated_parent(t):
    """Termination is a close like any other."""
    t.start()
    t.step(start_child(t))
    started(t)
    t.terminate()
    t.until_event("WORKFLOW_EXECUTION_TERMINATED", workflow_id=t.other("child"))


@script(seconds=2)
def policies_of_a_continued_parent(t):
    """Children of the run that continues as new are not the next run's."""
    t.start()
    t.step(start_child(t))
    started(t)
    t.step(continue_as_new(t))
    t.until_event("WORKFLOW_EXECUTION_TERMINATED", workflow_id=t.other("child"))
    t.step(complete_workflow())


@script(seconds=2)
def a_chain_is_one_child(t):
    """A child that continues as new is followed to its last run, which is also under its parent's policy."""
    t.start()
    t.step(start_child(t))
    started(t)
    t.step()
    child_step(t, continue_as_new(t, task_queue={"name": t.queue_of("child")}))
    child_step(t, complete_workflow("second run"))
    t.until_event("CHILD_WORKFLOW_EXECUTION_COMPLETED")
    t.step(complete_workflow())


@script(seconds=2)
def a_retried_child_is_one_child(t):
    """Only the last attempt of a child is told."""
    t.start()
    t.step(start_child(t, retry_policy={"initial_interval": seconds(0.2), "maximum_attempts": 2}))
    started(t)
    t.step()
    child_step(t, fail_workflow("first"))
    child_step(t, fail_workflow("second"))
    t.until_event("CHILD_WORKFLOW_EXECUTION_FAILED")
    t.step(complete_workflow())


@script
def grandchildren(t):
    """The root is that of the topmost parent."""
    t.start()
    t.step(start_child(t))
    started(t)
    child_step(t, start_child(t, "grandchild"))
    t.until_event("CHILD_WORKFLOW_EXECUTION_STARTED", workflow_id=t.other("child"))
    t.describe(t.other("grandchild"))
    t.terminate()
    t.until_event("WORKFLOW_EXECUTION_TERMINATED", workflow_id=t.other("grandchild"))


@script
def started_and_canceled_at_once(t):
    """Both in one task is a bad command."""
    t.start()
    t.step(start_child(t), cancel_external(t, "child"))
    t.step(complete_workflow())


@script
def refused_attributes(t):
    """What a command lacks or has too much of."""
    t.start()
    t.step(start_child(t, workflow_id=None))
    t.step(complete_workflow())


@script
def refused_type(t):
    t.start()
    t.step(start_child(t, workflow_type=None))
    t.step(complete_workflow())


@script
def refused_long_id(t):
    t.start()
    t.step(start_child(t, workflow_id="x" * 1001))
    t.step(complete_workflow())


@script
def refused_timeout(t):
    t.start()
    t.step(start_child(t, workflow_run_timeout={"seconds": -1}))
    t.step(complete_workflow())


@script
def refused_retry_policy(t):
    t.start()
    t.step(start_child(t, retry_policy={"backoff_coefficient": 0.5}))
    t.step(complete_workflow())


@script
def refused_priority(t):
    """The priority is checked among the rest."""
    long = {"priority": {"fairness_key": "k" * 65}}
    t.start()
    for fields in (
        {"priority": {"priority_key": -1}},
        long,
        {"priority": {"fairness_weight": -1}},
        {**long, "workflow_run_timeout": {"seconds": -1}},
        {**long, "retry_policy": {"backoff_coefficient": 0.5}},
        {**long, "cron_schedule": "nonsense"},
        {**long, "task_queue": {"name": "q" * 1001}},
        {**long, "search_attributes": {"indexed_fields": {"Nope": payload("x")}}},
        {**long, "input": payloads("x" * (2 << 20))},
    ):
        t.complete(t.poll(), start_child(t, **fields))
        t.signal()
    t.step(complete_workflow())


@script
def unknown_namespace(t):
    """A namespace that nobody knows fails the call, and the task goes on."""
    t.start()
    task = t.poll()
    t.complete(task, start_child(t, namespace="nobody-knows-it"))
    t.complete(task, complete_workflow())


@script
def too_large_input(t):
    """An input that is too large ends the parent."""
    t.start()
    t.step(start_child(t, input=payloads("x" * (2 * 1024 * 1024))))
