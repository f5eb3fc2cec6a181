# SPDX-License-Identifier: MPL-2.0
"""zspool itself: a broker of the release build, measured by `zspool bench`."""
import json
import os
import re
import subprocess
import time

from system import BUILD, E2E_RATE, MANY_IN_FLIGHT, PAYLOADS, ROOT, System, run_json
from units import named_size

ZSPOOLD = BUILD + "/broker/zspoold"
ZSPOOL = BUILD + "/client/zspool"
BATCHES = "16 batches of 256 KiB"  # what `zspool bench` has in flight unless told
PREFETCH = "4 MiB, prefetched"
SETTLE_S = 3     # until what starting left to do is done
AHEAD_S = 1      # how long a cold backlog is read before anything is measured beside it
PULLED_BYTES_A_S = 1 << 30  # about: what is to last for a whole measurement
FILL_BYTES_A_S = 64 << 20  # at least, or the disk is too slow for this
SCALE = ROOT + "/scripts/scale"
SCALE_S = 600    # at most

# What scripts/scale counts, and the cases made of its figures.
MEMORY = {
    "topics": {"memory-topic": "idle topic of two messages: memory, each"},
    "groups": {"memory-group": "idle group that is through: memory, each",
               "memory-pull": "PULL that waits: memory, each"},
}


class Zspool(System):
    name = "zspool"
    settings = ("synced", "written")
    durability = {"synced": "fsync", "written": "page-cache"}

    def missing(self):
        return None if os.path.exists(ZSPOOL) else "it is not built"

    def version(self):
        return output_version(ZSPOOLD)

    def start(self):
        self.new_server()
        self.serve()

    def serve(self):
        server = self.server
        server.forget_said()  # of a broker before, on another port
        server.spawn(ZSPOOLD, "--data", server.data, "--listen", "tcp://127.0.0.1:*")
        server.await_ready(lambda: "zspoold: ready on " in server.said())

    @property
    def endpoint(self):
        return re.search(r"zspoold: ready on (\S+)", self.server.said()).group(1)

    def command(self, *words):
        return [ZSPOOL, *words, "-s", self.endpoint, "--json", "--quiet"]

    def bench(self, case, what, *options, payload=100, in_flight=BATCHES, beside=""):
        level = ["--written"] if self.setting == "written" and what in ("pub", "e2e") else []
        words = self.command("bench", what, "--payload", payload, "--seconds",
                             self.plan.seconds, *level, *options)
        return self.measure(case, words, in_flight, beside)

    def fill(self, topic, size):
        run_json(self.command("bench", "fill", "--payload", "16KiB", "--topic", topic, "--bytes",
                              size), size // FILL_BYTES_A_S)

    # --- Workloads, as peers have them -----------------------------------------------------

    def backlog(self, payload):
        self.bench("W1", "pub", "--topic", "backlog", payload=payload)
        if self.setting == "synced":  # of what was published, nobody can tell the level
            self.bench("W5", "read", "--topic", "backlog", payload=payload, in_flight="")
            self.bench("W3", "pull", "--topic", "backlog", payload=payload, in_flight=PREFETCH)

    def single(self):
        for payload in PAYLOADS:
            self.bench("W2", "pub", "--in-flight", 1, payload=payload, in_flight=1)

    def e2e(self):
        self.bench("W4", "e2e", "--rate", E2E_RATE, in_flight="")

    def in_flight(self):
        for payload in PAYLOADS:
            self.bench("1000-in-flight", "pub", "--in-flight-messages", 1000, payload=payload,
                       in_flight=1000)

    def producers(self, count):
        self.bench("%d-producers" % count, "pub", "--producers", count, "--in-flight-messages",
                   MANY_IN_FLIGHT // count, in_flight=MANY_IN_FLIGHT)

    def requests(self):
        self.bench("100-requests", "pub", "--producers", 100, "--in-flight", 1, in_flight=100)

    # --- Workloads that are compared with zspool itself, or with the machine ----------------------

    def batches(self):
        size = {"synced": "1MiB", "written": "64KiB"}[self.setting]
        for payload in PAYLOADS[1:]:
            self.bench("batch-" + size, "pub", "--batch", size, payload=payload,
                       in_flight="16 batches of " + size.replace("M", " M").replace("K", " K"))

    def topics(self, count):
        self.bench("%d-topics" % count, "pub", "--topics", count, "--in-flight-messages",
                   MANY_IN_FLIGHT, in_flight=MANY_IN_FLIGHT)

    def members(self, count):
        self.pull_backlog("%d-members" % count, "--members", count,
                          in_flight=PREFETCH if count == 1 else "%d × 1 MiB, prefetched" % count)

    def groups(self, count):
        self.pull_backlog("%d-groups" % count, "--groups", count, in_flight=PREFETCH)

    def pull_backlog(self, case, *options, in_flight):
        self.bench(case, "pull", "--bytes", self.plan.seconds * PULLED_BYTES_A_S, *options,
                   payload=1024, in_flight=in_flight)

    def cold(self):
        """W4 by itself, and while a backlog is read that is in no memory."""
        self.fill("cold", self.plan.cold_bytes)
        self.server.end_processes()
        forget_files(self.server.data)
        self.serve()
        self.bench("cold-without", "e2e", "--rate", E2E_RATE, in_flight="")
        words = self.command("bench", "read", "--payload", "16KiB", "--topic", "cold", "--seconds",
                             self.plan.seconds + 2 * AHEAD_S + 1)
        with subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE,
                              text=True) as reader:
            time.sleep(AHEAD_S)
            self.bench("cold-tail", "e2e", "--rate", E2E_RATE, in_flight="")
            for line in reader.stdout:
                self.plan.record(self, "cold-read", json.loads(line))

    def idle(self):
        """Memory, and how often its threads wake up."""
        pid = self.server.pid
        time.sleep(SETTLE_S)
        before = switches(pid)
        seconds = 2 * self.plan.seconds
        time.sleep(seconds)
        self.plan.record(self, "idle", {
            "system": self.name, "version": self.version(), "workload": "idle",
            "notes": "no client, %d s" % seconds, "rss_kib": resident_kib(pid),
            "wakeups_per_s": (switches(pid) - before) / seconds})

    def memory(self):
        """Of idle topics, groups and waiting pulls, at a broker that scripts/scale starts."""
        count = self.plan.many
        for what, cases in MEMORY.items():
            lines = run_json([SCALE, what, count, "--idle", 0, "--json", "--zspoold", ZSPOOLD,
                              "--dir", self.plan.data], SCALE_S)
            figures = {line["name"]: line["value"] for line in lines}
            for case, name in cases.items():
                self.plan.record(self, case, {
                    "system": self.name, "version": self.version(), "workload": "memory",
                    "notes": "scripts/scale %s %d" % (what, count), "bytes_each": figures[name]})

    # --- How cost grows: the same beside little and beside much ------------------------------------

    def growth_log(self, size):
        log_bytes = self.plan.growth["log"][size]
        self.fill("grown", log_bytes)
        self.at_end("growth-log-" + size, "grown", named_size(log_bytes) + " of log")

    def growth_topics(self, size):
        from dealer import make_topics  # its libraries are wanted here only
        count = self.plan.growth["topics"][size]
        make_topics(self.endpoint, count - 1)
        self.at_end("growth-topics-" + size, "one", "{:,} topics".format(count))

    def growth_connections(self, size):
        from dealer import Parked
        count = self.plan.growth["connections"][size]
        parked = Parked(self.endpoint, count)
        try:
            self.at_end("growth-connections-" + size, "one",
                        "{:,} connections that wait".format(count))
        finally:
            parked.close()

    def at_end(self, case, topic, beside):
        """Publish to a topic, and pull just that."""
        for written in self.bench(case + "-W1", "pub", "--topic", topic, beside=beside):
            self.bench(case + "-W3", "pull", "--topic", topic, "--start", -written["count"],
                       in_flight=PREFETCH, beside=beside)


def output_version(program):
    said = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=True)
    return said.stdout.split()[1]


def switches(pid):
    """Context switches of all threads so far."""
    total = 0
    for tid in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, tid), encoding="ascii") as status:
            total += sum(int(line.split()[1]) for line in status if "_ctxt_switches" in line)
    return total


def resident_kib(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def forget_files(folder):
    """Have the page cache drop them; they are synced."""
    os.sync()
    for base, _, names in os.walk(folder):
        for name in names:
            fd = os.open(os.path.join(base, name), os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)
