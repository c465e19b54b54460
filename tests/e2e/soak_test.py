"""Many clients do everything at once with two daemons, for
SIMVISOR_SOAK_SECONDS (15 if not set); see tests/e2e/soak.

SIMVISOR_SEED=n chooses what the clients do.  When they do it depends on the
machine, so a seed repeats the choices but not the exact run.
"""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(__file__))
from harness import DEADLINE, simvisor  # noqa: E402
from soak.machines import Machine  # noqa: E402
from soak.run import Soak  # noqa: E402

JUDGED = 300  # seconds; a shorter run is only warm-up


class SoakTest(unittest.TestCase):

    def test_all_at_once_leaves_the_machines_as_they_were(self):
        seed = int(os.environ.get("SIMVISOR_SEED", 1))
        seconds = float(os.environ.get("SIMVISOR_SOAK_SECONDS", 15))
        print(f"SIMVISOR_SEED={seed} SIMVISOR_SOAK_SECONDS={seconds:g}",
              flush=True)
        began = time.monotonic()
        soak = Soak(seed, seconds)
        try:
            soak.run()
        finally:
            soak.show()
        print(f"{time.monotonic() - began:.1f} s in all")
        for samples in soak.samples if seconds >= JUDGED else ():
            grown, allowed = samples.growth()
            self.assertLessEqual(grown, allowed, samples.show())


class MachineTest(unittest.TestCase):

    def test_an_error_in_the_log_of_a_daemon_that_ends_well_is_reported(self):
        died = Machine("died", "--enable-fault-injection")
        simvisor(died.address, "fault", "add", "frame.allocate", "--crash")
        simvisor(died.address, "create", "/dev/null", 'name="web"', "memory=16",
                 check=False)
        died.daemon.process.wait(DEADLINE)
        [line] = died.daemon.logged_errors()
        died.close()
        self.assertRegex(line, "critical fault point frame.allocate: .* kills")

        for line in (line, line.replace(" critical ", " error ")):
            machine = Machine("lives")
            print(line, file=machine.daemon.log, flush=True)
            with self.assertRaisesRegex(
                    AssertionError, "lives ended with 0 and logged .*kills"):
                machine.end()

    def test_warnings_and_words_of_messages_are_not_errors(self):
        machine = Machine("lives")
        for line in ("2030-01-01T00:00:00.000 warning an error of the client",
                     "2030-01-01T00:00:00.000 info critical (1): created"):
            print(line, file=machine.daemon.log, flush=True)
        machine.end()


if __name__ == "__main__":
    unittest.main()
