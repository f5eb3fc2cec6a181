#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""Groups through the command line: pull, settle, group.

Usage: cli_groups.py ZSPOOL ZSPOOLD [TEST]... Starts a broker of its own.
"""
import signal
import subprocess
import time

from cli_support import TIMEOUT_S, Case, command, main, zspool


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
        with subprocess.Popen(command("pull", "ctrl", "-g", "c", "--wait", "50s"), stdout=subprocess.PIPE) as puller:
            for i in range(5):
                self.assertEqual(puller.stdout.readline(), b"%d\n" % i)
            puller.send_signal(signal.SIGINT)
            self.assertEqual(puller.wait(TIMEOUT_S), 0)
        part = self.part("c")
        self.assertEqual((part["committed"], part["leased"]), (5, 0))

    def test_ctrl_c_in_a_long_backlog_settles_what_was_printed_and_no_more(self):
        self.good("pub", "backlog", stdin=b"".join(b"%06d %s\n" % (i, b"x" * 500)
                                                   for i in range(20000)))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            group = f"l{number}"
            with subprocess.Popen(command("pull", "backlog", "-g", group),
                                  stdout=subprocess.PIPE) as puller:
                self.assertTrue(puller.stdout.readline().startswith(b"000000"))
                puller.send_signal(number)  # while it waits for room in the pipe
                printed = puller.stdout.read().count(b"\n") + 1
                self.assertEqual(puller.wait(TIMEOUT_S), 0)
            part = self.part(group)
            self.assertLess(printed, 10000)
            self.assertEqual((part["committed"], part["leased"]), (printed, 0))

    def test_pull_prints_by_a_format_what_settle_reads(self):
        self.good("pub", "fmt", "a", "b")
        run = self.good("pull", "fmt", "-g", "fmt", "-n", "2", "--outcome", "none",
                        "--format", r"%t/%p/%o@%l %d %f\n")
        fields = [line.split() for line in run.lines()]
        self.assertEqual([f[1:] for f in fields], [["1", "0"], ["1", "0"]])
        self.good("settle", "fmt", fields[0][0], fields[1][0], "--ack")
        self.assertEqual(self.part("fmt")["committed"], 2)

    def test_a_broken_pipe_hands_back_what_was_not_printed(self):
        # More than a pipe holds, so that the writer is still at it when its reader goes.
        self.good("pub", "broken", stdin=b"".join(b"%06d %s\n" % (i, b"x" * 500)
                                                  for i in range(2000)))
        with subprocess.Popen(command("pull", "broken", "-g", "b"),
                              stdout=subprocess.PIPE) as puller:
            self.assertTrue(puller.stdout.readline().startswith(b"000000"))
            puller.stdout.close()
            self.assertEqual(puller.wait(TIMEOUT_S), -signal.SIGPIPE)
        part = self.part("b")
        self.assertEqual(part["leased"], 0)
        self.assertGreater(part["ready"], 1500)
        self.assertEqual(part["ready"] + part["committed"], 2000)

    def test_a_reader_that_goes_ends_a_pull_that_waits(self):
        self.good("pub", "idle", "x")
        for words in (["pull", "idle", "-g", "idle"], ["read", "idle", "-f"]):
            with subprocess.Popen(command(*words), stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE) as waiting:
                self.assertEqual(waiting.stdout.readline(), b"x\n")
                waiting.stdout.close()
                self.assertEqual(waiting.wait(TIMEOUT_S), -signal.SIGPIPE)
                self.assertEqual(waiting.stderr.read(), b"")
        self.assertEqual(self.part("idle")["committed"], 1)

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

    def test_settle_names_what_is_wrong(self):
        for address in ("t/0/1", "t/0@5", "/0/1@5", "t/1024/1@5", "t/0/x@5", "t/0/1@0", "@", ""):
            self.assertIn(f'"{address}" is no address', self.usage("settle", "g", address,
                                                                  "--ack").err)
        self.assertIn("exactly one", self.usage("settle", "g", "t/0/1@5", "--ack", "--reject").err)
        self.assertIn("--reason", self.usage("settle", "g", "t/0/1@5", "--ack", "--reason",
                                             "x").err)

    def test_tables_of_groups(self):
        self.good("pub", "tab", *[str(i) for i in range(7)])
        self.good("group", "create", "tab-g", "--topic", "tab", "--start", "-5")
        self.good("pull", "tab", "-g", "tab-g", "-n", "2")
        self.good("pull", "tab", "-g", "tab-g", "-n", "1", "--outcome", "none")
        lines = self.good("group", "ls", "-l", "tab-*").lines()
        self.assertEqual(lines[0].split(), ["GROUP", "MODE", "MEMBERS", "LAG", "READY", "LEASED",
                                            "WAITING", "DEAD", "LOST", "EXPIRED",
                                            "COMPACTED"])
        self.assertEqual(lines[1].split()[3:], ["3", "2", "1", "0", "0", "0", "0", "0"])
        row = self.good("group", "ls", "-l", "tab-*", "--json").objects()[0]
        self.assertEqual((row["group"], row["mode"], row["lag"]), ("tab-g", "shared", 3))
        lines = self.good("group", "info", "tab-g").lines()
        self.assertTrue(lines[0].startswith("group tab-g, mode shared, start -5, "), lines[0])
        self.assertEqual(lines[-2].split(), ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG",
                                            "READY", "LEASED", "WAITING", "DEAD", "LOST",
                                            "EXPIRED", "COMPACTED", "AGE", "MEMBERS"])
        row = lines[-1].split()
        self.assertEqual(row[:-2], ["tab", "0", "4", "7", "3", "2", "1", "0", "0", "0", "0", "0"])
        self.assertRegex(row[-2], "^[0-9]+(ms|s|m)$")
        info = self.good("group", "info", "tab-g", "--json").objects()[0]
        self.assertEqual((info["start"], info["parts"][0]["lag"]), ("-5", 3))

    def test_filters(self):
        self.good("group", "create", "fil-g", "--topic", "fil", "--filter", 'key = "a"')
        self.good("pub", "fil", "-K", ":", stdin=b"a:one\nb:two\n")
        self.assertEqual(self.good("pull", "fil", "-g", "fil-g", "-e").lines(), ["one"])
        self.assertIn('filter = key = "a"', self.good("group", "info", "fil-g").lines())
        info = self.good("group", "info", "fil-g", "--json").objects()[0]
        self.assertEqual((info["settings"]["filter"], info["parts"][0]["lag"]), ('key = "a"', 0))
        self.good("group", "set", "fil-g", "--filter", "default")
        self.good("pub", "fil", "three")
        self.assertEqual(self.good("pull", "fil", "-g", "fil-g", "-e").lines(), ["three"])
        self.assertIn("position 4: wanted =", self.bad(2, "group", "set", "fil-g",
                                                       "--filter", "key ~ x").err)

    def why(self, group):
        """The sentence and the whole."""
        info = self.good("group", "info", group, "--json").objects()[0]
        line = [line for line in self.good("group", "info", group).lines()
                if line.startswith("why: ")]
        self.assertEqual(len(line), 1)
        return line[0][5:], info

    def test_what_is_said_of_the_group_is_not_said_of_a_partition_again(self):
        self.good("topic", "create", "twice", "--partitions", "2")
        self.good("pub", "twice", "one")
        member = subprocess.Popen(command("pull", "twice", "-g", "twice-g", "--mode", "ordered"),
                                  stdout=subprocess.DEVNULL)
        self.addCleanup(member.wait, TIMEOUT_S)
        self.addCleanup(member.terminate)
        end = time.monotonic() + TIMEOUT_S
        info = None  # until it has done all, and holds the partition that it came from
        while not info or [w["reason"] for w in info["whys"]] != ["caught_up"]:
            self.assertLess(time.monotonic(), end, info)
            run = zspool("group", "info", "twice-g", "--json")
            info = run.objects()[0] if run.code == 0 else None
        lines = self.good("group", "info", "twice-g").lines()
        self.assertEqual([line for line in lines if "nothing is left to take" in line],
                         ["why: nothing is left to take"])

    def test_why_it_does_not_move(self):
        self.good("group", "create", "why-g", "--topic", "why", "--backoff", "1h",
                  "--backoff-max", "1h")
        self.assertEqual(self.why("why-g")[0], "none of its topics exists")
        self.good("pub", "why", "one")
        text, info = self.why("why-g")
        self.assertTrue(text.startswith("messages are ready, but nobody pulls"), text)
        self.assertEqual(info["why"]["reason"], "nobody_pulls")
        self.assertGreaterEqual(info["parts"][0]["age_ms"], 0)
        self.good("pull", "why", "-g", "why-g", "-n", "1", "--outcome", "retry")
        text, info = self.why("why-g")
        self.assertRegex(text, r"all that is left waits; the next retry is at \S+Z \(in \S+\)")
        self.assertEqual(info["whys"][0]["reason"], "retry")
        self.good("group", "pause", "why-g")
        self.assertRegex(self.why("why-g")[0], r"it is paused since .* ago\)$")

    def test_a_message_is_traced(self):
        self.good("pub", "tr", "one", "two")
        self.good("pull", "tr", "-g", "tr-g", "-n", "1", "--outcome", "reject")
        told = self.good("read", "--trace", "tr/0/0", "-g", "tr-g", "--json").objects()[0]
        self.assertEqual((told["status"], told["deliveries"], told["offset"]), ("dead", 1, 0))
        self.assertGreater(told["message"]["timestamp_ms"], 0)
        lines = self.good("read", "--trace", "tr/0/1", "-g", "tr-g").lines()
        self.assertEqual(lines[0], "tr/0/1 in group tr-g: ready")
        self.assertIn("priority 4", lines)
        self.bad(4, "read", "--trace", "tr/0/1", "-g", "nobody")
        self.usage("read", "--trace", "tr/0/1")
        self.usage("read", "-g", "tr-g", "tr")
        self.usage("read", "--trace", "tr", "-g", "tr-g")
        self.usage("read")

    def test_patterns(self):
        self.good("pub", "pat.a", "one")
        self.assertEqual(self.good("pull", "pat.?", "-g", "pat-g", "-e").lines(), ["one"])
        self.good("pub", "pat.b", "two")
        self.assertEqual(self.good("pull", "pat.?", "-g", "pat-g", "-e").lines(), ["two"])
        self.assertIn("topics that match pat.?", self.good("group", "info", "pat-g").lines())
        info = self.good("group", "info", "pat-g", "--json").objects()[0]
        self.assertEqual(info["patterns"], ["pat.?"])
        self.assertIn("topic pattern", self.bad(2, "pull", "[ab]*", "-g", "pat-g").err)
        self.good("group", "rm", "pat-g", "--yes")

    def test_settings_that_cannot_be_are_wrong_usage_and_told_with_what_is_wanted(self):
        self.good("topic", "create", "val")
        self.good("group", "create", "val-g", "--topic", "val")
        for words, told in (
                (("--on-dead", "maybe"), "on_dead must be skip or hold, not maybe"),
                (("--on-dead", "hold"), "on_dead: must be skip in a shared group"),
                (("--look-ahead", "5"), "look_ahead: is for keyed groups only"),
                (("--expired", "later"), "expired must be drop or dead, not later"),
                (("--fair-by", "tenant"), "fair_by must be key, producer or header.NAME, not tenant"),
                (("--priority", "fair"), "priority must be strict or weighted, not fair"),
                (("--backoff-factor", "0"), "backoff_factor must be 1..10, not 0"),
                (("--lease", "1ms"), "lease_ms must be 100..86400000, not 1")):
            self.assertIn(told, self.bad(2, "group", "set", "val-g", *words).err)
        for words, told in (
                (("--retention-time", "0s"), "retention_time_ms must be 1.."),
                (("--until-consumed", "maybe"), "until_consumed must be no or yes, not maybe"),
                (("--when-full", "wait"), "when_full must be reject or drop_oldest, not wait"),
                (("--cleanup", "zip"), "cleanup must be delete or compact, not zip"),
                (("--compact-ratio", "101"), "compact_ratio must be 1..100, not 101"),
                (("--partitions", "1025"), "--partitions is 1 to 1024")):
            self.assertIn(told, self.bad(2, "topic", "set", "val", *words).err)

    def test_what_is_asked_for_without_a_terminal_says_what_it_wants(self):
        self.good("pub", "ask", "a")
        self.good("pull", "ask", "-g", "ask-g", "-e")
        for words in (("group", "seek", "ask-g", "--topic", "ask", "--to", "0"), ("group", "rm", "ask-g"),
                      ("topic", "purge", "ask", "--before", "latest"), ("topic", "rm", "ask")):
            self.assertEqual(self.bad(2, *words).err,
                             "zspool: there is no terminal to ask on whether to go on: want --yes\n")

    def test_pause_and_resume(self):
        self.good("pub", "pause", "a", "b")
        self.good("group", "create", "pause-g", "--topic", "pause")
        self.good("group", "pause", "pause-g")
        self.assertTrue(self.good("group", "info", "pause-g").lines()[0].endswith(", paused"))
        self.assertTrue(self.good("group", "info", "pause-g", "--json").objects()[0]["paused"])
        self.assertEqual(zspool("pull", "pause", "-g", "pause-g", "-e").code, 3)
        self.good("group", "resume", "pause-g")
        self.assertEqual(self.good("pull", "pause", "-g", "pause-g", "-e").lines(), ["a", "b"])
        self.bad(4, "group", "pause", "no-such-group")

    def test_a_pull_without_a_message_says_why(self):
        self.good("pub", "dry", "a")
        self.good("pull", "dry", "-g", "dry-g", "-e", "--outcome", "none")
        self.assertRegex(self.bad(3, "pull", "dry", "-g", "dry-g", "-e").err, "all that is left is out; offset 0")
        self.good("group", "pause", "dry-g")
        self.assertRegex(self.bad(3, "pull", "dry", "-g", "dry-g", "-e").err,
                         "^zspool: group dry-g: nothing to take: it is paused since")
        self.assertEqual(zspool("pull", "dry", "-g", "dry-g", "-e", "-q").err, "")
        self.assertEqual(self.bad(3, "pull", "dry", "-g", "none-g", "--start", "latest", "-e").err,
                         "zspool: group none-g: nothing is left to take\n")

    def test_a_pull_from_topics_that_are_not_there_is_not_found(self):
        self.assertEqual(self.bad(4, "pull", "dry-typo", "-g", "typo-g", "-e").err,
                         "zspool: group typo-g: nothing to take: there is no topic dry-typo\n")
        self.assertIn("no topic matches dry-typo.*", self.bad(4, "pull", "dry-typo.*", "-g", "typo-g", "-e").err)
        self.bad(4, "work", "dry-typo", "-g", "typo-g", "-e", "--", "cat")
        self.good("topic", "create", "dry-empty")
        run = self.bad(3, "pull", "dry-empty", "dry-typo", "-g", "typo-g", "-e")
        self.assertRegex(run.err, "there is no topic dry-typo\n.*nothing is left to take\n$")

    def test_savepoints_and_undo(self):
        self.good("pub", "sp", *"abc")
        self.good("pull", "sp", "-g", "sp-g", "-n", "1")
        self.good("savepoint", "save", "sp-g", "first")
        self.bad(1, "savepoint", "save", "sp-g", "first")
        self.good("savepoint", "save", "sp-g", "first", "--replace")
        self.good("pull", "sp", "-g", "sp-g", "-e")
        self.assertEqual(self.good("savepoint", "ls", "sp-g").lines()[0].split(),
                         ["SAVEPOINT", "CREATED", "BYTES"])
        row = self.good("savepoint", "ls", "sp-g", "--json").objects()[0]
        self.assertEqual((row["group"], row["savepoint"]), ("sp-g", "first"))
        told = self.good("savepoint", "restore", "sp-g", "first", "--dry-run", "--json").objects()
        self.assertEqual(told, [{"topic": "sp", "partition": 0, "from": 3, "to": 1,
                                 "redelivered": 2, "skipped": 0, "gone": 0}])
        self.assertEqual(self.part("sp-g")["committed"], 3)
        self.bad(2, "savepoint", "restore", "sp-g", "first")
        self.good("savepoint", "restore", "sp-g", "first", "--yes")
        self.assertEqual(self.good("pull", "sp", "-g", "sp-g", "-n", "1").lines(), ["b"])
        self.good("group", "seek", "sp-g", "--topic", "sp", "--to", "latest", "--yes")
        self.good("savepoint", "undo", "sp-g", "--yes")
        self.assertEqual(self.good("pull", "sp", "-g", "sp-g", "-e").lines(), ["c"])
        self.good("savepoint", "rm", "sp-g", "first", "--dry-run")
        self.good("savepoint", "rm", "sp-g", "first", "--yes")
        self.bad(4, "savepoint", "restore", "sp-g", "first", "--yes")
        self.bad(4, "savepoint", "undo", "no-such-group", "--yes")
        self.usage("savepoint", "save", "sp-g")
        self.usage("savepoint", "ls", "sp-g", "--yes")

    def test_an_end_waits_for_what_its_own_messages_keep_back(self):
        lines = "".join(f"k{number % 3}:{number}\n" for number in range(6000)).encode()
        self.good("pub", "kept", "-K", ":", stdin=lines)
        pulled = self.good("pull", "kept", "-g", "kept-1", "--mode", "keyed", "-e").lines()
        self.assertEqual(sorted(map(int, pulled)), list(range(6000)))
        few = "".join(f"k{number % 2}:{number}\n" for number in range(12)).encode()
        self.good("pub", "few", "-K", ":", stdin=few)
        done = self.good("work", "few", "-g", "few-1", "--mode", "keyed", "-j", "4", "-e", "--",
                         "sh", "-c", "read -r line; echo $line").lines()
        self.assertEqual(sorted(map(int, done)), list(range(12)))

    def test_dead_letters(self):
        self.good("pub", "dd", *"abcde")
        self.good("pull", "dd", "-g", "dd-g", "-n", "2", "--outcome", "reject")
        self.good("pull", "dd", "-g", "dd-g", "-n", "1")
        self.good("pull", "dd", "-g", "dd-g", "-n", "1", "--outcome", "reject")
        rows = self.good("dead", "ls", "dd-g").lines()
        self.assertEqual(rows[0].split(), "ADDRESS COUNT SINCE DELIVERIES FAILURES REASON".split())
        self.assertEqual([row.split()[:2] for row in rows[1:]], [["dd/0/0..1", "2"], ["dd/0/3", "1"]])
        row = self.good("dead", "ls", "dd-g", "-n", "1", "--json").objects()[0]
        self.assertEqual((row["topic"], row["partition"], row["offset"], row["count"], row["failures"],
                          row["reasons"]), ("dd", 0, 0, 2, 1, []))
        shown = self.good("dead", "show", "dd-g", "dd/0/0..1", "dd/0/3", "--json").objects()
        self.assertEqual([(m["offset"], m["payload"], m["deliveries"]) for m in shown],
                         [(0, "a", 1), (1, "b", 1), (3, "d", 1)])
        self.assertRegex(self.good("dead", "show", "dd-g", "dd/0/3").lines()[0],
                         "dead since .*, 1 delivery, 1 failure$")
        told = self.good("dead", "redrive", "dd-g", "--all", "--dry-run", "--json").objects()
        self.assertEqual(told, [{"group": "dd-g", "action": "redrive", "messages": 3, "dry_run": True}])
        self.bad(2, "dead", "redrive", "dd-g", "--all")
        self.good("dead", "redrive", "dd-g", "dd/0/1", "--yes")
        self.assertIn("dd/0/1: not dead", self.bad(4, "dead", "drop", "dd-g", "dd/0/0..1", "--yes").err)
        self.good("dead", "drop", "dd-g", "--topic", "dd", "--older-than", "0s", "--reason", "*", "--yes")
        self.assertEqual(self.good("dead", "ls", "dd-g").lines(), [])
        self.assertEqual(self.good("pull", "dd", "-g", "dd-g", "-e").lines(), ["b", "e"])
        self.good("pub", "dd", *"xyz")
        self.good("pull", "dd", "-g", "dd-g", "-n", "3", "--outcome", "reject")
        self.good("dead", "redrive", "dd-g", "--all", "--rate", "1", "--yes")
        redrive = self.good("group", "info", "dd-g", "--json").objects()[0]["redrive"]
        self.assertEqual(redrive["rate"], 1)
        self.assertIn("redriving 1 dead", self.good("group", "info", "dd-g").out.decode())
        self.good("dead", "redrive", "dd-g", "--stop")
        self.bad(4, "dead", "redrive", "dd-g", "--stop")
        self.usage("dead", "redrive", "dd-g", "dd/0/1", "--rate", "5")
        self.usage("dead", "redrive", "dd-g", "--stop", "--all")
        self.usage("dead", "redrive", "dd-g")
        self.usage("dead", "redrive", "dd-g", "--all", "dd/0/1")
        self.usage("dead", "drop", "dd-g", "--all", "--reason", "x", "--yes")
        self.usage("dead", "redrive", "dd-g", "--all", "--topic", "dd", "--yes")
        self.usage("dead", "show", "dd-g")
        self.usage("dead", "show", "dd-g", "dd/0")
        self.usage("dead", "ls", "dd-g", "--all")
        self.usage("dead", "drop", "dd-g", "--all", "--keep-counts")
        self.bad(4, "dead", "ls", "no-such-group")
        self.good("topic", "create", "dd-full", "--max-bytes", "64")  # nothing fits
        self.good("group", "set", "dd-g", "--dead-letter-topic", "dd-full")
        self.good("pub", "dd", "last")
        self.good("pull", "dd", "-g", "dd-g", "-e", "--outcome", "reject")
        info = self.good("group", "info", "dd-g", "--json").objects()[0]["dead_letters"]
        self.assertEqual((info["copied"], info["failed"]), (0, 0))

    def test_purge(self):
        self.good("pub", "pg", *"abcd")
        self.good("pull", "pg", "-g", "pg-g", "-n", "1")
        told = self.good("topic", "purge", "pg", "--before", "3", "--dry-run", "--json").objects()
        self.assertEqual(told, [{"topic": "pg", "messages": 3, "purged": False,
                                 "groups": [{"group": "pg-g", "lost": 2}]}])
        self.bad(2, "topic", "purge", "pg", "--before", "3")
        self.usage("topic", "purge", "pg", "--yes")
        self.good("topic", "purge", "pg", "--before", "3", "--yes")
        self.assertEqual((self.part("pg-g")["committed"], self.part("pg-g")["lost"]), (3, 2))
        self.assertEqual(self.good("read", "pg").lines(), ["d"])
        self.good("pub", "pg", "e")
        self.assertEqual(self.good("pull", "pg", "-g", "pg-g", "-e").lines(), ["d", "e"])
        self.bad(4, "topic", "purge", "no-such-topic", "--before", "latest", "--yes")

    def test_seek_of_all_topics_of_a_group(self):
        self.good("pub", "sa", *"abc")
        self.good("pub", "sb", *"de")
        self.good("pull", "sa", "sb", "-g", "sk", "-e")
        self.usage("group", "seek", "sk", "--to", "earliest", "--yes")
        self.usage("group", "seek", "sk", "--to", "earliest", "--yes", "--all", "--topic", "sa")
        many = [word for i in range(1025) for word in ("--topic", f"t{i}")]
        self.assertIn("at most 1024", self.usage("group", "seek", "sk", "--to", "-1", *many).err)
        self.bad(4, "group", "seek", "sk", "--to", "-1", "--yes", *many[:2048])
        lines = self.good("group", "seek", "sk", "--to", "-1", "--all", "--dry-run").lines()
        self.assertEqual(lines[0].split(), ["TOPIC", "PARTITION", "FROM", "TO", "REDELIVERED",
                                            "SKIPPED"])
        self.assertEqual([line.split() for line in lines[1:]],
                         [["sa", "0", "3", "2", "1", "0"], ["sb", "0", "2", "1", "1", "0"]])
        self.good("group", "seek", "sk", "--to", "-1", "--all", "--yes")
        self.assertEqual(sorted(self.good("pull", "sa", "sb", "-g", "sk", "-e").lines()),
                         ["c", "e"])
        self.bad(4, "group", "seek", "no-such-group", "--to", "-1", "--all", "--yes")

    def test_a_range_is_replayed_beside_a_group(self):
        self.good("pub", "rp", *"abcdef")
        self.good("pull", "rp", "-g", "rp-g", "-e")
        self.good("savepoint", "save", "rp-g", "now")
        self.usage("group", "replay", "rp-g")
        self.usage("group", "replay", "rp-g", "--from", "then")
        self.usage("group", "replay", "rp-g", "--from", "1", "--topic", "rp", "--topic", "rq")
        self.bad(4, "group", "replay", "rp-g", "--from", "savepoint:then")
        self.bad(2, "group", "replay", "rp-g", "--from", "4", "--to", "2")
        dry = self.good("group", "replay", "rp-g", "--from", "1", "--to", "4", "--dry-run").lines()
        self.assertEqual([line.split() for line in dry],
                         [["PARTITION", "FROM", "TO", "LOST"], ["0", "1", "4", "0"]])
        name = self.good("group", "replay", "rp-g", "--from", "1", "--to", "4").lines()[0]
        self.assertRegex(name, r"^rp-g\.replay-\d+$")
        # Nobody tells them to end but the broker.
        self.assertEqual(self.good("pull", "rp", "-g", name).lines(), ["b", "c", "d"])
        self.assertEqual(self.good("work", "rp", "-g", name, "--", "cat").lines(), [])
        self.assertIn("replay for group rp-g, finished",
                      self.good("group", "info", name).out.decode())
        self.assertTrue(self.good("group", "info", name, "--json").objects()[0]["replay"]["finished"])
        self.bad(2, "group", "seek", name, "--topic", "rp", "--to", "1", "--yes")
        self.good("group", "rm", name, "--yes")
        self.bad(4, "pull", "rp", "-g", name, "-e")  # it does not begin anew by itself
        made = self.good("group", "replay", "rp-g", "--from", "savepoint:now", "--as", "rp-as",
                         "--filter", 'type = "x"', "--expires", "2h", "--json")
        self.assertEqual(made.objects()[0], {"group": "rp-as", "messages": 0, "partitions": []})
        self.assertEqual(self.part("rp-g")["committed"], 6)

    def test_a_group_starts_at_a_message_by_its_id(self):
        self.good("topic", "create", "sid", "--dedup-window", "1h")
        for number in "123":
            self.good("pub", "sid", "--id", f"order-{number}", number)
        self.good("group", "create", "sid-g", "--topic", "sid", "--start", "id:order-2")
        self.assertIn("start id:order-2", self.good("group", "info", "sid-g").out.decode())
        self.assertEqual(self.good("pull", "sid", "-g", "sid-g", "-e").lines(), ["2", "3"])
        self.assertEqual(
            self.good("pull", "sid", "-g", "sid-h", "--start", "id:order-3", "-e").lines(), ["3"])
        self.assertIn("no message of its topics has the id order-9",
                      self.bad(4, "group", "create", "sid-n", "--topic", "sid", "--start",
                               "id:order-9").err)

    def test_several_groups_are_removed_by_name(self):
        for name in ("rm-a", "rm-b"):
            self.good("group", "create", name)
        self.usage("group", "rm", "--yes")
        self.bad(4, "group", "rm", "rm-a", "rm-nope", "--yes")  # none of them
        self.assertEqual(self.good("group", "rm", "rm-a", "rm-b", "--dry-run").lines(),
                         ["would delete group rm-a", "would delete group rm-b"])
        self.good("group", "rm", "rm-a", "rm-b", "--yes")
        self.assertEqual(self.good("group", "ls", "rm-*").out, b"")

    def test_a_pull_of_another_mode_or_start_is_refused(self):
        self.good("pub", "modes", "x")
        self.bad(2, "pull", "modes", "-g", "m", "--mode", "sorted", "-e")
        self.good("pull", "modes", "-g", "m2", "--start", "earliest", "-e")
        self.bad(1, "pull", "modes", "-g", "m2", "--start", "latest", "-e")

    def test_a_keyed_group_tells_its_hottest_keys(self):
        self.good("pub", "hot", "-K", " ", "a 1", "b 1", "a 2", "a 3")
        self.good("pull", "hot", "-g", "hot", "--mode", "keyed", "-n", "1", "--outcome", "none")
        self.good("pull", "hot", "-g", "hot", "-e")
        key = self.good("group", "info", "hot", "--json").objects()[0]["keys"]
        self.assertEqual(key, [{"topic": "hot", "partition": 0, "key": "a", "waiting": 2,
                                "offset": 0, "state": "leased"}])
        self.assertIn("key a: 2 wait for hot/0/0 (leased)",
                      self.good("group", "info", "hot").lines())

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
                                            "max_leased": 50, "on_dead": "skip",
                                            "expired": "drop", "priority": "strict",
                                            "backoff_factor": 2, "backoff_jitter": 0, "backoff": "",
                                            "dead_letter_topic": "", "look_ahead": 1000000,
                                            "dead_retention_ms": 0,
                                            "dead_retention_bytes": 0})
        self.assertNotRegex(self.good("group", "info", "adm").out.decode(), "(?m)= *$")  # what is unset
        self.good("group", "set", "adm", "--backoff", "1s,500ms,1m", "--backoff-factor", "3",
                  "--backoff-jitter", "20")
        settings = self.good("group", "info", "adm", "--json").objects()[0]["settings"]
        self.assertEqual((settings["backoff"], settings["backoff_ms"], settings["backoff_factor"],
                          settings["backoff_jitter"]), ("1000,500,60000", 1000, 3, 20))
        self.good("group", "set", "adm", "--backoff", "3s")
        settings = self.good("group", "info", "adm", "--json").objects()[0]["settings"]
        self.assertEqual((settings["backoff"], settings["backoff_ms"]), ("", 3000))
        self.good("group", "set", "adm", "--dead-letter-topic", "adm-dead")
        self.bad(2, "group", "set", "adm", "--dead-letter-topic", "adm")  # it would come back
        info = self.good("group", "info", "adm", "--json").objects()[0]
        self.assertEqual(info["settings"]["dead_letter_topic"], "adm-dead")
        self.usage("group", "set", "adm", "--backoff", "1s,,2s")
        self.usage("group", "set", "adm", "--backoff", "often")
        self.bad(2, "group", "set", "adm", "--on-dead", "hold")  # nothing is in order there
        self.good("group", "create", "adm-o", "--mode", "ordered", "--on-dead", "hold")
        self.assertIn("on_dead = hold", self.good("group", "info", "adm-o").lines())
        self.good("group", "set", "adm-o", "--on-dead", "default")
        self.assertIn("adm", self.good("group", "ls").lines())
        self.assertEqual(self.good("group", "ls", "ad?", "--json").objects(), [{"group": "adm"}])
        dry = self.good("group", "seek", "adm", "--topic", "adm", "--to", "4", "--dry-run",
                        "--json").objects()[0]
        self.assertEqual((dry["from"], dry["to"], dry["redelivered"]), (10, 4, 6))
        self.bad(2, "group", "seek", "adm", "--topic", "adm", "--to", "4")
        self.good("group", "seek", "adm", "--topic", "adm", "--to", "4", "--yes")
        self.assertEqual(self.part("adm")["committed"], 4)
        self.bad(2, "group", "rm", "adm")
        self.assertEqual(zspool("group", "rm", "adm", "--dry-run").code, 0)
        self.good("group", "rm", "adm", "--yes")
        self.bad(4, "group", "info", "adm")
        self.bad(4, "group", "rm", "adm", "--yes")


if __name__ == "__main__":
    main()
