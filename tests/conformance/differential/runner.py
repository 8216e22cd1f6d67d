"""Runs every script against both servers at once and compares what came back."""

import collections
import concurrent.futures
import contextlib
import difflib
import importlib
import itertools
import pkgutil
import re
import secrets
import time
import traceback

from harness import wire
from harness.report import Result, selected

from . import scripts
from .case import SCRIPTS, Case

DIFF_LINES_MAX = 120
DIFF_CONTEXT_LINES = 6
COMMON_LINES_MAX = 60
# Some answers of the real server depend on how far its own background work has come, and some are to a repetition of
# its own: a change of a deployment that takes it long has then replaced what it has just set.
JUDGE_ASKED_AGAIN_MAX = 2

# What makes equal differences look different: ids, and names made of a script's own.
NAMES = re.compile(r'<uuid \d+>|"[^"]*-[0-9a-f]{6}[^"]*"')


def chosen(options, lowered=False):
    """The scripts that were asked for, those for the usual limits or those for lowered ones."""
    for module in pkgutil.iter_modules(scripts.__path__):
        importlib.import_module(f"{scripts.__name__}.{module.name}")
    return [s for s in SCRIPTS if selected(s.name, options.only) and s.lowered == lowered]


def run(judge, subject, options, report, lowered=False):
    asked_for = chosen(options, lowered)
    if not all(server.by_default for server in (judge, subject)):
        # Servers that somebody else runs have the settings that they have.
        asked_for = [s for s in asked_for if not s.by_default]
    # The slowest first: otherwise the whole set waits for the one begun last.
    ordered = sorted(asked_for, key=lambda s: -s.seconds)
    # One nonce for both servers: ids of workflows and queues are then equal on
    # both, and need no normalising.
    nonce = secrets.token_hex(3)
    pairs = {False: [wire.Connection(s.addresses, s.http) for s in (judge, subject)]}
    executor = concurrent.futures.ThreadPoolExecutor(options.jobs)
    stack = contextlib.ExitStack()
    try:
        if any(s.by_default for s in ordered):
            plain = [stack.enter_context(s.by_default()) for s in (judge, subject)]
            pairs[True] = [wire.Connection(s.addresses, s.http) for s in plain]
        jobs = [executor.submit(compare, s, pairs[s.by_default], nonce, options) for s in ordered]
        for job in concurrent.futures.as_completed(jobs):
            report.add(job.result())
        if options.common:
            show_common(job.result().complaint for job in jobs)
    finally:
        executor.shutdown(cancel_futures=True)
        for connection in itertools.chain(*pairs.values()):
            connection.close()
        stack.close()


def compare(script, connections, nonce, options) -> Result:
    begun = time.monotonic()
    judge, subject = connections
    with concurrent.futures.ThreadPoolExecutor(2) as pair:
        sides = [pair.submit(transcript, script, c, nonce, options) for c in (judge, subject)]
        expected, actual = (side.result() for side in sides)
    for _ in range(JUDGE_ASKED_AGAIN_MAX):
        if expected == actual:
            break
        # Only the judge: what we have answered once is what is compared.
        other = secrets.token_hex(len(nonce) // 2)
        expected = [line.replace(other, nonce) for line in transcript(script, judge, other, options)]
    complaint = ""
    if expected[-1].startswith("*** "):
        complaint = "the script does not work on the judge:\n" + "\n".join(expected)
    elif expected != actual:
        complaint = difference(expected, actual)
    shown = "\n".join([script.doc, *expected, ""]) if options.show else ""
    return Result(script.name, time.monotonic() - begun, complaint, shown)


def transcript(script, connection, nonce, options) -> list[str]:
    """What one server answered, as lines.

    Never raises: what went wrong is the last line.
    """
    case = Case(script, connection, nonce, options.timeout_scale)
    try:
        script.function(case)
        case.conclude()
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)
        line = next((f"{f.filename}:{f.lineno}" for f in reversed(where) if "scripts" in f.filename), "")
        case.lines.append(f"*** {type(error).__name__}: {case.renderer.text(str(error))} ({line})")
    finally:
        case.clean_up()
    return without(case.lines, options.ignore) if options.ignore else case.lines


def without(lines, pattern) -> list[str]:
    """The lines without those that match, and without what is indented under them."""
    kept, dropping = [], None
    for line in lines:
        depth = len(line) - len(line.lstrip())
        if dropping is not None and depth > dropping:
            continue
        dropping = depth if re.search(pattern, line) else None
        if dropping is None:
            kept.append(line)
    return kept


def show_common(complaints):
    """The lines that differ in most scripts: what to mend first."""
    scripts = collections.Counter()
    for complaint in complaints:
        changed = {line for line in complaint.splitlines() if re.match(r"[-+] ", line)}
        scripts.update({re.sub(r"\s+", " ", NAMES.sub("..", line)) for line in changed})
    for line, count in scripts.most_common(COMMON_LINES_MAX):
        print(f"     {count:4} scripts  {line}")


def difference(expected, actual) -> str:
    lines = list(
        difflib.unified_diff(expected, actual, "judge", "subject", n=DIFF_CONTEXT_LINES, lineterm="")
    )
    if len(lines) > DIFF_LINES_MAX:
        lines = [*lines[:DIFF_LINES_MAX], f".. {len(lines) - DIFF_LINES_MAX} more lines"]
    return "\n".join(lines)
