"""Calls every method with everything a client could send, for SIMVISOR_SECONDS
(50 if not set), and checks in between that the daemons are sound; see fuzz.

SIMVISOR_SEED=n chooses what is sent.  SIMVISOR_PROBLEMS=n lets a run go on
until it has found n different problems.
"""

import os
import sys
import unittest

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
from fuzz.driver import Fuzz  # noqa: E402


class FuzzTest(unittest.TestCase):

    def test_calls_are_answered_as_documented_and_leave_sound_machines(self):
        seed = int(os.environ.get("SIMVISOR_SEED", 1))
        seconds = float(os.environ.get("SIMVISOR_SECONDS", 50))
        problems = int(os.environ.get("SIMVISOR_PROBLEMS", 1))
        print(f"SIMVISOR_SEED={seed} SIMVISOR_SECONDS={seconds:g}", flush=True)
        fuzz = Fuzz(seed, seconds, problems)
        try:
            fuzz.run()
        finally:
            fuzz.show()


if __name__ == "__main__":
    unittest.main()
