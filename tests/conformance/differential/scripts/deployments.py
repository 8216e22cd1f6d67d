"""Worker deployments and their versions: how they appear, and what operators may do with them."""

from harness import wire

from ..case import script
from .namespaces import own_namespace

VERSIONED = "WORKER_VERSIONING_MODE_VERSIONED"
POLL_SECONDS = 30
# How long a server may take to hear that a call was cancelled.
GONE_SECONDS = 0.3
UNVERSIONED = "WORKER_VERSIONING_MODE_UNVERSIONED"


def name_of(t):
    return f"{t.id.replace('.', '-')}"


def options(t, build_id, mode=VERSIONED):
    return {"deployment_name": name_of(t), "build_id": build_id, "worker_versioning_mode": mode}


def version(t, build_id):
    return {"deployment_name": name_of(t), "build_id": build_id}


def described(t, build_id=None):
    """What is there already, unrecorded."""
    try:
        if build_id is None:
            return t.quiet("DescribeWorkerDeployment", deployment_name=name_of(t))
        return t.quiet("DescribeWorkerDeploymentVersion", deployment_version=version(t, build_id))
    except wire.Failure:
        return None


def worker(t, build_id, method="PollWorkflowTaskQueue", queue=None):
    """A poll of a versioned worker, which makes its version known. It is gone before it can take a task."""
    queue = queue or t.queue
    fields = {"task_queue": {"name": queue}, "deployment_options": options(t, build_id)}
    poll = t.send(method, t.request(method, fields), POLL_SECONDS, None)
    kind = 2 if method == "PollActivityTaskQueue" else 1

    def known():
        found = described(t, build_id)
        return found and any((q.name, q.type) == (queue, kind) for q in found.version_task_queues)

    t.until(known, "the version")
    poll.cancel()
    t.sleep(GONE_SECONDS)


def set_current(t, build_id, **fields):
    return t.call(
        "SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), build_id=build_id, **fields
    )


def set_ramping(t, build_id, percentage, **fields):
    return t.call(
        "SetWorkerDeploymentRampingVersion",
        deployment_name=name_of(t),
        build_id=build_id,
        percentage=percentage,
        **fields,
    )


@script
def nothing_there(t):
    """What nobody has polled for is not found."""
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call("DescribeWorkerDeployment")
    t.call("DescribeWorkerDeploymentVersion", deployment_version=version(t, "1"))
    t.call("DescribeWorkerDeploymentVersion", version=f"{name_of(t)}.1")
    t.call("DescribeWorkerDeploymentVersion", version="nodot")
    t.call("DescribeWorkerDeploymentVersion")
    t.call("DescribeWorkerDeploymentVersion", deployment_version={"build_id": "1"})
    t.call("DescribeWorkerDeploymentVersion", deployment_version={"deployment_name": name_of(t)})
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), build_id="1")
    t.call(
        "SetWorkerDeploymentCurrentVersion",
        deployment_name=name_of(t),
        build_id="1",
        allow_no_pollers=False,
        ignore_missing_task_queues=True,
    )
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), version="__unversioned__")
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t))
    t.call("SetWorkerDeploymentCurrentVersion")
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="1", percentage=10)
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t))
    t.call("SetWorkerDeploymentRampingVersion")
    t.call("SetWorkerDeploymentManager", deployment_name=name_of(t), manager_identity="me")
    t.call("SetWorkerDeploymentManager", deployment_name=name_of(t))
    t.call("SetWorkerDeploymentManager")
    t.call("DeleteWorkerDeployment", deployment_name=name_of(t))
    t.call("DeleteWorkerDeployment")
    t.call("DeleteWorkerDeploymentVersion", deployment_version=version(t, "1"))
    t.call("DeleteWorkerDeploymentVersion")
    t.call("UpdateWorkerDeploymentVersionMetadata", deployment_version=version(t, "1"))
    t.call("UpdateWorkerDeploymentVersionMetadata")
    t.call("UpdateWorkerDeploymentVersionComputeConfig", deployment_version=version(t, "1"))
    t.call("UpdateWorkerDeploymentVersionComputeConfig")
    t.call("ValidateWorkerDeploymentVersionComputeConfig", deployment_version=version(t, "1"))
    t.call("ValidateWorkerDeploymentVersionComputeConfig")


@script
def appears_with_a_poll(t):
    """A versioned poll makes the deployment, the version and its queue known."""
    worker(t, "1")
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call("DescribeWorkerDeploymentVersion", deployment_version=version(t, "1"))
    t.call(
        "DescribeWorkerDeploymentVersion", deployment_version=version(t, "1"), report_task_queue_stats=True
    )
    t.call("DescribeWorkerDeploymentVersion", version=f"{name_of(t)}.1")
    t.call("DescribeTaskQueue", task_queue={"name": t.queue})


@script
def current(t):
    """A version is made the current one, and replaced by another."""
    worker(t, "1")
    worker(t, "2")
    answer = t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), build_id="1")
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call("DescribeWorkerDeploymentVersion", deployment_version=version(t, "1"))
    t.call("DescribeTaskQueue", task_queue={"name": t.queue})
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), build_id="1")
    t.call(
        "SetWorkerDeploymentCurrentVersion",
        deployment_name=name_of(t),
        build_id="1",
        conflict_token=answer.conflict_token,
    )
    t.call(
        "SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), build_id="2", conflict_token=b"abc"
    )
    t.call(
        "SetWorkerDeploymentCurrentVersion",
        deployment_name=name_of(t),
        build_id="2",
        conflict_token=answer.conflict_token,
    )
    t.call(
        "SetWorkerDeploymentCurrentVersion",
        deployment_name=name_of(t),
        build_id="1",
        conflict_token=answer.conflict_token,
    )
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call("DescribeWorkerDeploymentVersion", deployment_version=version(t, "1"))
    t.call("DescribeWorkerDeploymentVersion", deployment_version=version(t, "2"))
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t))
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))


@script
def ramping(t):
    """A version is ramped, more and more, and then made the current one."""
    worker(t, "1")
    worker(t, "2")
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="1", percentage=10)
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call("DescribeWorkerDeploymentVersion", deployment_version=version(t, "1"))
    t.call("DescribeTaskQueue", task_queue={"name": t.queue})
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="1", percentage=10)
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="1", percentage=20.5)
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="1", percentage=101)
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="1", percentage=-1)
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), build_id="1")
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="1", percentage=5)
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="2", percentage=5)
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="3", percentage=5)
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="", percentage=5)
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call(
        "SetWorkerDeploymentRampingVersion",
        deployment_name=name_of(t),
        version="__unversioned__",
        percentage=5,
    )
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="")
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))


@script
def created_by_hand(t):
    """Deployments and versions that are created before any worker."""
    t.call("CreateWorkerDeployment", deployment_name=name_of(t), request_id="r")
    t.call("CreateWorkerDeployment", deployment_name=name_of(t), request_id="r")
    t.call("CreateWorkerDeployment", deployment_name=name_of(t), request_id="other")
    t.call("CreateWorkerDeployment", request_id="other")
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call("CreateWorkerDeploymentVersion", deployment_version=version(t, "1"), request_id="r")
    t.call("CreateWorkerDeploymentVersion", deployment_version=version(t, "1"), request_id="r")
    t.call("CreateWorkerDeploymentVersion", deployment_version=version(t, "1"), request_id="other")
    t.call("CreateWorkerDeploymentVersion")
    t.call(
        "CreateWorkerDeploymentVersion",
        deployment_version={"build_id": "1", "deployment_name": f"x-{name_of(t)}"},
    )
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call("DescribeWorkerDeploymentVersion", deployment_version=version(t, "1"))
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), build_id="1")
    t.call("DeleteWorkerDeployment", deployment_name=name_of(t))
    t.call("DeleteWorkerDeploymentVersion", deployment_version=version(t, "1"))
    t.call("DeleteWorkerDeploymentVersion", deployment_version=version(t, "1"))
    t.call("DeleteWorkerDeployment", deployment_name=name_of(t))
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))


@script
def manager(t):
    """Only its manager may change a deployment that has one."""
    worker(t, "1")
    t.call("SetWorkerDeploymentManager", deployment_name=name_of(t), manager_identity="boss")
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), build_id="1")
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="1", percentage=3)
    t.call("SetWorkerDeploymentManager", deployment_name=name_of(t), manager_identity="boss")
    t.call("SetWorkerDeploymentManager", deployment_name=name_of(t), self=True, identity="me")
    t.call(
        "SetWorkerDeploymentManager",
        deployment_name=name_of(t),
        self=True,
        identity="me",
        conflict_token=b"x",
    )
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), build_id="1", identity="me")
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call("DeleteWorkerDeploymentVersion", deployment_version=version(t, "1"))
    t.call("DeleteWorkerDeploymentVersion", deployment_version=version(t, "1"), identity="me")
    t.call("SetWorkerDeploymentManager", deployment_name=name_of(t), manager_identity="")
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))


@script
def metadata(t):
    """Data that users attach to a version."""
    worker(t, "1")
    entry = {"metadata": {"encoding": b"json/plain"}, "data": b"1"}
    t.call(
        "UpdateWorkerDeploymentVersionMetadata",
        deployment_version=version(t, "1"),
        upsert_entries={"a": entry, "b": entry},
    )
    t.call(
        "UpdateWorkerDeploymentVersionMetadata",
        deployment_version=version(t, "1"),
        upsert_entries={"c": entry},
        remove_entries=["a", "z"],
    )
    t.call("DescribeWorkerDeploymentVersion", deployment_version=version(t, "1"))
    t.call("UpdateWorkerDeploymentVersionMetadata", deployment_version=version(t, "1"))
    t.call("UpdateWorkerDeploymentVersionMetadata", version=f"{name_of(t)}.1", remove_entries=["b"])


@script
def missing_queues(t):
    """A version without a queue of the current one is made current only by force, if that queue has tasks."""
    worker(t, "1")
    worker(t, "1", "PollActivityTaskQueue", f"{t.queue}-more")
    worker(t, "1", queue=f"{t.queue}-full")
    t.call("DescribeWorkerDeploymentVersion", deployment_version=version(t, "1"))
    worker(t, "2")
    set_current(t, "1")
    t.start(task_queue={"name": f"{t.queue}-full"})
    t.sleep(1)
    set_current(t, "2")
    set_ramping(t, "2", 1)
    set_ramping(t, "2", 1, ignore_missing_task_queues=True)
    set_current(t, "2", ignore_missing_task_queues=True)


# Each change of a version that nobody polls for has a script of its own: the judge may carry one out twice, and
# names what it has set itself as what was there before.
@script
def nobody_polls(t):
    """A version that nobody polls for is made current only if that is allowed."""
    worker(t, "1")
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), build_id="9")
    t.call(
        "SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), build_id="9", allow_no_pollers=True
    )
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call("DescribeWorkerDeploymentVersion", deployment_version=version(t, "9"))


@script
def nobody_polls_for_what_ramps(t):
    """A version that nobody polls for is ramped only if that is allowed, beside a current one of that kind."""
    worker(t, "1")
    t.quiet(
        "SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), build_id="9", allow_no_pollers=True
    )
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="8", percentage=1)
    t.call(
        "SetWorkerDeploymentRampingVersion",
        deployment_name=name_of(t),
        build_id="8",
        percentage=1,
        allow_no_pollers=True,
    )
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call("DescribeWorkerDeploymentVersion", deployment_version=version(t, "8"))


@script
def nobody_polls_for_a_new_deployment(t):
    """A deployment comes to be with its current version."""
    t.call(
        "SetWorkerDeploymentCurrentVersion",
        deployment_name=name_of(t),
        build_id="9",
        allow_no_pollers=True,
    )
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))


@script
def nobody_polls_for_a_new_deployment_that_ramps(t):
    """A deployment comes to be with the version that is ramped."""
    t.call(
        "SetWorkerDeploymentRampingVersion",
        deployment_name=name_of(t),
        build_id="9",
        percentage=7,
        allow_no_pollers=True,
    )
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))


@script
def deleted(t):
    """Versions and deployments are deleted when nobody needs them."""
    worker(t, "1")
    t.call("DeleteWorkerDeploymentVersion", deployment_version=version(t, "1"))
    t.call("DeleteWorkerDeploymentVersion", deployment_version=version(t, "7"))
    t.call("DeleteWorkerDeployment", deployment_name=name_of(t))
    worker(t, "2")
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), build_id="1")
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), build_id="2")
    t.call("DeleteWorkerDeploymentVersion", deployment_version=version(t, "1"))
    t.call("DeleteWorkerDeploymentVersion", deployment_version=version(t, "1"), skip_drainage=True)
    t.call("CreateWorkerDeploymentVersion", deployment_version=version(t, "3"), request_id="r")
    t.call("DeleteWorkerDeploymentVersion", deployment_version=version(t, "3"))
    t.call("DescribeWorkerDeploymentVersion", deployment_version=version(t, "3"))
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call("DeleteWorkerDeploymentVersion", deployment_version=version(t, "3"))


@script
def conflict_tokens(t):
    """What changes the token, and what does not."""
    worker(t, "1")
    token = described(t).conflict_token
    worker(t, "2")
    t.note("a new version changes it", described(t).conflict_token != token)
    t.call(
        "SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), build_id="1", conflict_token=token
    )
    token = described(t).conflict_token
    t.call(
        "SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), build_id="1", conflict_token=token
    )
    t.note("a change that changes nothing leaves it", described(t).conflict_token == token)
    entry = {"metadata": {"encoding": b"json/plain"}, "data": b"1"}
    t.call(
        "UpdateWorkerDeploymentVersionMetadata",
        deployment_version=version(t, "1"),
        upsert_entries={"a": entry},
    )
    t.note("metadata changes it", described(t).conflict_token != token)
    t.call(
        "SetWorkerDeploymentManager",
        deployment_name=name_of(t),
        manager_identity="boss",
        conflict_token=b"no",
    )
    t.call(
        "SetWorkerDeploymentManager",
        deployment_name=name_of(t),
        manager_identity="tester",
        conflict_token=token,
    )
    t.note("a manager changes it", described(t).conflict_token != token)
    t.call(
        "SetWorkerDeploymentRampingVersion",
        deployment_name=name_of(t),
        build_id="2",
        percentage=1,
        conflict_token=token,
    )
    t.call(
        "SetWorkerDeploymentRampingVersion",
        deployment_name=name_of(t),
        build_id="2",
        percentage=1,
        conflict_token=described(t).conflict_token,
    )


@script
def names(t):
    """Names of deployments and build ids, as far as they are checked."""
    own = name_of(t)
    for name, build in (
        ("a:b", "1"),
        ("a.b", "1"),
        ("__x", "1"),
        ("__unversioned__", "1"),
        ("x" * 1001, "1"),
        ("x" * 481, "1"),
        (f"b{own}", "__unversioned__"),
        ("", "1"),
        (f"c{own}", ""),
    ):
        o = {"deployment_name": name, "build_id": build, "worker_versioning_mode": VERSIONED}
        t.call("PollWorkflowTaskQueue", task_queue={"name": t.queue}, deployment_options=o)
        of_names(t, name, build)
    for name, build in ((f"a b{own}", "1"), (f"d{own}", "b:c"), (f"e{own}", "x.y"), (f"f{own}", "y" * 256)):
        of_names(t, name, build, call=t.quiet)


def of_names(t, name, build, call=None):
    """What comes of a name. What a good one replaces is not asked: on a busy machine the judge says itself."""
    named = {"deployment_name": name, "build_id": build}
    t.call("CreateWorkerDeployment", deployment_name=name, request_id="r")
    t.call("CreateWorkerDeploymentVersion", deployment_version=named, request_id="r")
    (call or t.call)("SetWorkerDeploymentCurrentVersion", allow_no_pollers=True, **named)
    t.call("DescribeWorkerDeploymentVersion", deployment_version=named)


@script(seconds=3)
def listed_by_change(t):
    """What changed last comes first: a change by hand or a new version."""
    own_namespace(t)

    def listed(*names):
        def are_so():
            return [d.name for d in t.quiet("ListWorkerDeployments").worker_deployments] == list(names)

        t.until(are_so, f"the list {names}")
        t.note("listed", names)

    for name in "abc":
        t.call("CreateWorkerDeployment", deployment_name=name, request_id="r")
    listed("c", "b", "a")
    named = {"deployment_name": "a", "build_id": "1"}
    t.call("CreateWorkerDeploymentVersion", deployment_version=named, request_id="r")
    listed("a", "c", "b")
    t.call("SetWorkerDeploymentManager", deployment_name="b", manager_identity="me")
    listed("b", "a", "c")


@script
def listed(t):
    """Deployments in a list, newest first."""
    t.namespace = f"ns-{t.id}".replace("/", "-").replace("_", "-").replace(".", "-")
    t.call("RegisterNamespace", namespace=t.namespace, workflow_execution_retention_period={"seconds": 86400})

    def known():
        try:
            t.quiet("CountWorkers")
            return True
        except wire.Failure:
            return False

    t.until(known, "the namespace")
    t.call("ListWorkerDeployments")
    for name in "abc":
        t.call("CreateWorkerDeployment", deployment_name=name, request_id="r")
    for build in "12":
        t.call(
            "CreateWorkerDeploymentVersion",
            deployment_version={"deployment_name": "b", "build_id": build},
            request_id="r",
        )
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name="b", build_id="1")
    t.call("SetWorkerDeploymentRampingVersion", deployment_name="b", build_id="2", percentage=50)
    t.until(lambda: len(t.quiet("ListWorkerDeployments").worker_deployments) == 3, "all")
    t.sleep(2)
    t.call("ListWorkerDeployments")
    pages = t.quiet("ListWorkerDeployments", page_size=2)
    t.note("on a page of two", len(pages.worker_deployments))
    pages = t.quiet("ListWorkerDeployments", page_size=2, next_page_token=pages.next_page_token)
    t.note("on the next", len(pages.worker_deployments))
    t.call("ListWorkerDeployments", page_size=-1)


@script
def odd_requests(t):
    """Requests that change nothing, say nothing, or come with the wrong token."""
    worker(t, "1")
    worker(t, "2")
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t))
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), conflict_token=b"no")
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t))
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), conflict_token=b"no")
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), percentage=5)
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="1")
    t.call(
        "SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="1", conflict_token=b"no"
    )
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="1", percentage=100)
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call(
        "SetWorkerDeploymentCurrentVersion",
        deployment_name=name_of(t),
        version=f"{name_of(t)}.1",
        build_id="2",
    )
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), version=f"{name_of(t)}.2")
    t.call(
        "SetWorkerDeploymentCurrentVersion",
        deployment_name=name_of(t),
        version=f"{name_of(t)}.2",
        conflict_token=b"no",
    )
    t.call(
        "SetWorkerDeploymentCurrentVersion",
        deployment_name=name_of(t),
        version=f"{name_of(t)}.2",
        identity="else",
    )
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), version="other.2")
    t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), version="nodot")
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    entry = {"metadata": {"encoding": b"json/plain"}, "data": b"1"}
    t.call(
        "UpdateWorkerDeploymentVersionMetadata",
        deployment_version=version(t, "7"),
        upsert_entries={"a": entry},
    )
    t.call(
        "UpdateWorkerDeploymentVersionMetadata",
        deployment_version={"deployment_name": f"no-{name_of(t)}", "build_id": "1"},
        upsert_entries={"a": entry},
    )
    t.call("SetWorkerDeploymentManager", deployment_name=name_of(t), manager_identity="boss")
    t.call(
        "UpdateWorkerDeploymentVersionMetadata",
        deployment_version=version(t, "1"),
        upsert_entries={"a": entry},
    )
    t.call("CreateWorkerDeploymentVersion", deployment_version=version(t, "3"))
    t.call("DeleteWorkerDeploymentVersion", deployment_version=version(t, "1"))
    t.call("DeleteWorkerDeploymentVersion", deployment_version=version(t, "77"))
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))


@script
def back_again(t):
    """A version that drained is made current again."""
    worker(t, "1")
    worker(t, "2")
    for build_id in ("1", "2", "1"):
        t.call("SetWorkerDeploymentCurrentVersion", deployment_name=name_of(t), build_id=build_id)
        t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    for build_id in "12":
        t.call("DescribeWorkerDeploymentVersion", deployment_version=version(t, build_id))
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="2", percentage=3)
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))
    t.call("SetWorkerDeploymentRampingVersion", deployment_name=name_of(t), build_id="")
    t.call("DescribeWorkerDeployment", deployment_name=name_of(t))


@script
def lengths_of_names(t):
    """The longest names."""
    for length in (470, 476, 477, 478, 479, 480, 481, 482, 483, 484, 485, 486, 490):
        t.call("CreateWorkerDeployment", deployment_name="x" * length + "", request_id="r")


@script(seconds=10)
def compute_providers(t):
    """Nobody can provide workers, by whatever name. To find that out may take the judge a while."""
    t.call("CreateWorkerDeployment", deployment_name=name_of(t), request_id="r")
    for provider in ("aws-lambda", "gcp-cloud-run", "aws-ecs", "aws-agentcore", "subprocess", "kubernetes", ""):
        group = {"provider": {"type": provider}}
        t.call(
            "CreateWorkerDeploymentVersion",
            timeout=60,
            deployment_version=version(t, "1"),
            request_id="r",
            compute_config={"scaling_groups": {"default": group}},
        )
        groups = {"default": {"scaling_group": group}}
        t.call(
            "ValidateWorkerDeploymentVersionComputeConfig",
            timeout=60,
            deployment_version=version(t, "1"),
            compute_config_scaling_groups=groups,
        )
