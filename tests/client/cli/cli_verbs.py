#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""The command line, driven as its users drive it: processes, pipes, exit codes.

Usage: cli_verbs.py ZSPOOL ZSPOOLD [TEST]... Starts a broker of its own.
"""
import json
import os
import re
import signal
import subprocess

from cli_support import (BROKER, TIMEOUT_S, ZSPOOL, Broker, Case, command, environment, main,
                         zspool)

VERBS = ["pub", "pull", "work", "read", "settle", "topic", "group", "savepoint", "dead", "producer", "ping", "info",
         "stat", "bench", "fsck", "dump"]


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
            self.assertLessEqual(len(self.good(verb, "--help", server=False).lines()), 60, verb)

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
        self.assertIn("goes with none of", self.usage("read", "t", "--id", "7", "-f").err)
        self.assertIn("no argument", self.usage("ping", "--json=5").err)
        self.assertIn("no option -Z", self.usage("read", "-fZ", "t").err)
        self.assertIn("wants an argument", self.usage("read", "t", "--from").err)

    def test_what_would_do_nothing_or_something_else_is_refused(self):
        self.assertIn("above 0", self.usage("pub", "t", "x", "--ttl", "0s").err)
        self.assertIn("above 0", self.usage("work", "t", "-g", "g", "--timeout", "0s", "--", "true").err)
        self.assertIn("above 0", self.usage("group", "replay", "g", "--from", "0", "--expires", "0s").err)
        self.assertIn("at least one byte", self.usage("pub", "t", "-K", "").err)
        self.assertIn("nothing else", self.usage("read", "--trace", "t/0/0", "-g", "g", "-n", "1").err)
        self.assertIn("365d", self.usage("work", "t", "-g", "g", "--retry-delay", "400d", "--", "true").err)
        self.assertIn("is for --to", self.usage("work", "t", "-g", "g", "--patience", "1s", "--", "true").err)
        self.assertIn("topic name", self.bad(2, "work", "t", "-g", "g", "--to", "a b", "--", "true").err)
        self.assertIn("--topic is missing", self.usage("dead", "ls", "g", "-p", "1").err)
        self.assertIn("no \"producer ls\"", self.usage("producer", "ls").err)

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
        self.bad(2, "read", "t", "--from", "id:")
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

    def test_who_waits_for_ever_without_a_broker_says_so(self):
        for words in (["pull", "t", "-g", "g"], ["read", "t", "-f"]):
            with subprocess.Popen([ZSPOOL, "-s", "tcp://127.0.0.1:1", *words],
                                  stderr=subprocess.PIPE) as waiting:
                self.assertRegex(waiting.stderr.readline(), rb"tcp://127.0.0.1:1.*; trying on\n")
                waiting.send_signal(signal.SIGINT)
                self.assertEqual(waiting.wait(TIMEOUT_S), 0)
                self.assertEqual(waiting.stderr.read(), b"")

    def test_ping_and_info_as_json(self):
        ping = self.good("ping", "--json").objects()[0]
        self.assertEqual(ping["endpoint"], BROKER.endpoint)
        self.assertGreaterEqual(ping["round_trip_us"], 0)
        info = self.good("info", "--json").objects()[0]
        self.assertEqual(info["protocol"], 1)
        self.assertIn("published_messages", info["stats"])
        self.assertGreaterEqual(info["stats"]["session_count"], 1)
        self.assertLessEqual({"connection_count", "detached_count", "request_bytes", "reply_bytes",
                              "over_credit"}, set(info["stats"]))
        self.assertIn("broker", self.good("info").out.decode())


class Descriptors(Case):
    def test_closed_standard_streams_are_errors_and_nothing_else(self):
        self.good("pub", "closed", "x")
        for words, close in ((["read", "closed"], ">&-"), (["topic", "ls"], ">&-"),
                             (["pub", "closed"], "<&-")):
            done = subprocess.run(["bash", "-c", '"$@" ' + close, "bash", *command(*words)],
                                  stdin=subprocess.DEVNULL, capture_output=True,
                                  timeout=TIMEOUT_S, check=False)
            self.assertEqual(done.returncode, 1, words)
            self.assertIn(b"Bad file descriptor", done.stderr)
        self.assertEqual(self.good("read", "closed").lines(), ["x"])


class Completion(Case):
    """The completion of bash, with a shell that has nothing but it."""

    FILE = os.path.join(os.path.dirname(__file__), "../../../client/completions/zspool")

    def complete(self, *words, timeout="30s"):
        script = ('PATH=$1:$PATH; source "$2"; shift 2; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1));'
                  '_zspool; printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(
            ["bash", "-uc", script, "bash", os.path.dirname(ZSPOOL), self.FILE, "zspool", *words],
            capture_output=True, timeout=TIMEOUT_S, check=True,
            env=environment({"ZSPOOL_SERVER": BROKER.endpoint,
                             "ZSPOOL_COMPLETION_TIMEOUT": timeout}))
        self.assertEqual(done.stderr, b"")
        return done.stdout.decode().split()

    def test_verbs_and_options_come_from_the_help(self):
        self.assertEqual(self.complete("pu"), ["pub", "pull"])
        self.assertLessEqual(set(VERBS), set(self.complete("")))
        self.assertEqual(self.complete("help", "produ"), ["producer"])
        self.assertEqual(self.complete("pub", "--key"), ["--key", "--key-delimiter"])
        self.assertIn("-k", self.complete("pub", "-"))
        self.assertEqual(self.complete("pull", "t", "--outcome", "re"),
                         ["retry", "release", "reject"])
        self.assertEqual(self.complete("group", "s"), ["set", "seek"])
        self.assertEqual(self.complete("group", "create", "g", "--on-dead", "ho"), ["hold"])
        self.assertEqual(self.complete("group", "create", "g", "--priority", "w"), ["weighted"])
        self.assertEqual(self.complete("pub", "t", "-P", "9"), ["9"])

    def test_files_come_from_the_disk(self):
        self.assertEqual(self.complete("fsck", BROKER.dir.name + "/da"), [BROKER.dir.name + "/data"])
        self.assertEqual(self.complete("dump", BROKER.dir.name + "/data/FOR"),
                         [BROKER.dir.name + "/data/FORMAT"])
        self.assertEqual(self.complete("read", "t", "--resume", BROKER.dir.name + "/da"),
                         [BROKER.dir.name + "/data"])

    def test_names_come_from_the_broker(self):
        self.good("topic", "create", "complete-me")
        self.good("group", "create", "complete-us")
        self.assertEqual(self.complete("read", "comp"), ["complete-me"])
        self.assertEqual(self.complete("-s", BROKER.endpoint, "topic", "rm", "comp"),
                         ["complete-me"])
        self.assertEqual(self.complete("pull", "complete-me", "-g", "comp"), ["complete-us"])
        self.assertEqual(self.complete("-s", "tcp://127.0.0.1:1", "read", "comp",
                                       timeout="100ms"), [])


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
        self.assertEqual(self.good("topic", "rm", "top", "--dry-run").out,
                         b"would delete topic top with 0 messages\n")
        self.good("topic", "rm", "top", "--yes")
        self.bad(4, "topic", "info", "top")
        self.bad(2, "topic", "set", "top")

    def test_tables_of_topics(self):
        self.good("topic", "create", "tab-a", "--partitions", "2")
        self.good("pub", "tab-a", "-p", "1", "x", "y")
        self.good("topic", "create", "tab-b")
        lines = self.good("topic", "ls", "-l", "tab-*").lines()
        self.assertEqual([line.split()[:3] for line in lines],
                         [["TOPIC", "PARTITIONS", "MESSAGES"], ["tab-a", "2", "2"],
                          ["tab-b", "1", "0"]])
        first, second = self.good("topic", "ls", "-l", "tab-*", "--json").objects()
        self.assertEqual((first["topic"], first["partitions"], first["messages"]), ("tab-a", 2, 2))
        self.assertEqual(second["bytes"], 0)
        lines = self.good("topic", "info", "tab-a").lines()
        self.assertEqual(lines[1].split(), ["PARTITION", "START", "END", "MESSAGES", "BYTES"])
        self.assertEqual(lines[3].split()[:4], ["1", "0", "2", "2"])
        self.assertEqual(len(set(map(len, lines[1:]))), 1, lines)  # aligned to the right

    def test_several_topics_are_removed_by_name_or_all_of_them(self):
        broker = Broker()
        broker.start()
        self.addCleanup(broker.stop)
        for name in "abcde":
            self.good("topic", "create", name, server=broker.endpoint)
        self.bad(4, "topic", "rm", "a", "nope", "--yes", server=broker.endpoint)
        self.usage("topic", "rm", "--yes", server=broker.endpoint)
        self.usage("topic", "rm", "a", "--all", "--yes", server=broker.endpoint)
        dry = self.good("topic", "rm", "a", "b", "--dry-run", "--json", server=broker.endpoint)
        self.assertEqual(dry.objects(), [{"topic": "a", "messages": 0, "deleted": False},
                                         {"topic": "b", "messages": 0, "deleted": False}])
        self.bad(2, "topic", "rm", "a", "b", server=broker.endpoint)
        self.good("topic", "rm", "a", "b", "--yes", server=broker.endpoint)
        self.assertEqual(self.good("topic", "ls", server=broker.endpoint).lines(),
                         ["c", "d", "e"])
        self.bad(2, "topic", "rm", "--all", server=broker.endpoint)
        gone = self.good("topic", "rm", "--all", "--yes", "--json", server=broker.endpoint)
        self.assertEqual([(o["topic"], o["deleted"]) for o in gone.objects()],
                         [("c", True), ("d", True), ("e", True)])
        self.assertEqual(self.good("topic", "ls", server=broker.endpoint).out, b"")
        self.good("topic", "rm", "--all", "--yes", server=broker.endpoint)

    def test_flags_of_another_action_are_refused(self):
        self.assertIn("not for rm", self.usage("topic", "rm", "t", "--partitions", "3").err)
        self.assertIn("not for create", self.usage("topic", "create", "t", "--dry-run").err)
        self.assertIn("not for info", self.usage("group", "info", "g", "--to", "5").err)
        self.assertIn("not for set", self.usage("group", "set", "g", "--mode", "shared").err)
        self.assertIn("is create meant", self.usage("topic", "crate", "t").err)
        self.usage("topic", "info", "a", "b")
        self.usage("group", "ls", "a", "b")
        self.usage("group", "info")

    def test_a_topic_gets_more_partitions_and_never_fewer(self):
        self.good("topic", "create", "grow")
        self.good("topic", "set", "grow", "--partitions", "3", "--retention-bytes", "1GiB")
        info = self.good("topic", "info", "grow", "--json").objects()[0]
        self.assertEqual(len(info["partitions"]), 3)
        self.assertIn("never gets fewer", self.bad(2, "topic", "set", "grow", "--partitions", "2").err)
        self.good("group", "create", "grow-g", "--topic", "grow", "--mode", "ordered")
        self.assertIn("keeps an order", self.bad(1, "topic", "set", "grow", "--partitions", "4").err)
        self.good("topic", "set", "grow", "--partitions", "4", "--force")
        self.usage("topic", "set", "grow", "--force")
        self.usage("topic", "create", "grow2", "--partitions", "4", "--force")

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

    def test_stat_tells_what_happened_in_each_interval(self):
        self.good("topic", "create", "stat")
        with subprocess.Popen(command("stat", "--every", "100ms", "--json"),
                              stdout=subprocess.PIPE) as stat:
            first = json.loads(stat.stdout.readline())
            self.good("pub", "stat", stdin=b"x\n" * 300)
            counted = 0
            while round(counted) < 300:  # hangs, and fails by its timeout, when they are not told
                line = json.loads(stat.stdout.readline())
                counted += line["per_second"]["published_messages"] * line["interval_ms"] / 1000
            self.assertEqual(round(counted), 300)
            self.assertEqual(line["figures"]["published_messages"],
                             first["figures"]["published_messages"] + 300)
            self.assertEqual(line["figures"]["topic_count"], first["figures"]["topic_count"])
            stat.send_signal(signal.SIGINT)
            self.assertEqual(stat.wait(TIMEOUT_S), 0)

    def test_stat_knows_every_figure_that_counts(self):
        with open(os.path.join(os.path.dirname(__file__), "../../../docs/PROTOCOL.md"),
                  encoding="utf-8") as file:
            section = file.read().split("### STATS", 1)[1].split("\n## ", 1)[0]
        counting = re.findall(r"([a-z_]+) \\\*", section)
        self.assertGreater(len(counting), 10)
        line = self.good("stat", "-n", "1", "--json").objects()[0]
        self.assertEqual(sorted(line["per_second"]), sorted(counting))
        self.assertLessEqual(set(counting), set(line["figures"]))

    def test_stat_as_lines(self):
        self.assertEqual(len(self.good("stat", "-n", "1").lines()), 2)
        heading, first, second = self.good("stat", "--every", "50ms", "-n", "2").lines()
        self.assertEqual(heading.split()[:3], ["TIME", "PUB/S", "BYTES/S"])
        for line in (first, second):
            self.assertRegex(line, r"^\d\d:\d\d:\d\d( +\d+){10}$")
        self.usage("stat", "x")
        self.bad(3, "stat", "--timeout", "200ms", server="tcp://127.0.0.1:1")


if __name__ == "__main__":
    main()
