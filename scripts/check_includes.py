#!/usr/bin/env python3
"""Checks that includes point down only.

Folders are layers: base <- domain, client; proto <- server, client; domain <-
server; and inside domain/ units < frames, p2m < guest < domain < host, where frames and p2m do not
know each other.  domain/ includes no gRPC and no protobuf.  Within client/, only
client/explain/ includes domain/.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What each folder may include of the project, besides itself.
ALLOWED = {
    "base": [],
    "domain/units": [],
    "domain/frames": ["domain/units"],
    "domain/p2m": ["domain/units"],
    "domain/guest": ["domain/units", "domain/frames", "domain/p2m"],
    "domain/domain": [
        "domain/units", "domain/frames", "domain/p2m", "domain/guest"],
    "domain/host": [
        "base", "domain/units", "domain/frames", "domain/p2m", "domain/guest",
        "domain/domain"],
    "domain/image": [
        "domain/units", "domain/frames", "domain/p2m", "domain/guest",
        "domain/domain", "domain/host"],
    "domain/migration": [
        "domain/units", "domain/frames", "domain/p2m", "domain/guest",
        "domain/domain", "domain/host", "domain/image"],
    "server": ["base", "domain", "simvisor/v1", "google/rpc", "grpc/health"],
    # Explains boot logs without a daemon, with the daemon's own library.
    "client/explain": [
        "base", "client", "domain/units", "domain/guest", "domain/host"],
    "client": ["base", "simvisor/v1", "google/rpc", "grpc/health"],
}
PROJECT = ("base/", "domain/", "server/", "client/", "tests/", "simvisor/", "google/rpc/",
           "grpc/health/")
RPC = re.compile(r"^(grpc|grpcpp|google/protobuf|google/rpc|simvisor)/|\.pb\.h$")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')


def below(path, folder):
    return path == folder or path.startswith(folder + "/")


def layer_of(path):
    """Returns the key of ALLOWED that `path` belongs to; None if unknown."""
    return next((layer for layer in ALLOWED if below(path, layer)), None)


def fault(layer, include):
    """Returns what is wrong with `include` in `layer`; None if nothing is."""
    if layer.startswith(("base", "domain")) and RPC.search(include):
        return f"{layer}/ uses neither gRPC nor protobuf"
    if not include.startswith(PROJECT):
        return None
    if any(below(include, folder) for folder in [layer, *ALLOWED[layer]]):
        return None
    return f"{layer}/ may include {', '.join(ALLOWED[layer]) or 'nothing'}"


def check_file(path):
    name = path.relative_to(ROOT).as_posix()
    layer = layer_of(name)
    if layer is None:
        yield f"{name}: belongs to no layer; name its folder in {__file__}"
        return
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        match = INCLUDE.match(line)
        problem = match and fault(layer, match.group(1))
        if problem:
            yield f"{name}:{number}: includes {match.group(1)}; {problem}"


def main():
    files = sorted(
        path for top in ("base", "domain", "server", "client")
        for path in (ROOT / top).rglob("*") if path.suffix in (".h", ".cc"))
    problems = [problem for path in files for problem in check_file(path)]
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"includes: {len(files)} files point down only")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
