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


if __name__ == "__main__":
    unittest.main()
