# SPDX-License-Identifier: MPL-2.0
"""What is measured, in this order. A step runs on one system with a server of its own; a
round runs each step on every system in turn, so that systems that are compared are
measured within minutes of each other."""
from collections import namedtuple

from system import PAYLOADS

# method, arguments: of the system; settings: where it is measured, () = in all of them.
Step = namedtuple("Step", "name workloads method arguments settings")


def step(name, workloads, method, *arguments, settings=()):
    return Step(name, workloads.split(), method, arguments, settings)


SYNCED = ("synced",)  # reading does not depend on the level of publishing

STEPS = (
    step("limits", "limits", "limits"),
    *(step("backlog-%d" % payload, "W1 W3 W5", "backlog", payload) for payload in PAYLOADS),
    step("single", "W2", "single"),
    step("e2e", "W4", "e2e"),
    step("batches", "batches", "batches"),
    step("in-flight", "in-flight", "in_flight"),
    *(step("producers-%d" % count, "producers", "producers", count) for count in (1, 10, 100)),
    step("requests", "requests", "requests"),
    *(step("topics-%d" % count, "topics", "topics", count) for count in (1, 1000)),
    *(step("members-%d" % count, "members", "members", count, settings=SYNCED)
      for count in (1, 16)),
    *(step("groups-%d" % count, "groups", "groups", count, settings=SYNCED)
      for count in (1, 10, 100)),
    step("cold", "cold", "cold", settings=SYNCED),
    step("idle", "idle", "idle", settings=SYNCED),
)

WORKLOADS = tuple(dict.fromkeys(word for each in STEPS for word in each.workloads))
