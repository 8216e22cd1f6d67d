"""Starting and stopping the servers: the real one, and ours.

A server is started on a free port, waited for until it answers, and stopped
with SIGTERM. Its output goes to a file that is shown only if it fails to start
or to stop. Every child is told by the kernel to die with us, so that a killed
run leaves no server behind.
"""

import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from harness import wire

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30

# The judge's rate limits would make the suite's speed a test result, its four
# partitions a queue would make the order of tasks a matter of chance, and its
# caution before a deletion takes up to a minute. What workflows see is unchanged.
JUDGE_SETTINGS = {
    "frontend.rps": 100000,
    "frontend.namespaceRPS": 100000,
    "frontend.namespaceRPS.visibility": 100000,
    "frontend.namespaceCount": 100000,
    "frontend.persistenceMaxQPS": 100000,
    "history.rps": 100000,
    "history.persistenceMaxQPS": 100000,
    # Changes of task queues, namespaces and versions.
    "frontend.rps.namespaceReplicationInducingAPIs": 100000,
    "matching.rps": 100000,
    "matching.persistenceMaxQPS": 100000,
    # Off by default; we have no switch for it.
    "matching.enableFairness": "true",
    "matching.numTaskqueueReadPartitions": 1,
    "matching.numTaskqueueWritePartitions": 1,
    "history.transferProcessorEnsureCloseBeforeDelete": "false",
    "history.visibilityProcessorEnsureCloseBeforeDelete": "false",
}
# Off by default, and switched on by the same key on both servers. What they say while it is off, servers of their
# own are asked for (`Server.by_default`).
SWITCHED_ON = {"nexusoperation.enableStandalone": "true", "frontend.WorkflowPauseEnabled": "true"}


class Server:
    """A server under our care, or (without `command`) somebody else's."""

    def __init__(self, name, addresses, command=None, http=None, ui=None):
        self.name = name
        self.addresses = addresses
        # The same API over HTTP, for each address; of a server that somebody else runs, where it usually is.
        self.http = http or [ten_above(address) for address in addresses]
        self.ui = ui
        # Makes another of its kind with nothing switched on, if it was started by this suite.
        self.by_default = None
        self.command = command
        self.process = None
        self.folder = None

    def __enter__(self):
        if self.command:
            self.folder = tempfile.mkdtemp(prefix=f"conformance-{self.name}-")
            self.log = pathlib.Path(self.folder) / "output.log"
            command = [part.replace("{folder}", self.folder) for part in self.command]
            with self.log.open("wb") as out:
                self.process = subprocess.Popen(
                    command,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    cwd=self.folder,
                    preexec_fn=die_with_parent,
                )
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def wait_until_ready(self):
        """Waits until every address answers for the namespace `default`."""
        deadline = time.monotonic() + START_SECONDS_MAX
        for address in self.addresses:
            while not wire.is_ready(address):
                if self.process and self.process.poll() is not None:
                    sys.exit(f"{self.name} ended with code {self.process.returncode}:\n{self.tail()}")
                if time.monotonic() > deadline:
                    sys.exit(f"{self.name} at {address} is not ready:\n{self.tail()}")
                time.sleep(0.1)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                print(f"{self.name} ignored SIGTERM:\n{self.tail()}", file=sys.stderr)
                self.process.kill()
                self.process.wait()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def tail(self) -> str:
        if not self.process:
            return "(not started by this suite)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


def running(name, addresses):
    """A server that somebody else runs."""
    return Server(name, addresses)


def real(name, with_ui=False, switched_on=SWITCHED_ON):
    """The real development server, in memory, on a free port."""
    port, http, ui = free_ports(1), free_ports(1), free_ports(1)
    command = [temporal_cli(), "server", "start-dev", "--ip", "127.0.0.1"]
    command += ["--ui-port", str(ui)] if with_ui else ["--headless"]
    command += ["--port", str(port), "--http-port", str(http), "--log-level", "error"]
    for key, value in {**JUDGE_SETTINGS, **switched_on}.items():
        command += ["--dynamic-config-value", f"{key}={value}"]
    server = Server(name, [f"127.0.0.1:{port}"], command, [f"127.0.0.1:{http}"], f"127.0.0.1:{ui}")
    server.by_default = lambda: real(f"{name}-by-default", switched_on={})
    return server


def everlog(binary, nodes, extra=(), ui=None, switched_on=SWITCHED_ON):
    """Our server, one node or several, its data in a folder that is removed afterwards."""
    port, http = free_ports(nodes), free_ports(nodes)
    command = [str(pathlib.Path(binary).resolve()), "dev", "--port", str(port), "--http-port", str(http)]
    command += ["--data-dir", "{folder}/data"]
    for key, value in switched_on.items():
        command += ["--dynamic-config-value", f"{key}={value}"]
    if nodes > 1:
        command += ["--nodes", str(nodes)]
    ui_port = free_ports(nodes)
    if ui:
        command += ["--ui-port", str(ui_port), "--ui-assets", str(ui)]
    addresses = [f"127.0.0.1:{port + i}" for i in range(nodes)]
    over_http = [f"127.0.0.1:{http + i}" for i in range(nodes)]
    server = Server("everlog", addresses, [*command, *extra], over_http, f"127.0.0.1:{ui_port}")
    server.by_default = lambda: everlog(binary, 1, switched_on={})
    return server


def ten_above(address) -> str:
    host, _, port = address.rpartition(":")
    return f"{host}:{int(port) + 10}"


def temporal_cli() -> str:
    """The `temporal` program of the suite's own environment."""
    return str(pathlib.Path(sys.executable).parent / "temporal")


def free_ports(count: int) -> int:
    """The first of `count` neighbouring ports that nobody listens on.

    Taken below the range from which the kernel gives ports to outgoing
    connections, so that none of those can take one before the server does.
    """
    for port in range(20000 + os.getpid() % 10000, 32000, count):
        if all(is_free(port + i) for i in range(count)):
            return port
    raise RuntimeError("no free port")


_given = set()


def is_free(port: int) -> bool:
    if port in _given:
        return False
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    _given.add(port)
    return True


def die_with_parent():
    """Asks Linux to end the child when we end, however we end."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
