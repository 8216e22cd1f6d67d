"""The Python SDK: each case in a process of its own, since a worker that hangs cannot be stopped from inside."""

import importlib
import pkgutil
import sys

from . import programs
from .batch import Batch
from .case import CASES


def batches(chosen):
    """A batch for each case whose name is chosen."""
    for module in pkgutil.iter_modules(programs.__path__):
        importlib.import_module(f"{programs.__name__}.{module.name}")
    for definition in CASES.values():
        if chosen(definition.name):
            yield Batch([definition.name], command_of(definition.name), definition.seconds)


def command_of(name):
    return lambda addresses, nonce: [sys.executable, "-m", "sdk.one", name, ",".join(addresses), nonce]
