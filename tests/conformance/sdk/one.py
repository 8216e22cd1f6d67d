"""Runs one case in a process of its own: `python -m sdk.one NAME ADDRESSES NONCE`.

A worker that hangs cannot be stopped from inside, so the parent kills this
process when the case's time is over.
"""

import asyncio
import importlib
import json
import logging
import os
import sys
import time
import traceback

from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from . import case as cases

FRAMES_MAX = 6


def main() -> int:
    name, addresses, nonce = sys.argv[1:4]
    # Workflows and activities fail on purpose here; what matters is raised.
    logging.disable(logging.CRITICAL)
    quiet = LoggingConfig(filter=TelemetryFilter(core_level="ERROR", other_level="ERROR"))
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=quiet)))
    subject = name.partition("/")[2].partition(".")[0]
    importlib.import_module(f"sdk.programs.{subject}")
    definition = cases.CASES[name]
    begun, complaint = time.monotonic(), ""
    try:
        asyncio.run(run(cases.Env(definition, addresses.split(","), nonce)))
    except BaseException as error:
        complaint = story(error)
    print(json.dumps({"case": name, "seconds": time.monotonic() - begun, "complaint": complaint}))
    return 1 if complaint else 0


def story(error) -> str:
    lines = traceback.format_exc().splitlines()[-3 * FRAMES_MAX :]
    while error := getattr(error, "cause", None):
        lines.append(f"because of {type(error).__name__}: {error}")
    return "\n".join(lines)


async def run(env):
    await env.connect()
    await env.definition.function(env)
    await env.replay_everything()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # The SDK's native threads outlive the worker and crash an interpreter that
    # tears itself down under them; there is nothing left here to tear down.
    os._exit(code)
