"""One line a case while it runs, one line at the end: the same for all parts."""

import dataclasses
import fnmatch
import pathlib
import sys
import threading

KNOWN_DIFFERENCES = pathlib.Path(__file__).resolve().parents[1] / "known_differences.txt"


def known_differences() -> dict[str, str]:
    """Case to reason: what is known to differ, and is to be mended."""
    lines = (line.strip() for line in KNOWN_DIFFERENCES.read_text().splitlines())
    return dict(line.split(None, 1) for line in lines if line and not line.startswith("#"))


@dataclasses.dataclass
class Result:
    name: str
    seconds: float
    complaint: str = ""  # Empty: the case passed.
    shown: str = ""  # What `--show` asked to see of it.


class Report:
    """Counts results and prints them as they come, from any thread."""

    def __init__(self, out=sys.stdout, known=None):
        self.out = out
        self.known = known or {}
        self.differing = []
        self.lock = threading.Lock()
        self.passed = 0
        self.failed = []  # Name and the first line of the complaint.

    def add(self, result: Result):
        with self.lock:
            reason = self.known.get(result.name)
            word = "ok  "
            if reason and result.complaint:
                self.differing.append(result.name)
                print(f"known {result.name}  ({result.seconds:.1f} s): {reason}", file=self.out, flush=True)
                return
            if reason:
                result.complaint = "this case is equal now: take its line out of known_differences.txt"
            if result.complaint:
                word = "FAIL"
                self.failed.append(f"{result.name}: {first_line(result.complaint)}")
            else:
                self.passed += 1
            print(f"{word} {result.name}  ({result.seconds:.1f} s)", file=self.out)
            for line in (result.shown + result.complaint).splitlines():
                print(f"     {line}", file=self.out)
            self.out.flush()

    def finish(self) -> int:
        """Prints what failed, the totals, and returns the exit code. Nothing run is a failure too."""
        if self.differing:
            print(f"{len(self.differing)} known differences, listed in known_differences.txt", file=self.out)
        for failure in self.failed:
            print(f"failed: conformance: {failure}", file=self.out)
        print(f"{self.passed} passed, {len(self.failed)} failed", file=self.out)
        return 1 if self.failed or not self.passed else 0


def first_line(complaint: str) -> str:
    return complaint.strip().partition("\n")[0][:200]


def selected(name: str, pattern: str | None) -> bool:
    """Whether `--only` asks for this case: a part of its name, or a shell pattern."""
    return pattern is None or pattern in name or fnmatch.fnmatch(name, pattern)
