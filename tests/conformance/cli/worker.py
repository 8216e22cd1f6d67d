"""The worker behind the CLI's workflows: `python -m cli.worker ADDRESS QUEUE`.

The CLI only starts and asks; somebody has to do the work. This worker knows
one workflow, which does whatever the CLI wants to be shown, and a Nexus service.
"""

import asyncio
import logging
import sys
from datetime import timedelta

import nexusrpc.handler
from temporalio import activity, nexus, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.worker import Worker

IDENTITY = "cli-worker"
SOON = timedelta(seconds=30)


@activity.defn
async def shout(word: str) -> str:
    return word.upper()


@activity.defn
async def later() -> str:
    """Somebody else completes it."""
    activity.raise_complete_async()


@workflow.defn
class Box:
    """Keeps what it is sent; ends when it is told to, or at once when it is given a word."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self.done = False

    @workflow.run
    async def run(self, word: str = "") -> list[str]:
        if word == "fail":
            raise ApplicationError("as you wish", type="Wish", non_retryable=True)
        if word == "elsewhere":
            self.items.append(
                await workflow.execute_activity(
                    "anything",
                    activity_id="elsewhere",
                    task_queue="nobody-polls-this-queue",
                    start_to_close_timeout=SOON,
                    result_type=str,
                )
            )
            return self.items
        if word == "later":
            self.items.append(
                await workflow.execute_activity(
                    later,
                    activity_id="later",
                    start_to_close_timeout=SOON,
                    retry_policy=RetryPolicy(maximum_attempts=1),
                )
            )
            return self.items
        if word:
            self.items.append(await workflow.execute_activity(shout, word, start_to_close_timeout=SOON))
            return self.items
        await workflow.wait_condition(lambda: self.done)
        return self.items

    @workflow.signal
    def put(self, item: str) -> None:
        self.items.append(item)

    @workflow.signal
    def finish(self) -> None:
        self.done = True

    @workflow.update
    def add(self, item: str) -> int:
        self.items.append(item)
        return len(self.items)

    @add.validator
    def check(self, item: str) -> None:
        if not item:
            raise ApplicationError("nothing to add", type="Empty")

    @workflow.update
    async def wait_until_done(self) -> str:
        await workflow.wait_condition(lambda: len(self.items) > 1)
        return "done waiting"

    @workflow.query
    def count(self) -> int:
        return len(self.items)


@nexusrpc.handler.service_handler(name="desk")
class Desk:
    @nexusrpc.handler.sync_operation
    async def shout(self, _: nexusrpc.handler.StartOperationContext, word: str) -> str:
        return word.upper()

    @nexus.workflow_run_operation
    async def box(self, ctx: nexus.WorkflowRunOperationContext, name: str) -> nexus.WorkflowHandle[list[str]]:
        """A box of this name, which ends when it is told to."""
        return await ctx.start_workflow(Box.run, "", id=name)


async def main():
    address, queue = sys.argv[1:3]
    logging.disable(logging.CRITICAL)
    quiet = LoggingConfig(filter=TelemetryFilter(core_level="ERROR", other_level="ERROR"))
    telemetry = TelemetryConfig(logging=quiet)
    Runtime.set_default(Runtime(telemetry=telemetry, worker_heartbeat_interval=timedelta(seconds=1)))
    client = await Client.connect(address, identity=IDENTITY)
    # Eagerness makes histories depend on who was quicker.
    worker = Worker(
        client,
        task_queue=queue,
        workflows=[Box],
        activities=[shout, later],
        nexus_service_handlers=[Desk()],
        identity=IDENTITY,
        disable_eager_activity_execution=True,
    )
    await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
