#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""A data directory that an older zspoold left behind is served whole by this one.

    golden_store.py check ZSPOOLD ARCHIVE...
    golden_store.py make ZSPOOLD ARCHIVE      with the older zspoold, see tests/data/README.md

`make` fills a store with some of everything, notes what a client can see of it, and ends with
kill -9. `check` starts zspoold on a copy: a client sees the same, what was leased can be
settled, what was sent can be sent again, nothing that was done comes back.
"""
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import unittest

import msgpack
import zmq

TIMEOUT_S = 60
CONFIG = """data
    segment_size = 64KiB
    fill_ahead = 0B
"""
LEASE_MS = 86400000  # the longest: broker time stands still while no broker runs
DELAY_MS = 300 * 86400000


class Refused(Exception):
    """An ERR, by its code."""


class Broker:
    """zspoold on a directory, and a REQ socket to it: every argument goes over the wire as is."""

    def __init__(self, zspoold, directory):
        config = os.path.join(directory, "zspoold.cfg")
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG)
        self.process = subprocess.Popen(
            [zspoold, "-c", config, "--data", os.path.join(directory, "data"),
             "--listen", "tcp://127.0.0.1:*"], stderr=subprocess.PIPE, text=True)
        self.told = []
        for line in self.process.stderr:
            self.told.append(line)
            found = re.search(r"ready on (\S+)", line)
            if found:
                break
        else:
            self.process.stderr.close()
            return
        self.socket = zmq.Context.instance().socket(zmq.REQ)
        self.socket.setsockopt(zmq.RCVTIMEO, TIMEOUT_S * 1000)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(found.group(1))

    def call(self, verb, *bodies, **args):
        """Arguments end in _ where Python has the word (from_)."""
        args = {name.rstrip("_"): value for name, value in args.items()}
        self.socket.send_multipart([msgpack.packb([1, verb, 0, args]), *bodies])
        head, *bodies = self.socket.recv_multipart()
        _, status, _, reply = msgpack.unpackb(head)
        if status != "OK":
            raise Refused(reply["code"])
        return reply, b"".join(bodies)

    def end(self, number=signal.SIGKILL):
        self.socket.close()
        self.process.send_signal(number)
        self.process.wait(TIMEOUT_S)
        self.process.stderr.close()


def records(body):
    unpacker = msgpack.Unpacker(raw=True)
    unpacker.feed(body)
    return unpacker


# --- What a client can see -------------------------------------------------------------------


def read_partition(broker, topic, partition, start, end):
    rows, offset = [], start
    while offset < end:
        reply, body = broker.call("READ", topic=topic, partition=partition,
                                  from_=["offset", offset])
        messages = records(body)
        for run in reply["runs"]:
            rows += [[run[2] + i, run[5], next(messages)] for i in range(run[3])]
        offset = reply["next"]
    return rows


def see_topic(broker, topic):
    info, _ = broker.call("TOPIC.INFO", topic=topic)
    seen = {"id": info["id"], "settings": info["settings"], "partitions": []}
    for partition, start, end, _ in info["partitions"]:
        rows = read_partition(broker, topic, partition, start, end)
        digest = hashlib.sha256(msgpack.packb(rows)).hexdigest()
        seen["partitions"].append([partition, start, end, len(rows), digest])
    return seen


def see(broker, producers):
    """Everything, as plain JSON."""
    seen = {"topics": {}, "groups": {}, "producers": {}}
    for topic in broker.call("TOPIC.LIST")[0]["items"]:
        seen["topics"][topic] = see_topic(broker, topic)
    for group in broker.call("GROUP.LIST")[0]["items"]:
        info, _ = broker.call("GROUP.INFO", group=group)
        seen["groups"][group] = {name: info[name] for name in ("mode", "start", "settings",
                                                               "parts")}
    for producer in producers:
        info, _ = broker.call("PRODUCER.INFO", producer=producer)
        seen["producers"][producer] = {"epoch": info["epoch"], "last": sorted(info["last"])}
    return seen


def known_then(seen, then):
    """Without the settings, and the numbers of a group, that the broker of that time did not have."""
    for kind in ("topics", "groups"):
        for name, facts in seen[kind].items():
            had = then[kind].get(name, {}).get("settings", {})
            facts["settings"] = {key: value for key, value in facts["settings"].items()
                                 if key in had}
            for part, old in zip(facts.get("parts", []), then[kind].get(name, {}).get("parts", [])):
                del part[len(old):]
    return seen


# --- Making one ------------------------------------------------------------------------------


def record(number):
    """Each third with a key, type, id and headers."""
    payload = b"message %d " % number + bytes(range(number % 256)) * 2
    if number % 3:
        return msgpack.packb([payload])
    return msgpack.packb([payload, b"key %d" % (number % 7), "kind", "id-%d" % number,
                          {"text": "v%d" % number, "bytes": b"\xff\x00"}, 1700000000000 + number])


def publish(broker, topic, numbers, **args):
    return broker.call("PUBLISH", b"".join(record(n) for n in numbers), topic=topic, **args)[0]


def settle(broker, group, run, offsets, *outcome):
    runs = [[run[0], run[1], offset, 1, run[4], *outcome] for offset in offsets]
    reply, _ = broker.call("SETTLE", group=group, runs=runs)
    assert reply["not_applied"] == [], reply


def make_messages(broker):
    broker.call("TOPIC.CREATE", topic="orders", partitions=3,
                settings={"retention_bytes": 1 << 40})
    for first in range(0, 900, 30):
        publish(broker, "orders", range(first, first + 30))
    # Several sealed segments with their indexes, and an open one.
    for first in range(0, 2000, 100):
        publish(broker, "events", range(first, first + 100), level="written")
    publish(broker, "events", [2000])
    publish(broker, "again", range(10))
    broker.call("TOPIC.DELETE", topic="again")
    publish(broker, "again", range(50, 53))
    broker.call("TOPIC.CREATE", topic="empty", partitions=2)


def make_producers(broker):
    for epoch, first in ((1, 1), (2, 41)):
        assert broker.call("PRODUCER.OPEN", producer="till-7")[0]["epoch"] == epoch
        for partition in (0, 2):
            reply = publish(broker, "orders", range(40), partition=partition, count=40,
                            producer="till-7", epoch=epoch, seq=first)
    broker.call("PRODUCER.OPEN", producer="unused")
    return {"partition": 2, "seq": 41, "first": reply["at"][0][3]}


def make_groups(broker):
    """One run of the first 40 of `events`: done, holes, a retry, dead, leased; one moved."""
    broker.call("GROUP.CREATE", group="billing", topics=["events"],
                settings={"lease_ms": LEASE_MS, "max_failures": 7, "backoff_ms": 2000})
    reply, _ = broker.call("PULL", group="billing", max_messages=40)
    run = reply["runs"][0]
    assert run[2:4] == [0, 40], run
    settle(broker, "billing", run, [0, 1, 2, *range(10, 20)], "ack")
    settle(broker, "billing", run, [3], "reject", {"reason": "no such customer"})
    settle(broker, "billing", run, [4], "retry", {"delay_ms": DELAY_MS, "reason": "busy"})
    settle(broker, "billing", run, [25, 27], "release")
    broker.call("GROUP.CREATE", group="audit", topics=["orders", "again"], start="latest")
    broker.call("GROUP.CREATE", group="moved", topics=["events"], start=["offset", 5])
    broker.call("SEEK", group="moved", to=["last", 100])
    leased = sorted({*range(5, 40)} - {*range(10, 20), 25, 27})
    return {"lease": run[4], "leased": leased, "ready": [25, 27, *range(40, 2001)]}


def make(zspoold, archive):
    with tempfile.TemporaryDirectory() as directory:
        broker = Broker(zspoold, directory)
        make_messages(broker)
        facts = {"sent": make_producers(broker), "billing": make_groups(broker),
                 "producers": ["till-7", "unused"]}
        facts["seen"] = see(broker, facts["producers"])
        broker.end()
        with open(os.path.join(directory, "facts.json"), "w", encoding="utf-8") as file:
            json.dump(facts, file, indent=1, sort_keys=True)
        with tarfile.open(archive, "w:xz") as tar:
            tar.add(os.path.join(directory, "facts.json"), "facts.json")
            tar.add(os.path.join(directory, "data"), "data")


# --- Checking --------------------------------------------------------------------------------


class Golden(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="zspool-golden-")
        self.addCleanup(shutil.rmtree, self.directory)
        with tarfile.open(ARCHIVE) as tar:
            tar.extractall(self.directory)
        with open(os.path.join(self.directory, "facts.json"), encoding="utf-8") as file:
            self.facts = json.load(file)

    def start(self):
        broker = Broker(ZSPOOLD, self.directory)
        self.assertIn("ready on", broker.told[-1])
        self.addCleanup(broker.process.wait)
        self.addCleanup(broker.process.kill)
        return broker

    def test_a_client_sees_the_same_also_after_another_crash(self):
        for _ in range(2):
            broker = self.start()
            self.assertEqual(known_then(see(broker, self.facts["producers"]), self.facts["seen"]),
                             self.facts["seen"])
            broker.end()

    def test_a_group_goes_on_where_it_was(self):
        billing = self.facts["billing"]
        broker = self.start()
        runs = [["events", 0, offset, 1, billing["lease"], "ack"] for offset in billing["leased"]]
        reply, _ = broker.call("SETTLE", group="billing", runs=runs)
        self.assertEqual((reply["applied"], reply["not_applied"]), (len(runs), []))
        got = []
        while True:
            reply, _ = broker.call("PULL", group="billing")
            if not reply["runs"]:
                break
            for run in reply["runs"]:
                got += range(run[2], run[2] + run[3])
        self.assertEqual(sorted(got), billing["ready"])
        info, _ = broker.call("GROUP.INFO", group="billing")
        self.assertEqual(info["parts"][0][4:8], [0, len(got), 1, 1])  # ready leased waiting dead
        broker.end()

    def test_producers_go_on_where_they_were(self):
        sent = self.facts["sent"]
        broker = self.start()
        args = {"partition": sent["partition"], "count": 40, "producer": "till-7", "epoch": 2}
        reply = publish(broker, "orders", range(40), seq=sent["seq"], **args)
        self.assertEqual(reply["at"], [[0, 40, sent["partition"], sent["first"], True]])
        with self.assertRaisesRegex(Refused, "sequence_gap"):
            publish(broker, "orders", range(40), seq=sent["seq"] + 41, **args)
        reply, _ = broker.call("PRODUCER.OPEN", producer="till-7")
        self.assertEqual((reply["epoch"], sorted(reply["last"])),
                         (3, [["orders", 0, 80], ["orders", 2, 80]]))
        with self.assertRaisesRegex(Refused, "fenced_producer"):
            publish(broker, "orders", range(40), seq=sent["seq"] + 40, **args)
        broker.end()

    def test_what_is_new_comes_behind_what_is_old(self):
        broker = self.start()
        end = self.facts["seen"]["topics"]["again"]["partitions"][0][2]
        reply = publish(broker, "again", [1])
        self.assertEqual(reply["at"][0][3], end)
        self.assertEqual(broker.call("PULL", group="audit", topics=["again"])[0]["runs"][0][2], end)
        broker.call("TOPIC.CREATE", topic="new")
        ids = [topic["id"] for topic in self.facts["seen"]["topics"].values()]
        self.assertGreater(broker.call("TOPIC.INFO", topic="new")[0]["id"], max(ids))
        broker.end()

    def test_a_start_raises_the_format(self):
        self.start().end()
        with open(os.path.join(self.directory, "data", "FORMAT"), encoding="ascii") as file:
            self.assertIn("version 2\n", file.read())

    def test_a_store_of_another_version_is_refused_and_left_alone(self):
        data = os.path.join(self.directory, "data")
        path = os.path.join(data, "FORMAT")
        with open(path, encoding="ascii") as file:
            text = file.read()
        for version, told in (("3", "store of version 3"), ("0", "FORMAT is damaged")):
            with open(path, "w", encoding="ascii") as file:
                file.write(re.sub(r"version \d+", "version " + version, text))
            before = digests(data)
            broker = Broker(ZSPOOLD, self.directory)
            self.assertEqual(broker.process.wait(TIMEOUT_S), 4)
            self.assertIn(told, "".join(broker.told))
            self.assertEqual(digests(data), before)


def digests(directory):
    found = {}
    for folder, _, names in os.walk(directory):
        for name in set(names) - {"LOCK"}:  # whose number it holds may change
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found[path] = hashlib.sha256(file.read()).hexdigest()
    return found


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(*sys.argv[2:])
        sys.exit(0)
    ZSPOOLD = sys.argv[2]
    good = True
    for ARCHIVE in sys.argv[3:]:
        print(ARCHIVE, file=sys.stderr)
        good = unittest.main(argv=sys.argv[:1], exit=False, verbosity=2).result.wasSuccessful() \
            and good
    sys.exit(0 if good else 1)
