"""The list of subjects that the programs of every SDK cover, and the check that they do."""

import pathlib

from harness.report import Result

FOLDER = pathlib.Path(__file__).parent
LIST = FOLDER / "subjects.txt"
PROGRAMS = {
    "python": ("programs", ".py"),
    "typescript": ("typescript/programs", ".js"),
    "rust": ("rust/src/programs", ".rs"),
}


def check():
    """A case for each language: has it a program for each subject, and none that the list does not know?"""
    subjects, exceptions = read()
    for language, (folder, suffix) in PROGRAMS.items():
        there = {file.stem for file in (FOLDER / folder).glob(f"*{suffix}")} - {"__init__"}
        excused = exceptions.get(language, set())
        complaints = [f"no program: {name}" for name in sorted(subjects - there - excused)]
        complaints += [f"is there now, take its exception out: {name}" for name in sorted(there & excused)]
        complaints += [f"not in the list: {name}" for name in sorted((there | excused) - subjects)]
        yield Result(f"sdk/subjects.{language}", 0.0, "\n".join(complaints))


def read():
    subjects, exceptions = set(), {}
    for line in LIST.read_text().splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if line.startswith("."):
            exceptions.setdefault(words[0][1:], set()).add(words[1])
        else:
            subjects.add(words[0])
    return subjects, exceptions
