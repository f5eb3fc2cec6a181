# SPDX-License-Identifier: MPL-2.0
"""What the black-box tests of the command line share: a broker of their own, one
run of the command, a test case with words for good and bad ends.

A test program is called with ZSPOOL and ZSPOOLD, the paths of both, and ends
with cli_support.main().
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest

ZSPOOL, ZSPOOLD = sys.argv[1:3]
TIMEOUT_S = 60  # for what takes milliseconds


class Broker:
    """A zspoold in a temporary directory, on a free port."""

    def start(self):
        self.dir = tempfile.TemporaryDirectory(prefix="zspool-cli-")
        self.process = subprocess.Popen(
            [ZSPOOLD, "--data", self.dir.name + "/data", "--listen", "tcp://127.0.0.1:*"],
            stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            found = re.search(r"ready on (\S+)", line)
            if found:
                self.endpoint = found.group(1)
                return
        raise RuntimeError("zspoold did not start")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.stderr.read()
        self.process.wait(TIMEOUT_S)
        self.process.stderr.close()
        self.dir.cleanup()


BROKER = Broker()  # of this program, started by main()


class Run:
    """What one run of the command printed, and how it ended."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def lines(self):
        return self.out.decode().splitlines()

    def objects(self):
        return [json.loads(line) for line in self.out.split(b"\n") if line]


def environment(env=None):
    return {**os.environ, **(env or {})}  # the sanitizers' options are in there


def command(*args):
    """The words that run a verb against this program's broker."""
    return [ZSPOOL, "-s", BROKER.endpoint, *args]


def zspool(*args, stdin=b"", server=None, env=None):
    words = [ZSPOOL]
    if server is not False:
        words += ["-s", server or BROKER.endpoint]
    done = subprocess.run(words + list(args), input=stdin, capture_output=True,
                          timeout=TIMEOUT_S, env=environment(env))
    return Run(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


class Case(unittest.TestCase):
    def good(self, *args, **kw):
        run = zspool(*args, **kw)
        self.assertEqual(run.code, 0, run.err)
        return run

    def bad(self, code, *args, **kw):
        run = zspool(*args, **kw)
        self.assertEqual(run.code, code, run.err)
        self.assertTrue(run.err.startswith("zspool"), run.err)
        self.assertEqual(run.out, b"")
        return run

    def usage(self, *args, **kw):
        """Wrong usage: one line that says what is wrong and where more is told."""
        run = self.bad(2, *args, **kw)
        self.assertEqual(run.err.count("\n"), 1, run.err)
        self.assertRegex(run.err, r"see zspool (\w+ )?--help\n$")
        return run


def main():
    BROKER.start()
    try:
        program = unittest.main(module="__main__", argv=sys.argv[:1] + sys.argv[3:], exit=False,
                                verbosity=2)
    finally:
        BROKER.stop()
    sys.exit(0 if program.result.wasSuccessful() else 1)
