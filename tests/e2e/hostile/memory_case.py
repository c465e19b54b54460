"""Guests that write, and daemons that get little memory from the system."""

import os
import pathlib
import stat
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402
from harness import memory, ref  # noqa: E402

PAGES_AT_ONCE = 256  # 1 MiB, what one call may write
FIRST_PFN = 3000  # after the pages with the list of the guest's kernel


def write(client, name, pages, first=FIRST_PFN, byte=b"x"):
    """Writes whole pages, many in one call."""
    for at in range(0, pages, PAGES_AT_ONCE):
        count = min(PAGES_AT_ONCE, pages - at)
        client.memory.WriteGuestMemory(
            memory.WriteGuestMemoryRequest(
                domain=ref(name), pfn=first + at, data=byte * (count * 4096)),
            timeout=harness.DEADLINE)


def read(client, name, pfn):
    return client.memory.ReadGuestMemory(
        memory.ReadGuestMemoryRequest(
            domain=ref(name), pfn=pfn, length_bytes=4096),
        timeout=harness.DEADLINE).data


class LimitedDaemon(harness.Daemon):
    """A daemon with this much address space (`ulimit -v`)."""

    def __init__(self, mib, *flags):
        program = harness.SIMVISORD
        with tempfile.TemporaryDirectory() as folder:
            wrapper = os.path.join(folder, "simvisord")
            with open(wrapper, "w", encoding="ascii") as script:
                script.write(f'#!/bin/sh\nulimit -v {mib * 1024}\n'
                             f'exec "{program}" "$@"\n')
            os.chmod(wrapper, stat.S_IRWXU)
            harness.SIMVISORD = wrapper
            try:
                super().__init__(*flags)
            finally:
                harness.SIMVISORD = program
