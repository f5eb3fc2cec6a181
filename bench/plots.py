# SPDX-License-Identifier: MPL-2.0
"""Bars, drawn by gnuplot: the same input gives the same file."""
import os
import shutil
import subprocess

from medians import Rows
from units import named_size

PAYLOADS = (100, 1024, 16384)
LATENCIES = (("p50_us", "p50"), ("p99_us", "p99"), ("p999_us", "p99.9"))
PALETTE = ("#0b6e4f", "#6bbf8a", "#b23a48", "#dd7373", "#f0a8a8", "#2b59c3", "#8fb0f5", "#e09f3e",
           "#f3cf8e", "#7a5195", "#bc92cc")
MISSING = "?"
STYLE = """
set terminal svg size 760,340 font "sans-serif,12" background "white"
set output "%(path)s"
set title "%(title)s"
set ylabel "%(unit)s"
set logscale y
set xrange [-0.6:%(clusters)d - 0.4]
set yrange [%(least)g:*]
set format y "%%.0s %%c"
set grid ytics linecolor rgb "#dddddd"
set border 3
set tics nomirror
set key outside right top
set margins 9, 24, 2.5, 2.5
set style data histograms
set style histogram clustered gap 1.5
set style fill solid noborder
set datafile missing "?"
"""


def best_of(rows, figure, case, subject, payload):
    """The best of a workload's variants, as of several connections."""
    system, setting = subject
    choose = min if figure.endswith("_us") else max
    row = rows.best(figure, lambda row: (row["system"], row["setting"]) == subject and
                    (row["case"] == case or row["case"].startswith(case + "-")) and
                    row["payload_bytes"] == payload, choose)
    return row["values"][figure][0] if row else None


def subjects_of(measured):
    found = dict.fromkeys((row["system"], row["setting"]) for row in measured["rows"])
    return [subject for subject in found if subject[0] != "machine"]


def draw(path, title, unit, clusters, series):
    """clusters: names; series: (name, values), a value for each cluster."""
    series = [(name, values) for name, values in series if any(values)]
    if not series:
        return False
    values = [value for _, row in series for value in row if value]
    script = STYLE % {"path": path, "title": title, "unit": unit, "least": min(values) / 3,
                      "clusters": len(clusters)}
    script += "$data << END\n"
    for i, cluster in enumerate(clusters):
        row = ["%g" % values[i] if values[i] else MISSING for _, values in series]
        script += '"%s" %s\n' % (cluster, " ".join(row))
    script += "END\nplot " + ", ".join(
        '$data using %d:xtic(1) title "%s" linecolor rgb "%s"' %
        (i + 2, name, PALETTE[i % len(PALETTE)]) for i, (name, _) in enumerate(series)) + "\n"
    subprocess.run(["gnuplot"], input=script, text=True, check=True)
    return True


def plots(measured, folder):
    """Draw all that there are figures for: [(file, title)]. Without gnuplot: none."""
    if not shutil.which("gnuplot"):
        return []
    os.makedirs(folder, exist_ok=True)
    rows = Rows(measured["rows"])
    subjects = subjects_of(measured)
    drawn = []

    def by_payload(name, title, unit, figure, case):
        series = [(" ".join(subject).strip(),
                   [best_of(rows, figure, case, subject, payload) for payload in PAYLOADS])
                  for subject in subjects]
        if draw("%s/%s.svg" % (folder, name), title, unit,
                [named_size(payload) for payload in PAYLOADS], series):
            drawn.append((name + ".svg", title))

    by_payload("publish", "W1: publish, pipelined", "messages/s", "msgs_per_s", "W1")
    by_payload("publish-one", "W2: publish, one in flight, p50", "us", "p50_us", "W2")
    by_payload("pull", "W3: pull through a group, with acks", "messages/s", "msgs_per_s", "W3")
    by_payload("replay", "W5: replay", "messages/s", "msgs_per_s", "W5")
    series = [(" ".join(subject).strip(),
               [best_of(rows, figure, "W4", subject, 100) for figure, _ in LATENCIES])
              for subject in subjects]
    title = "W4: end to end at 10,000/s, latency"
    if draw(folder + "/end-to-end.svg", title, "us", [name for _, name in LATENCIES], series):
        drawn.append(("end-to-end.svg", title))
    return drawn
