# SPDX-License-Identifier: MPL-2.0
"""Raw lines, and the medians of them.

raw.jsonl has one object a line. `kind` tells what it is: "machine" (where it was
measured), "calibration" (how fast that was just then), "result", or "done" (a step on a
system in a round is through, and need not be done again).

medians.json has {"machine", "calibration", "rows"}. A row is one case on one system in one
setting with one payload; its `values` hold [median, least, most] of each figure. One of these
follows from others: `server_us`, the CPU time of the server for a message.
"""
import json
import statistics

FIGURES = ("msgs_per_s", "mib_per_s", "p50_us", "p99_us", "p999_us", "server_cpu_pct",
           "client_cpu_pct", "rss_kib", "wakeups_per_s", "bytes_each", "server_us")


def read_raw(path):
    try:
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        return []


def spread(values):
    """[median, least, most], to five digits; None = there are no values."""
    there = [value for value in values if value is not None]
    if not there:
        return None
    return [float("%.5g" % value) for value in
            (statistics.median(there), min(there), max(there))]


def server_us(line):
    percent, rate = line.get("server_cpu_pct"), line.get("msgs_per_s")
    return percent * 1e4 / rate if percent is not None and rate else None


def row_of(lines):
    lines = [dict(line, server_us=server_us(line)) for line in lines]
    last = lines[-1]
    row = {key: last.get(key, "") for key in
           ("case", "system", "setting", "version", "durability", "in_flight", "notes", "beside")}
    row["payload_bytes"] = last.get("payload_bytes")
    row["runs"] = len(lines)
    row["values"] = {}
    for figure in FIGURES:
        values = spread([line.get(figure) for line in lines])
        if values:
            row["values"][figure] = values
    return row


def grouped(lines, *keys):
    """Lists of lines that are alike in these; in the order of first sight."""
    found = {}
    for line in lines:
        found.setdefault(tuple(line.get(key) for key in keys), []).append(line)
    return found.values()


def machine(lines):
    """What the last call of bench/run told; with as many rounds as the longest one had."""
    return dict(lines[-1], rounds=max(line["rounds"] for line in lines)) if lines else {}


def medians(raw):
    of_kind = {}
    for line in raw:
        of_kind.setdefault(line["kind"], []).append(line)
    results = of_kind.get("result", [])
    return {
        "machine": machine(of_kind.get("machine", [])),
        "calibration": [row_of(lines) for lines in
                        grouped(of_kind.get("calibration", []), "notes")],
        # What the machine does by itself is told apart by its notes only.
        "rows": [row_of(lines) for lines in
                 grouped([dict(line, name=line["notes"] if line["case"] == "L2" else "")
                          for line in results],
                         "case", "system", "setting", "payload_bytes", "name")],
    }


class Rows:
    """Finds rows of medians.json."""

    def __init__(self, rows):
        self.rows = rows

    def value(self, figure, case, system, setting, payload=None, notes=None):
        """The median of a figure; None = it was not measured."""
        for row in self.rows:
            if (row["case"], row["system"], row["setting"]) == (case, system, setting) and \
                    payload in (None, row["payload_bytes"]) and notes in (None, row["notes"]) and \
                    figure in row["values"]:
                return row["values"][figure][0]
        return None

    def of_case(self, case):
        """The first row of a case of one system in one setting; None = it was not measured."""
        return next((row for row in self.rows if row["case"] == case), None)

    def best(self, figure, row_ok, choose=max):
        """The row of the highest median; None = there is no such row."""
        return choose((row for row in self.rows if figure in row["values"] and row_ok(row)),
                      key=lambda row: row["values"][figure][0], default=None)
