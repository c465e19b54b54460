"""A migration in which a daemon dies, or a step fails, at every point of the
protocol: at most one copy runs at any time, and one does where it should.

The table is that of domain/migration/handover.h, seen from outside.
"""

import contextlib
import os
import signal
import sys
import threading
import time
import unittest

import harness
from harness import domain, guest_load, live, memory, ref, simvisor

sys.path.insert(0, os.path.dirname(__file__))
from migration_pair import MigrationPair, poll  # noqa: E402

FLAGS = ("--enable-fault-injection", "--host-memory", "256", "--log-level",
         "debug")
PAGES = 4096  # of a guest
LOAD_PAGES = 200  # more than a stream holds that nobody reads
# Pages that the guest wrote, but not those that its balloon takes first.
WRITTEN = {7: b"seven", 1500: b"in the middle" * 300, 3000: b"\xff" * 4096}

# Where the domain is when all that goes by itself has gone.
SOURCE = "runs at the source, and the target has nothing"
TARGET = "runs at the target, and the source has nothing"
PREPARED = "whole and suspended at the target, until an operator decides"
UNKNOWN = ("suspended at the source, until the target is started again or an "
           "operator decides")
LOST = "died with its machine"

# For each point: where the domain is if the point's own daemon dies there, if
# the other one dies while this one stands there, and if there is an error.
# Where two are named, it depends on what of that which was sent last got
# through, and either is right.
EXPECTED = {
    "migrate.begin": ([LOST], [SOURCE], [SOURCE]),
    "migrate.admitted": ([LOST], [SOURCE], [SOURCE]),
    "migrate.pass": ([LOST], [SOURCE], [SOURCE]),
    "migrate.piece": ([LOST], [SOURCE], [SOURCE]),
    "migrate.suspended": ([LOST], [SOURCE], [SOURCE]),
    # The end of the stream, or PREPARED, may have got through.
    "migrate.sent": ([LOST, PREPARED], [SOURCE, UNKNOWN], [SOURCE]),
    "migrate.prepared": ([PREPARED], [UNKNOWN], [SOURCE]),
    # COMMIT, or COMMITTED, may have got through.
    "migrate.commit": ([PREPARED, TARGET], [UNKNOWN, LOST], [SOURCE, TARGET]),
    "migrate.committed": ([TARGET], [LOST], [TARGET]),
    "migrate.done": ([TARGET], [LOST], [TARGET]),
    "receive.begin": ([SOURCE], [LOST], [SOURCE]),
    "receive.admitted": ([SOURCE], [LOST], [SOURCE]),
    "receive.piece": ([SOURCE], [LOST], [SOURCE]),
    "receive.arrived": ([SOURCE], [PREPARED], [SOURCE]),
    # PREPARED, or COMMIT, may have got through.
    "receive.prepared": ([SOURCE, UNKNOWN], [PREPARED, TARGET], [SOURCE]),
    "receive.commit": ([UNKNOWN], [TARGET], [SOURCE]),
    "receive.committed": ([UNKNOWN], [TARGET], [TARGET]),
    "receive.done": ([LOST], [TARGET], [TARGET]),
}
CRASH, OTHER_DIES, ERROR = range(3)
HOW = ("its daemon dies", "the other daemon dies", "an error")

# What is done where it does not go on by itself, and where the domain is then.
DECISIONS = {
    UNKNOWN: {"start again": SOURCE, "keep": SOURCE, "drop": LOST},
    PREPARED: {"start again, keep": TARGET, "keep": TARGET, "drop": LOST},
}

# Where a client that goes away ends the migration, and where it is too late.
CANCELLED_AT = ("migrate.begin", "migrate.admitted", "migrate.pass",
                "migrate.piece", "migrate.suspended", "migrate.sent",
                "migrate.prepared", "receive.begin", "receive.admitted",
                "receive.piece", "receive.arrived")
TOO_LATE_AT = ("migrate.commit", "migrate.committed", "migrate.done",
               "receive.committed", "receive.done")
# Where the source's question and COMMIT race.
EITHER_AT = ("receive.prepared", "receive.commit")

# Points that are reached often, in the midst of which it happens.
SKIP = {"migrate.piece": 2, "receive.piece": 2}


def points():
    """Those of the protocol, as a daemon lists them."""
    machine = harness.Daemon(*FLAGS)
    lines = simvisor(machine.address, "fault", "list", "--points").stdout
    machine.close()
    names = [line.split()[0] for line in lines.splitlines()]
    return [name for name in names
            if name.startswith(("migrate.", "receive."))]


class TwoCopies(threading.Thread):
    """Looks all the time whether the domain runs at both machines."""

    def __init__(self, pair, name):
        super().__init__(daemon=True)
        self._pair = pair
        self._name = name
        self._ended = threading.Event()
        self.seen = 0
        self.looks = 0

    def run(self):
        while not self._ended.wait(0.005):
            # It runs at the source between two looks at the target, so that
            # the two are at the same time.
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
    """What is asked of two daemons and the domain "web" between them."""

    number = 0

    def setUp(self):
        self.open_pair()

    def open_pair(self):
        self.pair = MigrationPair(*FLAGS)
        self.addCleanup(self.pair.close)
        self.base = [one.client.counts() for one in self.pair.machines]

    @contextlib.contextmanager
    def case(self, **names):
        """A case with a guest of its own, which never runs at both machines;
        the next case does not suffer if it fails."""
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
        """The machine whose point it is."""
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
        """Until the guest has gone on."""
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
        """Which of the five it is, or what else there is."""
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
        """Until it is at one of these, which is returned."""
        last = [None]

        def is_there():
            last[0] = self.where()
            return last[0] in places
        try:
            poll(is_there, "")
        except AssertionError:
            self.fail(f"expected that it {' or '.join(places)}; {last[0]}")
        return last[0]

    # What holds there.

    def check_machines(self):
        """No frame of those that live is lost."""
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
        """The guest has what it wrote, and its load what it must have."""
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
        """What is refused while another daemon may run the domain."""
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
        """The domain, at its last place, is well; then nothing of it is left
        anywhere."""
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


class CrashMatrixTest(PairTest):

    def test_the_table_has_every_point(self):
        self.assertEqual(sorted(points()), sorted(EXPECTED))
        self.assertEqual(
            sorted(CANCELLED_AT + TOO_LATE_AT + EITHER_AT),
            sorted(EXPECTED))

    def test_every_point(self):
        for point in points():
            for how in (CRASH, OTHER_DIES, ERROR):
                expected = EXPECTED[point][how]
                decisions = sorted({name for place in expected
                                    for name in DECISIONS.get(place, ())})
                for decision in decisions or ["none"]:
                    self.run_case(point, how, expected, decision)

    def run_case(self, point, how, expected, decision):
        with self.case(point=point, how=HOW[how], decision=decision):
            self.break_off(point, how)
            place = self.await_place(*expected)
            self.finish(self.decide(place, decision))

    def break_off(self, point, how):
        """Runs a migration into the fault."""
        own = self.side(point)
        other = self.pair.other(own)
        rule = {"domain": "web", "skip": SKIP.get(point, 0)}
        if how == CRASH:
            own.add_fault(point, crash=harness.fault.FaultCrash(), **rule)
        elif how == ERROR:
            own.add_fault(point, error=harness.fault.FaultError(), **rule)
        else:
            held = own.hold(point, **rule)
        call = self.pair.migrate("web", self.new_id())
        if how == CRASH:
            self.assertEqual(own.daemon.process.wait(harness.DEADLINE),
                             -signal.SIGKILL)
        elif how == OTHER_DIES:
            own.await_fault(held)
            other.kill()
            own.remove_faults()
        try:
            moved = call.wait()
        except harness.grpc.RpcError as error:
            self.check_error(how, error)
        else:
            self.assertEqual(moved.phase, live.MIGRATION_PHASE_MOVED)
            if point not in ("migrate.commit", "receive.committed"):
                # The target's answer was not lost.
                self.assertEqual(moved.domain.name, "web")
            if self.pair.source.alive:
                found = self.pair.source.migration(self.id)
                self.assertEqual(found.message, "")
            place = self.await_place(TARGET, LOST)
            self.assertIn(place, EXPECTED[point][how])
        for machine in self.pair.machines:
            if machine.alive:
                machine.remove_faults()

    def check_error(self, how, error):
        """The call's client is told what has happened."""
        reason = harness.reason_of(error)
        if not self.pair.source.alive:
            self.assertEqual(error.code(),
                             harness.grpc.StatusCode.UNAVAILABLE)
        elif how == ERROR:
            self.assertEqual(reason, "FAULT_INJECTED", error.details())
        else:
            self.assertEqual(error.code(),
                             harness.grpc.StatusCode.UNAVAILABLE)
            unknown = self.look(self.pair.source)[1] == "UNKNOWN"
            self.assertEqual(reason, "MIGRATION_UNRESOLVED" if unknown
                             else "TARGET_UNREACHABLE", error.details())

    def decide(self, place, decision):
        """Where the domain is after what is done about it."""
        if decision not in DECISIONS.get(place, ()):
            return place
        self.check_machines()
        alive, dead = self.pair.source, self.pair.target
        if place == UNKNOWN:
            self.check_refusals()
        else:
            alive, dead = dead, alive
            self.assertIn("(web) has arrived",
                          simvisor(alive.address, "list").stderr)
            self.assert_refused("DOMAIN_MIGRATING", alive.client.destroy,
                                "web")
        if decision.startswith("start again"):
            dead.start_again()
        if decision.endswith(("keep", "drop")):
            word = decision.split()[-1]
            done = simvisor(alive.address, "migrate-resolve", self.id,
                            f"--{word}", check=False)
            if done.returncode != 0:
                # COMMIT came after it was looked at, but before the decision.
                self.assertIn("MIGRATION_SETTLED", done.stderr)
                return self.await_place(TARGET)
        return self.await_place(DECISIONS[place][decision])


class CancelTest(PairTest):

    def receive_calls_ended(self):
        """As the target's log has them."""
        file = self.pair.target.daemon.log.fileno()
        log = os.pread(file, os.fstat(file).st_size, 0)
        return log.count(b"ReceiveDomain: ")

    def cancel(self, point):
        """Cancels a migration held at the point, then lets it go on."""
        own = self.side(point)
        held = own.hold(point, domain="web", skip=SKIP.get(point, 0))
        ended = self.receive_calls_ended()
        call = self.pair.migrate("web", self.new_id())
        own.await_fault(held)
        call.cancel()
        with self.assertRaises(harness.grpc.RpcError) as caught:
            call.wait()
        self.assertEqual(caught.exception.code(),
                         harness.grpc.StatusCode.CANCELLED)
        if point in CANCELLED_AT and own is self.pair.target:
            poll(lambda: self.look(self.pair.source)[1] == "KEPT",
                 "the source learns of it")
        elif point in CANCELLED_AT and point != "migrate.begin":
            poll(lambda: self.receive_calls_ended() > ended,
                 "the target learns of it")
        own.remove_faults()

    def test_a_client_that_goes_away(self):
        for places, at in (([SOURCE], CANCELLED_AT), ([TARGET], TOO_LATE_AT),
                           ([SOURCE, TARGET], EITHER_AT)):
            for point in at:
                with self.case(point=point):
                    self.cancel(point)
                    self.finish(self.await_place(*places))


class SilentTargetTest(PairTest):

    def stop_at(self, point):
        """A migration whose target falls silent where it is held."""
        held = self.pair.target.hold(point)
        self.create()
        call = self.pair.migrate("web", self.new_id())
        self.pair.target.await_fault(held)
        self.pair.target.daemon.process.send_signal(signal.SIGSTOP)
        return call

    def test_a_target_that_falls_silent_after_commit_and_comes_back(self):
        # Both at once, since it takes a while to give up a silent daemon.
        cases = []
        for point, place in (("receive.commit", SOURCE),
                             ("receive.committed", TARGET)):
            call = self.stop_at(point)
            cases.append((self.pair, self.id, self.writes, call, point, place))
            self.open_pair()
        for pair, migration_id, writes, call, point, place in cases:
            self.pair, self.id, self.writes = pair, migration_id, writes
            with self.subTest(point=point):
                self.assert_refused("MIGRATION_UNRESOLVED", call.wait,
                                    code="UNAVAILABLE")
                self.assertEqual(self.look(pair.source)[1], "UNKNOWN")
                self.check_refusals()
                pair.target.daemon.process.send_signal(signal.SIGCONT)
                # The source asks before the target goes on.
                expected = "KEPT" if place == SOURCE else "MOVED"
                poll(lambda: self.look(pair.source)[1] == expected,
                     f"the source has {expected} it")
                pair.target.remove_faults()
                self.await_place(place)
                self.finish(place)


class DrainTest(PairTest):

    def test_a_source_ends_soon_after_a_migration(self):
        for _ in range(6):
            self.create()
            self.pair.migrate("web", self.new_id()).wait()
            since = time.monotonic()
            self.assertEqual(self.pair.source.daemon.stop(), 0)
            self.assertLess(time.monotonic() - since, 5)
            self.pair.source.start_again()
            self.pair.target.client.destroy("web")


class ResolveTest(PairTest):

    def refuse_all(self, machine, *decisions):
        for decision in decisions:
            self.assert_refused("MIGRATION_SETTLED", self.resolve, machine,
                                decision)

    def test_what_is_settled_stays(self):
        keep = live.MIGRATION_DECISION_KEEP
        drop = live.MIGRATION_DECISION_DROP
        ask = live.MIGRATION_DECISION_DROP_UNLESS_COMMITTED
        source, target = self.pair.machines
        self.create()
        target.add_fault("receive.arrived", error=harness.fault.FaultError())
        self.assert_refused(
            "FAULT_INJECTED", self.pair.migrate("web", self.new_id()).wait,
            code="INTERNAL")
        self.refuse_all(source, drop)
        self.refuse_all(target, keep)
        self.await_place(SOURCE)
        # While it is under way, and when COMMIT has been sent.
        for machine, point in ((source, "migrate.pass"),
                               (source, "migrate.commit"),
                               (target, "receive.done")):
            with self.subTest(point=point):
                held = machine.hold(point)
                start = self.find_home()
                if start is not source:
                    self.pair.migrate("web", self.new_id(), start=start).wait()
                call = self.pair.migrate("web", self.new_id())
                machine.await_fault(held)
                self.refuse_all(source, keep)
                machine.remove_faults()
                call.wait()
                self.await_place(TARGET)
        self.refuse_all(source, keep)
        self.refuse_all(target, drop)
        answer = self.resolve(target, ask).migration
        self.assertEqual(answer.state, live.MIGRATION_STATE_COMMITTED)
        self.await_place(TARGET)
        self.finish(TARGET)

    def test_a_decision_that_is_refused_does_not_end_the_asking(self):
        source, target = self.pair.machines
        self.create()
        for decision in (live.MIGRATION_DECISION_KEEP,
                         live.MIGRATION_DECISION_DROP):
            with self.subTest(decision=decision):
                held = source.hold("migrate.sent")
                source.add_fault("migrate.prepared",
                                 error=harness.fault.FaultError())
                call = self.pair.migrate("web", self.new_id())
                source.await_fault(held)
                poll(lambda: self.look(target)[1] == "PREPARED",
                     "the target has it all")
                self.refuse_all(source, decision)
                # Only the one that holds it goes.
                source.client.fault.RemoveFaults(
                    harness.fault.RemoveFaultsRequest(ids=[held]),
                    timeout=harness.DEADLINE)
                self.assert_refused("FAULT_INJECTED", call.wait,
                                    code="INTERNAL")
                self.await_place(SOURCE)
                self.check_machines()
                source.remove_faults()
        self.finish(SOURCE)

    def find_home(self):
        return next(one for one in self.pair.machines if one.domains())

    def test_a_target_whose_operator_drops_what_comes_in(self):
        self.create()
        for point in ("receive.piece", "receive.arrived", "receive.prepared",
                      "receive.commit"):
            with self.subTest(point=point):
                held = self.pair.target.hold(point)
                call = self.pair.migrate("web", self.new_id())
                self.pair.target.await_fault(held)
                self.resolve(self.pair.target, live.MIGRATION_DECISION_DROP)
                self.pair.target.remove_faults()
                self.assert_refused("MIGRATION_SETTLED", call.wait)
                self.await_place(SOURCE)
                self.check_machines()
        self.finish(SOURCE)

    def test_a_domain_that_goes_back_by_the_id_it_came_with(self):
        for decision in ("keep", "drop"):
            with self.case(decision=decision):
                self.pair.migrate("web", self.new_id()).wait()
                self.pair.source.add_fault("receive.commit",
                                           crash=harness.fault.FaultCrash())
                home = self.pair.target
                call = self.pair.migrate("web", self.id, start=home)
                self.assert_refused("MIGRATION_UNRESOLVED", call.wait,
                                    code="UNAVAILABLE")
                simvisor(home.address, "migrate-resolve", self.id,
                         f"--{decision}")
                found = home.domains().get("web")
                if decision == "drop":
                    self.assertIsNone(found)
                    self.pair.source.start_again()
                else:
                    self.assertEqual(found.state, domain.DOMAIN_STATE_RUNNING)
                    self.finish(TARGET)

    def test_decisions_that_are_none(self):
        for migration_id, decision, code, reason in (
                ("nobody", live.MIGRATION_DECISION_KEEP, "NOT_FOUND",
                 "MIGRATION_NOT_FOUND"),
                ("nobody", live.MIGRATION_DECISION_DROP_UNLESS_COMMITTED,
                 "NOT_FOUND", "MIGRATION_NOT_FOUND"),
                ("nobody", 0, "INVALID_ARGUMENT", "ARGUMENT_MISSING"),
                ("nobody", 99, "INVALID_ARGUMENT", "ARGUMENT_MALFORMED"),
                ("NO ID", live.MIGRATION_DECISION_KEEP, "INVALID_ARGUMENT",
                 "ARGUMENT_MALFORMED")):
            with self.subTest(migration_id=migration_id, decision=decision):
                self.assert_refused(reason, self.resolve, self.pair.source,
                                    decision, migration_id, code=code)
        address = self.pair.source.address
        for arguments in ((), ("--keep", "--drop")):
            done = simvisor(address, "migrate-resolve", "nobody", *arguments,
                            check=False)
            self.assertEqual(done.returncode, 2)
        done = simvisor(address, "migrate-resolve", "nobody", "--keep",
                        check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("(MIGRATION_NOT_FOUND)", done.stderr)


if __name__ == "__main__":
    unittest.main()
