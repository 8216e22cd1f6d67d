"""One line a case while it runs, one line at the end: the same for all parts."""

import dataclasses
import fnmatch
import sys
import threading


@dataclasses.dataclass
class Result:
    name: str
    seconds: float
    complaint: str = ""  # Empty: the case passed.
    shown: str = ""  # What `--show` asked to see of it.


class Report:
    """Counts results and prints them as they come, from any thread."""

    def __init__(self, out=sys.stdout):
        self.out = out
        self.lock = threading.Lock()
        self.passed = 0
        self.failed = []

    def add(self, result: Result):
        with self.lock:
            if result.complaint:
                self.failed.append(result.name)
            else:
                self.passed += 1
            word = "FAIL" if result.complaint else "ok  "
            print(f"{word} {result.name}  ({result.seconds:.1f} s)", file=self.out)
            for line in (result.shown + result.complaint).splitlines():
                print(f"     {line}", file=self.out)
            self.out.flush()

    def finish(self) -> int:
        """Prints the totals and returns the exit code. Nothing run is a failure too."""
        print(f"{self.passed} passed, {len(self.failed)} failed", file=self.out)
        return 1 if self.failed or not self.passed else 0


def selected(name: str, pattern: str | None) -> bool:
    """Whether `--only` asks for this case: a part of its name, or a shell pattern."""
    return pattern is None or pattern in name or fnmatch.fnmatch(name, pattern)
