"""Nexus endpoints: names for targets, the same for the whole cluster."""

from ..case import script


def worker(t, queue=None, namespace="default"):
    return {"worker": {"namespace": namespace, "task_queue": queue or t.queue}}


def name(t, suffix=""):
    return f"endpoint-{t.id.replace('.', '-').replace('_', '-')}{suffix}"


def create(t, endpoint=None, target=None, **spec):
    target = worker(t) if target is None else target
    return t.call("CreateNexusEndpoint", spec={"name": endpoint or name(t), "target": target, **spec})


def update(t, endpoint, version=None, **spec):
    spec = {"name": endpoint.spec.name, "target": worker(t), **spec}
    return t.call(
        "UpdateNexusEndpoint", id=endpoint.id, version=endpoint.version if version is None else version, spec=spec
    )


@script
def created_changed_and_deleted(t):
    """An endpoint's versions count its changes, and its time of modification comes with the first."""
    created = create(t, description={"metadata": {"encoding": b"json/plain"}, "data": b'"about"'}).endpoint
    t.call("GetNexusEndpoint", id=created.id)
    changed = update(t, created, target=worker(t, "another")).endpoint
    t.call("GetNexusEndpoint", id=created.id)
    update(t, created)
    update(t, changed, version=0)
    t.call("ListNexusEndpoints", name=name(t))
    t.call("DeleteNexusEndpoint", id=created.id, version=1)
    t.call("DeleteNexusEndpoint", id=created.id, version=1)
    t.call("GetNexusEndpoint", id=created.id)
    update(t, changed)
    t.call("ListNexusEndpoints", name=name(t))


@script
def renamed(t):
    """An endpoint is found under its new name only."""
    one = create(t, name(t, "-one")).endpoint
    update(t, one, name=name(t, "-two"))
    create(t, name(t, "-two"))
    t.call("ListNexusEndpoints", name=name(t, "-one"))
    t.call("ListNexusEndpoints", name=name(t, "-two"))


@script
def external(t):
    """A target can be a URL, of two schemes."""
    created = create(t, target={"external": {"url": "http://localhost:1/nexus"}}).endpoint
    update(t, created, target={"external": {"url": "https://localhost/nexus?a=b"}})
    for number, url in enumerate(
        (
            "",
            "ftp://host/",
            "host",
            "//host/path",
            "/path",
            "http://",
            "HTTP://host",
            "http:/path",
            "http://host:port/",
            "http://[::1/",
            "http://a b/",
            "http://host/a b",
            "http://host/%zz",
            ":no-scheme",
            "1http://host",
            "http://host\x7f",
            "http://" + "u" * 4089,
            "http://" + "u" * 4090,
        )
    ):
        create(t, name(t, f"-{number}"), {"external": {"url": url}})


@script
def names(t):
    """Names begin with a letter, end with a letter or a digit, and may have dashes between."""
    for suffix in ("-", "_", ".", " ", "a b", "é"):
        create(t, name(t) + suffix)
    for whole in ("", "a", "1" + name(t), "-" + name(t)):
        t.call("CreateNexusEndpoint", spec={"name": whole, "target": worker(t)})
    padding = "x" * (200 - len(name(t)))
    create(t, name(t) + padding)
    create(t, name(t) + padding + "y")
    create(t, "é" * 101)


@script
def specs_that_are_refused(t):
    """Several faults are reported together."""
    t.call("CreateNexusEndpoint")
    t.call("CreateNexusEndpoint", spec={})
    t.call("CreateNexusEndpoint", spec={"name": name(t)})
    t.call("CreateNexusEndpoint", spec={"name": name(t), "target": {}})
    create(t, target={"worker": {}})
    create(t, target={"external": {}})
    create(t, target={"worker": {"namespace": "default"}})
    create(t, target={"worker": {"task_queue": "queue"}})
    create(t, target=worker(t, namespace="nobody-has-this"))
    create(t, "?", target=worker(t, namespace="nobody-has-this"))
    create(t, "?", target={"worker": {"namespace": "default"}})
    create(t, target=worker(t, "q" * 1000))
    create(t, name(t, "-long"), target=worker(t, "q" * 1001))
    create(t, name(t, "-reserved"), target=worker(t, "/_sys/queue/1"))
    create(t, name(t, "-bytes"), target=worker(t, "temporal-sys-queue"))
    for size in (19_980, 19_995, 19_996, 19_997, 20_001):
        create(t, name(t, f"-described-{size}"), description={"data": b"d" * size})


@script
def ids_that_are_refused(t):
    """Ids are UUIDs; versions are checked in different ways."""
    unknown = "11111111-2222-4333-8444-555555555555"
    spelled = ("{" + unknown + "}", "urn:uuid:" + unknown, unknown.replace("-", ""), unknown.upper())
    for id in ("", "x", unknown, *spelled, unknown[:-1] + "g", unknown[:-2]):
        t.call("GetNexusEndpoint", id=id)
        t.call("DeleteNexusEndpoint", id=id, version=1)
    spec = {"name": name(t), "target": worker(t)}
    t.call("UpdateNexusEndpoint", id=unknown, version=1, spec=spec)
    t.call("UpdateNexusEndpoint", id="x", version=1, spec=spec)
    t.call("UpdateNexusEndpoint", spec=spec)
    t.call("UpdateNexusEndpoint", id=unknown, version=1)
    t.call("DeleteNexusEndpoint", id=unknown)
    t.call("DeleteNexusEndpoint", id=unknown, version=-1)
    t.call("DeleteNexusEndpoint", version=-1)
    created = create(t).endpoint
    t.call("DeleteNexusEndpoint", id=created.id, version=7)
    t.call("GetNexusEndpoint", id=created.id)


@script
def listed(t):
    """Lists are by id, in pages; a name finds one endpoint whatever the page."""
    made = [create(t, name(t, f"-{number}")).endpoint for number in range(3)]
    ids, token, full = [], b"", True
    while True:
        page = t.quiet("ListNexusEndpoints", page_size=2, next_page_token=token)
        ids += [endpoint.id for endpoint in page.endpoints]
        token = page.next_page_token
        full &= len(page.endpoints) == 2 or not token
        if not token:
            break
    t.note("all pages but the last are full", full)
    t.note("all are there", {endpoint.id for endpoint in made} <= set(ids))
    t.note("in order", ids == sorted(ids))
    t.call("ListNexusEndpoints", name=name(t, "-1"), page_size=-1, next_page_token=b"rubbish")
    t.call("ListNexusEndpoints", name=name(t, "-7"))
    t.call("ListNexusEndpoints", page_size=-1)
    t.call("ListNexusEndpoints", page_size=1001)
    t.call("ListNexusEndpoints", page_size=1, next_page_token=b"rubbish")
    for endpoint in made:
        t.call("DeleteNexusEndpoint", id=endpoint.id, version=endpoint.version)
