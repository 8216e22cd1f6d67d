"""Starting a workflow: what is kept, what is filled in, what is refused."""

from ..case import script
from ..commands import complete_workflow, payload, payloads, seconds, start_timer

LINK = {
    "workflow_event": {
        "namespace": "default",
        "workflow_id": "other",
        "run_id": "11111111-2222-3333-4444-555555555555",
        "event_ref": {"event_id": 7, "event_type": "EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED"},
    }
}


@script
def everything_is_kept(t):
    """Every field that a client may give is in the started event, and in what describes the run."""
    t.start(
        input=payloads("one", 2, {"three": 3}),
        workflow_execution_timeout=seconds(3600),
        workflow_run_timeout=seconds(1800),
        workflow_task_timeout=seconds(20),
        request_id="request",
        memo={"fields": {"memo": payload("m"), "bytes": {"data": b"\x00\xff"}}},
        header={"fields": {"header": payload("h")}},
        retry_policy={
            "initial_interval": seconds(2),
            "backoff_coefficient": 1.5,
            "maximum_interval": seconds(10),
            "maximum_attempts": 3,
            "non_retryable_error_types": ["Fatal"],
        },
        user_metadata={"summary": payload("summary"), "details": payload("details")},
        priority={"priority_key": 2, "fairness_key": "tenant", "fairness_weight": 1.5},
        links=[LINK],
    )
    t.describe()
    t.step(complete_workflow())
    t.describe()


@script
def timeouts_are_filled_in(t):
    """The run time-out is cut to the execution time-out, the task time-out to the run time-out and to 120 s."""
    t.start(t.other("execution"), workflow_execution_timeout=seconds(50))
    t.start(t.other("both"), workflow_execution_timeout=seconds(50), workflow_run_timeout=seconds(90))
    t.start(t.other("short"), workflow_run_timeout=seconds(5), workflow_task_timeout=seconds(8))
    t.start(t.other("long"), workflow_task_timeout=seconds(500))
    t.start(t.other("zero"), workflow_task_timeout=seconds(0), workflow_run_timeout=seconds(0))
    t.describe(t.other("execution"))
    t.describe(t.other("short"))


@script
def retry_policy_is_filled_in(t):
    """What a retry policy leaves out gets its defaults."""
    t.start(retry_policy={})
    t.start(t.other("partly"), retry_policy={"initial_interval": seconds(3), "maximum_attempts": 1})


@script
def bad_timeouts(t):
    """Negative durations are refused, each with its own message."""
    t.start(workflow_execution_timeout=seconds(-1))
    t.start(workflow_run_timeout=seconds(-1))
    t.start(workflow_task_timeout=seconds(-1))
    t.start(workflow_start_delay=seconds(-1))
    t.start(workflow_run_timeout={"seconds": 1, "nanos": -1})
    t.start(workflow_run_timeout={"seconds": 10**12})


@script
def bad_retry_policies(t):
    """A retry policy must make sense."""
    for policy in (
        {"initial_interval": seconds(-1)},
        {"backoff_coefficient": 0.5},
        {"backoff_coefficient": -1},
        {"maximum_interval": seconds(-1)},
        {"initial_interval": seconds(5), "maximum_interval": seconds(1)},
        {"maximum_attempts": -1},
        {"non_retryable_error_types": ["TemporalTimeout:Nonsense"]},
    ):
        t.start(retry_policy=policy)


@script
def missing_fields(t):
    """Each missing field has its own message."""
    t.call("StartWorkflowExecution")
    t.start("")
    t.start(workflow_type=None)
    t.start(workflow_type={"name": ""})
    t.start(task_queue=None)
    t.start(task_queue={"name": ""})
    t.start(namespace="")
    t.start(namespace="no-such-namespace")
    t.start(identity="", request_id="")


@script
def long_names(t):
    """Names may have 1000 bytes, not characters, and not one more."""
    t.start("w" * 1001)
    t.start(workflow_type={"name": "t" * 1001})
    t.start(task_queue={"name": "q" * 1001})
    t.start(request_id="r" * 1001)
    t.start("\u00e9" * 501)
    unique = t.id.ljust(1000, "w")
    t.start(unique, workflow_type={"name": "t" * 1000}, request_id=t.id.ljust(1000, "r"))


@script
def strange_queues(t):
    """Reserved names and sticky kinds are no queues for a workflow."""
    t.start(task_queue={"name": "/_sys/x/1"})
    t.start(task_queue={"name": "__temporal_x"})
    t.start(task_queue={"name": t.queue, "kind": "TASK_QUEUE_KIND_STICKY"})
    t.start(t.other("named"), task_queue={"name": t.queue, "normal_name": "normal"})


@script(seconds=4)
def start_delay(t):
    """With a delay there is only the started event until it is over; signals wait for it too."""
    t.start(workflow_start_delay=seconds(3), workflow_run_timeout=seconds(100))
    t.describe()
    t.signal()
    t.history()
    t.step(complete_workflow())
    t.describe()


@script
def start_delay_with_cron(t):
    """The two ways of waiting exclude each other."""
    t.start(workflow_start_delay=seconds(1), cron_schedule="* * * * *")


@script
def eager(t):
    """An eager start comes back with the first workflow task, already started."""
    answer = t.start(request_eager_execution=True, input=payloads(1))
    t.complete(answer.eager_workflow_task, complete_workflow())


@script
def eager_repeated(t):
    """The repeat of an eager start gets the task again while that is still started; later it does not."""
    t.start(request_eager_execution=True, request_id="once")
    answer = t.start(request_eager_execution=True, request_id="once")
    t.complete(answer.eager_workflow_task, start_timer())
    t.start(request_eager_execution=True, request_id="once")
    t.signal()
    t.step(complete_workflow())
    t.start(request_eager_execution=True, request_id="once")


@script(seconds=2)
def eager_with_a_start_delay(t):
    """A delayed start cannot be eager; it is silently an ordinary one."""
    t.start(request_eager_execution=True, workflow_start_delay=seconds(1))
    t.step(complete_workflow())


@script
def search_attributes(t):
    """Predefined attributes may be set where that makes sense; unknown and system ones may not."""

    def start(**fields):
        t.start(search_attributes={"indexed_fields": fields})

    start(NoSuchAttribute=payload("x"))
    start(WorkflowId=payload("x"))
    start(ExecutionStatus=payload("x"))
    start(TemporalChangeVersion={"metadata": {"encoding": b"json/plain", "type": b"Int"}, "data": b"7"})
    start(TemporalChangeVersion=payload(["a-1", "b-2"]))
    t.describe()


@script
def with_everything_unusual(t):
    """Values that a careless server stumbles over: empty payloads, empty maps, unicode, zero bytes."""
    t.start(
        t.id + " \u00e4\u4f60\U0001f600/?#%",
        input={"payloads": [{}, {"data": b""}, {"metadata": {"encoding": b"binary/null"}}]},
        memo={},
        header={},
        search_attributes={},
        user_metadata={},
        priority={},
    )
