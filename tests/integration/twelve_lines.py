#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
#
# The client of twelve lines, as examples/twelve_lines.py has it, does the whole
# job, before and after kill -9. Usage: twelve_lines.py ZSPOOLD CLIENT
import os
import signal
import subprocess
import sys
import tempfile

DEFAULT = "tcp://127.0.0.1:7227"
TIMEOUT = 60


def start(zspoold, data, listen):
    """A broker that is ready, and where it listens."""
    broker = subprocess.Popen([zspoold, "--data", data, "--listen", listen],
                              stderr=subprocess.PIPE, text=True)
    for line in broker.stderr:
        if line.startswith("zspoold: ready on "):
            return broker, line.split()[-1]
    sys.exit("zspoold did not become ready, exit code %s" % broker.wait(TIMEOUT))


def run_client(source, endpoint):
    done = subprocess.run([sys.executable, "-c", source.replace(DEFAULT, endpoint)],
                          stdout=subprocess.PIPE, text=True, timeout=TIMEOUT, check=True)
    return done.stdout


def expect(what, wanted, got):
    if wanted != got:
        sys.exit("%s: wanted %r, got %r" % (what, wanted, got))


def main():
    zspoold, client = sys.argv[1:]
    with open(client, encoding="utf-8") as file:
        source = file.read()
    expect("lines of the client that say where", 1, source.count(DEFAULT))
    half = source[:source.index("reply, bodies = call(\"PULL\"")]  # publishes only
    with tempfile.TemporaryDirectory() as directory:
        data = os.path.join(directory, "data")
        broker, endpoint = start(zspoold, data, "tcp://127.0.0.1:*")
        expect("first run", "0 b'hello'\n", run_client(source, endpoint))
        run_client(half, endpoint)
        broker.kill()
        broker.wait(TIMEOUT)

        # What was confirmed is there, what was acked is not handed out again.
        broker, endpoint = start(zspoold, data, endpoint)
        expect("after kill -9", "1 b'hello'\n2 b'hello'\n", run_client(source, endpoint))
        broker.send_signal(signal.SIGTERM)
        expect("exit code", 0, broker.wait(TIMEOUT))


main()
