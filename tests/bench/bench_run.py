#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""bench/run: that it says what it can do, and refuses what it cannot. It measures nothing here."""
import os
import subprocess
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def run(*arguments):
    return subprocess.run([ROOT + "/bench/run", *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)


class Run(unittest.TestCase):
    def test_help_names_systems_and_workloads(self):
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        for word in ("zspool", "redis", "jetstream", "rabbitmq", "beanstalkd", "machine", "W1",
                     "cold", "--rounds", "--quick"):
            self.assertIn(word, done.stdout)

    def test_unknown_systems_and_workloads_are_refused(self):
        for option, word in (("--only", "carrier-pigeon"), ("--workloads", "W9")):
            done = run(option, word)
            self.assertEqual(done.returncode, 1)
            self.assertIn(word, done.stdout)
            self.assertIn("there are: ", done.stdout)


if __name__ == "__main__":
    unittest.main()
