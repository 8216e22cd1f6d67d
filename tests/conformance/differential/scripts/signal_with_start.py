"""Signal-with-start: one call that starts the workflow if it must and signals it in any case."""

from ..case import script
from ..commands import complete_workflow, fail_workflow, payloads, seconds, start_timer


@script
def starts_a_new_workflow(t):
    """Started, Signaled, then the first workflow task: in one transaction, in that order."""
    t.signal_with_start("go", input=payloads("for start"), signal_input=payloads("for signal"))
    t.step(complete_workflow())


@script
def signals_a_running_workflow(t):
    """A workflow that runs is only signalled, whatever the rest of the request says."""
    t.start()
    t.signal_with_start("go", signal_input=payloads(1), workflow_type={"name": "another"})
    t.step(start_timer())
    t.signal_with_start("go", request_id="once")
    t.signal_with_start("go", request_id="once")
    t.step(complete_workflow())


@script
def repeated_start(t):
    """A repeat with the request id that started the run neither starts nor signals again."""
    t.signal_with_start("go", request_id="once")
    t.signal_with_start("go", request_id="once")
    t.step(complete_workflow())


@script
def repeated_start_of_a_closed_run(t):
    """The same, when the run has closed."""
    t.signal_with_start("go", request_id="once")
    t.step(complete_workflow())
    t.signal_with_start("go", request_id="once")


@script
def after_the_close(t):
    """A closed workflow is started anew under the reuse policy."""
    t.signal_with_start("go")
    t.step(complete_workflow())
    t.signal_with_start("go", workflow_id_reuse_policy="WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE")
    t.signal_with_start("go", workflow_id_reuse_policy="WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY")
    t.signal_with_start("go")
    t.step(fail_workflow())
    t.signal_with_start("go", workflow_id_reuse_policy="WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY")


@script
def conflict_policies(t):
    """FAIL is refused as a policy here; TERMINATE_EXISTING replaces the running workflow."""
    t.start()
    t.signal_with_start("go", workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_FAIL")
    t.signal_with_start("go", workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING")
    t.signal_with_start("go", workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING")
    t.step(complete_workflow())


@script
def terminate_if_running(t):
    """The deprecated reuse policy still ends the run and starts another."""
    t.start()
    t.signal_with_start("go", workflow_id_reuse_policy="WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING")
    t.step(complete_workflow())


@script(seconds=3)
def ends_a_start_delay(t):
    """A plain signal does not wake a workflow whose start is delayed; signal-with-start does."""
    t.start(workflow_start_delay=seconds(30))
    t.signal("plain")
    t.poll(timeout=3)
    t.signal_with_start("with start")
    t.step(complete_workflow())


@script
def with_a_start_delay_of_its_own(t):
    """The delay of the request holds for the run that it starts."""
    t.signal_with_start("go", workflow_start_delay=seconds(3))
    t.history()
    t.step(complete_workflow())


@script
def described(t):
    """The request id of a run that came with a signal is that of its second event; later signals leave no trace."""
    t.signal_with_start("go", request_id="first")
    t.signal_with_start("go", request_id="second")
    t.signal("go", request_id="third")
    t.start(request_id="first")
    t.describe()
    t.step(complete_workflow())


@script
def missing_fields(t):
    """Each missing field has its own message."""
    t.signal_with_start("")
    t.signal_with_start("go", workflow_id="")
    t.call("SignalWithStartWorkflowExecution", signal_name="go", task_queue={"name": t.queue})
    t.signal_with_start("go", workflow_type=None)
    t.signal_with_start("go", task_queue=None)
    t.signal_with_start("go", cron_schedule="* * * * *", workflow_start_delay=seconds(1))
    t.signal_with_start("s" * 1001)
    t.signal_with_start("go", namespace="no-such-namespace")
