"""Requests of calls whose client falls silent."""

import threading
import time

import harness


class Stalled:
    """The requests of a call: the given ones, and then silence."""

    def __init__(self, *requests):
        self._requests = requests
        self.over = threading.Event()

    def __iter__(self):
        yield from self._requests
        self.over.wait(harness.DEADLINE)


class Talk:
    """An image that is sent half at once, and then bit by bit, so that the call
    does not stall until `over` is set."""

    PIECE = 8192  # moving less than 4096 bytes would be a stall

    def __init__(self, image):
        self._image = image
        self._at = 0
        self.over = threading.Event()

    def pieces(self):
        half = len(self._image) // 2
        while self._at < half:
            yield self._next(1 << 20)
        while not self.over.wait(0.1):
            yield self._next(self.PIECE)

    def trickle(self):
        """More of it, so slowly that the call stalls."""
        while True:
            time.sleep(0.1)
            yield self._next(1)

    def _next(self, size):
        self._at += size
        return self._image[self._at - size:self._at]
