#!/usr/bin/env python3
"""Prints the results of the benchmarks next to their targets, and plots them.

  bench/report.py [--table FILE] [--readme FILE] [--plots FOLDER] JSON...

JSON is what library_bench and simvisor-bench wrote.  The table goes to standard
output, to FILE, and into the README between its two marks.  Plots need
matplotlib (Debian: python3-matplotlib, for /usr/bin/python3).
"""

import argparse
import pathlib
import sys

import figures
import targets

BEGIN = "<!-- figures: begin -->\n"
END = "<!-- figures: end -->"


def put_between_marks(path, text):
    """Replaces the text between the two marks in `path`."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"report: {path} lacks the lines {BEGIN.strip()} and {END}")
    path.write_text(before + begin + "\n" + text + "\n" + end + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("json", nargs="+", type=pathlib.Path)
    parser.add_argument("--table", type=pathlib.Path)
    parser.add_argument("--readme", type=pathlib.Path)
    parser.add_argument("--plots", type=pathlib.Path)
    parser.add_argument("--kind", choices=("svg", "png"), default="svg")
    arguments = parser.parse_args()

    measured = figures.Figures()
    for path in arguments.json:
        measured.read(path)
    text = targets.table(measured)
    print(text)
    if arguments.table:
        arguments.table.write_text(text)
    if arguments.readme:
        put_between_marks(arguments.readme, text)
    if arguments.plots:
        import plots
        plots.draw_all(measured, arguments.plots, arguments.kind)


if __name__ == "__main__":
    main()
