"""During a handover clients go away, targets fall silent and operators decide.
"""

import os
import signal
import time
import unittest

import harness
from harness import domain, live, poll, simvisor
from migrations.handover_case import (CANCELLED_AT, EITHER_AT, PairTest, SKIP, SOURCE,
                           TARGET, TOO_LATE_AT)


class CancelTest(PairTest):

    def receive_calls_ended(self):
        """As the target's log shows them."""
        file = self.pair.target.daemon.log.fileno()
        log = os.pread(file, os.fstat(file).st_size, 0)
        return log.count(b"ReceiveDomain: ")

    def cancel(self, point):
        """Cancels a migration that is held at the point, then lets it go on."""
        own = self.side(point)
        held = own.hold(point, domain="web", skip=SKIP.get(point, 0))
        ended = self.receive_calls_ended()
        call = self.pair.migrate("web", self.new_id())
        own.await_fault(held)
        if point == "migrate.commit":
            # COMMIT has been sent; a cancel that overtakes it is not too late.
            poll(lambda: self.look(self.pair.target)[1] == "COMMITTED",
                 "COMMIT arrives")
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
        """A migration whose target falls silent at the point where it is
        held."""
        held = self.pair.target.hold(point)
        self.create()
        call = self.pair.migrate("web", self.new_id())
        self.pair.target.await_fault(held)
        self.pair.target.daemon.process.send_signal(signal.SIGSTOP)
        return call

    def test_a_target_that_falls_silent_after_commit_and_comes_back(self):
        # Both at once, because it takes a while to give up on a silent daemon.
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
        # While the migration is under way, and after COMMIT has been sent.
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
                # Remove only the rule that holds it.
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
        self.assertIn("(NOT_FOUND MIGRATION_NOT_FOUND)", done.stderr)


if __name__ == "__main__":
    unittest.main()
