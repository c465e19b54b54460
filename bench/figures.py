"""Figures of library_bench and simvisor-bench, read from their JSON.

A figure is a list of samples in one unit, of which the median counts.  Those of
library_bench are times in ns, per item where it counts items, or bytes.
"""

import dataclasses
import json
import re
import statistics

NS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
# What Google Benchmark adds to a name.
SUFFIX = re.compile(r"/(manual_time|iterations:\d+|repeats:\d+)")


@dataclasses.dataclass
class Spread:
    """A median, and where 80 % of the values lie around it."""
    median: float
    low: float
    high: float


def quantile(values, q):
    """The q-quantile of ascending values, interpolated between two of them."""
    place = q * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (place - below)


def spread(values):
    values = sorted(values)
    return Spread(statistics.median(values), quantile(values, 0.1),
                  quantile(values, 0.9))


class Figures:
    """All figures by name, and when they were measured."""

    def __init__(self):
        self.runs = []  # (whose, date, load average when it began)
        self.samples = {}
        self.units = {}
        self.ranges = {}  # of figures whose samples are not known
        self.ratios = {}  # (name, baseline): Spread, formed where measured

    def read(self, path):
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        rows = document["benchmarks"]
        of_library = any("run_name" in row for row in rows)
        for row in rows:
            if of_library:
                self._add_library(row)
            else:
                self._add_rpc(row)
        context = document["context"]
        load = (context["load_avg"][0] if of_library else
                context["load_average"])
        self.runs.append(("library" if of_library else "daemon",
                          context["date"][:10], load))

    def has(self, *names):
        return all(name in self.samples for name in names)

    def value(self, name):
        if name in self.ranges:
            return self.ranges[name]
        return spread(self.samples[name])

    def ratio(self, name, baseline):
        """The ratio of the medians; the range is over all pairs of samples."""
        if (name, baseline) in self.ratios:
            return self.ratios[name, baseline]
        ours, theirs = self.samples[name], self.samples[baseline]
        pairs = spread([a / b for a in ours for b in theirs])
        median = statistics.median(ours) / statistics.median(theirs)
        return Spread(median, pairs.low, pairs.high)

    def _add(self, name, value, unit):
        self.samples.setdefault(name, []).append(value)
        self.units[name] = unit

    def _add_library(self, row):
        if row["run_type"] != "iteration":
            return
        if row.get("error_occurred"):
            raise ValueError(f"{row['name']}: {row.get('error_message')}")
        name = SUFFIX.sub("", row["run_name"])
        if "bytes" in row:
            self._add(name, row["bytes"], "bytes")
            self._add(name + "/left", row["left"], "bytes")
            return
        scale = NS[row["time_unit"]]
        nanos = row["real_time"] * scale
        if "items_per_second" in row:
            # Rates are by the clock that the benchmark is timed with.
            manual = "/manual_time" in row["run_name"]
            clock = nanos if manual else row["cpu_time"] * scale
            nanos /= row["items_per_second"] * clock / 1e9
        self._add(name, nanos, "ns")

    def _add_rpc(self, row):
        name, unit = row["name"], row["unit"]
        value = row.get("value", row.get("real_time"))
        if unit in NS:
            value, factor, unit = value * NS[unit], NS[unit], "ns"
        else:
            factor = 1
        self._add(name, value, unit)
        if "min" in row:
            self.ranges[name] = Spread(value, row["min"] * factor,
                                       row["max"] * factor)
        if "ratio" in row:
            self.ratios[name, row["ratio_to"]] = Spread(
                row["ratio"], row.get("ratio_min", row["ratio"]),
                row.get("ratio_max", row["ratio"]))
