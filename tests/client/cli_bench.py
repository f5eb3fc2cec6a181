#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""zspool bench: that it counts what is there, and tells it in the agreed form.

Usage: cli_bench.py ZSPOOL ZSPOOLD [TEST]... Starts a broker of its own.
"""
import signal
import subprocess

from cli_support import TIMEOUT_S, Case, command, main

FIELDS = ["system", "version", "workload", "payload_bytes", "count", "msgs_per_s", "mib_per_s",
          "p50_us", "p99_us", "p999_us", "durability", "notes", "elapsed_s", "server_cpu_pct",
          "client_cpu_pct"]


class Bench(Case):
    def bench(self, *args):
        results = self.good("bench", *args, "--seconds", "1", "--json").objects()
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
        result = self.bench("e2e", "--rate", "500", "--payload", "64")[0]
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
        run = self.good("bench", "pub", "--seconds", "1", "--payload", "100,200", "--keep")
        head, *rows = run.lines()
        self.assertEqual(head.split()[:3], ["payload", "level", "messages/s"])
        self.assertEqual([row.split()[:3] for row in rows],
                         [["W1", "100", "synced"], ["W1", "200", "synced"]])
        kept = self.good("topic", "ls", "bench-*").lines()
        self.assertEqual(run.err.splitlines(), [f"zspool: topic {topic} is kept" for topic in kept])
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

    def test_wrong_usage(self):
        self.usage("bench", "frob")
        self.usage("bench", "pub", "--in-flight", "129")
        self.usage("bench", "pub", "--producers", "65")
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
