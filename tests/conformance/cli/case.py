"""What a CLI story is written with: commands, as one would type them."""

import dataclasses
import os
import shlex
import subprocess
import tempfile
import time

from harness import servers, wire

from .normalise import Normaliser, documents

COMMAND_SECONDS_MAX = 30
WAIT_SECONDS_MAX = 30

STORIES = []


@dataclasses.dataclass
class Story:
    name: str
    doc: str
    function: object


def story(function):
    """Registers a story. Its docstring says what it shows."""
    area = function.__module__.rpartition(".")[2]
    STORIES.append(Story(f"cli/{area}.{function.__name__}", function.__doc__, function))
    return function


class Cli:
    """The CLI against one server, and the transcript of one story."""

    def __init__(self, story, address, queue, nonce):
        self.address = address
        self.queue = queue
        self.nonce = nonce
        self.id = f"{story.name.partition('/')[2]}-{nonce}"
        self.normaliser = Normaliser(address)
        self.lines = []
        # Every command line that ended well.
        self.succeeded = set()

    def run(self, command, json=True, text=False):
        """Runs a command with JSON output, with text output, or with one after the other."""
        if json:
            self.record(f"{command} -o json", self.execute(f"{command} -o json"), True)
        if text or not json:
            self.record(command, self.execute(command), False)

    def keys(self, command, *names):
        """Runs a command whose values are the server's own: only these fields must be there."""
        done = self.execute(f"{command} -o json")
        found = set(names_in(done.stdout))
        self.lines += [f"$ {self.normaliser.text(command)}", f"  exit code {done.returncode}"]
        self.lines += [f"  {name}: {'there' if name in found else 'missing'}" for name in names]

    def says(self, command, *words):
        """Runs a command whose output is the worker's own affair: only these words must be in it."""
        done = self.execute(command)
        self.lines += [f"$ {self.normaliser.text(command)}", f"  exit code {done.returncode}"]
        self.lines += [f"  {word}: {'said' if word in done.stdout else 'not said'}" for word in words]

    def quietly(self, command):
        """Runs a command that is not compared, and returns its output."""
        return self.execute(command).stdout

    def call(self, method, **fields):
        """Makes a raw call that is not compared, for what no command does."""
        connection = wire.Connection([self.address])
        try:
            request = wire.METHODS.request(method, {"namespace": "default", **fields})
            metadata = wire.CLI_METADATA
            return wire.finish(
                connection.start(method, request, timeout=COMMAND_SECONDS_MAX, metadata=metadata)
            )
        finally:
            connection.close()

    def until(self, command, word):
        """Waits until the output of a command has a word in it; waiting in vain is the end of the story."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while word not in self.quietly(command):
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited in vain for {word!r} of {command}")
            time.sleep(0.2)

    def execute(self, command):
        arguments = [servers.temporal_cli(), *shlex.split(command), "--address", self.address]
        # Nothing of the user's own configuration shall reach the CLI.
        with tempfile.TemporaryDirectory() as home:
            env = {"PATH": os.environ["PATH"], "HOME": home, "NO_COLOR": "1"}
            done = subprocess.run(
                arguments,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                stdin=subprocess.DEVNULL,
                text=True,
                env=env,
                timeout=COMMAND_SECONDS_MAX,
            )
        if done.returncode == 0:
            self.succeeded.add(command)
        return done

    def record(self, command, done, as_json):
        self.lines.append(f"$ {self.normaliser.text(command)}")
        if done.returncode:
            self.lines.append(f"  exit code {done.returncode}")
        self.lines += [f"  {line}" for line in self.normaliser.lines(done.stdout, as_json)]
        self.lines += [f"  ! {line}" for line in self.normaliser.lines(done.stderr, False)]


def names_in(output):
    """The names of all fields in JSON output, nested ones too."""

    def walk(value):
        if isinstance(value, dict):
            for key, inner in value.items():
                yield key
                yield from walk(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner)

    return [name for value in documents(output) for name in walk(value)]
