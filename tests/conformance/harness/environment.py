"""The suite's own virtual environment, made once and reused.

It lives in the user's cache, outside the checkout, under a name that contains
a digest of the pinned requirements: a changed pin makes a new environment, and
two checkouts with different pins do not disturb each other. It is built aside
and renamed into place, so that an interrupted build is never mistaken for a
finished one and two runs at once do not collide.

Only the standard library is used here: this runs before anything is installed.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile


def ensure(*requirements: pathlib.Path) -> str:
    """Returns the interpreter of an environment that satisfies `requirements`."""
    home = cache_dir() / f"conformance-{digest(*requirements)}"
    python = home / "bin" / "python"
    if not python.exists():
        build(home, requirements)
    return str(python)


def cache_dir() -> pathlib.Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(base) / "everlog"


def digest(*requirements: pathlib.Path) -> str:
    version = "%d.%d" % sys.version_info[:2]
    pinned = b"".join(file.read_bytes() for file in requirements)
    return hashlib.sha256(version.encode() + pinned).hexdigest()[:12]


def build(home: pathlib.Path, requirements: tuple[pathlib.Path, ...]) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    print(f"making the Python environment {home} (once)", file=sys.stderr)
    aside = tempfile.mkdtemp(prefix=home.name + ".", dir=home.parent)
    try:
        run(sys.executable, "-m", "venv", aside)
        files = [part for file in requirements for part in ("-r", str(file))]
        run(aside + "/bin/python", "-m", "pip", "install", "--quiet", *files)
        os.rename(aside, home)
    except OSError:
        # Somebody else finished first: theirs is as good as ours.
        if not (home / "bin" / "python").exists():
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}")
