"""Packages for Node.js, installed once and reused, as the Python environment is.

They live in the user's cache, outside the checkout, under a name that contains a digest of the pinned versions and
their lock file. Node.js itself is expected on the machine: without it the part fails, and says so.
"""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from .environment import cache_dir, run

NODE_MAJOR_MIN = 20


def ensure(folder: pathlib.Path) -> dict:
    """The environment in which programs find what `folder/package.json` names."""
    check_node()
    files = [folder / name for name in ("package.json", "package-lock.json")]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    home = cache_dir() / f"conformance-node-{digest}"
    if not home.exists():
        build(home, files)
    return dict(os.environ, NODE_PATH=str(home / "node_modules"))


def check_node() -> None:
    wanted = f"Node.js {NODE_MAJOR_MIN} or newer, with npm, is needed for the TypeScript SDK's programs"
    try:
        version = subprocess.run(["node", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
        subprocess.run(["npm", "--version"], stdout=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"{wanted}: {error}")
    major = re.match(r"v(\d+)\.", version)
    if not major or int(major.group(1)) < NODE_MAJOR_MIN:
        sys.exit(f"{wanted}; this is {version.strip()}")


def build(home: pathlib.Path, files) -> None:
    print(f"installing the packages for Node.js into {home} (once)", file=sys.stderr)
    home.parent.mkdir(parents=True, exist_ok=True)
    aside = tempfile.mkdtemp(prefix=home.name + ".", dir=home.parent)
    try:
        for file in files:
            shutil.copy(file, aside)
        # The packages that matter bring their binaries with them: no script has to run.
        run("npm", "ci", "--prefix", aside, "--ignore-scripts", "--no-audit", "--no-fund")
        os.rename(aside, home)
    except OSError:
        # Somebody else finished first: theirs is as good as ours.
        if not home.exists():
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
