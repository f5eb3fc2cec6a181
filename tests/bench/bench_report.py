#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""bench/report: that what it writes is what the raw lines say, and nothing else changes.

raw.jsonl has three rounds of few cases, whose figures are a base times 1, 3 and 2.
"""
import os
import shutil
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BLOCKS = ("machine", "targets", "plots", "growth", "cases", "results")
HAND_WRITTEN = "## Beyond this machine\n\nWritten by hand: 1 < 2 \\1 | and more.\n"


class Report(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="zspool-report-")
        self.addCleanup(self.folder.cleanup)
        self.document = self.folder.name + "/BENCHMARKS.md"
        self.write("# Title\n\n" + "".join(
            "<!-- report: %s -->\nold figures\n<!-- end -->\n" % name for name in BLOCKS) +
            HAND_WRITTEN)

    def write(self, text):
        with open(self.document, "w", encoding="utf-8") as file:
            file.write(text)

    def report(self):
        return subprocess.run(
            [ROOT + "/bench/report", "--raw", HERE + "/raw.jsonl", "--document", self.document],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)

    def text(self):
        done = self.report()
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        with open(self.document, encoding="utf-8") as file:
            return file.read()

    def cells(self, *beginning):
        """Of the one row that begins so."""
        found = [line for line in self.text().splitlines()
                 if line.startswith("| " + " | ".join(beginning) + " |")]
        self.assertEqual(len(found), 1, (beginning, found))
        return [cell.strip() for cell in found[0].split("|")[1:-1]]

    def test_what_is_written_by_hand_stays(self):
        text = self.text()
        self.assertTrue(text.startswith("# Title\n\n<!-- report: machine -->\n"))
        self.assertTrue(text.endswith("<!-- end -->\n" + HAND_WRITTEN))
        self.assertNotIn("old figures", text)

    def test_a_second_time_changes_nothing(self):
        first = self.text()
        plots = self.plots()
        self.assertEqual(self.text(), first)
        self.assertEqual(self.plots(), plots)

    def plots(self):
        found = {}
        for base, _, names in os.walk(self.folder.name + "/bench"):
            for name in names:
                with open(os.path.join(base, name), encoding="utf-8") as file:
                    found[name] = file.read()
        return found

    def test_results_are_medians_with_their_range(self):
        row = self.cells("W1", "100 B", "zspool synced", "fsync")
        self.assertEqual(row[4:13], ["16 batches of 256 KiB", "2,000,000", "1,000,000 to 3,000,000",
                                     "191", "3,000", "6,000", "9,000", "90 / 40", "1"])

    def test_ratios_are_of_rates_and_for_latency_workloads_of_the_p50(self):
        self.assertEqual(self.cells("W1", "100 B", "jetstream file")[12], "6.25")
        self.assertEqual(self.cells("W2", "100 B", "redis aof-always")[12], "0.833")

    def test_a_target_takes_the_best_of_a_peer(self):
        self.assertEqual(
            self.cells("W1 `synced` to the best durable peer, 100 B")[1:],
            ["≥ 8 ×", "10", "**reached**", "redis aof-always"])
        self.assertEqual(
            self.cells("W1 `synced` to JetStream, no fsync, 100 B")[1:],
            ["≥ 10 ×", "6.25", "not reached", "jetstream file"])

    def test_a_sum_of_limits_is_a_limit(self):
        rows = [line for line in self.text().splitlines() if line.startswith("| W2 `synced` p50")]
        self.assertIn("| 1.5 | not reached | libzmq ping-pong + fdatasync of 4 KiB |", rows[0])

    def test_what_was_left_out_is_not_judged(self):
        self.assertEqual(self.cells("1,000 topics at once, `synced`: rate")[2:4],
                         ["", "not measured"])
        self.assertEqual(self.cells("idle broker: memory")[2:4], ["5", "**reached**"])
        self.assertEqual(self.cells("idle broker: wake-ups")[2:4], ["0", "**reached**"])

    def test_growth_is_told_as_cost_of_a_message(self):
        self.assertEqual(self.cells("publish", "1 GiB of log", "50 GiB of log")[3:],
                         ["0.5", "0.55", "1.1", "2,000,000", "2,000,000", "1"])
        self.assertEqual(self.cells("pull", "10 topics", "10,000 topics")[3:],
                         ["0.2", "0.4", "2", "4,000,000", "2,000,000", "0.5"])
        self.assertNotIn("| growth-", self.text())

    def test_growth_is_flat_or_not(self):
        what = "flat within noise: broker CPU of a "
        self.assertEqual(self.cells(what + "publish, 50 GiB of log")[1:],
                         ["≤ 1.15 ×", "1.1", "**reached**", "1 GiB of log"])
        self.assertEqual(self.cells(what + "pull, 10,000 topics")[2:4], ["2", "not reached"])
        self.assertEqual(self.cells(what + "pull, more connections")[2:4], ["", "not measured"])

    def test_memory_of_what_is_idle(self):
        self.assertEqual(self.cells("idle topic: memory")[1:4],
                         ["≤ 2048 B", "2,050", "not reached"])
        self.assertEqual(self.cells("idle group: memory")[2:4], ["", "not measured"])
        self.assertEqual(self.cells("parked pull: memory")[2:4], ["826", "**reached**"])

    def test_the_machine_and_its_calibration_are_told(self):
        text = self.text()
        self.assertIn("A CPU, 2 cores, 16.0 GiB of memory, ext4, Linux 6.1.", text)
        self.assertIn("| memcpy of 64 MiB | /s | 100 | 50 to 150 | 3 |", text)
        self.assertIn("| ping-pong of two processes | us, p50 | 40 | 20 to 60 | 3 |", text)

    @unittest.skipUnless(shutil.which("gnuplot"), "there is no gnuplot")
    def test_plots_are_drawn_and_shown(self):
        text = self.text()
        self.assertEqual(sorted(self.plots()), ["publish-one.svg", "publish.svg"])
        for name in self.plots():
            self.assertIn("(bench/%s)" % name, text)

    def test_a_missing_block_is_an_error(self):
        self.write("# Title\n")
        done = self.report()
        self.assertEqual(done.returncode, 1)
        self.assertIn('has no block "machine"', done.stdout)


if __name__ == "__main__":
    unittest.main()
