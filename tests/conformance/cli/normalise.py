"""The CLI's output, made comparable: JSON by its values, text by its words."""

import json
import re

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")
# Every way in which the CLI writes a moment or a span of time.
TIMES = (
    re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
    re.compile(r"(a few|\d+|an?) (second|minute|hour|day)s? (ago|from now)|\bnow\b"),
    re.compile(r"\b\d+(\.\d+)?(µs|ms)\b|\b\d+\.\d+s\b"),
)
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

# Fields that measure the server or this run of it.
MEASURES = {
    "eventTime",
    "taskId",
    "historySizeBytes",
    "stateTransitionCount",
    "stateSizeBytes",
    "longPollToken",
    "executionDuration",
    "durationMillis",
    "historyShardCount",
    "backlogIncreaseRate",
    "tasksAddRate",
    "tasksDispatchRate",
    "approximateBacklogAge",
    "workflowTaskBackoff",
}
# Sets that are written as lists.
UNORDERED = {"coreUsedFlags", "langUsedFlags"}
# What a server may offer or not; see the raw gRPC scripts.
OFFERS = {"capabilities", "supportsSchedules", "versioningInfo", "effectiveRateLimit"}


class Normaliser:
    """Numbers ids as they are first seen, for one transcript."""

    def __init__(self, address):
        self.address = address
        self.uuids = {}

    def text(self, value: str) -> str:
        value = ANSI.sub("", value).replace(self.address, "<server>")
        for times in TIMES:
            value = times.sub("<time>", value)
        return UUID.sub(lambda m: self.uuids.setdefault(m.group(), f"<id {len(self.uuids) + 1}>"), value)

    def lines(self, output: str, as_json: bool) -> list[str]:
        if as_json:
            try:
                values = documents(output)
            except ValueError:
                pass  # An error is text even when JSON was asked for.
            else:
                return [line for value in values for line in self.json_lines(value)]
        # Columns are as wide as their contents: only the words are compared.
        lines = (" ".join(self.text(line).split()) for line in output.splitlines())
        return [line for line in lines if line and not is_measure(line)]

    def json_lines(self, value) -> list[str]:
        return json.dumps(self.value(value), indent=1, sort_keys=True).splitlines()

    def value(self, value, key=""):
        if key in MEASURES:
            return "<measure>"
        if isinstance(value, dict):
            return {self.text(k): self.value(v, k) for k, v in value.items() if k not in OFFERS}
        if isinstance(value, list):
            return [self.value(item) for item in (sorted(value) if key in UNORDERED else value)]
        return self.text(value) if isinstance(value, str) else value


def documents(output: str) -> list:
    """The JSON values in a text, one after the other."""
    decoder, values, position = json.JSONDecoder(), [], 0
    while position < len(output):
        if output[position].isspace():
            position += 1
            continue
        value, position = decoder.raw_decode(output, position)
        values.append(value)
    return values


def is_measure(line: str) -> bool:
    return re.match(r"(HistorySize|StateTransitionCount|RunTime|ExecutionDuration) ", line) is not None
