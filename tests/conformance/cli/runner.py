"""Runs every story against both servers at once, each with a worker of its own."""

import concurrent.futures
import contextlib
import importlib
import pkgutil
import secrets
import subprocess
import sys
import time
import traceback

from differential.runner import difference
from harness.report import Result, selected
from harness.servers import die_with_parent

from . import commands, stories
from .case import STORIES, Cli

# Every command is a process of a large program.
JOBS_MAX = 4


def run(judge, subject, options, report):
    for module in pkgutil.iter_modules(stories.__path__):
        importlib.import_module(f"{stories.__name__}.{module.name}")
    chosen = [s for s in STORIES if selected(s.name, options.only)]
    nonce = secrets.token_hex(3)
    queue = f"cli-{nonce}"
    executor = concurrent.futures.ThreadPoolExecutor(min(options.jobs, JOBS_MAX))
    with worker(judge.addresses[-1], queue), worker(subject.addresses[-1], queue):
        try:
            jobs, succeeded = [], set()
            for number, story in enumerate(chosen):
                addresses = [s.addresses[number % len(s.addresses)] for s in (judge, subject)]
                jobs.append(executor.submit(compare, story, addresses, queue, nonce, options, succeeded))
            for job in concurrent.futures.as_completed(jobs):
                report.add(job.result())
            if options.only is None:
                report.add(commands.check(succeeded))
        finally:
            executor.shutdown(cancel_futures=True)


@contextlib.contextmanager
def worker(address, queue):
    command = [sys.executable, "-m", "cli.worker", address, queue]
    process = subprocess.Popen(command, preexec_fn=die_with_parent)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def compare(story, addresses, queue, nonce, options, succeeded) -> Result:
    """The transcripts of both servers; what the judge did with success is added to `succeeded`."""
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(2) as pair:
        sides = [pair.submit(transcript, story, address, queue, nonce) for address in addresses]
        judge, subject = (side.result() for side in sides)
    succeeded |= judge.succeeded
    expected, actual = judge.lines, subject.lines
    complaint = ""
    if expected[-1].startswith("*** "):
        complaint = "the story does not work on the judge:\n" + "\n".join(expected)
    elif expected != actual:
        complaint = difference(expected, actual)
    shown = "\n".join([story.doc, *expected, ""]) if options.show else ""
    return Result(story.name, time.monotonic() - begun, complaint, shown)


def transcript(story, address, queue, nonce) -> Cli:
    cli = Cli(story, address, queue, nonce)
    try:
        story.function(cli)
    except Exception:
        cli.lines.append("*** " + cli.normaliser.text(traceback.format_exc().splitlines()[-1]))
    return cli
