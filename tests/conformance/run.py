#!/usr/bin/env python3
"""Judges a server against the real Temporal development server.

This file needs nothing but a Python and the standard library: it makes the
suite's own virtual environment on first use and continues inside it, so that
one command works on a clean machine and the system's Python stays untouched.
Try `run.py --help`.
"""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from harness import environment  # noqa: E402


def main():
    requirements = [HERE / "requirements.txt"]
    if "ui" in sys.argv[1:]:
        # Whoever does not look through the Web UI needs no browser, nor what drives one.
        requirements.append(HERE / "requirements-ui.txt")
    python = environment.ensure(*requirements)
    env = dict(os.environ, PYTHONPATH=str(HERE), PYTHONDONTWRITEBYTECODE="1")
    os.execve(python, [python, "-m", "harness.main", *sys.argv[1:]], env)


if __name__ == "__main__":
    main()
