#!/usr/bin/env python3
"""Checks what a formatter cannot: sizes and words.

A file of code has at most 450 lines, a function at most 70, a folder at most 25
modules (a header counts once with its source), a class at most 40 public
methods.  Tables of cases may be longer than a function.  LARGER names what is
still too large, with the size that it must not exceed.

Comments, documents, proto files and messages avoid the words of BANNED, which
make a sentence hard to read.
"""

import ast
import collections
import io
import pathlib
import re
import subprocess
import sys
import tokenize

ROOT = pathlib.Path(__file__).resolve().parent.parent

MAX_FILE = 450
MAX_FUNCTION = 70
MAX_MODULES = 25
MAX_METHODS = 40

LARGER = {}

CODE = (".cc", ".h", ".py", ".sh")

# What to avoid, and what to write instead.
BANNED = [(re.compile(pattern, re.IGNORECASE), better) for pattern, better in (
    (r"\bwhoever\b", "name the subject: the caller, the thread, the client"),
    (r"\b(?:no|some|any)body\b", "name the subject, or negate the verb"),
    (r"(?<!\bthere )\b(?:is|are|was|were) none\b", "is not, is missing"),
    (r"(?<!\bthere )\b(?:is|are|was|were) no (?!longer\b|more\b)", "is not a"),
    (r"\balone\b", "only, by itself"),
    (r"\banew\b", "again"),
    (r"\bthat which\b", "what, the one that"),
    (r"\bbut for\b", "except"),
    (r"\bhad better\b", "prefers, should"),
    (r"(?:^|[.;:,]\s+)should (?:it|they)\b", "if it, if they"),
    (r"(?:^|[.;:,]\s+)of what\b", "begin with the subject"),
    (r"\bin place of\b", "instead of"),
    (r"\blest\b", "so that ... does not"),
    (r"\bthe own\b", "its own"),
)]

# Its words are not ours.
DATA = "tests/testdata/"

# A comment that runs to the end of its line.  The text before it must not be
# inside a string.
SLASHES = re.compile(r"""^((?:[^"'/]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|/(?!/)|(?<=\d)')*)//(.*)$""")
HASH = re.compile(r"(?:^|\s)#\s(.*)$")
LITERAL = re.compile(r""""((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'""")
HASHED = (".sh", ".cmake", ".textproto", ".cfg", ".yaml", "CMakeLists.txt",
          ".ci/run")
# A function's body ends at a brace at the margin, in the project's formatting.
FUNCTION = re.compile(r"^[A-Za-z_].*[({,]$|^[A-Za-z_].*\) (const )?\{$")
CLASS = re.compile(r"^(?:class|struct) (?:\[\[\w+\]\] )?(\w+)[^;]*\{")
METHOD = re.compile(r"^  (?:[\w:~\[][^=;]*?)?\b~?\w+\(|^  .*\boperator")


def tracked():
    output = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in output.splitlines():
        if (ROOT / name).is_file():
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
        if not name.endswith(CODE):
            continue
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


def python_prose(text):
    """Yields (line, text) of comments and docstrings."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string[1:]
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, kinds) and ast.get_docstring(node) is not None:
            first = node.body[0].lineno
            yield from enumerate(node.body[0].value.value.splitlines(), first)


def prose(name):
    """Yields (line, text) of what people read in a file."""
    text = (ROOT / name).read_text()
    if name.endswith(".py"):
        yield from python_prose(text)
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if name.endswith(".md"):
            yield number, line
        elif name.endswith((".cc", ".h", ".proto")):
            match = SLASHES.match(line)
            if match:
                yield number, match.group(2)
        elif name.endswith(HASHED):
            match = HASH.search(line)
            if match:
                yield number, match.group(1)


def messages(name):
    """Yields (line, text) of the strings in the program of a file."""
    # The patterns of this file, and what tests compare with messages.
    if name == "scripts/check_style.py" or name.startswith("tests/"):
        return
    if not name.endswith(CODE):
        return
    for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
        if line.lstrip().startswith(("//", "#")):
            continue
        text = " ".join(a or b for a, b in LITERAL.findall(line))
        if text:
            yield number, text


def paragraphs(lines):
    """Yields (first line, text) of lines that follow each other."""
    first, last, text = None, None, ""
    for number, line in sorted(lines):
        line = line.strip()
        if first is not None and number == last + 1 and line:
            text += " " + line
        else:
            if text:
                yield first, text
            first, text = number, line
        last = number
    if text:
        yield first, text


def words():
    """Yields what is wrong with the words of a file."""
    kinds = (".cc", ".h", ".py", ".proto", ".md") + HASHED
    for name in tracked():
        if not name.endswith(kinds) or name.startswith(DATA):
            continue
        for number, text in (*paragraphs(prose(name)),
                             *paragraphs(messages(name))):
            for pattern, better in BANNED:
                for match in pattern.finditer(text):
                    around = text[max(0, match.start() - 30):match.end() + 20]
                    yield (f'{name}:{number}: "...{around}...": avoid '
                           f'"{match.group().strip(".;:, ")}"; {better}')


def main():
    problems = list(words())
    unused = dict(LARGER)
    for what, size, unit, limit in sizes():
        allowed = unused.pop(what, limit) if size > limit else limit
        if size > allowed:
            problems.append(f"{what}: {size} {unit}; the limit is {limit}")
    problems += [f"{what}: LARGER names it, but it is no larger than others" for what in unused]
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print("style: files, functions, folders and classes are in bounds, "
              "and words are plain")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
