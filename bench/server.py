# SPDX-License-Identifier: MPL-2.0
"""Processes that serve: started on an empty folder, stopped by process id."""
import os
import shutil
import signal
import socket
import subprocess
import time

READY_S = 60
STOP_S = 30


class Failed(Exception):
    """A server, or what measures it, did not do its work."""


def free_port():
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Server:
    """The processes of one server, and its folder `data`."""

    def __init__(self, data):
        self.data = data
        self.log = data + ".log"
        self.port = 0
        self.processes = []
        shutil.rmtree(data, ignore_errors=True)
        os.makedirs(data)
        self.forget_said()

    @property
    def pid(self):
        return self.processes[-1].pid

    def spawn(self, *command, env=None):
        """Start it in a session of its own, so that whatever it starts ends with it."""
        with open(self.log, "a", encoding="utf-8") as log:
            self.processes.append(subprocess.Popen(
                command, env=env, cwd=self.data, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True))

    def forget_said(self):
        open(self.log, "w", encoding="utf-8").close()

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def await_ready(self, ready):
        end = time.monotonic() + READY_S
        while not ready():
            if self.processes[-1].poll() is not None or time.monotonic() > end:
                raise Failed("the server did not start: " + self.said()[-2000:])
            time.sleep(0.05)

    def await_port(self):
        self.await_ready(lambda: listens(self.port))

    def end_processes(self):
        for process in reversed(self.processes):
            end_session(process)
        self.processes = []

    def stop(self):
        self.end_processes()
        shutil.rmtree(self.data, ignore_errors=True)
        os.sync()  # what is left to write would disturb the next


def end_session(process):
    """Ask it to end; kill what is left of its session."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
