"""The API over HTTP with JSON: routes, bodies, queries, payloads in short, refusals."""

import base64
import concurrent.futures
import json
import pathlib
import re
import uuid

from google.api import annotations_pb2
from harness import wire

from ..case import script
from ..commands import complete_workflow, payloads, schedule_activity

IN_FULL = {"Accept": "application/json+no-payload-shorthand"}
PRETTY = {"Accept": "application/json+pretty"}
README = pathlib.Path(__file__).resolve().parents[4] / "README.md"


def started(t, **more):
    """What starts the script's workflow."""
    return {
        "workflowType": {"name": "probe"},
        "taskQueue": {"name": t.queue},
        "requestId": t.id,
        "identity": "tester",
        **more,
    }


def start(t, **more):
    answer = t.http("POST", f"NS/workflows/{t.id}", started(t, **more))
    if answer and "runId" in answer:
        t.runs.setdefault((t.namespace, t.id, answer["runId"]))
    return answer


def full(data, **metadata):
    """A payload in full."""
    encode = lambda value: base64.b64encode(value.encode()).decode()  # noqa: E731
    return {"metadata": {key: encode(value) for key, value in metadata.items()}, "data": encode(data)}


@script
def paths(t):
    """What is found under which path, and what is not."""
    for verb, path in (
        ("GET", "/nothing"),
        ("GET", "/api/v1"),
        ("GET", "/api/v2/namespaces/default"),
        ("POST", "/api/v1/namespaces/default"),
        ("PUT", "/api/v1/namespaces/default/workflows/x"),
        ("DELETE", "/api/v1/namespaces/default/workflows/x"),
        ("GET", f"NS/workflows/{t.id}"),
        ("GET", f"/namespaces/default/workflows/{t.id}"),
        ("GET", f"NS/workflows/{t.id}/"),
        ("GET", "NS/workflows/"),
        ("GET", "NS/workflows/a%20b"),
        ("GET", "NS/workflows/a+b:c@d"),
        ("GET", "NS/workflows/%C3%A9"),
        ("GET", f"/api/v1/namespaces/nowhere-{t.nonce}"),
        ("GET", f"/cluster/namespaces/nowhere-{t.nonce}"),
    ):
        t.http(verb, path)


@script
def about_the_server(t):
    """The same answers under the paths of today and those of before."""
    for path in ("/api/v1/system-info", "/system-info", "/api/v1/cluster-info", "/cluster"):
        answer = wire.over_http(next(t.connection.http), "GET", path)
        t.note(path, (answer[0], "serverVersion" in json.loads(answer[2])))
    for path, words in (("/swagger.json", b'"swagger": "2.0"'), ("/openapi.yaml", b"openapi: 3.")):
        status, _, text = wire.over_http(next(t.connection.http), "GET", path)
        t.note(path, (status, words in text, len(text) > 500_000))


@script(seconds=4)
def every_route(t):
    """Each path of each served method leads to it: an unknown namespace is refused by all alike."""
    unserved = set(re.findall(r"`(\w+)`", " ".join(right_columns(README.read_text()))))
    for name, (method, _, _) in sorted(wire.METHODS.by_name.items()):
        if name in unserved:
            continue
        service, _, short = method[1:].rpartition("/")
        module = wire.workflow if "workflowservice" in service else wire.operator
        options = module.DESCRIPTOR.services_by_name[service.rpartition(".")[2]].methods_by_name[short]
        rule = options.GetOptions().Extensions[annotations_pb2.http]
        for binding in (rule, *rule.additional_bindings):
            verb = binding.WhichOneof("pattern")
            if not verb or "{namespace}" not in getattr(binding, verb):
                continue
            path = getattr(binding, verb).replace("{namespace}", f"nowhere-{t.nonce}")
            path = re.sub(r"\{[^}]*\}", "x", path)
            t.http(verb.upper(), path, "{}" if binding.body else None)


def right_columns(readme):
    """What the README's tables of methods have in their last column."""
    rows = re.findall(r"^\| [^|]* \|[^|]*\|([^|]*)\|$", readme, re.MULTILINE)
    return [row for row in rows if re.search(r"`[A-Z]", row)]


@script
def a_life(t):
    """Started, described, signalled, listed and terminated over HTTP; done by a worker over gRPC."""
    start(t, input=["a", 1, {"b": [True]}], memo={"fields": {"m": "x", "n": 5}})
    start(t)
    t.http("POST", f"NS/workflows/{t.id}", {**started(t), "requestId": "another"})
    t.http("GET", f"NS/workflows/{t.id}")
    t.http("POST", f"NS/workflows/{t.id}/signal/go", {"input": ["one", 2], "requestId": "s"})
    t.poll()
    t.http("GET", f"NS/workflows/{t.id}/history")
    t.http("GET", f"NS/workflows/{t.id}/history", headers=IN_FULL)
    t.http("POST", f"NS/workflows/{t.id}/cancel", {"reason": "why not"})
    t.http("POST", f"NS/workflows/{t.id}/terminate", {"reason": "enough", "details": ["x"]})
    t.http("POST", f"NS/workflows/{t.id}/terminate", {})
    t.http("GET", f"NS/workflows/{t.id}/history-reverse?maximumPageSize=1000")
    t.until(lambda: not t.is_running(), "the end")


@script
def lists(t):
    """Filters and pages in the query."""
    start(t)
    query = f"WorkflowId%3D%27{t.id}%27"
    t.until(lambda: t.quiet("CountWorkflowExecutions", query=f"WorkflowId='{t.id}'").count == 1, "the list")
    t.http("GET", f"NS/workflows?query={query}")
    t.http("GET", f"NS/workflow-count?query={query}")
    t.http("GET", f"NS/workflow-count?query={query}+GROUP+BY+ExecutionStatus")
    t.http("GET", "NS/workflows?query=Nothing%3D1")
    t.http("GET", "NS/workflows?query=%28")
    t.http("GET", "NS/workflows?nextPageToken=%21")


@script
def queries_of_a_workflow(t):
    """A query that a worker answers."""
    start(t)
    t.step()
    asking = concurrent.futures.ThreadPoolExecutor(1)
    pending = asking.submit(
        t.http, "POST", f"NS/workflows/{t.id}/query/state", {"query": {"queryArgs": [1, "two"]}}
    )
    task = t.quiet_poll()
    t.note("arguments", [p.data for p in task.query.query_args.payloads])
    t.quiet(
        "RespondQueryTaskCompleted",
        task_token=task.task_token,
        completed_type="QUERY_RESULT_TYPE_ANSWERED",
        query_result=payloads({"answer": 42}),
    )
    pending.result()


@script
def bodies_that_are_refused(t):
    """JSON that is none, or not that of the message."""
    path = f"NS/workflows/{t.id}"
    for body in (
        "",
        "{}",
        "  {}  {}",
        '{"workflowType":',
        "[]",
        "null",
        "5",
        '"x"',
        '{"bogus": 1}',
        '{\n  "identity": "é", "bogus": 1}',
        '{"identity": "a", "identity": "b"}',
        '{"workflowType": 5}',
        '{"workflowType": []}',
        '{"workflowType": null}',
        '{"identity": 5}',
        '{"requestEagerExecution": "true"}',
        '{"workflowExecutionTimeout": "abc"}',
        '{"workflowExecutionTimeout": 5}',
        '{"workflowIdReusePolicy": "NOPE"}',
        '{"workflowIdReusePolicy": true}',
        '{"retryPolicy": {"maximumAttempts": 1.5}}',
        '{"retryPolicy": {"maximumAttempts": "x"}}',
        '{"retryPolicy": {"backoffCoefficient": "y"}}',
        '{"retryPolicy": {"nonRetryableErrorTypes": "T"}}',
        '{"input": 5}',
        '{"input": {"a": 1}}',
        '{"memo": {"fields": []}}',
        '{"memo": {"fields": {"a": 1}, "more": 2}}',
    ):
        t.note("body", body)
        t.http("POST", path, body)


@script
def bodies_that_are_taken(t):
    """The same message in other words."""
    forms = (
        {"workflow_type": {"name": "probe"}, "task_queue": {"name": t.queue}},
        {"workflowExecutionTimeout": "3600s", "workflowRunTimeout": "1800.5s"},
        {"workflowIdReusePolicy": "AllowDuplicate", "workflowTaskTimeout": "5s"},
        {"workflowIdReusePolicy": "WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY"},
        {"workflowIdReusePolicy": 2, "retryPolicy": {"maximumAttempts": "3", "backoffCoefficient": 2}},
        {"retryPolicy": {"maximumAttempts": 3.0, "backoffCoefficient": "1.5", "initialInterval": "1s"}},
        {"workflowId": "another", "namespace": "another", "identity": None},
        {"workflowStartDelay": "3600s", "userMetadata": {"summary": "short"}},
    )
    for number, form in enumerate(forms):
        more = {k: v for k, v in started(t).items() if number or k not in ("workflowType", "taskQueue")}
        workflow_id = t.other(number)
        answer = t.http("POST", f"NS/workflows/{workflow_id}", {**more, "requestId": workflow_id, **form})
        if answer and "runId" in answer:
            t.runs.setdefault((t.namespace, workflow_id, answer["runId"]))


@script
def payloads_in_short(t):
    """What is taken for a payload in full and what for a value, and how it is shown."""
    for number, given in enumerate(
        (
            [],
            ["x", 1, True, {"a": 1, "b": [2]}, [1, 2]],
            [None],
            [full("5", encoding="json/plain")],
            [full("5", encoding="json/plain"), 6],
            [full("xx", encoding="binary/plain"), 6],
            [full("5", encoding="json/plain", more="y")],
            [{"metadata": {"encoding": "YmluYXJ5L251bGw="}}],
            [{"data": "MQ==", "metadata": {}}],
            [{"data": "MQ=="}],
            [{"metadata": {"encoding": "!"}}],
            [{"_protoMessageType": "a.B", "a": 2, "z": 1}],
            {"payloads": [5, full("6", encoding="json/plain")]},
            None,
        )
    ):
        workflow_id = t.other(number)
        # A memo of nothing is dropped by the judge.
        has_memo = isinstance(given, list) and given and "YmluYXJ5L251bGw=" not in json.dumps(given)
        memo = {"fields": {"m": given[0]}} if has_memo and given != [None] else None
        body = started(t, requestId=workflow_id, input=given, memo=memo)
        answer = t.http("POST", f"NS/workflows/{workflow_id}", body)
        if answer and "runId" in answer:
            t.runs.setdefault((t.namespace, workflow_id, answer["runId"]))
            t.http("GET", f"NS/workflows/{workflow_id}/history?maximumPageSize=1000")


@script
def payloads_that_are_none(t):
    """Payloads in full for a caller that only takes those."""
    headers = {"Content-Type": "application/json+no-payload-shorthand"}
    path = f"NS/workflows/{t.id}"
    t.http("POST", path, started(t, input=["x"]), headers)
    t.http("POST", path, started(t, input={"payloads": ["x"]}), headers)
    answer = t.http("POST", path, started(t, input={"payloads": [full("5", encoding="json/plain")]}), headers)
    t.runs.setdefault((t.namespace, t.id, answer["runId"]))
    t.http("GET", f"{path}/history?noPayloadShorthand")
    t.http("GET", f"{path}/history?noPayloadShorthand&pretty")
    t.http("GET", f"{path}/history", headers=PRETTY)
    t.http("GET", f"{path}/history", headers={"Accept": "text/html"})


@script
def parameters(t):
    """What a query may say of a request."""
    start(t)
    path = f"NS/workflows/{t.id}"
    for query in (
        "execution.runId=abc",
        "execution.run_id=abc",
        "execution.runId=abc&execution.runId=abc",
        "execution.workflowId=other",
        "execution.bogus=1",
        "bogus=1",
        "execution=abc",
        "namespace=other",
        "",
        f"execution.runId={uuid.UUID(int=5)}",
    ):
        t.http("GET", f"{path}?{query}")
    for query in (
        "maximumPageSize=x",
        "maximumPageSize=1.5",
        "maximumPageSize=1&maximumPageSize=2",
        "waitNewEvent=maybe",
        "waitNewEvent=F",
        "skipArchival=1",
        "historyEventFilterType=7",
        "historyEventFilterType=CloseEvent",
        "historyEventFilterType=HISTORY_EVENT_FILTER_TYPE_ALL_EVENT",
        "nextPageToken=%21%21",
        "nextPageToken=YWJj",
    ):
        t.http("GET", f"{path}/history?{query}")


@script
def headers(t):
    """Who calls, how long it waits, and what it wants to read."""
    start(t)
    for given in (
        {"Client-Name": "temporal-go", "Client-Version": "99.0.0"},
        {"Grpc-Metadata-Client-Name": "temporal-go", "Grpc-Metadata-Client-Version": "99.0.0"},
        {"Grpc-Timeout": "bogus"},
        {"Grpc-Timeout": "10S", "Temporal-Namespace": "other", "Authorization": "Bearer x"},
        {"Accept": "application/json"},
        PRETTY,
        IN_FULL,
        {"Accept": "application/json+pretty+no-payload-shorthand"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json+pretty; charset=utf-8"},
    ):
        t.http("POST", f"NS/workflows/{t.id}/signal/go", {}, given)
    t.http("GET", f"NS/workflows/{t.id}/history?nextPageToken=YWJj", None, PRETTY)


@script
def sizes(t):
    """A body may have four mebibytes."""
    for length in ((4 << 20) - 1, 4 << 20, (4 << 20) + 1):
        frame = '{"identity":""}'
        body = '{"identity":"' + "x" * (length - len(frame)) + '"}'
        t.http("POST", f"NS/workflows/{t.id}", body)


@script
def activities_by_id(t):
    """Activities that are finished by somebody who knows only their ids."""
    start(t)
    t.step(*(schedule_activity(t, name, task_queue={"name": t.queue_of(name)}) for name in ("a", "b")))
    for name in ("a", "b"):
        t.poll_activity(t.queue_of(name))
    t.http("POST", f"NS/workflows/{t.id}/activities/a/heartbeat", {"details": ["so far"]})
    t.http("POST", f"NS/workflows/{t.id}/activities/a/complete", {"result": [{"ok": True}]})
    failure = {"message": "no", "applicationFailureInfo": {"type": "T", "nonRetryable": True, "details": [1]}}
    t.http("POST", f"NS/workflows/{t.id}/activities/b/fail", {"failure": failure})
    t.http("POST", f"NS/workflows/{t.id}/activities/b/complete", {})
    t.step(complete_workflow())


@script
def schedules(t):
    """A schedule's life."""
    path = f"NS/schedules/{t.id}"
    action = {"startWorkflow": {"workflowId": t.id, **{k: started(t)[k] for k in ("workflowType", "taskQueue")}}}
    spec = {"interval": [{"interval": "3600s"}], "jitter": "0s"}
    body = {"schedule": {"spec": spec, "action": action, "state": {"paused": True}}, "requestId": t.id}
    t.http("POST", path, body)
    t.http("POST", path, {**body, "requestId": "another"})
    t.http("POST", f"{path}/patch", {"patch": {"unpause": "go"}})
    times = "startTime=2030-01-01T00:00:00Z&endTime=2030-01-01T03:00:00Z"
    t.http("GET", f"{path}/matching-times?{times}")
    t.http("DELETE", path)
    t.until(lambda: gone(t), "the end of the schedule")
    t.http("DELETE", path)


def gone(t):
    try:
        t.quiet("DescribeSchedule", schedule_id=t.id)
        return False
    except wire.Failure:
        return True


@script
def namespaces(t):
    """A namespace of its own, and the search attributes of one."""
    name = f"http-{t.nonce}"
    body = {"namespace": name, "workflowExecutionRetentionPeriod": "86400s", "data": {"k": "v"}}
    t.http("POST", "/api/v1/namespaces", body)
    t.http("POST", "/cluster/namespaces", body)
    t.http("GET", f"/api/v1/namespaces/{name}")
    t.http("POST", f"/api/v1/namespaces/{name}/update", {"updateInfo": {"description": "a place"}})
    t.http("GET", f"/cluster/namespaces/{name}/search-attributes")
    t.http("GET", "/api/v1/namespaces?pageSize=x")


@script
def retried_and_delayed(t):
    """Numbers and times of all kinds, read and written."""
    policy = {
        "initialInterval": "0.5s",
        "backoffCoefficient": 1.25,
        "maximumInterval": "100s",
        "maximumAttempts": 2,
        "nonRetryableErrorTypes": ["A", "B"],
    }
    start(
        t,
        retryPolicy=policy,
        workflowExecutionTimeout="7200s",
        header={"fields": {"h": "v"}},
        priority={"priorityKey": 2, "fairnessKey": "k", "fairnessWeight": 1.5},
    )
    t.http("GET", f"NS/workflows/{t.id}/history")
