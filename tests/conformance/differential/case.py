"""What a script is written with: calls in one line each, recorded as they are answered.

`Case` keeps the transcript of one script against one server. Its methods are
gRPC calls with the boring fields filled in; whatever is given by keyword goes
into the request as it is. `call` reaches any method of the API.
"""

import dataclasses
import json
import time

from harness import wire
from temporalio.api.history.v1 import History

from .commands import payloads, update_body
from .render import INDENT, Renderer

CALL_SECONDS = 15
WAIT_SECONDS_MAX = 30
POLL_EVERY_SECONDS = 0.05
CHAIN_RUNS_MAX = 20
STAGE = "UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_"

SCRIPTS = []


@dataclasses.dataclass
class Script:
    name: str
    doc: str
    function: object
    seconds: float  # How long it takes, roughly; only for the order of running.
    by_default: bool  # Against servers with nothing switched on.
    lowered: bool  # Against servers with the limits of `lowered.py`.


def script(function=None, *, seconds=1.0, by_default=False, lowered=False):
    """Registers a script. Its docstring says what it shows."""

    def register(function):
        area = function.__module__.rpartition(".")[2]
        name = f"differential/{area}.{function.__name__}"
        SCRIPTS.append(Script(name, function.__doc__, function, seconds, by_default, lowered))
        return function

    return register(function) if function else register


class Case:
    def __init__(self, script, connection, nonce, timeout_scale):
        self.connection = connection
        self.timeout_scale = timeout_scale
        self.renderer = Renderer()
        self.lines = []
        self.nonce = nonce
        self.id = f"{script.name.partition('/')[2]}-{nonce}"
        self.queue = f"queue-{self.id}"
        self.sticky_queue = f"sticky-{self.id}"
        self.namespace = "default"
        self.begun = []  # A call that nobody holds would be cancelled.
        self.runs = {}  # (namespace, workflow id, run id): in the order of their start

    # Calling

    def call(self, method, /, *, timeout=CALL_SECONDS, metadata=None, **fields):
        """Calls a method, records the answer, and returns it (None for an error)."""
        return self.background(method, timeout=timeout, metadata=metadata, **fields).join()

    def background(self, method, /, *, timeout=CALL_SECONDS, metadata=None, **fields):
        """Begins a call that is recorded when it is joined."""
        request = self.request(method, fields)
        pending = Pending(self, method, request, self.send(method, request, timeout, metadata))
        self.begun.append(pending)
        return pending

    def quiet(self, method, /, *, timeout=CALL_SECONDS, **fields):
        """Calls without recording, as the CLI would; for waiting and cleaning up. Errors are raised."""
        request = self.request(method, fields)
        return wire.finish(self.send(method, request, timeout, wire.CLI_METADATA))

    def request(self, method, fields):
        for name, value in (("namespace", self.namespace), ("identity", "tester")):
            if name not in fields and wire.METHODS.request_has(method, name):
                fields[name] = value
        return wire.METHODS.request(method, {k: v for k, v in fields.items() if v is not None})

    def send(self, method, request, timeout, metadata):
        metadata = wire.SDK_METADATA if metadata is None else metadata
        return self.connection.start(method, request, timeout=timeout * self.timeout_scale, metadata=metadata)

    # Over HTTP

    def http(self, verb, path, body=None, headers=(), *, timeout=CALL_SECONDS):
        """Asks over HTTP, records status, type and JSON of the answer, and returns the latter.

        A `body` that is no text is sent as JSON. `NS` in the path is the script's namespace.
        """
        path = path.replace("NS", f"/api/v1/namespaces/{self.namespace}", 1)
        if body is not None:
            body = (body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))).encode()
        address = next(self.connection.http)
        status, answered, text = wire.over_http(
            address, verb, path, body, headers, timeout * self.timeout_scale
        )
        lines, value = self.renderer.http(status, answered, text)
        self.record(self.renderer.text(f"{verb} {path}"), lines)
        return value

    # The transcript

    def note(self, label, value):
        """Records something the script worked out itself."""
        self.lines.append(f"# {label}: {self.renderer.text(str(value))}")

    def record(self, heading, body):
        self.lines.append(f"> {heading}")
        self.lines += [INDENT + line for line in body]

    # Waiting

    def sleep(self, seconds):
        """For showing that something does *not* happen; never for waiting until it does."""
        time.sleep(seconds)

    def until(self, condition, what):
        """Waits until a condition holds; failing to is the end of the script."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX * self.timeout_scale
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited in vain for {what}")
            time.sleep(POLL_EVERY_SECONDS)

    def until_event(self, kind, count=1, workflow_id=None, run_id=""):
        """Waits until the history has this many events of a kind, and returns the last of them."""
        number = wire.METHODS.by_name["GetWorkflowExecutionHistory"][2].DESCRIPTOR.fields_by_name["history"]
        number = number.message_type.fields_by_name["events"].message_type.fields_by_name["event_type"]
        number = number.enum_type.values_by_name[f"EVENT_TYPE_{kind}"].number

        def found():
            events = [e for e in self.events(workflow_id, run_id) if e.event_type == number]
            return events[count - 1] if len(events) >= count else None

        return self.until(found, f"{kind} x {count}")

    def events(self, workflow_id=None, run_id="", namespace=None):
        """The whole history, unrecorded."""
        events, token = [], b""
        while True:
            page = self.quiet(
                "GetWorkflowExecutionHistory",
                namespace=namespace or self.namespace,
                execution={"workflow_id": self.named(workflow_id), "run_id": run_id},
                next_page_token=token,
            )
            events += page.history.events
            token = page.next_page_token
            if not token:
                return events

    def pending_activities(self, workflow_id=None):
        """The pending activities as a list, unrecorded."""
        execution = {"workflow_id": self.named(workflow_id)}
        return self.quiet("DescribeWorkflowExecution", execution=execution).pending_activities

    def is_running(self, workflow_id=None):
        execution = {"workflow_id": self.named(workflow_id)}
        info = self.quiet("DescribeWorkflowExecution", execution=execution).workflow_execution_info
        return info.status == 1

    def runs_of_id(self, workflow_id=None):
        """The runs of a workflow that this script was told of."""
        return [run for _, workflow, run in self.runs if workflow == self.named(workflow_id)]

    def quiet_backoff(self, workflow_id=None):
        """How long the current run is delayed, in whole seconds."""
        started = self.events(workflow_id)[0].workflow_execution_started_event_attributes
        return started.first_workflow_task_backoff.seconds

    def all_pages(self, method="GetWorkflowExecutionHistory", **fields):
        """Records a history that comes in pages as one, and returns how many pages it took.

        Where a page ends is the server's own business (the judge counts the
        transactions that wrote the events, not the events).
        """
        pages, events, token = 0, [], fields.pop("next_page_token", b"")
        while True:
            request = self.request(method, {"next_page_token": token, **fields})
            page = wire.finish(self.send(method, request, CALL_SECONDS, None))
            pages += 1
            events += page.history.events
            token = page.next_page_token
            if not token:
                break
        self.record(f"{method}, all pages", self.renderer.history(History(events=events), 0))
        return pages

    # The end

    def conclude(self):
        """Records the final history of every run that the script started, and of its successors."""
        seen = set()
        queue = list(self.runs)
        while queue and len(seen) < CHAIN_RUNS_MAX:
            key = queue.pop(0)
            if key in seen:
                continue
            seen.add(key)
            namespace, workflow_id, run_id = key
            heading = f"final history of {self.renderer.text(workflow_id)} {self.renderer.text(run_id)}"
            try:
                events = self.events(workflow_id, run_id, namespace)
            except wire.Failure as failure:
                self.record(heading, self.renderer.failure(failure))
                continue
            history = History(events=events)
            self.record(heading, self.renderer.history(history, 0))
            queue += [(namespace, workflow_id, run) for run in successors(events[-1])]
            queue += [(namespace, *child) for child in children(events)]

    def clean_up(self):
        """Ends what the script left running, so that it disturbs nobody."""
        for namespace, workflow_id in {key[:2] for key in self.runs}:
            try:
                self.quiet(
                    "TerminateWorkflowExecution",
                    namespace=namespace,
                    workflow_execution={"workflow_id": workflow_id},
                )
            except wire.Failure:
                pass  # It had ended, which is as good.

    # Workflows

    def start(self, workflow_id=None, **fields):
        fields = {
            "workflow_id": self.named(workflow_id),
            "workflow_type": {"name": "probe"},
            "task_queue": {"name": self.queue},
            **fields,
        }
        return self.call("StartWorkflowExecution", **fields)

    def signal(self, name="go", value=None, workflow_id=None, run_id="", **fields):
        if value is not None:
            fields["input"] = payloads(value)
        return self.call(
            "SignalWorkflowExecution",
            workflow_execution={"workflow_id": self.named(workflow_id), "run_id": run_id},
            signal_name=name,
            **fields,
        )

    def signal_with_start(self, name="go", workflow_id=None, **fields):
        fields = {
            "workflow_id": self.named(workflow_id),
            "workflow_type": {"name": "probe"},
            "task_queue": {"name": self.queue},
            "signal_name": name,
            **fields,
        }
        return self.call("SignalWithStartWorkflowExecution", **fields)

    def cancel(self, workflow_id=None, run_id="", **fields):
        return self.call(
            "RequestCancelWorkflowExecution",
            workflow_execution={"workflow_id": self.named(workflow_id), "run_id": run_id},
            **fields,
        )

    def terminate(self, workflow_id=None, run_id="", **fields):
        return self.call(
            "TerminateWorkflowExecution",
            workflow_execution={"workflow_id": self.named(workflow_id), "run_id": run_id},
            **fields,
        )

    def describe(self, workflow_id=None, run_id=""):
        return self.call(
            "DescribeWorkflowExecution",
            execution={"workflow_id": self.named(workflow_id), "run_id": run_id},
        )

    def history(self, workflow_id=None, run_id="", **fields):
        return self.call(
            "GetWorkflowExecutionHistory",
            execution={"workflow_id": self.named(workflow_id), "run_id": run_id},
            **fields,
        )

    # Workflow tasks

    def poll(self, queue=None, **fields):
        """Takes a workflow task from the script's queue."""
        return self.call("PollWorkflowTaskQueue", **self.with_queue(queue, fields))

    def poll_sticky(self, **fields):
        queue = {"name": self.sticky_queue, "kind": "TASK_QUEUE_KIND_STICKY", "normal_name": self.queue}
        return self.poll(queue, **fields)

    def complete(self, task, *commands, **fields):
        """Completes a workflow task (given as poll response or as token) with commands."""
        return self.call(
            "RespondWorkflowTaskCompleted", task_token=token_of(task), commands=list(commands), **fields
        )

    def fail_task(self, task, cause="WORKFLOW_WORKER_UNHANDLED_FAILURE", message="bad code", **fields):
        return self.call(
            "RespondWorkflowTaskFailed",
            task_token=token_of(task),
            cause=f"WORKFLOW_TASK_FAILED_CAUSE_{cause}",
            failure={"message": message, "source": "Tester", "application_failure_info": {}},
            **fields,
        )

    def step(self, *commands, **fields):
        """Polls a workflow task and completes it."""
        task = self.poll()
        self.complete(task, *commands, **fields)
        return task

    def quiet_poll(self):
        """Takes a workflow task without recording it."""
        return self.quiet("PollWorkflowTaskQueue", **self.with_queue(None, {}))

    def quiet_step(self, *commands):
        """Polls and completes without recording."""
        token = self.quiet_poll().task_token
        self.quiet("RespondWorkflowTaskCompleted", task_token=token, commands=list(commands))

    # Activities

    def poll_activity(self, queue=None, **fields):
        return self.call("PollActivityTaskQueue", **self.with_queue(queue, fields))

    def complete_activity(self, task, result="result", **fields):
        return self.call(
            "RespondActivityTaskCompleted", task_token=token_of(task), result=payloads(result), **fields
        )

    def fail_activity(self, task, failure, **fields):
        return self.call("RespondActivityTaskFailed", task_token=token_of(task), failure=failure, **fields)

    def cancel_activity_task(self, task, details="stopped", **fields):
        return self.call(
            "RespondActivityTaskCanceled", task_token=token_of(task), details=payloads(details), **fields
        )

    def heartbeat(self, task, details=None, **fields):
        if details is not None:
            fields["details"] = payloads(details)
        return self.call("RecordActivityTaskHeartbeat", task_token=token_of(task), **fields)

    # Queries

    def ask(self, kind="state", workflow_id=None, run_id="", query=None, **fields):
        """Begins a query: it is answered only when a worker does."""
        return self.background(
            "QueryWorkflow",
            execution={"workflow_id": self.named(workflow_id), "run_id": run_id},
            query={"query_type": kind, **(query or {})},
            **fields,
        )

    def answer(self, task, value="answer", **fields):
        """Answers a query that was handed out on its own."""
        fields = {
            "completed_type": "QUERY_RESULT_TYPE_ANSWERED",
            "query_result": payloads(value),
            **fields,
        }
        return self.call("RespondQueryTaskCompleted", task_token=token_of(task), **fields)

    # Updates

    def update(self, update_id="u", name="change", workflow_id=None, run_id="", stage="COMPLETED", **fields):
        """Begins an update: it is answered only when a worker has brought it to the stage."""
        return self.background(
            "UpdateWorkflowExecution", **self.update_request(update_id, name, workflow_id, run_id, stage, fields)
        )

    def update_request(self, update_id, name, workflow_id, run_id, stage, fields):
        return {
            "workflow_execution": {"workflow_id": self.named(workflow_id), "run_id": run_id},
            "wait_policy": {"lifecycle_stage": f"{STAGE}{stage}"},
            "request": update_body(update_id, name),
            **fields,
        }

    def poll_update(self, update_id="u", workflow_id=None, run_id="", stage="COMPLETED", **fields):
        """Begins to wait for an update that was asked for before."""
        execution = {"workflow_id": self.named(workflow_id), "run_id": run_id}
        return self.background(
            "PollWorkflowExecutionUpdate",
            **{
                "update_ref": {"workflow_execution": execution, "update_id": update_id},
                "wait_policy": {"lifecycle_stage": f"{STAGE}{stage}"} if stage else None,
                **fields,
            },
        )

    def until_admitted(self, update_id="u", workflow_id=None):
        """Waits until the server knows an update, unrecorded."""
        execution = {"workflow_id": self.named(workflow_id)}
        reference = {"workflow_execution": execution, "update_id": update_id}

        def known():
            try:
                return self.quiet("PollWorkflowExecutionUpdate", update_ref=reference)
            except wire.Failure:
                return None

        return self.until(known, f"update {update_id}")

    def update_with_start(self, update_id="u", name="change", workflow_id=None, stage="COMPLETED", **fields):
        """Begins an update that starts its workflow if there is none; fields are of the start."""
        update_fields = fields.pop("update", {})
        start = {
            "namespace": self.namespace,
            "identity": "tester",
            "workflow_id": self.named(workflow_id),
            "workflow_type": {"name": "probe"},
            "task_queue": {"name": self.queue},
            **fields,
        }
        update = self.update_request(update_id, name, workflow_id, "", stage, update_fields)
        update.setdefault("namespace", self.namespace)
        return self.multi({"start_workflow": start}, {"update_workflow": update})

    def multi(self, *operations, **fields):
        """Begins a call of several operations."""
        return self.background("ExecuteMultiOperation", operations=list(operations), **fields)

    # Helpers

    def other(self, name):
        """The id of a further workflow of this script."""
        return f"{self.id}-{name}"

    def queue_of(self, activity_id):
        """The queue of an activity that was scheduled apart."""
        return f"{self.queue}-{activity_id}"

    def named(self, workflow_id):
        return self.id if workflow_id is None else workflow_id

    def with_queue(self, queue, fields):
        queue = queue or self.queue
        return {"task_queue": queue if isinstance(queue, dict) else {"name": queue}, **fields}

    def remember(self, request, response):
        """Notes the run that a response speaks of, for the final histories."""
        run_id = getattr(response, "run_id", "")
        workflow_id = getattr(request, "workflow_id", "")
        if run_id and workflow_id:
            self.runs.setdefault((request.namespace, workflow_id, run_id))
        for part in getattr(response, "responses", ()):
            if part.HasField("start_workflow"):
                self.remember(request.operations[0].start_workflow, part.start_workflow)


class Pending:
    """A call under way."""

    def __init__(self, case, method, request, future):
        self.case = case
        self.method = method
        self.request = request
        self.future = future

    def join(self):
        """Waits for the answer and records it."""
        try:
            response = wire.finish(self.future)
        except wire.Failure as failure:
            self.case.record(self.method, self.case.renderer.failure(failure))
            return None
        self.case.remember(self.request, response)
        self.case.record(self.method, self.case.renderer.message(response) or ["ok"])
        return response

    def cancel(self):
        self.future.cancel()


def token_of(task) -> bytes:
    return task if isinstance(task, bytes) else task.task_token


def children(events):
    """The workflow ids and run ids of children that a history says were started."""
    for event in events:
        if event.HasField("child_workflow_execution_started_event_attributes"):
            execution = event.child_workflow_execution_started_event_attributes.workflow_execution
            yield execution.workflow_id, execution.run_id


def successors(event):
    """The runs that an event says continue its own."""
    for field, attributes in event.ListFields():
        if field.name.endswith("_event_attributes"):
            run = getattr(attributes, "new_execution_run_id", "")
            return [run] if run else []
    return []
