"""Every command of the CLI has a story that ran it with success, or a line in `without_story.txt` that says why not.

The commands are those that the CLI itself names, from `temporal --help` down, so that a new version of it with a new
command fails the suite until somebody has looked at it.
"""

import concurrent.futures
import pathlib
import re
import shlex
import subprocess
import time

from harness import servers
from harness.report import Result

TABLE = pathlib.Path(__file__).parent / "without_story.txt"
NAME = "cli/every_command"
HELPERS_MAX = 4


def check(succeeded) -> Result:
    """`succeeded` are the command lines that stories ran on the judge with exit code 0."""
    begun = time.monotonic()
    there = every_command()
    shown = {command_of(line, there) for line in succeeded}
    excused = without_story()
    complaints = [f"has no story: {c}" for c in sorted(there - shown - excused.keys())]
    complaints += [f"has a story now, take its line out of {TABLE.name}: {c}" for c in sorted(shown & excused.keys())]
    complaints += [f"is in {TABLE.name}, but is no command: {c}" for c in sorted(excused.keys() - there)]
    complaints += [f"has no reason in {TABLE.name}: {c}" for c, reason in sorted(excused.items()) if not reason]
    return Result(NAME, time.monotonic() - begun, "\n".join(complaints))


def without_story() -> dict[str, str]:
    """Command to reason; the two are parted by a colon."""
    lines = (line.strip() for line in TABLE.read_text().splitlines())
    pairs = (line.partition(":") for line in lines if line and not line.startswith("#"))
    return {command.strip(): reason.strip() for command, _, reason in pairs}


def command_of(line, commands) -> str:
    """The command that a line runs: the longest of all whose words it begins with."""
    words = shlex.split(line)
    for count in range(len(words), 0, -1):
        if " ".join(words[:count]) in commands:
            return " ".join(words[:count])
    return line


def every_command() -> set[str]:
    """All commands that do something, some of which have commands under them as well."""
    found, names = set(), [""]
    with concurrent.futures.ThreadPoolExecutor(HELPERS_MAX) as helpers:
        while names:
            below = []
            for name, (runs, children) in zip(names, helpers.map(described, names)):
                if runs and name:
                    found.add(name)
                below += [f"{name} {child}".strip() for child in children]
            names = below
    return found


def described(name):
    """Whether a command does something itself, and which commands are under it."""
    command = [servers.temporal_cli(), *name.split(), "--help"]
    text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True).stdout
    runs = any(not line.endswith("[command]") for line in section(text, "Usage"))
    return runs, [line.split()[0] for line in section(text, "Available Commands")]


def section(text, title):
    """The lines of a section of a help text, which are indented and may have empty ones between them."""
    found = re.search(rf"^{title}:\n((?:(?:  .*)?\n)*)", text, re.MULTILINE)
    return [line for line in found[1].splitlines() if line] if found else []
