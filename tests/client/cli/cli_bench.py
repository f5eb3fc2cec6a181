#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""zspool bench: that it counts what is there, and tells it in the agreed form.

Usage: cli_bench.py ZSPOOL ZSPOOLD [TEST]... Starts a broker of its own.
"""
import json
import signal
import subprocess

from cli_support import TIMEOUT_S, Case, command, main

FIELDS = ["system", "version", "workload", "payload_bytes", "count", "msgs_per_s", "mib_per_s",
          "p50_us", "p99_us", "p999_us", "durability", "notes", "elapsed_s", "server_cpu_pct",
          "client_cpu_pct"]
SECONDS = "0.1"  # of what ends with its time
ENOUGH = "60"  # for what ends when all is done


class Bench(Case):
    def bench(self, what, *args):
        seconds = ENOUGH if what in ("fill", "pull", "read") else SECONDS
        results = self.good("bench", what, *args, "--seconds", seconds, "--json").objects()
        for result in results:
            self.assertEqual(list(result), FIELDS)
            self.assertEqual(result["system"], "zspool")
            self.assertRegex(result["version"], r"^\d+\.\d+\.\d+")
            self.assertGreater(result["count"], 0)
            self.assertAlmostEqual(result["count"] / result["msgs_per_s"], result["elapsed_s"],
                                   delta=0.001 + 0.01 * result["elapsed_s"])
            self.assertAlmostEqual(result["mib_per_s"],
                                   result["msgs_per_s"] * result["payload_bytes"] / (1 << 20),
                                   delta=0.1 + 0.01 * result["mib_per_s"])
            self.assertGreaterEqual(result["server_cpu_pct"], 0)
            self.assertGreaterEqual(result["client_cpu_pct"], 0)
        return results

    def latencies(self, result):
        self.assertLessEqual(0, result["p50_us"])
        self.assertLessEqual(result["p50_us"], result["p99_us"])
        self.assertLessEqual(result["p99_us"], result["p999_us"])

    def messages(self, topic):
        info = self.good("topic", "info", topic, "--json").objects()[0]
        return sum(p["end"] - p["start"] for p in info["partitions"])

    def test_pub_counts_what_was_confirmed(self):
        result = self.bench("pub", "--payload", "1KiB", "--producers", "2", "--in-flight", "4",
                            "--batch", "64KiB", "--topic", "counted")[0]
        self.assertEqual((result["workload"], result["payload_bytes"], result["durability"]),
                         ("W1", 1024, "synced"))
        self.latencies(result)
        # The rest was published to warm up.
        self.assertGreater(self.messages("counted"), result["count"])

    def test_pub_with_one_in_flight(self):
        first, second = self.bench("pub", "--in-flight", "1", "--payload", "10,200", "--written")
        many = self.bench("pub", "--in-flight", "1", "--producers", "3")[0]
        self.assertEqual((many["workload"], many["notes"]),
                         ("W2", "publish, 3 producer(s), one in flight"))
        self.assertEqual((first["workload"], first["durability"]), ("W2", "written"))
        self.assertEqual((first["payload_bytes"], second["payload_bytes"]), (10, 200))
        self.latencies(first)
        # One after the other: the mean cannot be above what the rate tells.
        self.assertLess(first["p50_us"], 2e6 / first["msgs_per_s"])

    def test_pub_to_many_topics(self):
        one, many = (self.bench("pub", "--topics", n, "--in-flight", "2")[0] for n in ("1", "50"))
        self.assertEqual(one["notes"], "publish, 1 producer(s), 2 batches of 262144 bytes in flight")
        self.assertEqual(many["notes"], one["notes"] + ", 50 topics")
        self.assertEqual((one["workload"], many["workload"]), ("W1", "W1"))
        self.latencies(many)
        self.assertEqual(self.good("topic", "ls", "bench-*").lines(), [])

    def kept(self, *args):
        """How many messages a run left in each of its topics."""
        self.bench("pub", "--keep", *args)
        names = sorted(self.good("topic", "ls", "bench-*").lines())
        counts = [self.messages(name) for name in names]
        for name in names:
            self.good("topic", "rm", name, "--yes")
        return counts

    def test_topics_are_shared_out_among_producers(self):
        counts = self.kept("--topics", "5", "--producers", "2", "--in-flight-messages", "3")
        self.assertGreater(min(counts), 0)
        for own in (counts[0::2], counts[1::2]):  # those of one producer, in turn
            self.assertLessEqual(max(own) - min(own), 1)

    def test_producers_are_shared_out_among_topics(self):
        counts = self.kept("--topics", "3", "--producers", "6", "--in-flight", "1")
        self.assertEqual(len(counts), 3)
        self.assertGreater(min(counts), 0)

    def test_pub_with_messages_in_flight(self):
        few = self.bench("pub", "--in-flight-messages", "3", "--topics", "2")[0]
        self.assertEqual((few["workload"], few["notes"]),
                         ("W1", "publish, 1 producer(s), 3 messages in flight, 2 topics"))
        self.latencies(few)
        # Little's law: never more than three are open, and all latencies of three are measured.
        self.assertLess(few["msgs_per_s"] * few["p50_us"] / 1e6, 6)
        one = self.bench("pub", "--in-flight-messages", "1")[0]
        self.assertEqual((one["workload"], one["notes"]),
                         ("W2", "publish, 1 producer(s), one in flight"))

    def test_a_hundred_producers_without_batches(self):
        result = self.bench("pub", "--in-flight", "1", "--producers", "100")[0]
        self.assertEqual((result["workload"], result["notes"]),
                         ("W2", "publish, 100 producer(s), one in flight"))
        self.latencies(result)

    def test_pull_by_members_and_groups(self):
        self.good("pub", "shared-out", stdin=b"0123456789\n" * 5000)
        for members, groups in ((4, 1), (1, 5), (2, 3)):
            result = self.bench("pull", "--topic", "shared-out", "--members", str(members),
                                "--groups", str(groups))[0]
            self.assertEqual((result["workload"], result["count"], result["payload_bytes"]),
                             ("W3", 5000 * groups, 10))
            self.assertIn(f"{groups} group(s) of {members} member(s)", result["notes"])
        self.assertEqual(self.good("group", "ls", "bench-*").lines(), [])

    def test_fill_makes_a_backlog_that_others_take(self):
        result = self.bench("fill", "--topic", "backlog", "--bytes", "1MiB", "--payload", "1KiB")[0]
        self.assertEqual((result["workload"], result["count"]), ("fill", 1024))
        self.assertEqual(self.messages("backlog"), 1024)
        self.assertEqual(self.bench("read", "--topic", "backlog")[0]["count"], 1024)
        for verb in ("pull", "read"):
            self.assertEqual(self.bench(verb, "--bytes", "10000", "--payload", "99")[0]["count"],
                             102)

    def test_pull_begins_where_it_is_told_to(self):
        self.good("pub", "long", stdin=b"0123456789\n" * 5000)
        result = self.bench("pull", "--topic", "long", "--start", "-2000")[0]
        self.assertEqual((result["workload"], result["count"]), ("W3", 2000))
        self.assertEqual(self.bench("pull", "--topic", "long")[0]["count"], 5000)

    def test_e2e_beside_a_read_of_another_topic(self):
        self.bench("fill", "--topic", "old", "--bytes", "8MiB", "--payload", "16KiB")
        tail = subprocess.Popen(command("bench", "e2e", "--topic", "new", "--rate", "200",
                                        "--seconds", "0.5", "--json"), stdout=subprocess.PIPE)
        self.addCleanup(tail.stdout.close)
        self.addCleanup(tail.kill)
        while tail.poll() is None:
            self.assertEqual(self.bench("read", "--topic", "old")[0]["count"], 512)
        self.assertEqual(tail.returncode, 0)
        result = json.loads(tail.stdout.read())
        self.assertEqual((result["workload"], result["count"]), ("W4", 100))

    def test_pull_and_read_take_all_that_is_there(self):
        self.good("pub", "there", stdin=b"0123456789\n" * 5000)
        for verb, workload in (("pull", "W3"), ("read", "W5")):
            result = self.bench(verb, "--topic", "there")[0]
            self.assertEqual((result["workload"], result["count"], result["payload_bytes"]),
                             (workload, 5000, 10))
            self.assertIsNone(result["p50_us"])
        self.assertEqual(self.messages("there"), 5000)
        self.good("topic", "create", "nothing")
        self.bad(3, "bench", "pull", "--topic", "nothing")
        self.bad(3, "bench", "read", "--topic", "nothing")
        self.bad(4, "bench", "pull", "--topic", "no-such-topic")

    def test_e2e_receives_what_it_sends(self):
        result = self.bench("e2e", "--rate", "5000", "--payload", "64")[0]
        self.assertEqual((result["workload"], result["count"]), ("W4", 500))
        self.latencies(result)
        self.assertGreater(result["p50_us"], 0)

    def test_all_is_everything_and_leaves_nothing_behind(self):
        results = self.bench("all", "--payload", "1000", "--rate", "200")
        self.assertEqual([(r["workload"], r["durability"]) for r in results],
                         [("W2", "synced"), ("W2", "written"), ("W1", "written"), ("W1", "synced"),
                          ("W3", "synced"), ("W5", "synced"), ("W4", "synced")])
        self.assertEqual({r["payload_bytes"] for r in results}, {1000})
        self.assertEqual(self.good("topic", "ls", "bench-*").lines(), [])
        self.assertEqual(self.good("group", "ls", "bench-*").lines(), [])

    def test_people_get_a_table(self):
        run = self.good("bench", "pub", "--seconds", SECONDS, "--payload", "100,200", "--keep")
        head, *rows = run.lines()
        self.assertEqual(head.split()[:3], ["payload", "level", "messages/s"])
        self.assertEqual([row.split()[:3] for row in rows],
                         [["W1", "100", "synced"], ["W1", "200", "synced"]])
        kept = self.good("topic", "ls", "bench-*").lines()
        # The names end with nanoseconds, which have their own order as text.
        self.assertCountEqual(run.err.splitlines(),
                              [f"zspool: topic {topic} is kept" for topic in kept])
        for topic in kept:
            self.good("topic", "rm", topic, "--yes")

    def test_an_interrupt_deletes_what_was_made(self):
        process = subprocess.Popen(command("bench", "e2e", "--seconds", "1000", "--rate", "100"),
                                   stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        while not self.good("group", "ls", "bench-*").lines():
            pass
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(TIMEOUT_S), 1)
        self.assertEqual(process.stdout.read(), b"")
        self.assertEqual(self.good("topic", "ls", "bench-*").lines(), [])
        self.assertEqual(self.good("group", "ls", "bench-*").lines(), [])

    def test_the_broker_tells_its_cpu_time(self):
        def cpu():
            return self.good("info", "--json").objects()[0]["stats"]["cpu_us"]
        before = cpu()
        self.bench("pub")
        self.assertGreater(cpu(), before)

    def test_too_few_descriptors(self):
        run = subprocess.run(["sh", "-c", 'ulimit -n 200; exec "$@"', "sh",
                              *command("bench", "pub", "--producers", "100")],
                             capture_output=True, text=True, timeout=TIMEOUT_S)
        self.assertEqual(run.returncode, 1)
        self.assertIn("ulimit -n", run.stderr)
        self.assertEqual(self.good("topic", "ls", "bench-*").lines(), [])

    def test_wrong_usage(self):
        self.usage("bench", "frob")
        self.usage("bench", "pub", "--in-flight", "129")
        for seconds in ("0", "0.000", "-1", "1s", "0.1234", "1.", ".5", "86400.001"):
            self.usage("bench", "pub", "--seconds", seconds)
        self.usage("bench", "pub", "--producers", "257")
        self.usage("bench", "pub", "--in-flight-messages", "1000001")
        self.usage("bench", "pub", "--in-flight-messages", "9", "--in-flight", "9")
        self.usage("bench", "pub", "--topics", "10001", "--producers", "9")
        self.usage("bench", "pub", "--topics", "4097")
        self.usage("bench", "pub", "--topics", "2", "--topic", "t")
        self.usage("bench", "pull", "--topics", "2")
        self.usage("bench", "e2e", "--in-flight-messages", "2")
        self.usage("bench", "pull", "--members", "65")
        self.usage("bench", "pull", "--groups", "101")
        self.usage("bench", "pull", "--groups", "100", "--members", "3")
        self.usage("bench", "read", "--members", "2")
        self.usage("bench", "read", "--start", "-2")
        self.usage("bench", "pub", "--groups", "2")
        self.usage("bench", "pub", "--bytes", "1MiB")
        self.usage("bench", "pull", "--topic", "t", "--bytes", "1MiB")
        self.usage("bench", "fill", "--topic", "t")
        self.usage("bench", "fill", "--bytes", "1MiB")
        self.usage("bench", "pub", "--batch", "9MiB")
        self.usage("bench", "pub", "--payload", "5MiB")
        self.usage("bench", "pub", "--payload", "100,,1")
        self.usage("bench", "pub", "--payload", ",".join("123456789"))
        self.usage("bench", "e2e", "--payload", "7")
        self.usage("bench", "e2e", "--rate", "10000001")
        self.usage("bench", "all", "--topic", "t")
        self.bad(2, "bench", "pub", "--topic", "../t")


if __name__ == "__main__":
    main()
