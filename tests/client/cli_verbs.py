#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""The command line, driven as its users drive it: processes, pipes, exit codes.

Usage: cli_verbs.py ZSPOOL ZSPOOLD [TEST]... Starts a broker of its own.
"""
from cli_support import BROKER, Case, main, zspool

VERBS = ["pub", "pull", "work", "read", "settle", "topic", "group", "producer", "ping", "info",
         "bench"]


class Help(Case):
    def test_every_verb_has_help_under_80_columns_with_an_example(self):
        for verb in VERBS:
            run = self.good(verb, "--help", server=False)
            self.assertIn("Examples:\n  ", run.out.decode())
            for line in run.lines():
                self.assertLess(len(line), 80, line)

    def test_the_command_itself_has_help_and_a_version(self):
        text = self.good("--help", server=False).out.decode()
        for verb in VERBS:
            self.assertIn(f"\n  {verb} ", text)
        self.assertRegex(self.good("--version", server=False).out.decode(), r"^zspool \d+\.\d+")

    def test_help_verb_is_the_same_as_its_option(self):
        for verb in VERBS:
            self.assertEqual(self.good("help", verb, server=False).out,
                             self.good(verb, "--help", server=False).out)
        self.assertEqual(self.good("help", server=False).out,
                         self.good("--help", server=False).out)
        self.usage("help", "pubb", server=False)
        self.usage("help", "pub", "pull", server=False)

    def test_help_fits_on_a_screen(self):
        for verb in VERBS:
            self.assertLessEqual(len(self.good(verb, "--help", server=False).lines()), 42, verb)

    def test_a_slip_gets_a_suggestion(self):
        self.assertIn("is topic meant", self.usage("topci", "ls").err)
        self.assertIn("is pub meant", self.usage("help", "pbu").err)
        self.assertIn("is --partition meant", self.usage("read", "t", "--partitoin=1").err)
        self.assertNotIn("meant", self.usage("frobnicate").err)

    def test_a_wrong_value_is_told_with_what_is_accepted(self):
        self.assertIn("an offset, -N, 10m", self.usage("read", "t", "--from", "yesterday").err)
        self.assertIn("ms, s, m, h or d", self.usage("ping", "--timeout", "5").err)
        self.assertIn("0 to 1023", self.usage("read", "t", "-p", "1024").err)
        self.assertIn("from 1", self.usage("read", "t", "-n", "0").err)
        self.assertIn("not supported", self.usage("read", "t", "--from", "id:7").err)
        self.assertIn("no argument", self.usage("ping", "--json=5").err)
        self.assertIn("no option -Z", self.usage("read", "-fZ", "t").err)
        self.assertIn("wants an argument", self.usage("read", "t", "--from").err)

    def test_wrong_usage_is_told_and_ends_with_2(self):
        self.bad(2, server=False)
        self.usage("-s", server=False)
        self.usage("--frob", "ping", server=False)
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
        self.bad(2, "topic", "rm", "top")
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
    main()
