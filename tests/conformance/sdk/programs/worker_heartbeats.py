"""Workers that tell the server how they are."""

from datetime import timedelta

from temporalio import activity, workflow
from temporalio.api.workflowservice.v1 import (
    CountWorkersRequest,
    DescribeWorkerRequest,
    ListWorkersRequest,
)
from temporalio.client import Client
from temporalio.runtime import Runtime, TelemetryConfig

from ..case import case, equal, until

BEAT = timedelta(seconds=1)
RUNNING = 1


@activity.defn
async def double(number: int) -> int:
    return 2 * number


@workflow.defn
class Doubled:
    @workflow.run
    async def run(self, number: int) -> int:
        return await workflow.execute_activity(
            double, number, start_to_close_timeout=timedelta(seconds=20)
        )


async def beating_client(env, node) -> Client:
    """A client whose workers send heartbeats as often as they can."""
    runtime = Runtime(telemetry=TelemetryConfig(), worker_heartbeat_interval=BEAT)
    address = env.addresses[node % len(env.addresses)]
    return await Client.connect(address, namespace=env.namespace, runtime=runtime)


async def listed(env, condition="Status = 'Running'"):
    """The workers of this case as the server lists them; any node must know."""
    query = f"TaskQueue = '{env.queue}' AND {condition}"
    request = ListWorkersRequest(namespace=env.namespace, query=query)
    return (await env.client.workflow_service.list_workers(request)).workers


@case
async def seen_and_gone(env):
    """A worker is listed while it runs, described with what it has done, and gone when it has stopped."""
    client = await beating_client(env, 1)
    async with env.worker([Doubled], [double], client=client, identity="a-worker-that-beats"):

        async def is_listed():
            return await listed(env)

        (worker,) = await until(is_listed, "the worker's heartbeat")
        equal(worker.worker_identity, "a-worker-that-beats")
        equal(worker.sdk_name, "temporal-python")
        equal(worker.status, RUNNING)
        equal(await env.execute(Doubled.run, 21), 42)
        request = DescribeWorkerRequest(
            namespace=env.namespace, worker_instance_key=worker.worker_instance_key
        )

        async def has_told():
            answer = await env.client.workflow_service.describe_worker(request)
            beat = answer.worker_info.worker_heartbeat
            return beat.activity_task_slots_info.total_processed_tasks == 1 and beat

        beat = await until(has_told, "a heartbeat after the activity")
        assert beat.workflow_task_slots_info.total_processed_tasks >= 1, beat
        count = CountWorkersRequest(namespace=env.namespace, query=f"TaskQueue = '{env.queue}'")
        equal((await env.client.workflow_service.count_workers(count)).count, 1)

    async def is_gone():
        return not await listed(env)

    await until(is_gone, "the worker's last heartbeat")
