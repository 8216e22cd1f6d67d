"""The files of the official Web UI, as the real development server hands them out.

They are no part of this tree: the pinned `temporal` program carries them. What its page and its scripts
import is fetched, and what those import, until nothing new is named.
"""

import pathlib
import re
import shutil
import sys
import urllib.error
import urllib.parse
import urllib.request

# Files that browsers ask for by themselves, or that scripts name in parts.
KNOWN = ("index.html", "_app/version.json", "favicon.ico", "site.webmanifest", "logo192.png", "logo512.png")
# What looks like the path of a file within a script, a style or a page.
ENDINGS = "js|css|json|woff2?|ttf|svg|png|gif|ico|webmanifest|webp"
NAMED = re.compile(
    rf"""["'`(]((?:\.{{1,2}}/|/)?(?:[\w@.-]+/)*[\w@.-]+\.(?:{ENDINGS}))(?:[?#][^"'`)]*)?["'`)]"""
)
FILES_MAX = 5_000


def fetch(address, folder) -> int:
    """Fetches every file that can be found into a folder, and returns how many there are."""
    folder = pathlib.Path(folder)
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    waiting, seen = list(KNOWN), set(KNOWN)
    kept = 0
    while waiting and kept < FILES_MAX:
        path = waiting.pop()
        content = read(address, path)
        if content is None:
            continue
        target = fresh / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        kept += 1
        if path.endswith((".js", ".css", ".html", ".webmanifest")):
            for name in NAMED.findall(content.decode(errors="replace")):
                for found in places(path, name):
                    if found not in seen:
                        seen.add(found)
                        waiting.append(found)
    if not (fresh / "index.html").exists():
        sys.exit(f"the server at {address} has no Web UI")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    return kept


def places(path, name):
    """Where a file may be that another one names: relative to it, or to the root."""
    root = urllib.parse.urljoin("/" + path, name).lstrip("/")
    return {root, name.lstrip("./")} if not name.startswith("/") else {root}


def read(address, path):
    """A file, or None if there is none: then the server answers with its page."""
    try:
        with urllib.request.urlopen(f"http://{address}/{path}") as answer:
            is_page = answer.headers["content-type"].startswith("text/html")
            return answer.read() if not is_page or path == "index.html" else None
    except urllib.error.HTTPError:
        return None
