"""The targets of the figures, and the table of both."""

import dataclasses
import re


@dataclasses.dataclass
class Target:
    """A figure, or its ratio to a baseline, and the limit it must keep."""
    what: str
    name: str
    limit: float
    unit: str  # how value and limit are shown
    baseline: str = ""
    at_least: bool = False


def ratio(what, name, baseline, limit, at_least=False):
    return Target(what, name, limit, "x", baseline, at_least)


ARRAY = "lookup_{}/array/64GiB"
TREE = "lookup_{}/tree/64GiB"


def lookup_targets():
    rows = []
    kinds = (("random", "independent", 0.5, 2), ("dependent", "dependent", 0.1,
                                                 1.1))
    for pattern, words, contiguous, full in kinds:
        name = f"lookup_{pattern}/ours/{{}}/64GiB"
        rows += [
            ratio(f"random lookup, 64 GiB, {words}, contiguous: of array",
                  name.format("contiguous"), ARRAY.format(pattern), contiguous),
            ratio("the same, fully fragmented: of array",
                  name.format("full"), ARRAY.format(pattern), full),
            ratio("the same, fully fragmented: of tree",
                  name.format("full"), TREE.format(pattern), 1),
        ]
    return rows


def create_targets():
    rows = [
        Target("create, boot, destroy 1 TiB contiguous, library",
               "create_destroy/ours/contiguous/1TiB", 1, "ms"),
        Target("the same through RPC", "lifecycle/1_tib", 2, "ms"),
    ]
    pools = (("alternate", "every second frame", (1, 4)),
             ("scatter", "random frames", (1, 4, 16)))
    for pool, words, sizes in pools:
        for size in sizes:
            rows.append(
                ratio(f"library, {size} GiB in {words}, per page: of dense",
                      f"create_destroy/ours/{pool}/{size}GiB",
                      f"create_destroy/dense/{pool}/{size}GiB", 2))
    return rows


def balloon_targets():
    rows = []
    for way in ("down", "up"):
        rows.append(
            Target(f"balloon {way} 256 MiB, contiguous",
                   f"balloon_{way}/ours/contiguous", 20, "us"))
        for pool, words in (("alternate", "every second frame"),
                            ("scatter", "random frames")):
            rows.append(
                Target(f"balloon {way} 256 MiB, {words}, per page",
                       f"balloon_{way}/ours/{pool}", 15, "ns"))
    return rows


def rpc_targets():
    rows = [
        Target("create, running, 8 in flight", "create/8_in_flight", 5000,
               "creates/s", at_least=True),
        Target("10,000 domains created", "create/all", 3, "s"),
        Target("ListDomains with memory, 1,000", "list/page", 5, "ms"),
        Target("ListDomains with memory, 10,000", "list/all", 40, "ms"),
    ]
    for clients in (1, 4):
        plural = "s" if clients > 1 else ""
        name = f"target/{clients}_client{plural}"
        rows.append(
            ratio(f"SetMemoryTarget, {clients} client{plural}: of empty calls",
                  name, name + "/empty", 0.8, at_least=True))
    return rows + [
        Target("StreamMemoryOps, one client, targets of 100 domains",
               "ops/set_target/100_domains/256", 200000, "ops/s",
               at_least=True),
        Target("start to ready, 16 TiB", "start/16_tib", 50, "ms"),
        ratio("RSS after 10,000 domains: of before", "rss/after", "rss/before",
              1.2),
    ]


def memory_targets():
    return [
        Target("RSS per running 1 GiB domain of 10,000, library",
               "bytes/ours/domains/10000", 8, "KiB"),
        Target("the same in the daemon", "rss/domain", 8, "KiB"),
    ]


def all_targets():
    return (lookup_targets() + create_targets() + balloon_targets() +
            memory_targets() + rpc_targets())


SCALES = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9, "KiB": 1024}


def number(value):
    """Three significant digits, with a comma for thousands."""
    if value >= 1000:
        return f"{value:,.0f}"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    if 0 < value < 0.1:
        digits = 4 if value < 0.01 else 3
    return f"{value:.{digits}f}"


def shown(spread, unit):
    """The median and, if it spreads, its range."""
    scale = SCALES.get(unit, 1)
    text = number(spread.median / scale) + (" " + unit if unit != "x" else "x")
    if spread.low == spread.high:
        return text
    return (f"{text} ({number(spread.low / scale)} to "
            f"{number(spread.high / scale)})")


def verdict(target, median):
    """Met, or by how much it is missed."""
    value = median / SCALES.get(target.unit, 1)
    if target.at_least:
        share = target.limit / value if value else float("inf")
    else:
        share = value / target.limit
    return "met" if share <= 1 else f"missed, {number(share)} times"


def target_rows(figures):
    for target in all_targets():
        if not figures.has(target.name):
            yield target.what, "not measured", bound(target), ""
            continue
        if target.baseline:
            if not figures.has(target.baseline):
                yield target.what, "no baseline", bound(target), ""
                continue
            spread = figures.ratio(target.name, target.baseline)
        else:
            spread = figures.value(target.name)
        yield (target.what, shown(spread, target.unit), bound(target),
               verdict(target, spread.median))


def bound(target):
    word = "at least" if target.at_least else "at most"
    unit = "x" if target.unit == "x" else " " + target.unit
    return f"{word} {target.limit:,}{unit}"


def ours(figures):
    """Names of the library's figures, by subject and size."""
    names = [name for name in figures.samples
             if "/ours/" in name and not name.endswith("/left")]

    def order(name):
        name = re.sub(r"(\d+)TiB", lambda size: f"{int(size[1]) * 1024}GiB",
                      name)
        return [int(part) if part.isdigit() else part
                for part in re.split(r"(\d+)", name)]

    return sorted(names, key=order)


def baseline_of(name, figures):
    """The baselines that one of our figures has in the same run."""
    subject, _, rest = name.partition("/ours/")
    shapeless = rest.split("/", 1)[-1]
    for whose in ("array", "tree", "dense"):
        for candidate in (f"{subject}/{whose}/{rest}",
                          f"{subject}/{whose}/{shapeless}"):
            if figures.has(candidate):
                yield candidate
                break


def pair_rows(figures):
    """Each of our figures that has a baseline, next to the baseline."""
    for name in ours(figures):
        unit = figures.units[name]
        for baseline in baseline_of(name, figures):
            yield (name, shown_best(figures.value(name), unit), baseline,
                   shown_best(figures.value(baseline), unit),
                   shown(figures.ratio(name, baseline), "x"))


def lone_rows(figures):
    """Our figures without a baseline."""
    for name in ours(figures):
        if not any(baseline_of(name, figures)):
            yield name, shown_best(figures.value(name), figures.units[name])


def shown_best(spread, unit):
    """The median in the unit that suits it."""
    steps = (("ns", "us", "ms", "s") if unit == "ns" else
             ("bytes", "KiB", "MiB", "GiB"))
    factor = 1000 if unit == "ns" else 1024
    value, step = spread.median, 0
    while value >= factor and step + 1 < len(steps):
        value, step = value / factor, step + 1
    return f"{number(value)} {steps[step]}"


def markdown(headings, rows):
    lines = ["| " + " | ".join(headings) + " |",
             "|" + "|".join("---" for _ in headings) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def table(figures):
    runs = "; ".join(f"the {whose} on {date}, load average {load:.2f} when it "
                     "began" for whose, date, load in figures.runs)
    times = max(map(len, figures.samples.values()), default=0)
    parts = [
        f"Measured: {runs}. Each figure of the library was taken {times} "
        "times. Ranges of the daemon's are those of all rounds.",
        markdown(("what", "measured (range)", "target", ""),
                 target_rows(figures)),
        "<details><summary>All figures of the library</summary>",
        "Beside each baseline in the same run:",
        markdown(("ours", "median", "baseline", "median", "ratio (range)"),
                 pair_rows(figures)),
        "And those that have none:",
        markdown(("ours", "median"), lone_rows(figures)),
        "</details>",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
