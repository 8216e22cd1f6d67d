"""The command line: which servers, which parts, which cases."""

import argparse
import contextlib
import os
import pathlib
import signal
import sys

from harness import environment, servers
from harness.report import Report, known_differences

PARTS = ("differential", "sdk", "cli")
# Only if they are asked for: they need a browser.
MORE_PARTS = ("ui",)


REQUIREMENTS = pathlib.Path(__file__).resolve().parents[1] / "requirements.txt"


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = parse(sys.argv[1:])
    if options.ui_assets:
        return fetch_ui(options.ui_assets)
    # Two real servers have no differences, known or not.
    report = Report(known={} if options.against_itself else known_differences())
    if "sdk" in options.parts:
        from sdk import runner

        runner.prepare()
    with contextlib.ExitStack() as stack:
        subject = stack.enter_context(subject_server(options))
        judge = None
        if any(part in options.parts for part in ("differential", "cli")):
            judge = stack.enter_context(judge_server(options))
        for part in options.parts:
            run_part(part, judge, subject, options, report)
    return report.finish()


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Runs the conformance suite: raw gRPC scripts, SDK programs and CLI commands, "
        "against the server under test and, where answers are compared, the real Temporal "
        "development server (the judge).",
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="differential, sdk, cli or all (default); ui")
    under_test = parser.add_mutually_exclusive_group()
    under_test.add_argument(
        "--server", metavar="HOST:PORT[,HOST:PORT..]", help="the server under test, already running"
    )
    under_test.add_argument("--everlog", metavar="BINARY", help="start this binary as the server under test")
    under_test.add_argument(
        "--against-itself",
        action="store_true",
        help="the server under test is a second real one: shows that the cases are deterministic",
    )
    parser.add_argument("--nodes", type=int, default=1, help="nodes to start with --everlog")
    parser.add_argument("--judge", metavar="HOST:PORT", help="a real server that is already running")
    parser.add_argument("--only", metavar="PATTERN", help="only cases whose name contains or matches this")
    parser.add_argument("--jobs", type=int, default=16, help="scripts under way at a time")
    parser.add_argument(
        "--timeout-scale", type=float, default=1.0, help="multiplies deadlines on slow machines"
    )
    parser.add_argument("--ui-assets", metavar="FOLDER", help="fetch the files of the Web UI, and do no more")
    parser.add_argument("--shots", metavar="FOLDER", help="where the part ui leaves pictures of its pages")
    parser.add_argument("--show", action="store_true", help="print the judge's transcript of every script")
    parser.add_argument("--common", action="store_true", help="at the end, list the differences by frequency")
    parser.add_argument(
        "--ignore",
        metavar="REGEX",
        help="while developing: leave out matching lines of the transcripts, and what is under them",
    )
    options = parser.parse_args(arguments)
    unknown = set(options.parts) - {*PARTS, *MORE_PARTS, "all"}
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if not options.parts or "all" in options.parts:
        options.parts = PARTS
    return options


def subject_server(options):
    if options.server:
        return servers.running("subject", options.server.split(","))
    if options.against_itself:
        return servers.real("subject", with_ui="ui" in options.parts)
    ui = ui_assets() if "ui" in options.parts else None
    return servers.everlog(options.everlog or built_binary(), options.nodes, ui=ui)


def ui_assets() -> pathlib.Path:
    """The files of the Web UI, fetched once and kept in the user's cache."""
    folder = environment.cache_dir() / f"ui-{environment.digest(REQUIREMENTS)}"
    if not folder.exists():
        fetch_ui(folder)
    return folder


def fetch_ui(folder) -> int:
    from ui import assets

    with servers.real("judge", with_ui=True) as judge:
        count = assets.fetch(judge.ui, folder)
    print(f"{count} files of the Web UI are in {folder}")
    print("1 passed, 0 failed")
    return 0


def judge_server(options):
    return servers.running("judge", [options.judge]) if options.judge else servers.real("judge")


def built_binary() -> pathlib.Path:
    """What `cargo build` left, the release build first."""
    root = pathlib.Path(__file__).resolve().parents[3]
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
    for profile in ("release", "debug"):
        if (target / profile / "everlog").exists():
            return target / profile / "everlog"
    sys.exit("no server under test: build everlog, or give --server, --everlog or --against-itself")


def run_part(part, judge, subject, options, report):
    if part == "differential":
        from differential import runner
    elif part == "sdk":
        from sdk import runner
    elif part == "ui":
        from ui import runner
    else:
        from cli import runner
    runner.run(judge, subject, options, report)
    if part == "differential":
        run_lowered(runner, options, report)


def run_lowered(runner, options, report):
    """Runs the scripts that want lowered limits, on a pair of servers of their own."""
    from differential.lowered import SETTINGS

    if not runner.chosen(options, lowered=True):
        return
    if options.server:
        print("left out, since the server under test is somebody else's: scripts with lowered limits")
        return
    settings = {**servers.SWITCHED_ON, **SETTINGS}
    if options.against_itself:
        server = servers.real("subject", switched_on=settings)
    else:
        server = servers.everlog(options.everlog or built_binary(), options.nodes, switched_on=settings)
    with servers.real("judge", switched_on=settings) as judge, server as subject:
        runner.run(judge, subject, options, report, lowered=True)


if __name__ == "__main__":
    sys.exit(main())
