# SPDX-License-Identifier: MPL-2.0
"""What zspool is to reach, as ratios of medians of one run, and whether it does."""
from collections import namedtuple

from medians import Rows
from units import named_size

# wanted: as text; got: a number, None = not measured; reached: None likewise
Target = namedtuple("Target", "what wanted got against reached")

PAYLOADS = (100, 1024, 16384)
FRAME_BYTES = 262144  # of what `zspool bench` publishes, and replays
IDLE_RSS_KIB = 8192
IDLE_WAKEUPS = 0.1    # what is rounded to none
FLAT = 1.15           # what is noise

# What grows, and what is measured beside little and beside much of it.
GROWING = ("log", "topics", "connections")
GROWTH_WORKLOADS = (("W1", "publish"), ("W3", "pull"))

# Peers whose acks are in a file, so that a restart knows them.
KEEPS_ACKS = {("redis", "aof-everysec"), ("redis", "aof-always"), ("jetstream", "file"),
              ("jetstream", "file-sync"), ("rabbitmq", "quorum"), ("beanstalkd", "f50"),
              ("beanstalkd", "f0")}


def ratio(a, b):
    return a / b if a is not None and b else None


def at_least(what, bound, got, against, unit="×"):
    return Target(what, "≥ %g %s" % (bound, unit), got, against,
                  None if got is None else got >= bound)


def at_most(what, bound, got, against, unit="×"):
    return Target(what, "≤ %g %s" % (bound, unit), got, against,
                  None if got is None else got <= bound)


def label(row):
    return "%s %s" % (row["system"], row["setting"]) if row else "no peer"


def is_peer(row):
    return row["system"] not in ("zspool", "machine")


def compare_rates(rows, what, case, payload, bound, row_ok):
    """zspool's rate, as a multiple of that of the best such peer."""
    best = rows.best("msgs_per_s", lambda row: is_peer(row) and row_ok(row) and
                     row["payload_bytes"] == payload and row["case"].startswith(case))
    own = rows.value("msgs_per_s", case, "zspool", "synced", payload)
    got = ratio(own, best["values"]["msgs_per_s"][0]) if best else None
    return at_least("%s, %s" % (what, named_size(payload)), bound, got, label(best))


def publishing(rows):
    for payload, bound in zip(PAYLOADS, (8, 5, 3)):
        yield compare_rates(rows, "W1 `synced` to the best durable peer", "W1", payload, bound,
                            lambda row: row["durability"] == "fsync")
    for payload, bound in zip(PAYLOADS, (10, 3.5, 1.1)):
        yield compare_rates(rows, "W1 `synced` to JetStream, no fsync", "W1", payload, bound,
                            lambda row: label(row) == "jetstream file")
    one_way = rows.value("mib_per_s", "L1-oneway", "machine", "", 1048576)
    for notes in ("append 1 MiB + fdatasync", "append 1 MiB, fdatasync after 16 MiB"):
        disk = rows.value("mib_per_s", "L2", "machine", "", 1048576, notes=notes)
        limit = min(one_way, disk) if one_way and disk else None
        yield at_least("W1 `synced`, 1 MiB batches of 16 KiB", 0.6, ratio(
            rows.value("mib_per_s", "batch-1MiB", "zspool", "synced", 16384), limit),
            "the lower of libzmq one-way and %s" % notes)
    yield at_least("W1 `written`, 64 KiB batches of 16 KiB", 0.6, ratio(
        rows.value("mib_per_s", "batch-64KiB", "zspool", "written", 16384),
        rows.value("mib_per_s", "L1-oneway", "machine", "", 65536)), "libzmq one-way, 64 KiB")


def single(rows):
    round_trip = rows.value("p50_us", "L1-pingpong", "machine", "", 100)
    sync = rows.value("p50_us", "L2", "machine", "", 4096, notes="append 4 KiB + fdatasync")
    synced = rows.value("p50_us", "W2", "zspool", "synced", 100)
    yield at_most("W2 `synced` p50", 1.25, ratio(
        synced, round_trip + sync if round_trip and sync else None),
        "libzmq ping-pong + fdatasync of 4 KiB")
    yield at_most("W2 `written` p50", 1.15, ratio(
        rows.value("p50_us", "W2", "zspool", "written", 100), round_trip), "libzmq ping-pong")
    yield at_most("W2 `synced` p50", 1, ratio(
        synced, rows.value("p50_us", "W2", "redis", "aof-always", 100)), "redis aof-always")


def consuming(rows):
    for payload, bound in zip(PAYLOADS, (5, 3, 1.5)):
        yield compare_rates(rows, "W3 to the best peer that keeps acks in a file", "W3", payload,
                            bound, lambda row: (row["system"], row["setting"]) in KEEPS_ACKS)
    for payload, bound in zip(PAYLOADS, (2, 2, 1.5)):
        yield compare_rates(rows, "W5 to the best peer", "W5", payload, bound, lambda row: True)
    for payload in PAYLOADS:
        yield at_least("W5, %s" % named_size(payload), 0.6, ratio(
            rows.value("mib_per_s", "W5", "zspool", "synced", payload),
            rows.value("mib_per_s", "L1-oneway", "machine", "", FRAME_BYTES)),
            "libzmq one-way, 256 KiB")


def end_to_end(rows):
    for figure, name in (("p50_us", "p50"), ("p99_us", "p99")):
        yield at_most("W4 `synced` %s" % name, 0.6, ratio(
            rows.value(figure, "W4", "zspool", "synced", 100),
            rows.value(figure, "W4", "redis", "aof-always", 100)), "redis aof-always")
    best = rows.best("p999_us", lambda row: is_peer(row) and row["case"].startswith("W4"), min)
    yield at_most("W4 `synced` p99.9", 1, ratio(
        rows.value("p999_us", "W4", "zspool", "synced", 100),
        best["values"]["p999_us"][0] if best else None), label(best))


def many(rows):
    def of(figure, case):
        return rows.value(figure, case, "zspool", "synced")

    yield at_least("1,000 topics at once, `synced`: rate", 0.6, ratio(
        of("msgs_per_s", "1000-topics"), of("msgs_per_s", "1-topics")), "one topic")
    yield at_most("1,000 topics at once, `synced`: p99 of a confirm", 5, ratio(
        of("p99_us", "1000-topics"), of("p99_us", "1-topics")), "one topic")
    yield at_most("100 groups on one topic: broker CPU a byte", 1.2, ratio(
        ratio(of("server_cpu_pct", "100-groups"), of("mib_per_s", "100-groups")),
        ratio(of("server_cpu_pct", "1-groups"), of("mib_per_s", "1-groups"))), "one group")
    yield at_least("100 producers, one message a request, `synced`", 1, ratio(
        of("msgs_per_s", "100-requests"),
        rows.value("msgs_per_s", "100-requests", "redis", "aof-always")), "redis aof-always")


def idle(rows):
    resident = rows.value("rss_kib", "idle", "zspool", "synced")
    yield at_most("idle broker: memory", IDLE_RSS_KIB / 1024, resident and resident / 1024, "",
                  "MiB")
    yield at_most("idle broker: wake-ups", IDLE_WAKEUPS,
                  rows.value("wakeups_per_s", "idle", "zspool", "synced"), "", "/s")
    for case, name, bound in (("memory-topic", "idle topic", 2048),
                              ("memory-group", "idle group", 1024),
                              ("memory-pull", "parked pull", 1024)):
        yield at_most(name + ": memory", bound,
                      rows.value("bytes_each", case, "zspool", "synced"), "", "B")


def growth_pairs(rows):
    """(what grows, publish or pull, row beside little, row beside much); None = not measured"""
    for what in GROWING:
        for workload, name in GROWTH_WORKLOADS:
            yield (what, name, *(rows.of_case("growth-%s-%s-%s" % (what, size, workload))
                                 for size in ("small", "large")))


def growing(rows):
    for what, name, small, large in growth_pairs(rows):
        text = "flat within noise: broker CPU of a %s, " % name
        if small and large:
            yield at_most(text + large["beside"], FLAT,
                          ratio(large["values"]["server_us"][0], small["values"]["server_us"][0]),
                          small["beside"])
        else:
            yield at_most(text + "more " + what, FLAT, None, "")


def targets(measured):
    rows = Rows(measured["rows"])
    return [target for part in (publishing, single, consuming, end_to_end, many, idle, growing)
            for target in part(rows)]
