"""The last calls of all threads, so that a failure can be reproduced."""

import base64
import collections
import itertools
import threading

SHOWN_BYTES = 1500  # of a call's requests


def shown(requests):
    """Requests as text: each message's bytes, in base64."""
    text = " ".join(base64.b64encode(one).decode() for one in requests[:8])
    more = f" and {len(requests) - 8} more" if len(requests) > 8 else ""
    if len(text) > SHOWN_BYTES:
        text = f"{text[:SHOWN_BYTES]}... ({len(text)} characters)"
    return text + more


class Ring:

    def __init__(self, size=2000):
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._lines = collections.deque(maxlen=size)

    def add(self, line):
        with self._lock:
            self._lines.append(f"{next(self._numbers)} {line}")

    def last(self, count):
        with self._lock:
            return list(self._lines)[-count:]
