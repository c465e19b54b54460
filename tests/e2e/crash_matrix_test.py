"""Daemons die, and calls fail, at every point of a migration: one copy of the
domain is left where the state table says, or no copy if it died with its
machine.
"""

import signal
import unittest

import harness
from harness import live, simvisor
from migrations.handover_case import (CANCELLED_AT, CRASH, DECISIONS, EITHER_AT, ERROR,
                           EXPECTED, HOW, LOST, OTHER_DIES, PairTest, SKIP,
                           TARGET, TOO_LATE_AT, UNKNOWN, points)


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
        """Starts a migration that runs into the fault."""
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
        """The call tells its client what has happened."""
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
        """Where the domain is after the operator's decision."""
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
                # COMMIT came after the check, but before the decision.
                self.assertIn("MIGRATION_SETTLED", done.stderr)
                return self.await_place(TARGET)
        return self.await_place(DECISIONS[place][decision])


if __name__ == "__main__":
    unittest.main()
