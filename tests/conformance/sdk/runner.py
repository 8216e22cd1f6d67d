"""Runs the programs, each case in its own process, several at a time."""

import concurrent.futures
import importlib
import pkgutil
import secrets
import subprocess
import sys
import time

from harness.report import Result, selected
from harness.servers import die_with_parent

from . import programs
from .case import CASES

# Each case is a process that loads the SDK: more at a time only slows all down.
JOBS_MAX = 6


def run(_judge, subject, options, report):
    for module in pkgutil.iter_modules(programs.__path__):
        importlib.import_module(f"{programs.__name__}.{module.name}")
    chosen = [c for c in CASES.values() if selected(c.name, options.only)]
    nonce = secrets.token_hex(3)
    executor = concurrent.futures.ThreadPoolExecutor(min(options.jobs, JOBS_MAX))
    try:
        jobs = [
            executor.submit(run_case, definition, rotated(subject.addresses, number), nonce, options)
            for number, definition in enumerate(chosen)
        ]
        for job in concurrent.futures.as_completed(jobs):
            report.add(job.result())
    finally:
        executor.shutdown(cancel_futures=True)


def rotated(addresses, number):
    """The nodes, beginning with another one for each case."""
    first = number % len(addresses)
    return [*addresses[first:], *addresses[:first]]


def run_case(definition, addresses, nonce, options) -> Result:
    begun = time.monotonic()
    limit = definition.seconds * options.timeout_scale
    command = [sys.executable, "-m", "sdk.one", definition.name, ",".join(addresses), nonce]
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit,
            preexec_fn=die_with_parent,
        )
        complaint = "" if done.returncode == 0 else done.stdout or f"exit code {done.returncode}"
    except subprocess.TimeoutExpired as error:
        said = error.stdout or b""
        complaint = f"no end after {limit:g} s\n{said.decode(errors='replace')}"
    return Result(definition.name, time.monotonic() - begun, complaint)
