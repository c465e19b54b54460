"""The daemon's bounds that tests lower in order to reach them."""

import functools
import subprocess

from harness import SIMVISORD

MIB = 1 << 20

# Flags for memory, in MiB.
MEMORY = {
    "--max-guest-memory": 256,
    "--max-message-memory": 96,
    "--max-image-memory": 64,
}


@functools.lru_cache(maxsize=None)
def _help():
    return subprocess.run([SIMVISORD, "--help"], capture_output=True,
                          text=True, check=True).stdout


def has(flag):
    """Whether this daemon knows the flag."""
    return flag in _help()


def flags(**others):
    """The flags for the memory budgets and for `others` (max_calls=9 for
    --max-calls 9), as far as the daemon knows them."""
    wanted = {flag: f"{size}m" for flag, size in MEMORY.items()}
    wanted.update(("--" + name.replace("_", "-"), str(value))
                  for name, value in others.items())
    return tuple(word for flag, value in wanted.items() if has(flag)
                 for word in (flag, value))


def total_bytes():
    """Messages count twice: once more while they are incomplete."""
    return (sum(MEMORY.values()) + MEMORY["--max-message-memory"]) * MIB
