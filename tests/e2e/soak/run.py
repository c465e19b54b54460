"""A run of a soak: two machines, many clients, and what must hold when all
clients have stopped."""

import collections
import tempfile
import threading
import time

from harness import DEADLINE, poll

from soak import shared, watchdog
from soak.calls import Fault, Stopped
from soak.client import COUNT, EMPTY
from soak.gate import Gate
from soak.keeper import Keeper
from soak.machines import Machine
from soak.onlooker import Onlooker
from soak.reckless import Reckless
from soak.samples import MIB, Samples

KEEPERS, RECKLESS, ONLOOKERS = 6, 3, 2

# Small enough to be full now and then: one gives out the lowest frames first,
# the other scattered ones.
FLAGS = ("--host-memory", "368", "--dom0-memory", "176")

# Every third time that the clients stop, they empty the machines.
EMPTY_EACH = 3


def is_late(error):
    """Whether a call has not returned."""
    return "DEADLINE_EXCEEDED" in str(error)


class Soak:
    """Runs for `seconds`; `seed` makes all choices."""

    def __init__(self, seed, seconds):
        self.seed = seed
        self.seconds = seconds
        self.rounds = 0
        # Half a second at least, because stopping takes time too.
        self.interval = min(10.0, max(0.5, seconds / 40))
        self._began = time.monotonic()
        self._failure = None
        self._failing = threading.Lock()
        self._wake = threading.Event()
        self._folder = tempfile.TemporaryDirectory()
        self.machines = [
            Machine("below", *FLAGS, "--seed", str(seed % 2**63)),
            Machine("scattered", *FLAGS, "--placement", "scatter", "--seed",
                    str((seed + 1) % 2**63))]
        self.samples = [Samples(one.name) for one in self.machines]
        for number, machine in enumerate(self.machines):
            [machine.dom0_pages] = [one.memory.current_pages
                                    for one in machine.list()]
            machine.empty = machine.client.counts()
            shared.create(machine, number)
            machine.base = machine.frames()
        self.gate = Gate(KEEPERS + RECKLESS + ONLOOKERS)
        rest = (seed, self.machines, self._folder.name, self.gate,
                self._client_failed)
        self.clients = (
            [Keeper(i, *rest) for i in range(KEEPERS)]
            + [Reckless(i, *rest) for i in range(RECKLESS)]
            + [Onlooker(i, *rest) for i in range(ONLOOKERS)])
        self._watchdog = watchdog.Watchdog(self.clients, self.machines,
                                           self._fail)

    # Failures, from any thread: the first one counts.

    def _fail(self, what):
        with self._failing:
            if self._failure is None:
                self._failure = what
        self.gate.stop()
        self._wake.set()

    def _client_failed(self, client, error):
        """Reports at once, while nothing has changed yet."""
        with self._failing:
            first, self._failure = self._failure is None, (
                self._failure or error)
        if first:
            watchdog.report(self.clients, self.machines, is_late(error))
        self._fail(error)

    # The run.

    def run(self):
        """Raises the first failure."""
        self._watchdog.start()
        try:
            for client in self.clients:
                client.start()
            end = time.monotonic() + self.seconds
            while time.monotonic() < end and not self._failure:
                self._wake.wait(min(self.interval, end - time.monotonic()))
                self._stop_and_look(
                    EMPTY if self.rounds % EMPTY_EACH == EMPTY_EACH - 1
                    else COUNT)
            self._finish()
        except Stopped:
            pass  # the recorded failure says why
        except BaseException as error:
            self._fail(error)
            watchdog.report(self.clients, self.machines, stuck=True)
        finally:
            self._close()
        if self._failure:
            raise Fault(f"SIMVISOR_SEED={self.seed} after "
                        f"{self._now():.0f} s: {self._failure}"
                        ) from (self._failure if isinstance(
                            self._failure, BaseException) else None)

    def _now(self):
        return time.monotonic() - self._began

    def _stop_and_look(self, order):
        self.gate.close(order)
        for machine, samples in zip(self.machines, self.samples):
            seen = machine.census()
            machine.audit()
            if order == EMPTY:
                self._sweep(machine)
                machine.audit()
                samples.add(self._now(), machine.daemon.rss_bytes())
            else:
                self._say(machine, seen)
        self.rounds += 1
        self.gate.open()

    def _say(self, machine, seen):
        if self.rounds % 30 == 0:
            print(f"{self._now():7.1f} s {machine.name}: "
                  f"{len(seen.domains)} domains, "
                  f"{seen.counts.free_pages} pages free, "
                  f"{seen.rss / MIB:.1f} MiB", flush=True)

    def _sweep(self, machine):
        """Destroys the guests that reckless clients have left; no other client
        leaves any, and then every frame is free again."""
        def swept():
            left = [one for one in machine.list()
                    if one.domid != 0 and one.name not in machine.shared]
            for one in left:
                if not one.name:
                    continue  # dying: another domain maps its frames
                if not one.name.startswith("reckless"):
                    raise Fault(f"{machine.name}: {one.name} is left")
                machine.client.destroy(one.domid)
            return not left
        self._await(machine, swept)
        shared.tidy(machine)
        # A call that creates one may have been running until now.
        self._await(machine, lambda: swept() and (
            machine.frames() == machine.base))

    @staticmethod
    def _await(machine, done):
        try:
            poll(done, "")
        except AssertionError:
            raise Fault(
                f"{machine.name}: empty, it has {machine.frames()} with "
                f"{machine.list()}, and not {machine.base}") from None

    def _finish(self):
        """Destroys everything that is left; then the machines are as they were
        at the start."""
        self._stop_and_look(EMPTY)
        self.gate.stop()
        for client in self.clients:
            client.join(DEADLINE)
        for machine in self.machines:
            for name in machine.shared:
                machine.client.destroy(name)
            machine.audit()
            counts = machine.client.counts()
            if counts != machine.empty:
                raise Fault(f"{machine.name}: {counts} at the end, not "
                            f"{machine.empty}")

    def _close(self):
        self.gate.stop()
        self._watchdog.end()
        if self._failure:
            for machine in self.machines:
                machine.kill()  # so that no call goes on
        for client in self.clients:
            client.join(DEADLINE)
            client.calls.close()
        for machine in self.machines:
            if self._failure:
                machine.close()
            else:
                machine.end()
        self._folder.cleanup()

    # Results.

    def show(self):
        calls, refusals = collections.Counter(), collections.Counter()
        for client in self.clients:
            calls.update(client.calls.counts)
            for (_, reason), count in client.calls.refusals.items():
                refusals[reason] += count
        steps = sum(client.steps for client in self.clients)
        print(f"{steps} steps, {sum(calls.values())} calls, {self.rounds} "
              f"stops, each with an audit of both machines")
        for kind, count in sorted(calls.items()):
            print(f"  {count:8} {kind}")
        print("refused: " + ", ".join(
            f"{count} {reason}" for reason, count in refusals.most_common()))
        for samples in self.samples:
            print(samples.show())
            if samples.growth():
                grown, allowed = samples.growth()
                print(f"  after the warm-up it grows by {grown / MIB:.1f} "
                      f"MiB; at most {allowed / MIB:.1f} is noise")
