#!/usr/bin/env python3
"""Checks that includes only point downwards, folder by folder.

ROOMS lists the folders (rooms) from the bottom up, with the folders that each
may include besides itself and base/.  A room can only name rooms above it in
the list, so the list cannot contain a cycle.  A file must not include itself
through others either.  Only the rooms of RPC_ROOMS may use gRPC and protobuf,
and of the client's rooms only client/api may use gRPC.  Only the sources of
CLI11_SOURCES include CLI11, which takes seconds to compile.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# The machine, for rooms that use all of it.
MACHINE = ["domain/units", "domain/collections", "domain/cpus",
           "domain/frames", "domain/p2m", "domain/e820", "domain/boot_log",
           "domain/balloon", "domain/processes", "domain/guest",
           "domain/smmu", "domain/vm",
           "domain/host"]

ROOMS = {
    "base": [],
    "domain/units": [],
    "domain/collections": ["domain/units"],
    "domain/cpus": ["domain/units", "domain/collections"],
    "domain/frames": ["domain/units", "domain/collections"],
    "domain/p2m": ["domain/units", "domain/collections"],
    "domain/e820": ["domain/units"],
    "domain/boot_log": ["domain/units", "domain/e820"],
    "domain/balloon": ["domain/units", "domain/collections"],
    "domain/processes": ["domain/units", "domain/collections", "domain/p2m"],
    "domain/guest": ["domain/units", "domain/collections", "domain/frames",
                     "domain/p2m", "domain/e820", "domain/balloon",
                     "domain/processes"],
    "domain/smmu": ["domain/units", "domain/collections"],
    "domain/vm": ["domain/units", "domain/collections", "domain/cpus",
                  "domain/frames", "domain/p2m", "domain/e820",
                  "domain/balloon", "domain/processes", "domain/guest",
                  "domain/smmu"],
    "domain/host": MACHINE[:-1],
    "domain/image": MACHINE,
    "domain/migration": [*MACHINE, "domain/image"],
    "server/threads": MACHINE,
    "server/machine": [*MACHINE, "server/threads"],
    "server/sessions": [*MACHINE, "domain/image", "domain/migration",
                        "server/threads", "server/machine"],
    "server/listen": ["server/threads"],
    "server/convert": [*MACHINE, "domain/migration"],
    "server/calls": [*MACHINE, "server/threads", "server/machine",
                     "server/convert"],
    "server/reflection": ["server/calls"],
    "server/host": [*MACHINE, "server/threads", "server/machine",
                    "server/convert", "server/calls"],
    "server/domains": [*MACHINE, "server/threads", "server/machine",
                       "server/convert", "server/calls"],
    "server/memory": [*MACHINE, "server/threads", "server/machine",
                      "server/convert", "server/calls"],
    "server/mmus": [*MACHINE, "server/threads", "server/machine",
                    "server/convert", "server/calls"],
    "server/guests": [*MACHINE, "server/threads", "server/machine",
                      "server/convert", "server/calls"],
    "server/faults": ["server/machine", "server/convert", "server/calls"],
    "server/images": [*MACHINE, "domain/image", "server/machine",
                      "server/convert", "server/calls"],
    "server/migration": [*MACHINE, "domain/image", "domain/migration",
                         "server/threads", "server/machine",
                         "server/sessions", "server/listen", "server/convert",
                         "server/calls", "server/images"],
    # Builds the daemon from all rooms.
    "server": [*MACHINE, "server/threads", "server/machine", "server/listen",
               "server/calls", "server/reflection", "server/host",
               "server/domains", "server/memory", "server/guests",
               "server/faults", "server/mmus", "server/migration"],
    "client/api": [],
    "client/xl": ["client/api"],
    "client/walk": ["client/api"],
    "client/script": ["client/api"],
    "client/ui": ["client/api", "client/xl"],
    "client/session": ["client/api", "client/ui"],
    "client/verbs": ["client/api", "client/xl", "client/walk", "client/script",
                     "client/ui", "client/session"],
    "client/mmu": ["client/api", "client/ui", "client/session",
                   "client/verbs"],
    # Explains boot logs without a daemon, using the daemon's own library.
    "client/explain": [*MACHINE, "client/ui", "client/verbs"],
    "client": ["client/api", "client/ui", "client/session", "client/verbs",
               "client/mmu", "client/explain"],
    # Describes the command lines of both programs.
    "pages": ["client/ui", "client", "server"],
}

RPC_ROOMS = ("server/listen", "server/convert", "server/calls",
             "server/reflection", "server/host", "server/domains",
             "server/memory", "server/guests", "server/faults",
             "server/mmus", "server/images", "server/migration", "server", "client/api",
             "client/xl", "client/walk", "client/script", "client/ui",
             "client/session", "client/verbs", "client/mmu", "client/explain",
             "client")

CLI11_SOURCES = ("server/flags.cc", "client/ui/command_line.cc",
                 "client/ui/line_errors.cc")

TOPS = ("base", "domain", "server", "client", "pages")
PROJECT = tuple(f"{folder}/" for folder in [*TOPS, "tests"])
RPC = re.compile(r"^(grpc|grpcpp|google/protobuf|google/rpc|simvisor)/|\.pb\.h$")
GRPC = re.compile(r"^(grpc|grpcpp)/|\.grpc\.pb\.h$")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')


def room_of(path):
    return path.rpartition("/")[0]


def fault(room, include):
    """Returns what is wrong with `include` in `room`; None if nothing is."""
    if RPC.search(include):
        if room not in RPC_ROOMS:
            return f"{room}/ uses neither gRPC nor protobuf"
        if (GRPC.search(include) and room.startswith("client")
                and room != "client/api"):
            return f"{room}/ calls the daemon by client/api/ only"
        return None
    if not include.startswith(PROJECT):
        return None
    allowed = [room, "base", *ROOMS[room]]
    if room_of(include) in allowed:
        return None
    return f"{room}/ may include {', '.join(allowed)}"


def rooms_problems():
    above = []
    for room, allowed in ROOMS.items():
        for name in allowed:
            if name not in above:
                yield f"{room} names {name}, which does not stand before it"
        above.append(room)


def file_problems(name, includes):
    room = room_of(name)
    if room not in ROOMS:
        yield f"{name}: {__file__} does not name its folder as a room; name it there"
        return
    for number, include in includes:
        problem = fault(room, include)
        if include.startswith("CLI/") and name not in CLI11_SOURCES:
            problem = f"only {', '.join(CLI11_SOURCES)} may"
        if problem:
            yield f"{name}:{number}: includes {include}; {problem}"


def circle_problems(includes):
    """Finds cycles of includes; visits each file once."""
    done = set()

    def visit(name, way):
        if name in way:
            circle = [*way[way.index(name):], name]
            yield f"{name}: includes itself: {' -> '.join(circle)}"
        elif name not in done:
            for _, include in includes.get(name, ()):
                yield from visit(include, [*way, name])
            done.add(name)

    for name in includes:
        yield from visit(name, [])


def includes_of(path):
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1)


def main():
    includes = {
        path.relative_to(ROOT).as_posix(): list(includes_of(path))
        for top in TOPS for path in sorted((ROOT / top).rglob("*"))
        if path.suffix in (".h", ".cc")}
    problems = [*rooms_problems(), *circle_problems(includes)]
    for name, found in includes.items():
        problems += file_problems(name, found)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"includes: {len(includes)} files in {len(ROOMS)} rooms point "
              "down only")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
