#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""Messages through the command line: pub and read.

Usage: cli_messages.py ZSPOOL ZSPOOLD [TEST]... Starts a broker of its own.
"""
import base64
import json
import os
import random
import signal
import subprocess
import tempfile

import msgpack
import zmq

from cli_support import BROKER, TIMEOUT_S, ZSPOOL, Case, command, main, zspool


class FastRetention:
    """A broker that answers a client's HELLO, and its READs from a list."""

    def __init__(self, replies):
        self.replies = list(replies)
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")

    def serve(self):
        """Until all replies were given."""
        while self.replies and self.socket.poll(TIMEOUT_S * 1000):
            peer, header = self.socket.recv_multipart()[:2]
            _, verb, number, args = msgpack.unpackb(header)
            body = []
            if verb == "HELLO":
                kind, reply = "OK", {
                    "version": 1, "broker": "fake", "instance": bytes(16), "session": bytes(16),
                    "resumed": False, "session_timeout_ms": 30000, "features": [], "now_ms": 1,
                    "limits": {"max_requests": 64, "max_request_bytes": 1 << 26,
                               "max_header": 1 << 20, "max_frame": 1 << 26,
                               "max_record": 1 << 24, "max_reply": 1 << 24, "max_runs": 4096,
                               "max_wait_ms": 60000}}
            elif verb == "TOPIC.INFO":
                kind, reply = "OK", {"partitions": [[0, 0, 9, 9]]}
            else:
                kind, reply, body = self.replies.pop(0)(args)
            self.socket.send_multipart([peer, msgpack.packb([1, kind, number, reply]), *body])


def kept(first, count, end):
    return lambda args: ("OK", {
        "runs": [["t", 0, first, count, None, 5]], "next": first + count, "start": first,
        "end": end}, [b"".join(msgpack.packb([b"m%d" % (first + i)]) for i in range(count))])


def overtaken(args):
    return ("ERR", {"code": "out_of_range", "message": "offset %d is not in 7..9" % args["from"][1],
                    "retriable": False}, [])


class Resumed(Case):
    """read --resume: each test has a topic of three partitions, and a file."""

    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="zspool-place-")
        self.addCleanup(self.dir.cleanup)
        self.file = self.dir.name + "/place"
        self.topic = self.id().rsplit(".", 1)[1][:40].replace("_", "-")
        self.good("topic", "create", self.topic, "--partitions", "3")

    def pub(self, first, end):
        for i in range(first, end):
            self.good("pub", self.topic, "-p", str(i % 3), str(i))

    def read(self, *args):
        return self.good("read", self.topic, "--resume", self.file, *args).lines()

    def test_each_run_goes_on_where_the_one_before_ended(self):
        self.pub(0, 12)
        seen = self.read("-n", "1") + self.read("-n", "4") + self.read()
        self.assertEqual(seen, [str(i) for i in range(12)])
        run = self.bad(3, "read", self.topic, "--resume", self.file)
        self.assertIn("nothing to read", run.err)
        self.pub(12, 14)
        self.assertEqual(self.read("--from", "earliest"), ["12", "13"])
        self.assertEqual(os.listdir(self.dir.name), ["place"])
        with open(self.file, encoding="ascii") as file:
            self.assertRegex(file.read(), r"^zspool-read 1\n%s \d+\nall\n0 5\n1 5\n2 4\n$" % self.topic)

    def test_a_run_that_saw_nothing_has_a_place_too(self):
        self.pub(0, 3)
        self.bad(3, "read", self.topic, "--from", "latest", "--resume", self.file)
        with subprocess.Popen(command("read", self.topic, "-f", "--resume", self.file),
                              stdout=subprocess.PIPE) as follower:
            self.pub(3, 4)
            self.assertEqual(follower.stdout.readline(), b"3\n")
            follower.send_signal(signal.SIGINT)
            self.assertEqual(follower.wait(TIMEOUT_S), 0)
        self.pub(4, 7)
        self.good("topic", "set", self.topic, "--partitions", "4")
        self.good("pub", self.topic, "-p", "3", "new")
        self.assertEqual(sorted(self.read()), ["4", "5", "6", "new"])

    def test_what_could_not_be_printed_comes_again(self):
        self.pub(0, 6)
        self.assertEqual(self.read("-n", "2"), ["0", "1"])
        with open("/dev/full", "wb") as full:
            done = subprocess.run(command("read", self.topic, "--resume", self.file), stdout=full,
                                  stderr=subprocess.PIPE, timeout=TIMEOUT_S, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.read(), ["2", "3", "4", "5"])

    def test_what_retention_took_is_told_once_and_the_rest_follows(self):
        self.pub(0, 9)
        self.read("-n", "1")
        self.good("topic", "purge", self.topic, "-p", "1", "--before", "2", "--yes")
        run = self.good("read", self.topic, "--resume", self.file)
        self.assertEqual(sorted(run.lines()), ["2", "3", "5", "6", "7", "8"])
        self.assertIn("some messages went before they were read", run.err)
        self.bad(3, "read", self.topic, "--resume", self.file)

    def test_a_file_that_is_of_something_else_is_refused(self):
        self.pub(0, 3)
        self.read()
        self.assertIn('about partition "all", not "1"',
                      self.bad(1, "read", self.topic, "--resume", self.file, "-p", "1").err)
        self.good("topic", "rm", self.topic, "--yes")
        self.bad(4, "read", self.topic, "--resume", self.file)
        self.good("topic", "create", self.topic, "--partitions", "3")
        self.assertIn("remove it", self.bad(1, "read", self.topic, "--resume", self.file).err)
        for text, told in ((b"no\n", 'something else, "no"'), (b"zspool-read 1\n", "topic and id"), (b"", "remove it")):
            with open(self.file, "wb") as file:
                file.write(text)
            self.assertIn(told, self.bad(1, "read", self.topic, "--resume", self.file).err)
        self.bad(1, "read", self.topic, "--resume", "/no/such/place")
        self.assertIn("Is a directory", self.bad(1, "read", self.topic, "--resume", self.dir.name).err)
        self.usage("read", self.topic, "--resume", "")
        self.bad(1, "read", self.topic, "--resume", "/proc/place")

    def test_lines_that_are_no_places_are_told_with_their_number(self):
        self.pub(0, 3)
        self.read()
        with open(self.file, "a", encoding="ascii") as file:
            file.write("0 x\n")
        self.assertIn("line 7: want", self.bad(1, "read", self.topic, "--resume", self.file).err)
        with open(self.file, encoding="ascii") as file:
            head = file.readlines()[:3]
        for place, code, told in (("0 9", 1, "beyond the end"), ("7 0", 4, "no partition 7")):
            with open(self.file, "w", encoding="ascii") as file:
                file.write("".join(head) + place + "\n")
            self.assertIn(told, self.bad(code, "read", self.topic, "--resume", self.file).err)

    def test_a_line_without_an_end_is_no_place(self):
        self.pub(0, 3)
        self.read()
        with open(self.file, encoding="ascii") as file:
            text = file.read()
        for end, line in ((text[:-1], 6), (text + "0" * 600 + "\n2 0\n", 7), (text + "\0\n", 7)):
            with open(self.file, "w", encoding="ascii") as file:
                file.write(end)
            run = self.bad(1, "read", self.topic, "--resume", self.file)
            self.assertIn(f"line {line}: want", run.err)

    def test_an_id_has_no_place_to_go_on_from(self):
        self.usage("read", self.topic, "--resume", self.file, "--id", "x")
        self.usage("read", self.topic, "--resume", self.file, "--from", "id:x")
        self.usage("read", "--trace", "t/0/1", "-g", "g", "--resume", self.file)


class Messages(Case):
    def test_a_follower_that_retention_overtakes_tells_and_goes_on(self):
        broker = FastRetention([kept(0, 4, 9), overtaken, kept(7, 2, 9)])
        with broker.socket, subprocess.Popen(
                [ZSPOOL, "-s", f"tcp://127.0.0.1:{broker.port}", "read", "t", "-f", "-n", "6"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reader:
            broker.serve()
            out, err = reader.communicate(timeout=TIMEOUT_S)
        self.assertEqual(out, b"m0\nm1\nm2\nm3\nm7\nm8\n")
        self.assertIn(b"offset 4 is not in 7..9", err)
        self.assertEqual(reader.returncode, 0)

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
        with subprocess.Popen(command("pub", "slow", "--json"),
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

    def test_priority_delay_and_time_to_live_are_told(self):
        self.good("pub", "terms", "-P", "9", "--ttl", "1h", "urgent")
        self.good("pub", "terms", "--delay", "2h", "late")
        urgent, late = self.good("read", "terms", "--json").objects()
        self.assertEqual(urgent["priority"], 9)
        self.assertNotIn("not_before", urgent)
        self.assertGreater(urgent["expires_at"], urgent["timestamp"])
        self.assertGreater(late["not_before"], urgent["expires_at"])
        self.assertNotIn("expires_at", late)
        pulled = self.good("pull", "terms", "-g", "g", "-e", "--json").objects()
        self.assertEqual([m["payload"] for m in pulled], ["urgent"])
        self.assertEqual(pulled[0]["expires_at"], urgent["expires_at"])
        self.assertEqual(self.good("read", "terms", "--format", r"%P %s\n").lines(),
                         ["9 urgent", "4 late"])

    def test_priority_and_times_survive_the_round_trip(self):
        given = [{"payload": "a", "priority": 0, "not_before": "2031-02-03T04:05:06.789Z"},
                 {"payload": "b", "priority": 9, "expires_at": "2032-02-03T04:05:06.789Z"},
                 {"payload": "c", "priority": 4}]
        self.good("pub", "ttrip", "--from-json",
                  stdin="".join(json.dumps(m) + "\n" for m in given).encode())
        first = self.good("read", "ttrip", "--json")
        self.good("pub", "ttrip2", "--from-json", stdin=first.out)
        for topic in ("ttrip", "ttrip2"):
            self.assertEqual(
                [{k: m[k] for k in m if k in ("payload", "priority", "not_before", "expires_at")}
                 for m in self.good("read", topic, "--json").objects()], given)

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

    def test_a_read_without_a_message_says_so(self):
        self.good("pub", "nil", "a")
        self.assertEqual(self.bad(3, "read", "nil", "--from", "latest").err,
                         "zspool: topic nil: there is nothing to read in this range\n")
        self.assertRegex(self.bad(3, "read", "nil", "--filter", 'type = "x"').err, "nothing .* matches the filter")
        self.assertEqual(self.bad(4, "read", "nil-typo").err, "zspool: topic nil-typo: no such topic\n")
        self.assertIn("no partition 7, it has 1", self.bad(4, "read", "nil", "-p", "7").err)

    def test_a_topic_with_a_window_takes_each_id_once(self):
        self.good("topic", "create", "once", "--partitions", "3", "--dedup-window", "1h")
        lines = "".join('{"payload":"%d","id":"id-%d"}\n' % (i, i) for i in range(20))
        first = self.good("pub", "once", "--from-json", "--json", stdin=lines.encode()).objects()
        self.assertEqual({c["duplicate"] for c in first}, {False})
        lines += '{"payload":"x","id":"id-x"}\n'
        again = self.good("pub", "once", "--from-json", "--json", stdin=lines.encode()).objects()
        self.assertEqual(sum(c["count"] for c in again if c["duplicate"]), 20)
        self.assertEqual(sum(c["count"] for c in again if not c["duplicate"]), 1)
        self.assertEqual(len(self.good("read", "once").lines()), 21)
        self.assertEqual(self.good("read", "once", "--id", "id-7").lines(), ["7"])
        self.assertEqual(self.good("read", "once", "--from", "id:id-x").lines(), ["x"])
        self.bad(4, "read", "once", "--id", "none")
        self.good("pub", "window-less", "--id", "a", "b")
        self.assertIn("dedup_window_ms", self.bad(1, "read", "window-less", "--id", "a").err)

    def test_read_takes_a_filter(self):
        for key in "abcab":
            self.good("pub", "fil", "-k", key, f"of {key}")
        self.assertEqual(self.good("read", "fil", "--filter", 'key = "a"').lines(), ["of a", "of a"])
        self.assertEqual(self.good("read", "fil", "--filter", 'key = "b"', "-n", "1").lines(), ["of b"])
        self.assertEqual(self.good("read", "fil", "-f", "-n", "1", "--filter", 'key = "c"').lines(),
                         ["of c"])
        self.assertEqual(zspool("read", "fil", "--filter", 'key = "x"').code, 3)
        self.assertIn("filter", self.bad(2, "read", "fil", "--filter", "size > 3").err)
        self.usage("read", "fil", "--id", "7", "--filter", 'key = "a"')

    def test_read_follows_all_partitions(self):
        self.good("topic", "create", "follow3", "--partitions", "3")
        self.good("pub", "follow3", "-p", "1", "old")
        with subprocess.Popen(command("read", "follow3", "-f", "-n", "4"),
                              stdout=subprocess.PIPE) as follower:
            self.assertEqual(follower.stdout.readline(), b"old\n")
            for partition in "201":
                self.good("pub", "follow3", "-p", partition, "new " + partition)
                self.assertEqual(follower.stdout.readline(), f"new {partition}\n".encode())
            self.assertEqual(follower.wait(TIMEOUT_S), 0)

    def test_read_follows_partitions_that_come_later(self):
        self.good("topic", "create", "grows", "--partitions", "1")
        self.good("pub", "grows", "old")
        with subprocess.Popen(command("read", "grows", "-f", "-n", "5", "--format", r"%p/%o %s\n"),
                              stdout=subprocess.PIPE) as follower:
            self.assertEqual(follower.stdout.readline(), b"0/0 old\n")
            for partition in "12":
                self.good("topic", "set", "grows", "--partitions", str(int(partition) + 1))
                for offset in "01":
                    self.good("pub", "grows", "-p", partition, "new")
                    self.assertEqual(follower.stdout.readline(),
                                     f"{partition}/{offset} new\n".encode())
            self.assertEqual(follower.wait(TIMEOUT_S), 0)

    def test_read_prints_by_a_format(self):
        self.good("pub", "fmt", "-k", "key", "-H", "a=1", "-H", "b=2", "--type", "T", "--id", "I",
                  "pay")
        self.good("pub", "fmt", "")
        run = self.good("read", "fmt", "--format",
                        r"%t/%p/%o k=%k(%K) s=%s(%S) h=%h %i %y %d%% \x41\x00\t\n")
        self.assertEqual(run.out, b"fmt/0/0 k=key(3) s=pay(3) h=a=1,b=2 I T 0% A\0\t\n"
                                  b"fmt/0/1 k=(-1) s=(0) h=   0% A\0\t\n")
        stamp = self.good("read", "fmt", "-n", "1", "--format", "%T").out.decode()
        self.assertRegex(stamp, r"^[0-9]{13}$")
        self.assertIn("no %q (byte 4", self.usage("read", "fmt", "--format", "%o %q").err)
        self.usage("read", "fmt", "--format", "%o", "--json")
        self.usage("pull", "fmt", "-g", "fmt", "--format", "\\y")

    def test_a_reader_that_goes_away_ends_read_as_any_filter(self):
        self.good("pub", "gone", stdin=b"".join(b"%06d %s\n" % (i, b"x" * 500)
                                                for i in range(2000)))
        with subprocess.Popen(command("read", "gone"), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as reader:
            self.assertTrue(reader.stdout.readline().startswith(b"000000"))
            reader.stdout.close()
            self.assertEqual(reader.wait(TIMEOUT_S), -signal.SIGPIPE)
            self.assertEqual(reader.stderr.read(), b"")

    def test_output_that_cannot_be_written_is_an_error(self):
        self.good("pub", "full", "x")
        for words in (["read", "full"], ["pull", "full", "-g", "full", "-n", "1"],
                      ["topic", "ls"]):
            with open("/dev/full", "wb") as full:
                done = subprocess.run(command(*words), stdout=full, stderr=subprocess.PIPE,
                                      timeout=TIMEOUT_S, check=False)
            self.assertEqual(done.returncode, 1, words)
            self.assertIn(b"zspool: cannot write: No space left", done.stderr)
        part = self.good("group", "info", "full", "--json").objects()[0]["parts"][0]
        self.assertEqual((part["leased"], part["ready"]), (0, 1))

    def test_read_follows_until_it_is_interrupted(self):
        with subprocess.Popen(command("read", "pos2", "-f"),
                              stdout=subprocess.PIPE) as follower:
            # The topic does not exist yet: that is an error, so make it first.
            self.assertEqual(follower.wait(TIMEOUT_S), 4)
        self.good("topic", "create", "pos2")
        with subprocess.Popen(command("read", "pos2", "-f"),
                              stdout=subprocess.PIPE) as follower:
            self.good("pub", "pos2", "late")
            self.assertEqual(follower.stdout.readline(), b"late\n")
            follower.send_signal(signal.SIGINT)
            self.assertEqual(follower.wait(TIMEOUT_S), 0)

    def test_pub_says_how_many_of_how_many_are_confirmed(self):
        long_line = b"x" * (4 << 20) + b"y"
        run = self.bad(1, "pub", "partly", stdin=b"a\nb\n" + long_line + b"\nc\n")
        self.assertEqual(run.err, "zspool: standard input: line 3 is longer than 4194304 bytes\n"
                                  "zspool: 2 of 2 messages sent are confirmed\n")
        self.assertEqual(self.good("read", "partly").lines(), ["a", "b"])
        # Short enough for a line, but not with what a record needs around it.
        run = self.bad(1, "pub", "partly", "--file", "-", stdin=b"c\n" + long_line[:-1])
        self.assertRegex(run.err, r"^zspool: standard input: line 2: .*4194304")
        self.assertIn("1 of 1 messages sent are confirmed", run.err)
        self.assertEqual(self.good("read", "partly").lines(), ["a", "b", "c"])
        run = self.bad(4, "pub", "partly", "d", "-p", "7")
        self.assertIn("partly/7", run.err)
        self.assertIn("0 of 1 messages sent are confirmed", run.err)

    def test_pub_that_is_interrupted_keeps_what_it_read(self):
        with subprocess.Popen(command("pub", "int", "--json"), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdin.write(b"a\nb\npart of a line")
            process.stdin.flush()
            confirmed = 0
            while confirmed < 2:
                confirmed += json.loads(process.stdout.readline())["count"]
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(TIMEOUT_S), 1)
            self.assertEqual(process.stderr.read(), b"zspool: 2 of 2 messages sent are confirmed; "
                                                    b"interrupted\n")
        self.assertEqual(self.good("read", "int").lines(), ["a", "b"])

    def test_pub_that_gets_no_answer_says_that_nothing_is_sure(self):
        self.good("topic", "create", "still")
        BROKER.process.send_signal(signal.SIGSTOP)
        try:
            run = self.bad(3, "pub", "still", "x", "y", "--timeout", "300ms")
        finally:
            BROKER.process.send_signal(signal.SIGCONT)
        self.assertIn("0 of 2 messages sent are confirmed", run.err)

    def test_pub_goes_on_when_nobody_reads_its_confirms(self):
        with subprocess.Popen(command("pub", "deaf", "--json"), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as process:
            process.stdout.close()
            for _ in range(3):
                process.stdin.write(b"line\n")
                process.stdin.flush()
            process.stdin.close()
            self.assertEqual(process.wait(TIMEOUT_S), -signal.SIGPIPE)
        self.assertEqual(self.good("read", "deaf").lines(), ["line"] * 3)

    def test_pub_to_one_partition(self):
        self.good("topic", "create", "parts3", "--partitions", "3")
        self.good("pub", "parts3", "a", "-p", "2")
        self.good("pub", "parts3", "-p", "1", stdin=b"b\nc\n")
        self.assertEqual([(m["partition"], m["payload"]) for m in
                          self.good("read", "parts3", "--json").objects()],
                         [(2, "a"), (1, "b"), (1, "c")])
        self.assertIn("to parts3/3: no partition 3, it has 3\n",
                      self.bad(4, "pub", "parts3", "-p", "3", "x").err)

    def test_several_files_are_read_one_after_the_other(self):
        with tempfile.NamedTemporaryFile() as first, tempfile.NamedTemporaryFile() as second:
            first.write(b"1\n2")
            first.flush()
            second.write(b"3\n")
            second.flush()
            self.good("pub", "files", "--file", first.name, "--file", second.name)
            self.assertEqual(self.good("read", "files").lines(), ["1", "2", "3"])
            self.good("pub", "files2", "-D", "", "--file", first.name, "--file", second.name)
            self.assertEqual([m["payload"] for m in
                              self.good("read", "files2", "--json").objects()], ["1\n2", "3\n"])
            run = self.bad(1, "pub", "files3", "--file", first.name, "--file", "/no/such/file",
                           "--file", second.name)
            self.assertIn("cannot open /no/such/file", run.err)
            self.assertIn("2 of 2 messages sent are confirmed", run.err)
        self.assertIn("Is a directory", self.bad(1, "pub", "files3", "--file", "/").err)

    def test_options_of_pub_that_exclude_each_other(self):
        self.usage("pub", "t", "-0", "-D", ",")
        self.usage("pub", "t", "-k", "k", "-K", ":")
        self.usage("pub", "t", "m", "--from-json")
        self.usage("pub", "t", "m", "--file", "/dev/null")
        for words in (["-k", "k"], ["-K", ":"], ["-0"], ["-H", "a=b"], ["--type", "T"]):
            self.assertIn("--from-json", self.usage("pub", "t", "--from-json", *words).err)
        self.usage("pub", "t", "-D", "\\q")
        self.usage("pub", "t", "-H", "=x")
        self.usage("pub", "t", "--id", "I")


class Json(Case):
    """What `read --json` and `pull --json` print, `pub --from-json` takes, and nothing is lost."""

    PLACE = ("topic", "partition", "offset", "timestamp", "deliveries", "failures", "lease")

    def contents(self, messages):
        """Messages without what belongs to their place and delivery."""
        return [{k: v for k, v in m.items() if k not in self.PLACE} for m in messages]

    @staticmethod
    def random_text(rng):
        return "".join(rng.choice('aé\u20ac\U0001f600\0\n"\\/\x7f\x1b\u2028')
                       for _ in range(rng.randrange(12)))

    def random_bytes(self, rng, name):
        """A member that is text when it can be, as the command prints it."""
        data = rng.choice((rng.randbytes(rng.randrange(40)), self.random_text(rng).encode()))
        try:
            return {name: data.decode()}
        except UnicodeDecodeError:
            return {name + "_base64": base64.b64encode(data).decode()}

    def random_message(self, rng):
        headers = {}
        for _ in range(rng.randrange(4)):
            value = rng.choice((self.random_text(rng), {
                "base64": base64.b64encode(rng.randbytes(rng.randrange(9))).decode()}))
            headers[self.random_text(rng)] = value
        message = {"type": rng.choice((None, self.random_text(rng))),
                   "id": rng.choice((None, self.random_text(rng))),
                   "priority": 4, "headers": headers,
                   **rng.choice(({"key": None}, self.random_bytes(rng, "key"))),
                   **self.random_bytes(rng, "payload")}
        created_at = rng.choice((None, "2031-02-03T04:05:06.789Z", 1 << 62))
        return message if created_at is None else {**message, "created_at": created_at}

    def test_messages_survive_the_round_trip_whole(self):
        rng = random.Random(7227)
        given = [self.random_message(rng) for _ in range(500)]
        text = "".join(json.dumps(m, ensure_ascii=rng.choice((True, False))) + "\n"
                       for m in given).encode()
        self.good("pub", "trip", "--from-json", stdin=text)
        first = self.good("read", "trip", "--json")
        self.assertEqual(self.contents(first.objects()), given)
        self.good("pub", "trip2", "--from-json", stdin=first.out)
        self.assertEqual(self.contents(self.good("read", "trip2", "--json").objects()), given)
        pulled = self.good("pull", "trip2", "-g", "trip", "-e", "--json")
        self.assertGreater(pulled.objects()[0]["lease"], 0)
        self.good("pub", "trip3", "--from-json", stdin=pulled.out)
        self.assertEqual(self.contents(self.good("read", "trip3", "--json").objects()), given)

    def test_a_large_binary_message_survives_it(self):
        payload = random.Random(1).randbytes((4 << 20) - 100)
        self.good("pub", "big", "-D", "", stdin=payload)
        copy = self.good("read", "big", "--json")
        self.good("pub", "big2", "--from-json", stdin=copy.out)
        self.assertEqual(self.good("read", "big2", "--format", "%s").out, payload)

    def test_blank_lines_are_passed_over_and_wrong_ones_told_with_their_number(self):
        self.good("pub", "wrong", "--from-json", stdin=b'{"payload":"a"}\n\n \t\r\n{"payload":"b"}')
        run = self.bad(1, "pub", "wrong", "--from-json", "--file", "-",
                       stdin=b'{"payload":"c"}\n\n{"paylod":"d"}\n{"payload":"e"}\n')
        self.assertEqual(run.err, 'zspool: standard input: line 3: byte 11: there is no member '
                                  '"paylod" of a message\n'
                                  'zspool: 1 of 1 messages sent are confirmed\n')
        self.assertEqual(self.good("read", "wrong").lines(), ["a", "b", "c"])


if __name__ == "__main__":
    main()
