"""From messages to lines of text that two servers can be compared by.

What must differ between two servers (times, run ids, tokens) becomes a
placeholder that keeps what may not differ: that the field is there, and that
two equal ids are equal. Everything else is shown as it is, every field that is
set, so a field that one of the servers forgets is a line in the diff.
"""

import json
import re

from google.protobuf.descriptor import FieldDescriptor
from harness import wire

INDENT = "  "
TEXT_CHARS_MAX = 400

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME_IN_TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")

RUN_OF_ONE = re.compile(r"([^ ])\1{39,}")

# Opaque bytes: a server may put into them what it likes.
TOKENS = {"task_token", "next_page_token", "token", "run_id_token", "long_poll_token", "conflict_token"}
# Measures of the server's own encoding and bookkeeping, not of the workflow.
MEASURES = {
    "history_size_bytes",
    "state_transition_count",
    "size_bytes",
    "state_size_bytes",
    "execution_duration",
}
# Maps whose keys the server makes up.
NAMED_BY_SERVER = {"queries"}
# Lists that the judge makes from a map, in whatever order.
UNORDERED = {
    "messages",
    "pending_activities",
    "pending_children",
    "pending_nexus_operations",
    "pollers",
    "task_queue_infos",
    "version_task_queues",
    "worker_deployments",
}
# Advice about load, which depends on how long a poll happened to wait; how far a change has spread already.
HINTS = {"backlog_count_hint", "poller_scaling_decision", "routing_config_update_state"}
# What a server may offer or not: it shall say only what is true of itself.
OFFERS = {"capabilities", "supports_schedules"}
# How the judge numbers what it stores.
STORAGE = {"task_id_block"}
# The API's RATE_LIMIT_SOURCE_SYSTEM.
SOURCE_SYSTEM = 3
# Headers with such durations, or with opaque tokens.
MEASURED_HEADERS = {"request-timeout", "operation-timeout", "nexus-operation-timeout"}
TOKEN_HEADERS = {"temporal-callback-token"}
# Durations that contain how long something took.
MEASURED_DURATIONS = {"first_workflow_task_backoff"}


class Renderer:
    """Renders the messages of one transcript; ids are numbered as they are first seen."""

    def __init__(self):
        self.uuids = {}
        self.shown_events = set()

    def text(self, value: str) -> str:
        value = UUID.sub(lambda m: self.name(m.group()), value)
        value = TIME_IN_TEXT.sub("<time>", value)
        # Go's text format of messages varies its white space on purpose.
        value = re.sub(" +", " ", value)
        value = RUN_OF_ONE.sub(lambda m: f"<{m[1]} x {len(m[0])}>", value)
        if len(value) > TEXT_CHARS_MAX:
            value = f"{value[:40]}.. ({len(value)} chars)"
        return value

    def name(self, uuid: str) -> str:
        return self.uuids.setdefault(uuid, f"<uuid {len(self.uuids) + 1}>")

    def message(self, message, depth=0) -> list[str]:
        kind = message.DESCRIPTOR.full_name
        if kind == "temporal.api.history.v1.History":
            return self.history(message, depth)
        lines = []
        for field, value in message.ListFields():
            if field.name in HINTS | OFFERS | STORAGE:
                continue
            if field.name == "requests_per_second" and is_the_systems(message):
                # A limit of the server's own, if it has one.
                continue
            if field.name == "first_workflow_task_backoff" and is_brake(message):
                continue
            if field.name == "first_workflow_task_backoff" and message.cron_schedule:
                # Until the next time of the schedule: it depends on when the script runs.
                lines.append(f"{INDENT * depth}{field.name}: <until its time>")
                continue
            if field.name == "start_to_close_timeout" and is_backed_off(message):
                lines.append(f"{INDENT * depth}{field.name}: <with back-off>")
                continue
            lines += self.field(field, value, depth)
        return lines

    def field(self, field, value, depth) -> list[str]:
        name = field.name
        if field.message_type and field.message_type.GetOptions().map_entry:
            of = field.message_type.fields_by_name["value"]
            return [
                line
                for shown, key in sorted((self.key(name, key), key) for key in sorted(value))
                for line in self.one(of, f"{name}[{shown}]", self.value(key, value[key]), depth)
            ]
        if is_repeated(field):
            items = [self.one(field, f"{name}[]", item, depth) for item in value]
            if name in UNORDERED:
                items.sort()
            return [line for item in items for line in item]
        return self.one(field, name, value, depth)

    def key(self, name, key) -> str:
        return "*" if name in NAMED_BY_SERVER else self.text(str(key))

    def value(self, key, value):
        """The value of a map, or what stands for it."""
        if isinstance(value, str) and str(key).lower() in MEASURED_HEADERS:
            return "<measure>"
        return "<token>" if isinstance(value, str) and str(key).lower() in TOKEN_HEADERS else value

    def one(self, field, label, value, depth) -> list[str]:
        margin = INDENT * depth
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            return [f"{margin}{label}: {self.scalar(field, value)}"]
        brief = self.brief(field, value)
        if brief is not None:
            return [f"{margin}{label}: {brief}"]
        if value.DESCRIPTOR.full_name == "google.protobuf.Any":
            value = wire.unpack(value)
            label = f"{label} ({value.DESCRIPTOR.name})"
        inner = self.message(value, depth + 1)
        return [f"{margin}{label}:", *inner] if inner else [f"{margin}{label}: {{}}"]

    def scalar(self, field, value) -> str:
        if field.name in TOKENS:
            return "<token>"
        if field.name in MEASURES:
            return "<measure>"
        if field.enum_type:
            known = field.enum_type.values_by_number.get(value)
            return known.name if known else str(value)
        if isinstance(value, bytes):
            return self.data(value)
        if isinstance(value, str):
            return f'"{self.text(value)}"'
        return str(value)

    def data(self, value: bytes) -> str:
        try:
            return self.text(value.decode())
        except UnicodeDecodeError:
            return f"0x{value[:40].hex()} ({len(value)} bytes)"

    def brief(self, field, value):
        """Messages that read better on one line; None for all others."""
        kind = value.DESCRIPTOR.full_name
        if field.name in MEASURES:
            return "<measure>"
        if kind == "google.protobuf.Timestamp":
            return "<time>" if value.seconds > 0 else "<time zero>"
        if kind == "google.protobuf.Duration":
            seconds = round(value.seconds + value.nanos / 1e9, 3)
            return measured(seconds) if field.name in MEASURED_DURATIONS else f"{seconds:g}s"
        if kind == "temporal.api.common.v1.Payload":
            return self.payload(value)
        return None

    def payload(self, value) -> str:
        metadata = dict(value.metadata)
        encoding = metadata.pop("encoding", b"").decode(errors="replace")
        rest = "".join(f" {k}={self.data(metadata[k])}" for k in sorted(metadata))
        return f"[{encoding}{rest}] {self.data(value.data)}"

    def history(self, history, depth) -> list[str]:
        """A history: one heading an event, its attributes under it.

        An event that was already shown, word for word, is only named: a task's
        history repeats what came before, and the diff should not.
        """
        lines = []
        for event in history.events:
            shown = self.event(event, depth)
            key = tuple(line.strip() for line in shown)
            lines += shown[:1] if key in self.shown_events else shown
            self.shown_events.add(key)
        if len(history.events) > 1:
            lines.append(INDENT * depth + f"(task ids: {direction([e.task_id for e in history.events])})")
        return lines

    def event(self, event, depth) -> list[str]:
        kind = event.DESCRIPTOR.fields_by_name["event_type"].enum_type.values_by_number[event.event_type]
        lines = [f"{INDENT * depth}{event.event_id} {kind.name.removeprefix('EVENT_TYPE_')}"]
        inner = INDENT * (depth + 1)
        if not event.HasField("event_time"):
            lines.append(inner + "event_time is missing")
        for field, value in event.ListFields():
            if field.name in ("event_id", "event_type", "event_time"):
                continue
            if field.name == "task_id":
                continue
            if field.name.endswith("_event_attributes"):
                lines += self.message(value, depth + 1)
            else:
                lines += self.field(field, value, depth + 1)
        return lines

    def failure(self, failure) -> list[str]:
        """An error: its code, message and typed details."""
        if failure.code == "DeadlineExceeded" and not failure.details:
            # Whose clock noticed first, the client's or the server's, is chance.
            return ["! DeadlineExceeded"]
        lines = [f"! {failure.code}: {self.text(failure.message)}"]
        for detail in failure.details:
            lines.append(f"{INDENT}detail {detail.DESCRIPTOR.name}:")
            lines += self.message(detail, 2)
        return lines


    # Over HTTP

    def http(self, status, headers, text):
        """An answer over HTTP, as lines and as what its JSON says."""
        kind = (headers["content-type"] or "").partition(";")[0]
        # The judge calls its plain JSON anything.
        kind = "application/json" if kind == "*" else kind
        try:
            value = json.loads(text) if text else None
        except ValueError:
            return [f"{status} {kind} ({'empty' if not text else 'no JSON'})"], None
        shown = json.dumps(self.plain(value), indent=2, sort_keys=True, ensure_ascii=False)
        several = len(text.splitlines()) > 1
        return [f"{status} {kind}{' over several lines' if several else ''}", *shown.splitlines()], value

    def plain(self, value, name=""):
        """JSON without what may differ between servers."""
        name = snake(name)
        if name in MEASURES:
            return "<measure>"
        if name in TOKENS:
            return "<token>"
        if isinstance(value, dict):
            kept = {k: v for k, v in value.items() if snake(k) not in HINTS | OFFERS | {"task_id"}}
            return {self.text(k): self.plain(v, k) for k, v in kept.items()}
        if isinstance(value, list):
            return [self.plain(item, name) for item in value]
        if not isinstance(value, str):
            return value
        # Where in the judge's own source a text was refused.
        return self.text(re.sub(r" \(in /.*\)$", "", value))


def snake(name: str) -> str:
    return re.sub("([A-Z])", lambda m: "_" + m[1].lower(), name)


def direction(numbers) -> str:
    """How a list of numbers runs: their values are the server's own affair, their order is not.

    Events that are not written yet have none.
    """
    numbers = [n for n in numbers if n]
    if not numbers:
        return "missing"
    if numbers == sorted(set(numbers)):
        return "rising"
    return "falling" if numbers[::-1] == sorted(set(numbers)) else "mixed"


def measured(seconds: float) -> str:
    if seconds == int(seconds):
        return f"{seconds:g}s"
    return "less than a second" if seconds < 1 else f"about {round(seconds)}s"


def is_brake(message) -> bool:
    """Whether a run was delayed only because the one before was short: by what is left of a second, if any."""
    continued = "CONTINUE_AS_NEW_INITIATOR_WORKFLOW"
    initiators = message.DESCRIPTOR.fields_by_name["initiator"].enum_type.values_by_number
    backoff = message.first_workflow_task_backoff
    return initiators[message.initiator].name == continued and backoff.seconds + backoff.nanos / 1e9 <= 1


def is_backed_off(message) -> bool:
    """Whether this is a workflow task so often retried that its time-out has grown, by a random part."""
    if message.DESCRIPTOR.name != "WorkflowTaskScheduledEventAttributes":
        return False
    return message.attempt > 3 and message.start_to_close_timeout.nanos != 0


def is_repeated(field) -> bool:
    value = getattr(field, "is_repeated", None)
    return value if value is not None else field.label == FieldDescriptor.LABEL_REPEATED


def is_the_systems(message) -> bool:
    """Whether this is a rate limit that neither a worker nor an operator has set."""
    return message.DESCRIPTOR.name == "EffectiveRateLimit" and message.rate_limit_source == SOURCE_SYSTEM
