#!/usr/bin/env python3
"""Measures how much memory and time migrations, saves and restores take.

    SIMVISORD=... SIMVISOR=... /usr/bin/python3 bench/migration_bench.py \
        [memory] [throughput]

See bench/README.md for the method.  Fails if the limit on memory is exceeded.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]
                       / "tests" / "e2e"))
import harness  # noqa: E402
from harness import (GIB, domain, guest_load, live, memory,  # noqa: E402
                     ref)

TIB = 1024 * GIB
MIB_BYTES = 1 << 20
GIB_BYTES = 1 << 30
EXTRA_LIMIT = 64 * MIB_BYTES
FLOOR_MESSAGES = 2048  # of 1 MiB
MOST_KERNEL_PAGES = 16384  # of a guest of 1 GiB; it takes the lowest
CHASED = 4096  # pages
TIMES = int(os.environ.get("TIMES", 3))
LONG = 3600  # seconds that a call may take at most


class Side:
    """A daemon on a unix socket and on loopback TCP, and a client of it."""

    def __init__(self, memory_size):
        self.daemon = harness.Daemon("--listen", "127.0.0.1:0",
                                     "--host-memory", memory_size,
                                     "--log-level", "warn")
        self.client = harness.Client(self.daemon.address)
        self.unix, self.tcp = self.daemon.ready["addresses"]
        self.pid = self.daemon.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        self.daemon.close()

    def forget_peak(self):
        """Resets the peak to what is resident now, and returns that."""
        with open(f"/proc/{self.pid}/clear_refs", "w",
                  encoding="ascii") as clear:
            clear.write("5")
        return self.status("VmRSS")

    def peak(self):
        return self.status("VmHWM")

    def status(self, field):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
        raise KeyError(field)

    def seconds(self):
        """Processor time that the daemon has used."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load_average():
    return os.getloadavg()[0]


def fill(side, name, first, pages, scattered=False):
    """Writes to `pages` pages from pfn `first` on, or to every other page of
    twice as many: zeros written to an empty page leave it empty."""
    page = os.urandom(4096)
    data = (page + bytes(4096)) * 128 if scattered else page * 256
    calls = pages // (128 if scattered else 256)
    for pfn in range(first, first + calls * 256, 256):
        side.client.memory.WriteGuestMemory(
            memory.WriteGuestMemoryRequest(domain=ref(name), pfn=pfn,
                                           data=data), timeout=LONG)


def create(side, name, pages):
    side.client.create(name, pages, tools_view=domain.TOOLS_VIEW_LINEAR)


def migrate(source, name, address):
    """Returns the last progress message, and the seconds taken."""
    last = None
    began = time.monotonic()
    for last in source.client.migration.MigrateDomain(
            live.MigrateDomainRequest(domain=ref(name),
                                                target=address),
            timeout=LONG):
        pass
    return last, time.monotonic() - began


def piped(source, target, name):
    """Saves at one daemon, which keeps it, and restores at the other."""
    save = subprocess.Popen(
        [harness.SIMVISOR, "-H", source.unix, "save", "-c", name, "-"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    subprocess.run([harness.SIMVISOR, "-H", target.unix, "restore", "-"],
                   stdin=save.stdout, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=True, timeout=LONG)
    save.stdout.close()
    if save.wait(LONG) != 0:
        raise RuntimeError("save failed")


def thrown_away(source, name):
    """Saves and discards the image; returns the seconds taken."""
    began = time.monotonic()
    subprocess.run(
        [harness.SIMVISOR, "-H", source.unix, "save", "-c", name,
         "/dev/null"], stderr=subprocess.DEVNULL, check=True, timeout=LONG)
    return time.monotonic() - began


class Extra:
    """A daemon's peak memory, beyond the contents of pages."""

    def __init__(self, what, side, contents=0):
        self.what, self.side, self.contents = what, side, contents
        self.before = side.forget_peak()

    def say(self):
        extra = self.side.peak() - self.before - self.contents
        after = self.side.status("VmRSS") - self.before - self.contents
        fits = extra <= EXTRA_LIMIT
        print(f"  {self.what:28} {self.before / MIB_BYTES:9.1f} "
              f"{self.side.peak() / MIB_BYTES:9.1f} "
              f"{extra / MIB_BYTES:9.1f} {after / MIB_BYTES:9.1f} MiB"
              f"{'' if fits else '  ABOVE THE LIMIT'}", flush=True)
        return fits


def measure_memory():
    """Measures a guest of 1 TiB with 1 GiB written, TIMES times."""
    print(f"1 TiB, 1 GiB of it written; load {load_average():.2f}")
    print(f"  {'':28} {'before':>9} {'peak':>9} {'extra':>9} "
          f"{'left':>9}")
    fits = True
    for what in ("save", "restore", "migrate", "migrate, scattered",
                 "migrate, chased") * TIMES:
        fits = measure_one(what) and fits
    return fits


def measure_one(what):
    with Side("2t") as source, Side("2t") as target:
        chased = CHASED if what.endswith("chased") else 0
        create(source, "big", TIB)
        # Far from the kernel's own pages.
        fill(source, "big", 16 * GIB, GIB, what.endswith("scattered"))
        if chased:
            chase(source)
        parts = [Extra(f"{what}: source", source)]
        if what != "save":
            parts.append(Extra(f"{what}: target", target,
                               (GIB + chased) * 4096))
        began = time.monotonic()
        if what == "save":
            thrown_away(source, "big")
        elif what == "restore":
            piped(source, target, "big")
        else:
            migrate(source, "big", target.unix)
        seconds = time.monotonic() - began
        fits = [part.say() for part in parts]
        print(f"  {'':28} in {seconds:.1f} s")
        return all(fits)


def chase(side):
    """Starts a load that keeps writing to CHASED more pages."""
    side.client.guest_load.StartGuestLoad(
        guest_load.StartGuestLoadRequest(
            domain=ref("big"), spec=guest_load.LoadSpec(
                pages_per_second=20000, working_set_pages=CHASED,
                pattern=guest_load.LOAD_PATTERN_SEQUENTIAL)), timeout=LONG)
    asked = guest_load.GetGuestLoadRequest(domain=ref("big"))
    while (side.client.guest_load.GetGuestLoad(asked).load.writes
           < CHASED):
        pass


class Rates:
    """The measurements of one kind of transfer."""

    def __init__(self, what):
        self.what = what
        self.megabytes, self.pages, self.cpu, self.downtime = [], [], [], []

    def add(self, seconds, sent, cpu, pages=None, downtime=None):
        self.megabytes.append(sent / seconds / 1e6)
        self.cpu.append(cpu)
        if pages is not None:
            self.pages.append(pages / seconds)
            self.downtime.append(downtime)

    def say(self):
        def shown(values, unit=""):
            if not values:
                return "-"
            return (f"{statistics.median(values):.{digits}f} "
                    f"({min(values):.{digits}f} to {max(values):.{digits}f})"
                    f"{unit}")
        digits = 0
        line = f"  {self.what:26} {shown(self.megabytes):22} "
        line += f"{shown(self.pages):36} {shown(self.downtime, ' ms'):20} "
        digits = 2
        print(line + shown(self.cpu, " s"), flush=True)


def children_seconds():
    times = os.times()
    return times.children_user + times.children_system


class Floor:
    """An empty gRPC stream of 1 MiB messages, between two processes."""

    def __init__(self, address):
        program = os.path.join(os.path.dirname(harness.SIMVISORD),
                               "stream_floor")
        self.program = program
        self.server = subprocess.Popen([program, "serve", address],
                                       stdout=subprocess.PIPE, text=True)
        port = int(self.server.stdout.readline().split()[1])
        self.address = (address if address.startswith("unix:")
                        else f"127.0.0.1:{port}")

    def measure(self, rates):
        used = children_seconds()
        done = subprocess.run(
            [self.program, "send", self.address, str(FLOOR_MESSAGES)],
            capture_output=True, text=True, check=True, timeout=LONG)
        rates.add(float(done.stdout), FLOOR_MESSAGES << 20,
                  children_seconds() - used)

    def close(self):
        self.server.kill()
        self.server.wait()
        self.server.stdout.close()


def one_way(a, b, kind, name, rates):
    """Measures a migration to `b`, then migrates back."""
    used = a.seconds() + b.seconds()
    last, seconds = migrate(a, name, getattr(b, kind))
    # Pages that travelled without contents count as well.
    rates.add(seconds, last.bytes_sent, a.seconds() + b.seconds() - used,
              last.domain.memory.current_pages, last.downtime_ms)
    migrate(b, name, a.unix)


def measure_throughput():
    """Measures everything in turn, so that other load affects all alike."""
    with Side("256g") as a, Side("256g") as b, (
            tempfile.TemporaryDirectory()) as folder:
        create(a, "written", GIB + MOST_KERNEL_PAGES)
        fill(a, "written", MOST_KERNEL_PAGES, GIB)
        create(a, "empty", 64 * GIB)
        print(f"{TIMES} times, in turn; load {load_average():.2f}")
        print(f"  {'median (range)':26} {'MB/s':22} {'pages/s':36} "
              f"{'downtime':20} processor time")
        for kind in ("unix", "tcp"):
            raw = Rates(f"{kind}: empty stream")
            floor = Floor(f"unix:{folder}/floor" if kind == "unix"
                          else "127.0.0.1:0")
            written = Rates(f"{kind}: 1 GiB, written")
            empty = Rates(f"{kind}: 64 GiB, never written")
            for _ in range(TIMES):
                floor.measure(raw)
                one_way(a, b, kind, "written", written)
                one_way(a, b, kind, "empty", empty)
            floor.close()
            for rates in (raw, written, empty):
                rates.say()
            share = (statistics.median(written.megabytes)
                     / statistics.median(raw.megabytes))
            print(f"  {'':26} written is {share:.0%} of empty")
        save = Rates("unix: save, thrown away")
        for _ in range(TIMES):
            used = a.seconds() + children_seconds()
            seconds = thrown_away(a, "written")
            save.add(seconds, GIB_BYTES,
                     a.seconds() + children_seconds() - used)
        save.say()
        print(f"load at the end {load_average():.2f}")


def main():
    what = sys.argv[1:] or ["memory", "throughput"]
    fits = True
    for one in what:
        if one == "memory":
            fits = measure_memory()
        elif one == "throughput":
            measure_throughput()
        else:
            print(__doc__, file=sys.stderr)
            return 2
    return 0 if fits else 1


if __name__ == "__main__":
    sys.exit(main())
