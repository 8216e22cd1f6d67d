"""Workers as they describe themselves: heartbeats, lists, counts, one worker, and what a shutdown leaves.

Heartbeats are kept for each namespace, so every script registers one of its own: what it lists is its own.
"""

from harness import wire

from ..case import script

STARTED = 1_700_000_000
UUID_BYTES = 36


def own_namespace(t):
    t.namespace = f"ns-{t.id}".replace("/", "-").replace("_", "-").replace(".", "-")
    t.call(
        "RegisterNamespace",
        namespace=t.namespace,
        workflow_execution_retention_period={"seconds": 86400},
    )

    def known():
        try:
            t.quiet("CountWorkers")
            return True
        except wire.Failure:
            return False

    t.until(known, "the namespace")


def heartbeat(key, **fields):
    return {
        "worker_instance_key": key,
        "worker_identity": f"{key}@host",
        "host_info": {
            "host_name": f"host-{key}",
            "process_id": "17",
            "worker_grouping_key": "group",
            "current_host_cpu_usage": 0.5,
            "current_host_mem_usage": 0.25,
        },
        "task_queue": f"queue-{key}",
        "sdk_name": "temporal-python",
        "sdk_version": "1.2.3",
        "status": "WORKER_STATUS_RUNNING",
        "start_time": {"seconds": STARTED},
        "heartbeat_time": {"seconds": STARTED + 60},
        **fields,
    }


def three(t):
    """Three workers that differ in everything that queries may ask for."""
    own_namespace(t)
    beats = [
        heartbeat("a"),
        heartbeat(
            "b",
            status="WORKER_STATUS_SHUTTING_DOWN",
            deployment_version={"deployment_name": "shop", "build_id": "1"},
            start_time={"seconds": STARTED + 10},
            sdk_name="temporal-go",
        ),
        heartbeat(
            "c",
            status="WORKER_STATUS_SHUTDOWN",
            start_time=None,
            heartbeat_time=None,
            host_info=None,
            plugins=[{"name": "tracing", "version": "1"}],
            drivers=[{"type": "s3"}],
        ),
    ]
    beats = [{name: value for name, value in beat.items() if value is not None} for beat in beats]
    t.call("RecordWorkerHeartbeat", worker_heartbeat=beats)


def found(t, query, **fields):
    """Records which workers a query finds. Only pages are in order, so it asks for one."""
    try:
        answer = t.quiet("ListWorkers", query=query, page_size=100, **fields)
    except wire.Failure as failure:
        t.record(query, t.renderer.failure(failure))
        return
    keys = [worker.worker_instance_key for worker in answer.workers]
    # The judge's own workers, which have been heard of or not, are called by a UUID.
    t.note(query, " ".join(key for key in keys if len(key) < UUID_BYTES) or "none")


@script
def listed_and_described(t):
    """What a heartbeat says is listed, counted and described; the next one replaces it."""
    three(t)
    t.call("ListWorkers", page_size=10)
    t.call("CountWorkers")
    t.call("DescribeWorker", worker_instance_key="b")
    t.call("RecordWorkerHeartbeat", worker_heartbeat=[heartbeat("b", sdk_version="2")])
    t.call("DescribeWorker", worker_instance_key="b")
    t.call("CountWorkers")


@script
def fields_of_a_heartbeat(t):
    """Every part of a heartbeat is kept."""
    own_namespace(t)
    slots = {
        "current_available_slots": 3,
        "current_used_slots": 2,
        "slot_supplier_kind": "Fixed",
        "total_processed_tasks": 7,
        "total_failed_tasks": 1,
        "last_interval_processed_tasks": 4,
        "last_interval_failure_tasks": 1,
    }
    poller = {
        "current_pollers": 2,
        "last_successful_poll_time": {"seconds": STARTED},
        "is_autoscaling": True,
    }
    beat = heartbeat(
        "a",
        elapsed_since_last_heartbeat={"seconds": 60},
        workflow_task_slots_info=slots,
        activity_task_slots_info=slots,
        nexus_task_slots_info=slots,
        local_activity_slots_info=slots,
        workflow_poller_info=poller,
        workflow_sticky_poller_info=poller,
        activity_poller_info=poller,
        nexus_poller_info=poller,
        total_sticky_cache_hit=5,
        total_sticky_cache_miss=6,
        current_sticky_cache_size=7,
        deployment_version={"deployment_name": "shop", "build_id": "1"},
        plugins=[{"name": "tracing", "version": "1"}],
        drivers=[{"type": "s3"}],
        environment={"runtimes": [{"type": 2, "version": "3.12"}]},
    )
    t.call("RecordWorkerHeartbeat", worker_heartbeat=[beat])
    t.call("ListWorkers")
    t.call("DescribeWorker", worker_instance_key="a")


@script
def queries(t):
    """The grammar of the filter, on every field."""
    three(t)
    for query in (
        "WorkerInstanceKey = 'a'",
        "WorkerInstanceKey != 'a'",
        "WorkerInstanceKey = \"a\"",
        "`WorkerInstanceKey` = 'a'",
        "WorkerInstanceKey IN ('a', 'b')",
        "WorkerInstanceKey NOT IN ('a', 'b')",
        "WorkerInstanceKey > 'a'",
        "WorkerInstanceKey >= 'a'",
        "WorkerInstanceKey LIKE 'a%'",
        "WorkerInstanceKey STARTS_WITH 'a'",
        "WorkerInstanceKey starts_with 'a'",
        "WorkerInstanceKey NOT STARTS_WITH 'a'",
        "WorkerInstanceKey IS NULL",
        "WorkerInstanceKey IS NOT NULL",
        "WorkerInstanceKey IS TRUE",
        "WorkerInstanceKey = ''",
        "WorkerInstanceKey = 5",
        "WorkerInstanceKey = a",
        "WorkerInstanceKey = NULL",
        "WorkerInstanceKey = 'it''s'",
        "WorkerInstanceKey BETWEEN 'a' AND 'b'",
        "workerinstancekey = 'a'",
        "WorkerIdentity = 'b@host'",
        "HostName = 'host-a'",
        "HostName IS NULL",
        "HostName IS NOT NULL",
        "TaskQueue = 'queue-b'",
        "DeploymentName = 'shop'",
        "DeploymentName IS NULL",
        "BuildId = '1'",
        "BuildId != '1'",
        "SdkName = 'temporal-go'",
        "SdkName STARTS_WITH 'temporal'",
        "SdkVersion = '1.2.3'",
        "WorkerStatus = 'Running'",
        "WorkerStatus = 'running'",
        "WorkerStatus = 'WORKER_STATUS_RUNNING'",
        "WorkerStatus != 'Running'",
        "WorkerStatus IS NULL",
        "Status = 'Running'",
        "Status = 'Shutdown'",
        "Status = 'ShuttingDown'",
        "Status IN ('Running', 'Shutdown')",
        "STATUS = 'Running'",
        "status = 'Running'",
        "`Status` = 'Running'",
        "StartTime = '2023-11-14T22:13:20Z'",
        "StartTime != '2023-11-14T22:13:20Z'",
        "StartTime > '2023-11-14T22:13:20Z'",
        "StartTime >= '2023-11-14T22:13:20Z'",
        "StartTime < '2023-11-14T22:13:30Z'",
        "StartTime <= '2023-11-14T22:13:30Z'",
        "StartTime BETWEEN '2023-11-14T22:13:20Z' AND '2023-11-14T22:13:29Z'",
        "StartTime NOT BETWEEN '2023-11-14T22:13:20Z' AND '2023-11-14T22:13:29Z'",
        "StartTime BETWEEN 'x' AND 'y'",
        "StartTime IS NULL",
        "StartTime IS NOT NULL",
        "StartTime = 'yesterday'",
        "StartTime = 1700000000000000000",
        "StartTime > 1700000000000000000",
        "StartTime IN ('2023-11-14T22:13:20Z')",
        "StartTime LIKE '2023'",
        "HeartbeatTime > '2020-01-01T00:00:00Z'",
        "HeartbeatTime IS NULL",
        "WorkerInstanceKey = 'a' OR WorkerInstanceKey = 'c'",
        "WorkerInstanceKey = 'a' AND HostName = 'host-a'",
        "WorkerInstanceKey = 'a' AND HostName = 'host-b'",
        "(WorkerInstanceKey = 'a' OR WorkerInstanceKey = 'b') AND SdkName = 'temporal-go'",
        "WorkerInstanceKey = 'a' OR Nonsense = 'b'",
        "WorkerInstanceKey = 'z' OR Nonsense = 'b'",
        "WorkerInstanceKey = 'a' AND Nonsense = 'b'",
        "NOT WorkerInstanceKey = 'a'",
        "NOT (WorkerInstanceKey = 'a')",
        "Nonsense = 'a'",
        "Nonsense IS NULL",
        "Nonsense BETWEEN 1 AND 2",
        "'a' = WorkerInstanceKey",
        "'a' IS NULL",
        "1 BETWEEN 2 AND 3",
        "WorkerInstanceKey",
        "lower(WorkerInstanceKey) = 'a'",
        "lower(WorkerInstanceKey)",
        "true",
        "5",
        "'a'",
        "WorkerInstanceKey = 'a' LIMIT 1",
        "WorkerInstanceKey = 'a' ORDER BY StartTime",
        "WorkerInstanceKey != 'z' ORDER BY StartTime DESC",
        "WorkerInstanceKey != 'z' GROUP BY Status",
        "LIMIT 1",
        "ORDER BY StartTime",
        "SELECT",
        "WorkerInstanceKey =",
        "WorkerInstanceKey = 'a",
        "= 'a'",
        "WorkerInstanceKey = 'a' AND",
        "(WorkerInstanceKey = 'a'",
        "WorkerInstanceKey = 'a')",
        "WorkerInstanceKey = 'a'; drop table x",
        "WorkerInstanceKey == 'a'",
        "WorkerInstanceKey <> 'a'",
        "WorkerInstanceKey = 'a' -- no",
        "WorkerInstanceKey = 1 + 1",
        "1 + 1",
        " ",
    ):
        found(t, query)


@script
def counts(t):
    """Counting takes the same queries."""
    three(t)
    for query in (
        "WorkerInstanceKey = 'a'",
        "Status != 'Running'",
        "SdkName STARTS_WITH 'temporal'",
        "Nonsense = 'a'",
        "WorkerInstanceKey =",
    ):
        t.call("CountWorkers", query=query)


@script
def pages(t):
    """A list in pages."""
    own_namespace(t)
    t.call("RecordWorkerHeartbeat", worker_heartbeat=[heartbeat(key) for key in "hedgcfab"])
    token = b""
    for _ in range(5):
        answer = t.quiet("ListWorkers", page_size=3, next_page_token=token)
        keys = " ".join(worker.worker_instance_key for worker in answer.workers)
        t.note("page", f"{keys}, {len(answer.workers_info)}, more: {bool(answer.next_page_token)}")
        token = answer.next_page_token
        if not token:
            break
    answer = t.quiet("ListWorkers", page_size=8)
    t.note("a page that is just full", f"{len(answer.workers)}, more: {bool(answer.next_page_token)}")
    answer = t.quiet("ListWorkers", page_size=3, query="WorkerInstanceKey != 'b'")
    keys = " ".join(worker.worker_instance_key for worker in answer.workers)
    t.note("of a query", f"{keys}, more: {bool(answer.next_page_token)}")
    t.call("ListWorkers", page_size=3, next_page_token=b"nonsense")
    for size in (-1, 0, 1000, 1001, 100000):
        answer = t.quiet("ListWorkers", page_size=size)
        t.note(f"size {size}", len(answer.workers))


@script
def odd_heartbeats(t):
    """Heartbeats without a key, without anything, twice the same; none at all."""
    own_namespace(t)
    t.call("RecordWorkerHeartbeat")
    t.call("CountWorkers")
    t.call("RecordWorkerHeartbeat", worker_heartbeat=[{}])
    t.call("CountWorkers")
    t.call("ListWorkers")
    t.call("DescribeWorker", worker_instance_key="")
    t.call("RecordWorkerHeartbeat", worker_heartbeat=[heartbeat("a"), heartbeat("a", sdk_version="2")])
    t.call("CountWorkers")
    t.call("DescribeWorker", worker_instance_key="a")
    t.call("RecordWorkerHeartbeat", worker_heartbeat=[{"worker_instance_key": "x" * 1001}])
    t.call("CountWorkers")
    t.call("RecordWorkerHeartbeat", worker_heartbeat=[{"worker_instance_key": "s", "status": 99}])
    found(t, "Status = '99'")
    found(t, "Status = 'Unspecified' AND TaskQueue IS NULL AND WorkerInstanceKey IS NULL")


@script
def nobody(t):
    """Workers and namespaces that are not there."""
    own_namespace(t)
    try:
        t.quiet("DescribeWorker", worker_instance_key="nobody")
    except wire.Failure as failure:
        # The judge has workers of its own in each namespace. Until one of them is heard of, it is the namespace
        # that is not found.
        t.note("before any heartbeat", failure.code)
    t.call("RecordWorkerHeartbeat", worker_heartbeat=[heartbeat("a")])
    t.call("DescribeWorker", worker_instance_key="nobody")
    gone = heartbeat("a", status="WORKER_STATUS_SHUTDOWN")
    t.call("RecordWorkerHeartbeat", worker_heartbeat=[gone])
    t.call("DescribeWorker", worker_instance_key="a")
    t.call("ListWorkers")
    t.call("CountWorkers")
    for method, fields in (
        ("RecordWorkerHeartbeat", {"worker_heartbeat": [heartbeat("a")]}),
        ("ListWorkers", {}),
        ("CountWorkers", {}),
        ("DescribeWorker", {"worker_instance_key": "a"}),
    ):
        t.call(method, namespace="nowhere", **fields)
        t.call(method, namespace="", **fields)


@script
def shut_down(t):
    """A worker that says goodbye, with its last heartbeat and without one."""
    three(t)
    t.call("ShutdownWorker", worker_instance_key="a", sticky_task_queue=t.sticky_queue)
    t.call("DescribeWorker", worker_instance_key="a")
    last = heartbeat("b", status="WORKER_STATUS_SHUTTING_DOWN", sdk_version="9")
    t.call("ShutdownWorker", sticky_task_queue=t.sticky_queue, worker_heartbeat=last)
    t.call("DescribeWorker", worker_instance_key="b")
    new = heartbeat("new", status="WORKER_STATUS_SHUTDOWN")
    t.call("ShutdownWorker", task_queue="q", worker_instance_key="new", worker_heartbeat=new)
    t.call("DescribeWorker", worker_instance_key="new")
    other = heartbeat("other")
    t.call("ShutdownWorker", task_queue="q", worker_instance_key="not-other", worker_heartbeat=other)
    found(t, "SdkName != 'x'")


@script
def system_workers(t):
    """The server's own workers are left out unless asked for."""
    own_namespace(t)
    t.call("RecordWorkerHeartbeat", worker_heartbeat=[heartbeat("a", task_queue="temporal-sys-x"), heartbeat("b")])
    t.call("CountWorkers")
    t.call("CountWorkers", include_system_workers=True, query="TaskQueue = 'temporal-sys-x'")
    found(t, "SdkName != 'x'")
    found(t, "SdkName != 'x'", include_system_workers=True)
    for queue in ("temporal-sys", "temporal-sys-", "Temporal-sys-x", "temporal-sys-per-ns-tq", "temporal-sys/worker-commands/g", "/temporal-sys/w/g"):
        t.call("RecordWorkerHeartbeat", worker_heartbeat=[heartbeat(queue, task_queue=queue)])
        found(t, f"TaskQueue = '{queue}'")
