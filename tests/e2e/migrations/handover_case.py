"""What tests of handovers share: two daemons, a guest, and where the guest is
and must be.
"""

import contextlib
import threading
import unittest

import harness
from harness import domain, guest_load, live, memory, poll, ref, simvisor

from migrations.migration_pair import MigrationPair

FLAGS = ("--enable-fault-injection", "--host-memory", "256", "--log-level",
         "debug")
PAGES = 4096  # of a guest
LOAD_PAGES = 200  # more than fits in a stream that is not read
# Pages that the guest writes; its balloon takes other pages first.
WRITTEN = {7: b"seven", 1500: b"in the middle" * 300, 3000: b"\xff" * 4096}

# Where the domain is when everything automatic has happened.
SOURCE = "runs at the source, and the target has nothing"
TARGET = "runs at the target, and the source has nothing"
PREPARED = "whole and suspended at the target, until an operator decides"
UNKNOWN = ("suspended at the source, until the target is started again or an "
           "operator decides")
LOST = "died with its machine"

# For each point: where the domain is if the point's own daemon dies there, if
# the other daemon dies while this one is held there, and after an error there.
# If two places are named, it depends on whether the last message arrived, and
# both are right.
EXPECTED = {
    "migrate.begin": ([LOST], [SOURCE], [SOURCE]),
    "migrate.admitted": ([LOST], [SOURCE], [SOURCE]),
    "migrate.pass": ([LOST], [SOURCE], [SOURCE]),
    "migrate.piece": ([LOST], [SOURCE], [SOURCE]),
    "migrate.suspended": ([LOST], [SOURCE], [SOURCE]),
    # The end of the stream, or PREPARED, may have arrived.
    "migrate.sent": ([LOST, PREPARED], [SOURCE, UNKNOWN], [SOURCE]),
    "migrate.prepared": ([PREPARED], [UNKNOWN], [SOURCE]),
    # COMMIT, or COMMITTED, may have arrived.
    "migrate.commit": ([PREPARED, TARGET], [UNKNOWN, LOST], [SOURCE, TARGET]),
    "migrate.committed": ([TARGET], [LOST], [TARGET]),
    "migrate.done": ([TARGET], [LOST], [TARGET]),
    "receive.begin": ([SOURCE], [LOST], [SOURCE]),
    "receive.admitted": ([SOURCE], [LOST], [SOURCE]),
    "receive.piece": ([SOURCE], [LOST], [SOURCE]),
    "receive.arrived": ([SOURCE], [PREPARED], [SOURCE]),
    # PREPARED, or COMMIT, may have arrived.
    "receive.prepared": ([SOURCE, UNKNOWN], [PREPARED, TARGET], [SOURCE]),
    "receive.commit": ([UNKNOWN], [TARGET], [SOURCE]),
    "receive.committed": ([UNKNOWN], [TARGET], [TARGET]),
    "receive.done": ([LOST], [TARGET], [TARGET]),
}
CRASH, OTHER_DIES, ERROR = range(3)
HOW = ("its daemon dies", "the other daemon dies", "an error")

# Decisions for the places that need one, and where the domain is afterwards.
DECISIONS = {
    UNKNOWN: {"start again": SOURCE, "keep": SOURCE, "drop": LOST},
    PREPARED: {"start again, keep": TARGET, "keep": TARGET, "drop": LOST},
}

# Points where a client that goes away ends the migration, and points where it
# is too late.
CANCELLED_AT = ("migrate.begin", "migrate.admitted", "migrate.pass",
                "migrate.piece", "migrate.suspended", "migrate.sent",
                "migrate.prepared", "receive.begin", "receive.admitted",
                "receive.piece", "receive.arrived")
TOO_LATE_AT = ("migrate.commit", "migrate.committed", "migrate.done",
               "receive.committed", "receive.done")
# Points where the source's question and COMMIT race.
EITHER_AT = ("receive.prepared", "receive.commit")

# Points that are reached often; the fault hits one of the later times.
SKIP = {"migrate.piece": 2, "receive.piece": 2}


def points():
    """The protocol's points, as a daemon lists them."""
    machine = harness.Daemon(*FLAGS)
    lines = simvisor(machine.address, "fault", "list", "--points").stdout
    machine.close()
    names = [line.split()[0] for line in lines.splitlines()]
    return [name for name in names
            if name.startswith(("migrate.", "receive."))]


class TwoCopies(threading.Thread):
    """Checks all the time whether the domain runs at both machines."""

    def __init__(self, pair, name):
        super().__init__(daemon=True)
        self._pair = pair
        self._name = name
        self._ended = threading.Event()
        self.seen = 0
        self.looks = 0

    def run(self):
        while not self._ended.wait(0.005):
            # Looks at the source between two looks at the target: if all three
            # see it run, it runs at both at the same time.
            both = all([self._runs(machine) for machine in (
                self._pair.target, self._pair.source, self._pair.target)])
            self.seen += both
            self.looks += 1

    def _runs(self, machine):
        try:
            one = machine.domains().get(self._name)
        except (harness.grpc.RpcError, ValueError):
            return False  # it has died, or its channel was closed
        return one is not None and one.state == domain.DOMAIN_STATE_RUNNING

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self.join(harness.DEADLINE)


class PairTest(unittest.TestCase):
    """Calls to two daemons and the domain "web" between them."""

    number = 0

    def setUp(self):
        self.open_pair()

    def open_pair(self):
        self.pair = MigrationPair(*FLAGS)
        self.addCleanup(self.pair.close)
        self.base = [one.client.counts() for one in self.pair.machines]

    @contextlib.contextmanager
    def case(self, **names):
        """A case with its own guest, which never runs at both machines; if the
        case fails, it does not affect the next one."""
        with self.subTest(**names):
            try:
                self.create()
                with TwoCopies(self.pair, "web") as watch:
                    yield
                self.assertEqual(watch.seen, 0, "both copies ran")
                self.assertGreater(watch.looks, 0)
            except BaseException:
                self.pair.close()
                self.open_pair()
                raise

    def new_id(self):
        PairTest.number += 1
        self.id = f"case-{PairTest.number}"
        return self.id

    def side(self, point):
        """The machine that has the point."""
        return (self.pair.source if point.startswith("migrate.")
                else self.pair.target)

    def create(self):
        """A guest with a load and with pages that it wrote itself."""
        client = self.pair.source.client
        client.create("web", PAGES)
        for pfn, data in WRITTEN.items():
            client.memory.WriteGuestMemory(
                memory.WriteGuestMemoryRequest(domain=ref("web"), pfn=pfn,
                                               data=data),
                timeout=harness.DEADLINE)
        client.guest_load.StartGuestLoad(
            guest_load.StartGuestLoadRequest(
                domain=ref("web"), spec=guest_load.LoadSpec(
                    pages_per_second=5000, working_set_pages=LOAD_PAGES,
                    pattern=guest_load.LOAD_PATTERN_SEQUENTIAL)),
            timeout=harness.DEADLINE)
        self.writes = LOAD_PAGES
        self.await_writes(self.pair.source)

    def await_writes(self, machine):
        """Waits until the guest has gone on."""
        def has_written():
            load = machine.client.guest_load.GetGuestLoad(
                guest_load.GetGuestLoadRequest(domain=ref("web")),
                timeout=harness.DEADLINE).load
            return load.writes >= self.writes and load.writes
        self.writes = poll(has_written, f"{self.writes} writes") + 20

    # Where the domain is.

    def look(self, machine):
        """The domain here, or None, and the name of the migration's state."""
        one = machine.domains().get("web")
        found = machine.migration(self.id)
        state = live.MigrationState.Name(found.state) if found else ""
        return one, state.removeprefix("MIGRATION_STATE_")

    def where(self):
        """Which of the five places it is, or a description of what is there
        instead."""
        at_source = at_target = ()
        if self.pair.source.alive:
            at_source = self.look(self.pair.source)
        if self.pair.target.alive:
            at_target = self.look(self.pair.target)
        none_here = ((), (None, ""), (None, "MOVED"))
        none_there = ((), (None, ""), (None, "DROPPED"))
        for place, here, there in (
                (SOURCE, self.is_running(at_source, "KEPT"),
                 at_target in none_there),
                (TARGET, at_source in none_here,
                 self.is_running(at_target, "COMMITTED")),
                (PREPARED, at_source in ((), (None, "")),
                 self.is_held(at_target, "PREPARED",
                              domain.HANDOVER_INCOMING)),
                (UNKNOWN, self.is_held(at_source, "UNKNOWN",
                                       domain.HANDOVER_OUTGOING),
                 at_target == ()),
                (LOST, at_source in ((), (None, ""), (None, "MOVED")),
                 at_target in none_there)):
            if here and there:
                return place
        return f"source: {at_source}; target: {at_target}"

    def is_running(self, seen, state):
        return (seen and seen[0] and seen[1] == state
                and seen[0].state == domain.DOMAIN_STATE_RUNNING
                and not seen[0].suspended
                and seen[0].handover == domain.HANDOVER_NONE)

    def is_held(self, seen, state, handover):
        return (seen and seen[0] and seen[1] == state and seen[0].suspended
                and seen[0].state == domain.DOMAIN_STATE_PAUSED
                and seen[0].handover == handover)

    def await_place(self, *places):
        """Waits until it is at one of these places, and returns the place."""
        last = [None]

        def is_there():
            last[0] = self.where()
            return last[0] in places
        try:
            poll(is_there, "")
        except AssertionError:
            self.fail(f"expected that it {' or '.join(places)}; {last[0]}")
        return last[0]

    # What must hold there.

    def check_machines(self):
        """The machines that are alive have lost no frame."""
        for machine in self.pair.machines:
            if not machine.alive:
                continue
            audit = machine.client.audit()
            self.assertEqual(list(audit.findings), [])
            counts = machine.client.counts()
            listed = machine.client.domain.ListDomains(
                domain.ListDomainsRequest(), timeout=harness.DEADLINE).domains
            self.assertEqual(counts.owned_pages,
                             sum(one.memory.current_pages for one in listed))
            self.assertEqual(counts.total_pages,
                             counts.free_pages + counts.owned_pages
                             + counts.reserved_pages)

    def check_memory(self, machine):
        """The guest's pages and the pages of its load hold what they must."""
        for pfn, data in WRITTEN.items():
            read = machine.client.memory.ReadGuestMemory(
                memory.ReadGuestMemoryRequest(domain=ref("web"), pfn=pfn,
                                              length_bytes=4096),
                timeout=harness.DEADLINE).data
            self.assertEqual(read, data.ljust(4096, b"\0"), f"pfn {pfn}")
        found = machine.client.guest_load.CheckGuestLoad(
            guest_load.CheckGuestLoadRequest(domain=ref("web")),
            timeout=harness.DEADLINE)
        self.assertEqual((found.checked_pages, found.mismatched_pages),
                         (LOAD_PAGES, 0), found)

    def check_running(self, machine):
        """The copy runs, is whole, and its balloon works."""
        self.await_writes(machine)
        self.check_memory(machine)
        client = machine.client
        client.memory.BalloonDown(
            memory.BalloonDownRequest(domain=ref("web"), pages=100),
            timeout=harness.DEADLINE)
        self.assertEqual(client.get("web").memory.current_pages, PAGES - 100)
        client.memory.BalloonUp(
            memory.BalloonUpRequest(domain=ref("web"), pages=100),
            timeout=harness.DEADLINE)
        self.assertEqual(client.get("web").memory.current_pages, PAGES)

    def check_refusals(self):
        """Calls that are refused while another daemon may run the domain."""
        source = self.pair.source
        done = simvisor(source.address, "list")
        self.assertIn("web", done.stdout)
        self.assertIn("(web) is being handed over", done.stderr)
        self.assert_refused("DOMAIN_MIGRATING", source.client.destroy, "web")
        self.assert_refused("DOMAIN_SUSPENDED",
                            source.client.domain.UnpauseDomain,
                            domain.UnpauseDomainRequest(domain=ref("web")))

    def assert_refused(self, reason, call, *arguments,
                       code="FAILED_PRECONDITION"):
        with self.assertRaises(harness.grpc.RpcError) as caught:
            call(*arguments)
        error = caught.exception
        self.assertEqual((error.code().name, harness.reason_of(error)),
                         (code, reason), error.details())

    def resolve(self, machine, decision, migration_id=None):
        return machine.client.migration.ResolveMigration(
            live.ResolveMigrationRequest(
                migration_id=migration_id or self.id, decision=decision),
            timeout=harness.DEADLINE)

    def finish(self, place):
        """Checks the domain at its last place, and then that nothing of it is
        left anywhere."""
        self.check_machines()
        home = {SOURCE: self.pair.source, TARGET: self.pair.target}.get(place)
        if home is not None:
            self.check_running(home)
        for machine in self.pair.machines:
            if not machine.alive:
                machine.start_again()
        if home is not None:
            self.pair.migrate("web", self.new_id(), start=home).wait()
            away = self.pair.other(home)
            self.assertNotIn("web", home.domains())
            self.await_writes(away)
            self.check_memory(away)
            self.check_machines()
            away.client.destroy("web")
        for machine, counts in zip(self.pair.machines, self.base):
            self.assertEqual(machine.client.counts(), counts)
