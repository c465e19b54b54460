"""Where all clients of a soak stop for a moment."""

import threading

from soak.calls import Fault, Stopped


class Gate:
    """Open, or closed for one of two reasons: to be counted, or to be emptied.

    Clients pass it between two steps.  The thread that closes the gate waits
    until all clients have stopped there."""

    PATIENCE = 180  # seconds; longer than any call's deadline

    def __init__(self, clients):
        self._clients = clients
        self._changed = threading.Condition()
        self._closed = None  # or the order for clients that come
        self._standing = 0
        self._turn = 0
        self._stopped = False

    def pass_by(self, obey):
        """Goes on, or calls `obey(order)` and waits until the gate opens."""
        with self._changed:
            self._check()
            order, turn = self._closed, self._turn
        if order is None:
            return
        obey(order)
        with self._changed:
            self._standing += 1
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._turn != turn or self._stopped)
            self._check()

    def close(self, order):
        """Returns once all clients have stopped at the gate and have obeyed the
        order."""
        with self._changed:
            self._closed, self._standing = order, 0
            if not self._changed.wait_for(
                    lambda: self._standing == self._clients or self._stopped,
                    self.PATIENCE):
                raise Fault(f"only {self._standing} of {self._clients} clients "
                            "come to the gate")
            self._check()

    def open(self):
        with self._changed:
            self._closed = None
            self._turn += 1
            self._changed.notify_all()

    def stop(self):
        """Ends all clients that come or wait."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @property
    def stopped(self):
        return self._stopped

    def _check(self):
        if self._stopped:
            raise Stopped
