#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""Messages through the command line: pub and read.

Usage: cli_messages.py ZSPOOL ZSPOOLD [TEST]... Starts a broker of its own.
"""
import json
import signal
import subprocess

from cli_support import TIMEOUT_S, Case, command, main, zspool


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


if __name__ == "__main__":
    main()
