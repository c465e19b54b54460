"""The daemon's budgets that tests make small, so that they are reached."""

import functools
import subprocess

from harness import SIMVISORD

MIB = 1 << 20

# Flag, and its value in MiB.
BUDGETS = {
    "--max-guest-memory": 256,
    "--max-message-memory": 96,
    "--max-image-memory": 64,
}


@functools.lru_cache(maxsize=None)
def _help():
    return subprocess.run([SIMVISORD, "--help"], capture_output=True, text=True,
                          check=True).stdout


def has(flag):
    """Whether this daemon knows the flag."""
    return flag in _help()


def flags():
    return tuple(word for flag, size in BUDGETS.items() if has(flag)
                 for word in (flag, f"{size}m"))


def total_bytes():
    return sum(BUDGETS.values()) * MIB
