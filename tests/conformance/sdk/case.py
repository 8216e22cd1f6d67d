"""What an SDK program is written with.

A case gets an `Env`: a client, a way to run a worker, and names of its own.
Each case runs twice where it has a worker: once with the SDK's cache of
workflows and its sticky queue, once without either, when every workflow task
replays the whole history. Whatever a case ran is replayed once more at its
end, from the history that the server gives out.
"""

import asyncio
import concurrent.futures
import dataclasses
import datetime

from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

CASE_SECONDS_MAX = 60
CHAIN_RUNS_MAX = 20
ACTIVITY_THREADS = 8

CASES = {}


@dataclasses.dataclass
class Definition:
    name: str
    module: str
    function: object
    cached: bool
    seconds: float


def case(function=None, *, worker=True, seconds=CASE_SECONDS_MAX):
    """Registers a case: with and without the cache, or once if it has no worker."""

    def register(function):
        subject = function.__module__.rpartition(".")[2]
        for cached in (True, False) if worker else (True,):
            name = f"sdk/{subject}.{function.__name__}" + ("" if cached else " without cache")
            CASES[name] = Definition(name, function.__module__, function, cached, seconds)
        return function

    return register(function) if function else register


class Env:
    """The surroundings of one case."""

    def __init__(self, definition, addresses, nonce):
        self.definition = definition
        self.addresses = addresses
        self.prefix = definition.name.removeprefix("sdk/").replace(" ", "-") + f"-{nonce}"
        self.queue = f"queue-{self.prefix}"
        self.handles = []
        self.workflows = []
        self.namespace = "default"

    async def connect(self):
        """One client for the caller and one for the worker: on two nodes, where there are several."""
        self.client = await self.client_of(0)
        self.worker_client = await self.client_of(1)
        return self

    async def client_of(self, node) -> Client:
        return await Client.connect(self.addresses[node % len(self.addresses)], namespace=self.namespace)

    def id(self, name="") -> str:
        return f"{self.prefix}-{name}" if name else self.prefix

    def worker(self, workflows=(), activities=(), **options) -> Worker:
        self.workflows += [w for w in workflows if w not in self.workflows]
        options.setdefault("task_queue", self.queue)
        options.setdefault("max_cached_workflows", 1000 if self.definition.cached else 0)
        options.setdefault("activity_executor", concurrent.futures.ThreadPoolExecutor(ACTIVITY_THREADS))
        # A worker that stops lets its activities hear of it at once.
        options.setdefault("graceful_shutdown_timeout", datetime.timedelta(0))
        client = options.pop("client", self.worker_client)
        return Worker(client, workflows=list(workflows), activities=list(activities), **options)

    async def start(self, workflow, *args, **options):
        options.setdefault("id", self.id())
        options.setdefault("task_queue", self.queue)
        handle = await self.client.start_workflow(workflow, *args, **options)
        self.handles.append(handle)
        return handle

    async def execute(self, workflow, *args, **options):
        handle = await self.start(workflow, *args, **options)
        return await handle.result()

    # The end

    async def replay_everything(self):
        """Replays every run that the case started, with its successors, on the code that ran it."""
        if not self.workflows:
            return
        replayer = Replayer(workflows=self.workflows, workflow_runner=UnsandboxedWorkflowRunner())
        names = {workflow_name(w) for w in self.workflows}
        for handle in self.handles:
            for history in await self.histories(handle):
                if type_of(history) in names:
                    await replayer.replay_workflow(history)

    async def histories(self, handle) -> list[WorkflowHistory]:
        """The histories of a run and of those that follow it."""
        found, run = [], handle.first_execution_run_id or handle.result_run_id
        while run and len(found) < CHAIN_RUNS_MAX:
            history = await self.client.get_workflow_handle(handle.id, run_id=run).fetch_history()
            found.append(history)
            run = successor(history.events[-1])
        return found


def workflow_name(workflow) -> str:
    return workflow.__temporal_workflow_definition.name


def type_of(history) -> str:
    return history.events[0].workflow_execution_started_event_attributes.workflow_type.name


def successor(event) -> str:
    for field, attributes in event.ListFields():
        if field.name.endswith("_event_attributes"):
            return getattr(attributes, "new_execution_run_id", "")
    return ""


async def until(condition, what, seconds=20):
    """Waits until an asynchronous condition holds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        value = await condition()
        if value:
            return value
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"waited in vain for {what}")
        await asyncio.sleep(0.05)


def equal(actual, expected):
    assert actual == expected, f"{actual!r} is not {expected!r}"


async def raises(kind, awaitable):
    """Awaits something that must fail, and returns the error."""
    try:
        value = await awaitable
    except kind as error:
        return error
    raise AssertionError(f"{value!r} instead of {kind.__name__}")
