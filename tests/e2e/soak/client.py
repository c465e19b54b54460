"""What all kinds of clients of a soak have in common."""

import random
import threading

from soak.calls import Calls, Stopped

# Orders at the gate.
COUNT = "count"  # the guests stay
EMPTY = "empty"  # only shared domains stay


class Client(threading.Thread):
    """Does one step after the other, as its own generator chooses, and waits at
    the gate when it is closed."""

    def __init__(self, kind, number, seed, machines, folder, gate, failed):
        super().__init__(name=f"{kind}-{number}", daemon=True)
        self.number = number
        self.random = random.Random(f"{seed} {self.name}")
        self.calls = Calls(self.name, machines)
        self.calls.folder = folder
        self.steps = 0
        self._gate = gate
        self._failed = failed

    def run(self):
        try:
            while True:
                self._gate.pass_by(self.obey)
                self.step()
                self.steps += 1
        except Stopped:
            pass
        except BaseException as error:  # any error: it ends the run
            self._failed(self, error)

    def step(self):
        raise NotImplementedError

    def obey(self, order):
        """Does what the gate was closed for."""
