#!/usr/bin/env python3
"""Checks what a formatter does not: sizes.

A file of code has at most 450 lines, a function at most 70, a folder at most 25
modules (a header counts once with its source), a class at most 40 public
methods.  Tables of cases may be longer than a function.  LARGER names what is
still too large, with the size that it must not exceed.
"""

import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

MAX_FILE = 450
MAX_FUNCTION = 70
MAX_MODULES = 25
MAX_METHODS = 40

LARGER = {
    "domain/vm/domain.h": 776,
    "domain/vm/domain.h: Domain": 74,
    "tests/domain/model/guest_model.h: GuestModel": 47,
    "tests/domain/migration/handover_test.cc: Steps()": 91,
}

CODE = (".cc", ".h", ".py", ".sh")
# A function's body ends at a brace at the margin, in the project's formatting.
FUNCTION = re.compile(r"^[A-Za-z_].*[({,]$|^[A-Za-z_].*\) (const )?\{$")
CLASS = re.compile(r"^(?:class|struct) (?:\[\[\w+\]\] )?(\w+)[^;]*\{")
METHOD = re.compile(r"^  (?:[\w:~\[][^=;]*?)?\b~?\w+\(|^  .*\boperator")


def tracked():
    output = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in output.splitlines():
        if name.endswith(CODE) and (ROOT / name).is_file():
            yield name


def functions(lines):
    """Yields (name, length) of functions that begin at the margin."""
    first = None
    for number, line in enumerate(lines, start=1):
        if first is None and FUNCTION.match(line) and " = " not in line and (
                not line.startswith(("namespace", "class", "struct", "enum",
                                     "extern", "using"))):
            first = number
        elif line.startswith("}") or (first and not line.strip()
                                      and not lines[first - 1].endswith("{")):
            if first and line.startswith("}"):
                name = re.search(r"(\w+)\(", lines[first - 1])
                yield name.group(1) if name else "", number - first + 1
            first = None


def classes(lines):
    """Yields (name, line, public methods) of classes at the margin."""
    name, first, public, methods = None, 0, False, 0
    for number, line in enumerate(lines, start=1):
        match = CLASS.match(line)
        if match:
            name, first, methods = match.group(1), number, 0
            public = line.startswith("struct")
        elif name and line.startswith("}"):
            yield name, first, methods
            name = None
        elif name and re.match(r"^ (public|private|protected):", line):
            public = line.startswith(" public")
        elif name and public and METHOD.match(line) and not re.match(
                r"^  (//|return|explicit operator)", line):
            methods += 1


def sizes():
    """Yields (what, size, limit) for everything with a limit."""
    modules = collections.defaultdict(set)
    for name in tracked():
        lines = (ROOT / name).read_text().splitlines()
        folder, _, base = name.rpartition("/")
        modules[folder].add(base.rpartition(".")[0])
        yield name, len(lines), "lines", MAX_FILE
        if name.endswith((".cc", ".h")):
            for function, length in functions(lines):
                yield (f"{name}: {function}()", length, "lines in a function",
                       MAX_FUNCTION)
            for title, _, methods in classes(lines):
                yield (f"{name}: {title}", methods, "public methods",
                       MAX_METHODS)
    for folder, names in modules.items():
        yield f"{folder}/", len(names), "modules", MAX_MODULES


def main():
    problems = []
    unused = dict(LARGER)
    for what, size, unit, limit in sizes():
        allowed = unused.pop(what, limit) if size > limit else limit
        if size > allowed:
            problems.append(f"{what}: {size} {unit}; the limit is {limit}")
    problems += [f"{what}: LARGER names it, but it is no larger than others" for what in unused]
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print("style: files, functions, folders and classes are in bounds")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
