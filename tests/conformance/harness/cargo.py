"""A program in Rust, built in the background.

What cargo makes on the way stays in the user's cache, outside the checkout, under a name that contains a digest of
the pinned versions; the program itself is put into a folder of this run's own, since another checkout may be building
another one at this moment.
"""

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

from .environment import cache_dir
from .servers import die_with_parent

LINES_SHOWN_MAX = 40


class Program:
    """A package with one program of its own name."""

    def __init__(self, package: pathlib.Path):
        self.name = package_name(package)
        pinned = b"".join((package / file).read_bytes() for file in ("Cargo.toml", "Cargo.lock"))
        parts = cache_dir() / f"conformance-rust-{hashlib.sha256(pinned).hexdigest()[:12]}"
        if not parts.exists():
            print(f"building the packages for Rust in {parts} (once)", file=sys.stderr)
        self.folder = tempfile.TemporaryDirectory(prefix="conformance-rust-")
        self.log = pathlib.Path(self.folder.name) / "cargo.log"
        command = ["cargo", "build", "--locked", "--target-dir", self.folder.name]
        command += ["--manifest-path", str(package / "Cargo.toml")]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                command,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=dict(os.environ, CARGO_BUILD_BUILD_DIR=str(parts)),
                preexec_fn=die_with_parent,
            )

    def path(self) -> str:
        """Where the program is, once it is there."""
        if self.process.wait() != 0:
            said = self.log.read_text(errors="replace").splitlines()[-LINES_SHOWN_MAX:]
            raise RuntimeError("\n".join([f"{self.name} cannot be built:", *said]))
        return str(pathlib.Path(self.folder.name) / "debug" / self.name)


def package_name(package: pathlib.Path) -> str:
    lines = (package / "Cargo.toml").read_text().splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith("name = "))
