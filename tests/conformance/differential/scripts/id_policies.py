"""One workflow id, many starts: which of them start something."""

from ..case import script
from ..commands import (
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    payloads,
    seconds,
    start_timer,
)

REUSE = "WORKFLOW_ID_REUSE_POLICY_"
CONFLICT = "WORKFLOW_ID_CONFLICT_POLICY_"


@script
def running(t):
    """What a start finds when the workflow runs, under each policy for that."""
    t.start()
    t.start()
    t.start(workflow_id_conflict_policy=CONFLICT + "FAIL")
    t.start(workflow_id_conflict_policy=CONFLICT + "USE_EXISTING")
    for reuse in ("ALLOW_DUPLICATE", "ALLOW_DUPLICATE_FAILED_ONLY", "REJECT_DUPLICATE"):
        t.start(workflow_id_reuse_policy=REUSE + reuse)
    t.start(workflow_id_conflict_policy=CONFLICT + "TERMINATE_EXISTING", input=payloads("second"))
    t.step(complete_workflow())


@script
def terminate_existing_with_a_started_task(t):
    """The old run's started task is failed and its buffer written before it is terminated."""
    t.start()
    task = t.poll()
    t.signal("kept")
    t.start(workflow_id_conflict_policy=CONFLICT + "TERMINATE_EXISTING")
    t.complete(task, complete_workflow())
    t.step(complete_workflow())


@script
def terminate_if_running(t):
    """The deprecated reuse policy means: end what runs, start anew."""
    t.start(workflow_id_reuse_policy=REUSE + "TERMINATE_IF_RUNNING")
    t.start(workflow_id_reuse_policy=REUSE + "TERMINATE_IF_RUNNING")
    t.start(
        workflow_id_reuse_policy=REUSE + "TERMINATE_IF_RUNNING",
        workflow_id_conflict_policy=CONFLICT + "USE_EXISTING",
    )
    t.step(complete_workflow())
    t.start(workflow_id_reuse_policy=REUSE + "TERMINATE_IF_RUNNING")


@script
def after_completion(t):
    """A workflow that ended well may be started again, unless that was asked for otherwise."""
    t.start()
    t.step(complete_workflow())
    t.start(workflow_id_reuse_policy=REUSE + "REJECT_DUPLICATE")
    t.start(workflow_id_reuse_policy=REUSE + "ALLOW_DUPLICATE_FAILED_ONLY")
    t.start(
        workflow_id_reuse_policy=REUSE + "REJECT_DUPLICATE",
        workflow_id_conflict_policy=CONFLICT + "USE_EXISTING",
    )
    t.start()
    t.step(complete_workflow())


@script
def after_failures(t):
    """Failed, cancelled, terminated and timed out all count as failed; continued as new does not close."""
    policy = REUSE + "ALLOW_DUPLICATE_FAILED_ONLY"
    t.start()
    t.step(fail_workflow())
    t.start(workflow_id_reuse_policy=policy)
    t.cancel()
    t.step(cancel_workflow())
    t.start(workflow_id_reuse_policy=policy)
    t.terminate()
    t.start(workflow_id_reuse_policy=policy, workflow_run_timeout=seconds(1))
    t.until_event("WORKFLOW_EXECUTION_TIMED_OUT")
    t.start(workflow_id_reuse_policy=policy)
    t.step(complete_workflow())
    t.start(workflow_id_reuse_policy=policy)


@script
def repeated_start(t):
    """The request id that created a run gets that run again, while it runs and after it has closed."""
    t.start(request_id="once")
    t.start(request_id="once")
    t.start(request_id="once", workflow_id_reuse_policy=REUSE + "REJECT_DUPLICATE")
    t.step(start_timer())
    t.start(request_id="once")
    t.signal()
    t.step(complete_workflow())
    t.start(request_id="once")
    t.start(request_id="other", workflow_id_reuse_policy=REUSE + "REJECT_DUPLICATE")
    t.start(request_id="other")


@script
def repeated_start_behind_another(t):
    """The request id of a run that has closed, when another one has begun."""
    t.start(request_id="once")
    t.step(complete_workflow())
    t.start(request_id="other")
    t.start(request_id="once")


@script
def repeated_start_of_a_continued_run(t):
    """The first run's request id against a chain that went on."""
    t.start(request_id="once")
    t.step(continue_as_new(t))
    t.start(request_id="once")
    t.start(request_id="new")
    t.step(complete_workflow())


@script
def attach_to_the_running_workflow(t):
    """USE_EXISTING can leave a trace: the request id and links are written, without a workflow task."""
    t.start(request_id="creates")
    t.step(start_timer())
    attach = {"attach_request_id": True}
    for request_id in ("attaches", "attaches", "creates"):
        t.start(
            request_id=request_id,
            workflow_id_conflict_policy=CONFLICT + "USE_EXISTING",
            on_conflict_options=attach,
        )
    t.history()
    t.signal()
    t.step(complete_workflow())
    t.start(request_id="attaches")
    t.describe()


@script
def attach_behind_a_started_task(t):
    """The trace waits for the started task like a signal."""
    t.start()
    task = t.poll()
    t.start(
        request_id="attaches",
        workflow_id_conflict_policy=CONFLICT + "USE_EXISTING",
        on_conflict_options={"attach_request_id": True, "attach_links": True},
        links=[
            {
                "workflow_event": {
                    "namespace": "default",
                    "workflow_id": "other",
                    "run_id": "11111111-2222-3333-4444-555555555555",
                    "event_ref": {"event_id": 1, "event_type": "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED"},
                }
            }
        ],
    )
    t.complete(task, start_timer())
    t.signal()
    t.step(complete_workflow())


@script
def attach_options_that_are_refused(t):
    """Options for a conflict make sense only with USE_EXISTING; callbacks need a request id attached."""
    t.start()
    t.start(on_conflict_options={"attach_request_id": True})
    t.start(
        workflow_id_conflict_policy=CONFLICT + "USE_EXISTING",
        on_conflict_options={"attach_completion_callbacks": True},
    )
    t.start(
        workflow_id_conflict_policy=CONFLICT + "USE_EXISTING",
        on_conflict_options={"attach_links": True},
    )


@script
def policies_out_of_range(t):
    """Numbers that are no policy."""
    t.start(workflow_id_reuse_policy=99)
    t.start(t.other("second"), workflow_id_conflict_policy=99)
