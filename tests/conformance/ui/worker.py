"""A worker for what is looked at: an order that waits for a word, and one that is stuck."""

import asyncio
import sys
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.worker import Worker

SOON = timedelta(seconds=10)


@activity.defn
async def greet(name: str) -> str:
    return f"Hello, {name}!"


@activity.defn
async def stubborn() -> str:
    activity.heartbeat({"seen": 1})
    raise RuntimeError("not yet <b>bold</b>")


@workflow.defn
class Order:
    def __init__(self):
        self.state = "waiting"
        self.is_done = False

    @workflow.run
    async def run(self, name: str) -> str:
        await workflow.execute_activity(greet, name, start_to_close_timeout=SOON)
        await workflow.wait_condition(lambda: self.is_done)
        return f"{name} is {self.state}"

    @workflow.signal
    def finish(self, how: str):
        self.state = how
        self.is_done = True

    @workflow.query
    def status(self) -> str:
        return self.state

    @workflow.update
    def change(self, to: str) -> str:
        self.state = to
        return f"changed to {to}"


@workflow.defn
class Stuck:
    @workflow.run
    async def run(self) -> str:
        policy = RetryPolicy(initial_interval=timedelta(minutes=5))
        return await workflow.execute_activity(stubborn, start_to_close_timeout=SOON, retry_policy=policy)


async def main(address, queue):
    # As often as it can: the default is a minute, and a look does not wait for that.
    runtime = Runtime(telemetry=TelemetryConfig(), worker_heartbeat_interval=timedelta(seconds=1))
    client = await Client.connect(address, runtime=runtime)
    async with Worker(client, task_queue=queue, workflows=[Order, Stuck], activities=[greet, stubborn]):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
