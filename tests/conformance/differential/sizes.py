"""What scripts about limits share: a value one short of a limit, at it, and one beyond."""

from temporalio.api.common.v1 import Payload, Payloads

ID_BYTES_MAX = 1000


def around(limit):
    return (limit - 1, limit, limit + 1)


def text_of(t, size, name=""):
    """A text of so many bytes that no other script has."""
    return t.other(name).ljust(size, "x")[:size]


def placed(fields, path, value):
    """Fields of a request with a value at a place in them, such as `executions[].workflow_id`."""
    head, _, rest = path.partition(".")
    name = head.removesuffix("[]")
    there = fields.get(name)
    if head.endswith("[]"):
        there = there[0] if there else None
    inner = placed(there or {}, rest, value) if rest else value
    return {**fields, name: [inner] if head.endswith("[]") else inner}


def each_length(t, method, path, fields, limit=ID_BYTES_MAX, **options):
    """Calls with a text around its limit. What the fields are may depend on a name for each call."""
    for size in around(limit):
        name = f"{path}-{size}"
        given = fields(name) if callable(fields) else fields
        t.note(path, size)
        t.call(method, **placed(given, path, text_of(t, size, path)), **options)


def all_lengths(t, method, paths, fields, limit=ID_BYTES_MAX, **options):
    for path in paths:
        each_length(t, method, path, fields, limit, **options)


def payload_of(size):
    """A payload of so many bytes as a message."""

    def filled(count):
        return {"data": b"x" * count}

    # The more there is, the longer is what says how long it is.
    return filled(size - (Payload(**filled(size)).ByteSize() - size))


def payloads_of(size):
    """A list of one payload, together of so many bytes."""

    def filled(count):
        return {"payloads": [{"data": b"x" * count}]}

    return filled(size - (Payloads(**filled(size)).ByteSize() - size))
