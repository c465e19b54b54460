"""What the pages of a guest's load must hold, computed only from
docs/guest-load.md, without any of Simvisor's own code."""

import struct

ALL = (1 << 64) - 1


def splitmix(state, n):
    """Output n, from 0, of splitmix64 that starts with `state`."""
    z = (state + (n + 1) * 0x9E3779B97F4A7C15) & ALL
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & ALL
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & ALL
    return z ^ (z >> 31)


def page_of_write(pattern, seed, pages, n):
    if pattern == "sequential":
        return n % pages
    random = splitmix(seed, n)
    if pattern == "random":
        return random % pages
    hot = max(pages // 10, 1)
    if random % 10 != 9 or hot == pages:
        return random // 10 % hot
    return hot + random // 10 % (pages - hot)


def content(seed, page, n):
    state = splitmix(splitmix(seed, page), n)
    return struct.pack("<512Q", n, *(splitmix(state, w) for w in range(1, 512)))


def expected_pages(pattern, seed, pages, writes):
    """The content of each page, in order."""
    last = {page_of_write(pattern, seed, pages, n): n for n in range(writes)}
    return [content(seed, page, last[page]) if page in last else bytes(4096)
            for page in range(pages)]
