"""Runs the programs of every language, a process for a batch of cases, several at a time."""

import concurrent.futures
import json
import secrets
import subprocess
import threading
import time

from harness.report import Result, selected
from harness.servers import die_with_parent

from . import python, rust, subjects, typescript

# Rust is the last one, since it may still be compiling.
LANGUAGES = (python, typescript, rust)
# Each batch is a process that loads an SDK: more at a time only slows all down.
JOBS_MAX = 6
LINES_SHOWN_MAX = 20


def prepare():
    """Begins what takes long, before the other parts run."""
    rust.program()


def run(_judge, subject, options, report):
    chosen = (batch for language in LANGUAGES for batch in language.batches(is_chosen(options)))
    for result in subjects.check() if options.only is None else ():
        report.add(result)
    nonce = secrets.token_hex(3)
    executor = concurrent.futures.ThreadPoolExecutor(min(options.jobs, JOBS_MAX))
    try:
        jobs = [
            executor.submit(run_batch, batch, rotated(subject.addresses, number), nonce, options, report)
            for number, batch in enumerate(chosen)
        ]
        for job in concurrent.futures.as_completed(jobs):
            job.result()
    finally:
        executor.shutdown(cancel_futures=True)


def is_chosen(options):
    return lambda name: selected(name, options.only)


def rotated(addresses, number):
    """The nodes, beginning with another one for each batch."""
    first = number % len(addresses)
    return [*addresses[first:], *addresses[:first]]


def run_batch(batch, addresses, nonce, options, report):
    """Reports each case as the process tells of it, and those that it did not tell of at the end."""
    begun = time.monotonic()
    limit = batch.seconds * options.timeout_scale
    process = subprocess.Popen(
        batch.command(addresses, nonce),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=batch.env,
        preexec_fn=die_with_parent,
    )
    late = threading.Timer(limit, process.kill)
    late.start()
    waiting, said = set(batch.names), []
    for line in process.stdout:
        told = parsed(line)
        if told and told["case"] in waiting:
            waiting.remove(told["case"])
            report.add(Result(told["case"], told["seconds"], told["complaint"]))
        else:
            said.append(line.rstrip())
    code = process.wait()
    if late.is_alive():
        late.cancel()
        complaint = f"not reported, exit code {code}"
    else:
        complaint = f"no end after {limit:g} s"
    complaint = "\n".join([complaint, *said[-LINES_SHOWN_MAX:]])
    for name in sorted(waiting):
        report.add(Result(name, time.monotonic() - begun, complaint))


def parsed(line):
    """What a line tells of a case, if it does."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and "case" in value else None
