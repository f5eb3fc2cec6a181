# SPDX-License-Identifier: MPL-2.0
"""What all systems have in common that are measured."""
import json
import os
import subprocess

from server import Failed, Server

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
BUILD = ROOT + "/build/release"
PAYLOADS = (100, 1024, 16384)
BACKLOG_BYTES = 3 << 30   # most payload of one measurement
E2E_RATE = 10000          # W4: messages a second
MANY_IN_FLIGHT = 10000    # of all producers together, where their number is what is compared
TIMEOUT_S = 120           # for a measurement, beside what it measures


class System:
    """A server in one setting, and how each workload is measured on it.

    A workload is a method of the names in steps.py; where one is missing, the system
    cannot do it. It calls measure(), once for each result. Each runs with a server of its
    own, which start() has made.
    """
    name = ""           # of the system
    settings = ("",)    # that are compared
    durability = {}     # of each setting: what a confirm stands for
    start_s = 1         # about what starting and stopping it takes

    def __init__(self, plan, setting):
        self.plan = plan
        self.setting = setting
        self.server = None

    @property
    def label(self):
        return (self.name + " " + self.setting).strip()

    def missing(self):
        """Why it cannot be measured here; None = it can."""
        return None

    def version(self):
        return ""

    def start(self):
        """Start the server and return when it answers."""

    def stop(self):
        if self.server:
            self.server.stop()
            self.server = None

    def new_server(self):
        self.server = Server(os.path.join(self.plan.data, self.name))
        return self.server

    def measure(self, case, command, in_flight, beside=""):
        """Run what measures; record and return its results. `in_flight` and `beside`, what else
        there is, are texts.

        One that fails is told and left out: the others of the step still count.
        """
        try:
            results = run_json(command, self.plan.seconds)
        except Failed as failed:
            self.plan.say("    %s %s: not measured: %s" % (self.label, case, failed))
            return []
        for result in results:
            result.update(in_flight=str(in_flight), beside=beside)
            self.plan.record(self, case, result)
        return results


def run_json(command, seconds):
    """The objects that a command prints, one a line."""
    try:
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=TIMEOUT_S + 2 * seconds, check=False)
    except subprocess.TimeoutExpired as late:
        raise Failed("%s takes too long" % command) from late
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise Failed("%s: exit status %d: %s" % (
            " ".join(str(word) for word in command), done.returncode, said[0]))
    return [json.loads(line) for line in done.stdout.splitlines()]
