# SPDX-License-Identifier: MPL-2.0
"""What is measured, in this order. Steps beside each other with one server run on the same one,
in a system's turn; a round runs them on every system in turn, so that systems that are compared
are measured within minutes of each other. A server is shared where what a step leaves behind is
small, so that the next finds what it would have made itself."""
from collections import namedtuple

from system import PAYLOADS

# method, arguments: of the system; settings: where it is measured, () = in all of them;
# server: steps of the same one share it; runs: about how many measurements that takes;
# once: in the first round only, as the figures are counts.
Step = namedtuple("Step", "name workloads method arguments settings server runs once")


def step(name, workloads, method, *arguments, settings=(), server=None, runs=1, once=False):
    return Step(name, workloads.split(), method, arguments, settings, server or name, runs, once)


SYNCED = ("synced",)  # reading does not depend on the level of publishing

STEPS = (
    step("limits", "limits", "limits", runs=12),
    *(step("backlog-%d" % payload, "W1 W3 W5", "backlog", payload, runs=3)
      for payload in PAYLOADS),
    # First what wants an empty server, as beanstalkd has one queue for all.
    step("e2e", "W4", "e2e", server="small"),
    step("single", "W2", "single", server="small", runs=3),
    step("requests", "requests", "requests", server="small"),
    *(step("producers-%d" % count, "producers", "producers", count, server="small")
      for count in (1, 10, 100)),
    step("in-flight", "in-flight", "in_flight", server="small", runs=3),
    step("batches", "batches", "batches", server="own", runs=2),
    step("topics-1", "topics", "topics", 1, server="own"),
    step("topics-1000", "topics", "topics", 1000, server="own", runs=4),
    *(step("members-%d" % count, "members", "members", count, settings=SYNCED, server="own", runs=2)
      for count in (1, 16)),
    *(step("groups-%d" % count, "groups", "groups", count, settings=SYNCED, server="own", runs=2)
      for count in (1, 10, 100)),
    step("idle", "idle", "idle", settings=SYNCED, runs=3),
    step("memory", "memory", "memory", settings=SYNCED, runs=20, once=True),
    step("cold", "cold", "cold", settings=SYNCED, runs=4),
    *(step("growth-%s-%s" % (what, size), "growth", "growth_" + what, size, settings=SYNCED, runs=3)
      for what in ("log", "topics", "connections") for size in ("small", "large")),
)

WORKLOADS = tuple(dict.fromkeys(word for each in STEPS for word in each.workloads))
