#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""bench/run: that it says what it can do, and refuses what it cannot. It measures nothing here."""
import itertools
import os
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, ROOT + "/bench")
from peers import Beanstalk, Machine, Nats, Rabbit, Redis
from steps import STEPS, WORKLOADS
from zspool_system import Zspool


def run(*arguments):
    return subprocess.run([ROOT + "/bench/run", *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)


class Run(unittest.TestCase):
    def test_help_names_systems_and_workloads(self):
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        for word in ("zspool", "redis", "jetstream", "rabbitmq", "beanstalkd", "machine", "W1",
                     "cold", "growth", "memory", "--rounds", "--quick", "--growth-bytes"):
            self.assertIn(word, done.stdout)

    def test_unknown_systems_and_workloads_are_refused(self):
        for option, word in (("--only", "carrier-pigeon"), ("--workloads", "W9"),
                             ("--without", "W9")):
            done = run(option, word)
            self.assertEqual(done.returncode, 1)
            self.assertIn(word, done.stdout)
            self.assertIn("there are: ", done.stdout)

    def test_every_step_is_measured_on_zspool_or_the_machine(self):
        self.assertEqual(len(set(step.name for step in STEPS)), len(STEPS))
        for step in STEPS:
            self.assertTrue(hasattr(Zspool, step.method) or hasattr(Machine, step.method), step)
            self.assertLessEqual(set(step.settings), set(Zspool.settings))

    def test_steps_that_share_a_server_are_beside_each_other(self):
        servers = [server for server, _ in itertools.groupby(step.server for step in STEPS)]
        self.assertEqual(len(set(servers)), len(servers))

    def test_every_peer_has_what_all_can_do(self):
        for peer in (Redis, Nats, Rabbit, Beanstalk):
            self.assertEqual(set(peer.settings), set(peer.durability))
            for method in ("backlog", "single", "e2e", "in_flight", "producers", "requests"):
                self.assertTrue(hasattr(peer, method), (peer.name, method))
        self.assertLessEqual({"W1", "W2", "W3", "W4", "W5"}, set(WORKLOADS))


if __name__ == "__main__":
    unittest.main()
