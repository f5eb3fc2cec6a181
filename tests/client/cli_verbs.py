#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""The command line, driven as its users drive it: processes, pipes, exit codes.

Usage: cli_verbs.py ZSPOOL ZSPOOLD. Starts a broker of its own.
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
VERBS = ["pub", "pull", "read", "settle", "topic", "group", "producer", "ping", "info", "bench"]
TIMEOUT_S = 60  # for what takes milliseconds


class Broker:
    """A zspoold in a temporary directory, on a free port."""

    def __init__(self):
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


class Run:
    """What one run of the command printed, and how it ended."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def lines(self):
        return self.out.decode().splitlines()

    def objects(self):
        return [json.loads(line) for line in self.lines()]


def zspool(*args, stdin=b"", server=None, env=None):
    command = [ZSPOOL]
    if server is not False:
        command += ["-s", server or BROKER.endpoint]
    environment = {**os.environ, **(env or {})}  # the sanitizers' options are in there
    done = subprocess.run(command + list(args), input=stdin, capture_output=True,
                          timeout=TIMEOUT_S, env=environment)
    return Run(done.returncode, done.stdout, done.stderr.decode())


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


class Help(Case):
    def test_every_verb_has_help_under_80_columns_with_an_example(self):
        for verb in VERBS:
            run = self.good(verb, "--help", server=False)
            self.assertIn("Example:\n  ", run.out.decode())
            for line in run.lines():
                self.assertLess(len(line), 80, line)

    def test_the_command_itself_has_help_and_a_version(self):
        text = self.good("--help", server=False).out.decode()
        for verb in VERBS:
            self.assertIn(f"\n  {verb} ", text)
        self.assertRegex(self.good("--version", server=False).out.decode(), r"^zspool \d+\.\d+")

    def test_wrong_usage_is_told_and_ends_with_2(self):
        self.bad(2, server=False)
        self.bad(2, "frobnicate")
        for verb in VERBS:
            self.bad(2, verb, "--no-such-option")
        self.bad(2, "pub")
        self.bad(2, "pull", "t")
        self.bad(2, "pull", "t", "-g", "g", "--outcome", "maybe")
        self.bad(2, "read")
        self.bad(2, "read", "t", "--from", "yesterday")
        self.bad(2, "read", "t", "--from", "id:7")
        self.bad(2, "settle", "g", "t/0/1@5")
        self.bad(2, "settle", "g", "t/0/1", "--ack")
        self.bad(2, "topic", "frob", "t")
        self.bad(2, "topic", "info", "../t")
        self.bad(2, "group", "seek", "g")
        self.bad(2, "producer", "frob", "x")
        self.bad(2, "bench", "pub", "--in-flight", "0")
        self.bad(2, "ping", server="nonsense")


class Server(Case):
    def test_the_server_comes_from_the_option_anywhere_or_the_environment(self):
        self.good("ping")
        run = zspool("ping", "-s", BROKER.endpoint, server=False)
        self.assertEqual(run.code, 0)
        run = zspool("ping", server=False, env={"ZSPOOL_SERVER": BROKER.endpoint})
        self.assertEqual(run.code, 0)
        self.good("ping", server="tcp://127.0.0.1:1," + BROKER.endpoint)

    def test_no_broker_ends_with_3_and_says_so(self):
        run = self.bad(3, "ping", "--timeout", "300ms", server="tcp://127.0.0.1:1")
        self.assertIn("tcp://127.0.0.1:1", run.err)
        self.bad(3, "pub", "t", "x", "--timeout", "300ms", server="tcp://127.0.0.1:1")
        self.bad(3, "pull", "t", "-g", "g", "--wait", "300ms", server="tcp://127.0.0.1:1")

    def test_ping_and_info_as_json(self):
        ping = self.good("ping", "--json").objects()[0]
        self.assertEqual(ping["endpoint"], BROKER.endpoint)
        self.assertGreaterEqual(ping["round_trip_us"], 0)
        info = self.good("info", "--json").objects()[0]
        self.assertEqual(info["protocol"], 1)
        self.assertIn("published_messages", info["stats"])
        self.assertIn("broker", self.good("info").out.decode())


class Messages(Case):
    def test_lines_go_in_and_come_out(self):
        with open("/etc/passwd", "rb") as file:
            text = file.read()
        self.good("pub", "passwd", stdin=text)
        self.assertEqual(self.good("read", "passwd").out, text)
        self.assertEqual(self.good("pull", "passwd", "-g", "g", "-e").out, text)
        self.assertEqual(zspool("pull", "passwd", "-g", "g", "-e").code, 3)

    def test_pub_confirms_as_json(self):
        confirm = self.good("pub", "confirms", "a", "b", "--json").objects()
        self.assertEqual(sum(c["count"] for c in confirm), 2)
        self.assertEqual(confirm[0], {"topic": "confirms", "partition": 0, "offset": 0,
                                      "count": confirm[0]["count"], "level": "synced",
                                      "duplicate": False})
        confirm = self.good("pub", "confirms", "c", "--json", "--written").objects()
        self.assertEqual(confirm[0]["level"], "written")

    def test_pub_tells_a_confirm_before_more_input_comes(self):
        with subprocess.Popen([ZSPOOL, "-s", BROKER.endpoint, "pub", "slow", "--json"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            for offset in range(3):
                process.stdin.write(b"line\n")
                process.stdin.flush()
                self.assertEqual(json.loads(process.stdout.readline())["offset"], offset)
            process.stdin.close()
            self.assertEqual(process.wait(), 0)

    def test_a_message_as_json_has_all_its_parts(self):
        self.good("pub", "parts", "-k", "k", "-H", "a=b=c", "-H", "d=", "--type", "T", "--id", "I",
                  'say "hi"\n\x01')
        message = self.good("read", "parts", "--json").objects()[0]
        self.assertRegex(message.pop("timestamp"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(message, {
            "topic": "parts", "partition": 0, "offset": 0, "key": "k", "type": "T", "id": "I",
            "priority": 4, "headers": {"a": "b=c", "d": ""}, "payload": 'say "hi"\n\x01'})

    def test_bytes_that_are_no_text_are_base64(self):
        self.good("pub", "binary", "-0", stdin=b"\xff\xfe\0ok\0")
        first, second = self.good("read", "binary", "--json").objects()
        self.assertEqual(first["payload_base64"], "//4=")
        self.assertNotIn("payload", first)
        self.assertEqual(second["payload"], "ok")

    def test_input_is_cut_at_delimiters_and_keys(self):
        self.good("pub", "cut", "-D", "::", stdin=b"a::b:c::d")
        self.assertEqual(self.good("read", "cut").lines(), ["a", "b:c", "d"])
        self.good("pub", "keys", "-K", "\\t", stdin=b"k\tv\nno key\n")
        keyed = self.good("read", "keys", "--json").objects()
        self.assertEqual([(m["key"], m["payload"]) for m in keyed],
                         [("k", "v"), (None, "no key")])
        self.good("pub", "whole", "-D", "", "--file", "/etc/hostname")
        with open("/etc/hostname", encoding="utf-8") as file:
            self.assertEqual(self.good("read", "whole", "--json").objects()[0]["payload"],
                             file.read())
        self.bad(1, "pub", "whole", "--file", "/no/such/file")

    def test_a_large_input_passes_through_whole(self):
        text = b"".join(b"line %d %s\n" % (i, b"x" * (i % 300)) for i in range(60000))
        self.good("pub", "large", stdin=text)
        self.assertEqual(self.good("read", "large").out, text)

    def test_positions_of_read(self):
        self.good("pub", "pos", *[str(i) for i in range(10)])
        self.assertEqual(self.good("read", "pos", "--from", "-2").lines(), ["8", "9"])
        self.assertEqual(self.good("read", "pos", "--from", "3", "--to", "5").lines(), ["3", "4"])
        self.assertEqual(self.good("read", "pos", "--from", "1h", "-n", "1").lines(), ["0"])
        self.assertEqual(self.good("read", "pos", "--to", "-9", "-p", "0").lines(), ["0"])
        self.assertEqual(self.good("read", "pos", "--from", "2020-01-01T00:00:00+02:00",
                                   "-n", "1").lines(), ["0"])
        self.assertEqual(self.good("read", "pos", "--from", "@0", "-n", "1").lines(), ["0"])
        self.assertEqual(zspool("read", "pos", "--from", "latest").code, 3)
        self.bad(1, "read", "pos", "--from", "11")
        self.bad(4, "read", "no-such-topic")
        self.bad(4, "read", "pos", "-p", "7")

    def test_read_follows_until_it_is_interrupted(self):
        with subprocess.Popen([ZSPOOL, "-s", BROKER.endpoint, "read", "pos2", "-f"],
                              stdout=subprocess.PIPE) as follower:
            # The topic does not exist yet: that is an error, so make it first.
            self.assertEqual(follower.wait(TIMEOUT_S), 4)
        self.good("topic", "create", "pos2")
        with subprocess.Popen([ZSPOOL, "-s", BROKER.endpoint, "read", "pos2", "-f"],
                              stdout=subprocess.PIPE) as follower:
            self.good("pub", "pos2", "late")
            self.assertEqual(follower.stdout.readline(), b"late\n")
            follower.send_signal(signal.SIGINT)
            self.assertEqual(follower.wait(TIMEOUT_S), 0)


class Groups(Case):
    def part(self, group):
        return self.good("group", "info", group, "--json").objects()[0]["parts"][0]

    def test_pull_takes_exactly_what_it_prints(self):
        self.good("pub", "exact", *[str(i) for i in range(10)])
        self.assertEqual(self.good("pull", "exact", "-g", "ex", "-n", "4").lines(),
                         ["0", "1", "2", "3"])
        part = self.part("ex")
        self.assertEqual((part["committed"], part["leased"], part["ready"]), (4, 0, 6))

    def test_what_was_not_printed_is_handed_back_on_ctrl_c(self):
        self.good("pub", "ctrl", *[str(i) for i in range(5)])
        with subprocess.Popen([ZSPOOL, "-s", BROKER.endpoint, "pull", "ctrl", "-g", "c",
                               "--wait", "50s"], stdout=subprocess.PIPE) as puller:
            for i in range(5):
                self.assertEqual(puller.stdout.readline(), b"%d\n" % i)
            puller.send_signal(signal.SIGINT)
            self.assertEqual(puller.wait(TIMEOUT_S), 0)
        part = self.part("c")
        self.assertEqual((part["committed"], part["leased"]), (5, 0))

    def test_a_broken_pipe_hands_back_what_was_not_printed(self):
        # More than a pipe holds, so that the writer is still at it when its reader goes.
        self.good("pub", "broken", stdin=b"".join(b"%06d %s\n" % (i, b"x" * 500)
                                                  for i in range(2000)))
        with subprocess.Popen([ZSPOOL, "-s", BROKER.endpoint, "pull", "broken", "-g", "b"],
                              stdout=subprocess.PIPE) as puller:
            self.assertTrue(puller.stdout.readline().startswith(b"000000"))
            puller.stdout.close()
            self.assertEqual(puller.wait(TIMEOUT_S), 1)
        part = self.part("b")
        self.assertEqual(part["leased"], 0)
        self.assertGreater(part["ready"], 1500)
        self.assertEqual(part["ready"] + part["committed"], 2000)

    def test_outcomes_other_than_ack(self):
        self.good("pub", "outcome", "x")
        self.assertEqual(self.good("pull", "outcome", "-g", "o", "-n", "1",
                                   "--outcome", "release").lines(), ["x"])
        self.assertEqual(self.part("o")["ready"], 1)
        self.good("pull", "outcome", "-g", "o", "-n", "1", "--outcome", "retry")
        self.assertEqual(self.part("o")["waiting"], 1)
        self.good("pull", "outcome", "-g", "p", "-n", "1", "--outcome", "reject")
        self.assertEqual(self.part("p")["dead"], 1)

    def test_settle_by_address(self):
        self.good("pub", "addr", "a", "b", "c")
        pulled = self.good("pull", "addr", "-g", "a", "-n", "3", "--outcome", "none",
                           "--json").objects()
        addresses = ["%s/%d/%d@%d" % (m["topic"], m["partition"], m["offset"], m["lease"])
                     for m in pulled]
        self.assertEqual(pulled[0]["deliveries"], 1)
        settled = self.good("settle", "a", addresses[0], addresses[1], "--ack", "--json")
        self.assertEqual([s["settled"] for s in settled.objects()], ["applied", "applied"])
        self.good("settle", "a", addresses[0], "--ack")
        self.good("settle", "a", addresses[2], "--extend", "1m")
        self.good("settle", "a", addresses[2], "--retry", "1h", "--reason", "later")
        self.assertEqual(self.part("a")["waiting"], 1)
        run = zspool("settle", "a", "addr/0/0@12345", "--release", "--json")
        self.assertIn(run.code, (0, 1))
        self.bad(4, "settle", "no-such-group", addresses[0], "--ack")

    def test_a_pull_of_another_mode_or_start_is_refused(self):
        self.good("pub", "modes", "x")
        self.bad(1, "pull", "modes", "-g", "m", "--mode", "keyed", "-e")
        self.good("pull", "modes", "-g", "m2", "--start", "earliest", "-e")
        self.bad(1, "pull", "modes", "-g", "m2", "--start", "latest", "-e")

    def test_group_administration(self):
        self.good("pub", "adm", *[str(i) for i in range(10)])
        self.good("group", "create", "adm", "--topic", "adm", "--lease", "5s",
                  "--max-failures", "3", "--start", "latest")
        self.bad(1, "group", "create", "adm")
        self.good("group", "set", "adm", "--backoff", "2s", "--backoff-max", "1m",
                  "--max-leased", "50")
        info = self.good("group", "info", "adm", "--json").objects()[0]
        self.assertEqual(info["settings"], {"lease_ms": 5000, "max_failures": 3,
                                            "backoff_ms": 2000, "backoff_max_ms": 60000,
                                            "max_leased": 50})
        self.assertIn("adm", self.good("group", "ls").lines())
        self.assertEqual(self.good("group", "ls", "ad?", "--json").objects(), [{"group": "adm"}])
        dry = self.good("group", "seek", "adm", "--topic", "adm", "--to", "4", "--dry-run",
                        "--json").objects()[0]
        self.assertEqual((dry["from"], dry["to"], dry["redelivered"]), (10, 4, 6))
        self.bad(1, "group", "seek", "adm", "--topic", "adm", "--to", "4")
        self.good("group", "seek", "adm", "--topic", "adm", "--to", "4", "--yes")
        self.assertEqual(self.part("adm")["committed"], 4)
        self.bad(1, "group", "rm", "adm")
        self.assertEqual(zspool("group", "rm", "adm", "--dry-run").code, 0)
        self.good("group", "rm", "adm", "--yes")
        self.bad(4, "group", "info", "adm")
        self.bad(4, "group", "rm", "adm", "--yes")


class Topics(Case):
    def test_topic_administration(self):
        self.good("topic", "create", "top", "--partitions", "3", "--retention-time", "7d")
        self.bad(1, "topic", "create", "top")
        self.good("topic", "set", "top", "--retention-bytes", "1GiB")
        info = self.good("topic", "info", "top", "--json").objects()[0]
        self.assertEqual(info["settings"], {"retention_time_ms": 604800000,
                                            "retention_bytes": 1 << 30})
        self.assertEqual(len(info["partitions"]), 3)
        self.good("topic", "set", "top", "--retention-time", "default")
        info = self.good("topic", "info", "top", "--json").objects()[0]
        self.assertEqual(list(info["settings"]), ["retention_bytes"])
        self.assertEqual(self.good("topic", "ls", "to?").lines(), ["top"])
        self.bad(1, "topic", "rm", "top")
        self.assertIn("would delete", zspool("topic", "rm", "top", "--dry-run").err)
        self.good("topic", "rm", "top", "--yes")
        self.bad(4, "topic", "info", "top")
        self.bad(2, "topic", "set", "top")

    def test_keys_keep_their_partition_and_reads_merge_by_time(self):
        self.good("topic", "create", "many", "--partitions", "5")
        for i in range(5):
            self.good("pub", "many", "-K", ":", stdin=b"".join(
                b"key%d:%d\n" % (k, i) for k in range(20)))
        messages = self.good("read", "many", "--json").objects()
        self.assertEqual(len(messages), 100)
        self.assertEqual(messages, sorted(messages, key=lambda m: m["timestamp"]))
        place = {}
        for message in messages:
            self.assertEqual(place.setdefault(message["key"], message["partition"]),
                             message["partition"])
        self.assertGreater(len(set(place.values())), 1)


class Others(Case):
    def test_producer_info(self):
        self.bad(4, "producer", "info", "nobody")

    def test_bench_gives_figures(self):
        result = self.good("bench", "pub", "--seconds", "1", "--payload", "1KiB", "--producers",
                           "2", "--in-flight", "4", "--batch", "64KiB", "--json").objects()[0]
        self.assertEqual((result["bench"], result["level"]), ("pub", "synced"))
        self.assertGreater(result["messages_per_s"], 0)
        self.assertEqual(result["payload_bytes_in_all"], result["messages"] * 1024)
        pulled = self.good("bench", "pull", "--seconds", "30", "--json").objects()[0]
        self.assertEqual(pulled["messages"], result["messages"])
        self.assertEqual(self.good("group", "ls", "bench-*").lines(), [])
        self.bad(4, "bench", "pull", "--topic", "no-such-topic")


if __name__ == "__main__":
    BROKER = Broker()
    try:
        program = unittest.main(argv=sys.argv[:1], exit=False, verbosity=2)
    finally:
        BROKER.stop()
    sys.exit(0 if program.result.wasSuccessful() else 1)
