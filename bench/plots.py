"""The plots of bench/README.md, drawn from figures."""

import pathlib
import re

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib import ticker  # noqa: E402

plt.rcParams.update({
    "font.size": 12,
    "svg.fonttype": "none",
    "svg.hashsalt": "simvisor",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.35,
    "legend.framealpha": 0.9,
    "lines.linewidth": 2,
    "lines.markersize": 7,
})

UNITS = {"GiB": 1, "TiB": 1024}
# One look for each kind of memory, and broken lines for what is not ours.
LOOKS = {
    "contiguous": ("tab:blue", "o"),
    "half": ("tab:orange", "s"),
    "full": ("tab:red", "^"),
    "holes": ("tab:green", "D"),
    "alternate": ("tab:orange", "s"),
    "scatter": ("tab:red", "^"),
    "array": ("black", "x"),
    "tree": ("tab:purple", "+"),
    "domains": ("tab:blue", "o"),
}
WORDS = {
    "contiguous": "contiguous",
    "half": "half fragmented",
    "full": "fully fragmented",
    "holes": "holes",
    "alternate": "every second frame",
    "scatter": "random frames",
}


def gib_of(size):
    value, unit = re.fullmatch(r"(\d+)(GiB|TiB)", size).groups()
    return int(value) * UNITS[unit]


def series(figures, prefix):
    """Sizes in GiB or counts, ascending, and medians, of PREFIX/SIZE."""
    points = []
    for name in figures.samples:
        match = re.fullmatch(re.escape(prefix) + r"/(\d+(?:GiB|TiB)?)", name)
        if match:
            at = match[1]
            at = int(at) if at.isdigit() else gib_of(at)
            points.append((at, figures.value(name)))
    return sorted(points, key=lambda point: point[0])


def draw(axes, figures, prefix, label, look, scale, baseline=False, least=0):
    points = series(figures, prefix)
    if not points:
        return
    colour, marker = LOOKS[look]
    medians = [max(point.median, least) / scale for _, point in points]
    ranges = [[(max(point.median, least) - max(point.low, least)) / scale
               for _, point in points],
              [(max(point.high, least) - max(point.median, least)) / scale
               for _, point in points]]
    axes.errorbar([at for at, _ in points], medians, yerr=ranges, label=label,
                  color=colour, marker=marker, capsize=3,
                  # Rings around the dots of ours where both are the same.
                  markersize=11 if baseline else 7, zorder=3 if baseline else 2,
                  linestyle="--" if baseline else "-",
                  fillstyle="none" if baseline else "full")


def value_axis(axis):
    """Powers of ten, written out."""
    axis.set_major_locator(ticker.LogLocator(numticks=20))
    axis.set_major_formatter(
        ticker.FuncFormatter(lambda value, _: f"{value:,.10g}"))


def size_axis(axes, sizes=(1, 4, 16, 64, 256, 1024, 4096)):
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes)
    axes.set_xticklabels(
        [f"{s} GiB" if s < 1024 else f"{s // 1024} TiB" for s in sizes],
        rotation=30)
    axes.minorticks_off()
    axes.set_yscale("log")
    value_axis(axes.yaxis)
    axes.set_xlabel("size of the guest")


def plot_lookups(figures):
    figure, panels = plt.subplots(1, 3, figsize=(15, 6), sharey=True)
    titles = (("random", "random, independent"),
              ("dependent", "random, each from the last"),
              ("sequential", "page after page"))
    for axes, (pattern, title) in zip(panels, titles):
        prefix = f"lookup_{pattern}"
        for shape in ("contiguous", "half", "full", "holes"):
            draw(axes, figures, f"{prefix}/ours/{shape}",
                 f"p2m list, {WORDS[shape]}", shape, 1)
        draw(axes, figures, f"{prefix}/array", "plain array", "array", 1, True)
        draw(axes, figures, f"{prefix}/tree", "three-level tree", "tree", 1,
             True)
        size_axis(axes, (1, 64, 512, 4096))
        axes.set_title(title)
    panels[0].set_ylabel("ns per lookup")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=3)
    figure.tight_layout(rect=(0, 0.12, 1, 1))
    return figure


def plot_creation(figures):
    """Time per domain, computed from time per page where that is kept."""
    figure, axes = plt.subplots(figsize=(9, 6))
    for pool in ("contiguous", "alternate", "scatter"):
        per_page = pool != "contiguous"
        for whose, words in (("ours", "library"), ("dense", "dense")):
            points = series(figures, f"create_destroy/{whose}/{pool}")
            if not points:
                continue
            colour, marker = LOOKS[pool]
            times = [
                point.median * (gib * 2**18 if per_page else 1) / 1e6
                for gib, point in points
            ]
            baseline = whose == "dense"
            axes.plot([gib for gib, _ in points], times,
                      label=f"{words}, {WORDS[pool]}", color=colour,
                      marker=marker, linestyle="--" if baseline else "-",
                      fillstyle="none" if baseline else "full")
    size_axis(axes)
    axes.set_ylabel("create + boot + destroy, ms")
    axes.legend()
    figure.tight_layout()
    return figure


PAGE = 4096  # bytes; a logarithmic axis has no place for nothing


def plot_bytes(figures):
    figure, (by_size, by_count) = plt.subplots(1, 2, figsize=(14, 5.6))
    for pool in ("contiguous", "scatter"):
        draw(by_size, figures, f"bytes/ours/{pool}", f"library, {WORDS[pool]}",
             pool, 2**20, least=PAGE)
        draw(by_size, figures, f"bytes/dense/{pool}", f"dense, {WORDS[pool]}",
             pool, 2**20, True)
    size_axis(by_size)
    by_size.set_ylabel("resident memory of one domain, MiB, a page at least")
    by_size.legend()
    for whose, words in (("ours", "library"), ("dense", "dense")):
        points = series(figures, f"bytes/{whose}/domains")
        baseline = whose == "dense"
        by_count.plot([count for count, _ in points],
                      [max(count * point.median, PAGE) / 2**20
                       for count, point in points],
                      label=words, color="black" if baseline else "tab:blue",
                      marker="x" if baseline else "o",
                      linestyle="--" if baseline else "-")
    by_count.set_xscale("log")
    by_count.set_yscale("log")
    value_axis(by_count.xaxis)
    value_axis(by_count.yaxis)
    by_count.set_xlabel("running domains of 1 GiB, contiguous")
    by_count.set_ylabel("resident memory of all, MiB")
    by_count.legend()
    figure.tight_layout()
    return figure


def balloon_bar(figures, way, whose, pool):
    name = f"balloon_{way}/{whose}/{pool}"
    if not figures.has(name):
        return None
    pages = 2**16 if pool == "contiguous" else 1
    return figures.value(name).median / pages


def plot_balloon(figures):
    figure, axes = plt.subplots(figsize=(9, 6))
    pools = ("contiguous", "alternate", "scatter")
    bars = (("ours", "down", "tab:blue"), ("ours", "up", "tab:cyan"),
            ("dense", "down", "dimgray"), ("dense", "up", "silver"))
    for place, (whose, way, colour) in enumerate(bars):
        heights = [balloon_bar(figures, way, whose, pool) or 0
                   for pool in pools]
        at = [x + (place - 1.5) * 0.2 for x in range(len(pools))]
        drawn = axes.bar(at, heights, 0.19, color=colour,
                         label=f"{'library' if whose == 'ours' else whose}, "
                         f"{way}")
        axes.bar_label(drawn, [f"{height:.3g}" for height in heights],
                       fontsize=10)
    axes.axhline(15, color="tab:red", linestyle=":", label="target: 15 ns")
    axes.set_yscale("log")
    value_axis(axes.yaxis)
    axes.set_xticks(range(len(pools)))
    axes.set_xticklabels([WORDS[pool] for pool in pools])
    axes.set_xlabel("frames of guest and pool")
    axes.set_ylabel("balloon, ns per page (steps of 256 MiB)")
    axes.legend(loc="upper left")
    figure.tight_layout()
    return figure


PLOTS = {
    "lookups": plot_lookups,
    "creation": plot_creation,
    "bytes": plot_bytes,
    "balloon": plot_balloon,
}


def draw_all(figures, folder, kind="svg"):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, plot in PLOTS.items():
        figure = plot(figures)
        # No date, so that the same figures give the same file.
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(folder / f"{name}.{kind}", metadata=metadata)
        plt.close(figure)
