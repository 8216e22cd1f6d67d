"""The TypeScript SDK: a process for each subject, which runs the subject's cases a few at a time."""

import json
import pathlib
import subprocess
import tempfile

from harness import node

from .batch import Batch

FOLDER = pathlib.Path(__file__).parent / "typescript"
SUBJECT_SECONDS_MAX = 300


def batches(chosen):
    """A batch for each subject that has a case whose name is chosen."""
    env = node.ensure(FOLDER)
    bundle = None
    for subject, cases in subjects(env).items():
        names = [case for case in cases if chosen(case)]
        if names:
            bundle = bundle or make_bundle(env)
            yield Batch(names, command_of(subject, bundle, names), SUBJECT_SECONDS_MAX, env)


def command_of(subject, bundle, names):
    return lambda addresses, nonce: [
        "node",
        str(FOLDER / "main.js"),
        subject,
        ",".join(addresses),
        nonce,
        bundle.name,
        *names,
    ]


def subjects(env):
    lines = output(env, "node", str(FOLDER / "main.js"), "--list").splitlines()
    return {line["subject"]: line["cases"] for line in map(json.loads, lines)}


def make_bundle(env):
    """The workflows of all subjects in one file, which is there for as long as somebody holds it."""
    bundle = tempfile.NamedTemporaryFile(prefix="conformance-", suffix=".js")
    output(env, "node", str(FOLDER / "bundle.js"), bundle.name)
    return bundle


def output(env, *command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}")
    return done.stdout


