"""The Rust SDK: one program, and a process of it for each subject, which runs the subject's cases a few at a time."""

import functools
import json
import os
import pathlib
import subprocess

from harness import cargo

from .batch import Batch

FOLDER = pathlib.Path(__file__).parent / "rust"
SUBJECT_SECONDS_MAX = 300


@functools.cache
def program():
    """Begins to build the program; on a machine that has not done so before it takes minutes."""
    return cargo.Program(FOLDER)


def batches(chosen):
    """A batch for each subject that has a case whose name is chosen."""
    path = program().path()
    # Workflows and activities panic on purpose.
    env = dict(os.environ, RUST_BACKTRACE="0")
    for subject, cases in subjects(path).items():
        names = [case for case in cases if chosen(case)]
        if names:
            yield Batch(names, command_of(path, subject, names), SUBJECT_SECONDS_MAX, env)


def command_of(path, subject, names):
    return lambda addresses, nonce: [path, subject, ",".join(addresses), nonce, *names]


def subjects(path):
    lines = subprocess.run([path, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    return {line["subject"]: line["cases"] for line in map(json.loads, lines)}
