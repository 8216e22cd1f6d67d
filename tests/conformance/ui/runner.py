"""Looks through the Web UI of the server under test with the browser that is installed."""

import contextlib
import os
import pathlib
import secrets
import shutil
import subprocess
import sys
import tempfile
import time

from harness import wire
from harness.report import Result, selected
from harness.servers import die_with_parent
from playwright.sync_api import Error, sync_playwright

from . import looks  # noqa: F401  (registers them)
from .case import LOOKS, Case

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WINDOW = {"width": 1500, "height": 1000}


def run(_, subject, options, report):
    browser = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not browser:
        sys.exit("there is no browser: install Chromium, or name it in CHROMIUM")
    nonce = secrets.token_hex(3)
    queue = f"ui-{nonce}"
    connection = wire.Connection(subject.addresses)
    base = f"http://{subject.ui}"
    with contextlib.ExitStack() as stack:
        stack.callback(connection.close)
        stack.enter_context(worker(subject.addresses[-1], queue))
        profile = stack.enter_context(tempfile.TemporaryDirectory())
        driver = stack.enter_context(sync_playwright())
        context = driver.chromium.launch_persistent_context(
            profile, executable_path=browser, headless=True, viewport=WINDOW, args=list(FLAGS)
        )
        stack.callback(context.close)
        for look in LOOKS:
            if selected(look.name, options.only):
                report.add(see(look, context, base, connection, queue, nonce, options))


def see(look, context, base, connection, queue, nonce, options) -> Result:
    begun = time.monotonic()
    page = context.new_page()
    case = Case(look, page, base, connection, queue, nonce)
    try:
        look.function(case)
    except (Error, TimeoutError, wire.Failure, AssertionError) as error:
        case.complaints.append(f"{type(error).__name__}: {error}")
    if options.shots:
        folder = pathlib.Path(options.shots)
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / f"{look.name.partition('/')[2]}.png")
    page.close()
    return Result(look.name, time.monotonic() - begun, "\n".join(case.complaints))


@contextlib.contextmanager
def worker(address, queue):
    process = subprocess.Popen(
        [sys.executable, "-m", "ui.worker", address, queue],
        preexec_fn=die_with_parent,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()
