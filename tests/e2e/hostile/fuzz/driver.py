"""Rounds of random calls on several threads, with checks in between."""

import collections
import random
import sys
import threading
import time

from fuzz import calls, table
from fuzz.checks import Checks
from fuzz.dialogues import Dialogues
from fuzz.generator import Generator
from fuzz.machines import MIB, Machines
from fuzz.reflection import UNKNOWN
from fuzz.ring import Ring
from fuzz.words import Words
from soak import watchdog

THREADS = 6
ROUND_CALLS = 600  # of all threads together
EMPTY_EACH = 3  # rounds
ROUND_SECONDS = 60  # after which a thread that has not ended its calls hangs
SHOWN_CALLS = 60
MOST_PROBLEMS = 1  # after which a run ends, unless told to go on


class Fuzz:
    """Fuzzes for `seconds`; `seed` makes the choices.

    Each thread's choices follow from the seed, but not the order of the
    threads, and so not which values answers have named by then."""

    def __init__(self, seed, seconds, most_problems=MOST_PROBLEMS):
        self.seed = seed
        self._seconds = seconds
        self._most_problems = most_problems
        self._began = time.monotonic()
        self.ring = Ring()
        self.rounds = 0
        self.problems = collections.Counter()
        self._first = {}  # a problem's first call
        self._lock = threading.Lock()
        self._outcomes = collections.Counter()
        self._slowest = {}
        reasons = table.read_reasons()
        self._documented = table.read_methods(reasons)
        self._rules = Checks(reasons)
        self.machines = Machines(seed)
        for machine in self.machines.all:
            machine.save_images(random.Random(seed))
            machine.judge()

    # --- The run ---

    def run(self):
        """Raises AssertionError with the problems found."""
        end = self._began + self._seconds
        try:
            while time.monotonic() < end:
                self._round(end)
                self._judge(empty=self.rounds % EMPTY_EACH == EMPTY_EACH - 1)
                self.rounds += 1
                if len(self.problems) >= self._most_problems:
                    break
            self._judge(empty=True)
        except BaseException:
            self._explain()
            self.machines.close()
            raise
        if self.problems:
            self._explain()
        self.machines.end()
        assert not self.problems, self.shown_problems()

    def _round(self, end):
        failures = []

        def work(number):
            try:
                self._work(number, end)
            except Exception as error:  # the fuzzer's own error
                failures.append(error)

        for machine in self.machines.all:
            machine.populate(random.Random(f"{self.seed} {self.rounds}"))
        threads = [threading.Thread(target=work, args=(number,),
                                    daemon=True) for number in range(THREADS)]
        for one in threads:
            one.start()
        until = time.monotonic() + ROUND_SECONDS
        for one in threads:
            one.join(max(0.1, until - time.monotonic()))
        assert not any(one.is_alive() for one in threads), (
            f"a round has not ended in {ROUND_SECONDS} s")
        if failures:
            raise failures[0]

    def _work(self, number, end):
        rnd = random.Random(f"{self.seed} {self.rounds} {number}")
        callers = [self._caller(rnd, one) for one in self.machines.all]
        for _ in range(ROUND_CALLS // THREADS):
            if time.monotonic() > end + 1 or any(
                    not one.alive for one in self.machines.all):
                return
            rnd.choice(callers).one()

    def _caller(self, rnd, machine):
        words = Words(rnd, machine.values, self.machines.targets())
        generator = Generator(rnd, words, machine.values)
        dialogues = Dialogues(rnd, generator, machine.values)
        return calls.Caller(rnd, machine, generator, dialogues, self._rules,
                            self._note)

    def _judge(self, empty):
        for machine in self.machines.all:
            assert machine.alive, (
                f"{machine.name} has died:\n"
                f"{machine.daemon.read_log()[-4000:]}")
            machine.settle()
            if empty:
                machine.empty()
                machine.judge_empty()
            else:
                machine.judge()

    # --- Results ---

    def _note(self, machine, call, outcome):
        said = calls.line(machine, call, outcome)
        self.ring.add(said)
        path = call.method.path
        problems = list(outcome.problems)
        if outcome.reason and path in self._documented and (
                outcome.reason not in self._documented[path]):
            problems.append(f"its comment does not name {outcome.reason}")
        with self._lock:
            self._outcomes[path, outcome.code, outcome.reason] += 1
            if call.patient:
                self._slowest[path] = max(self._slowest.get(path, 0),
                                          outcome.seconds)
            for one in problems:
                # The text after the first colon belongs only to this call.
                kind = path, one.partition(":")[0]
                self.problems[kind] += 1
                self._first.setdefault(kind, (one, said))

    def shown_problems(self):
        """Each kind of problem, with the first call that showed it."""
        lines = []
        for (path, kind), count in self.problems.most_common():
            one, said = self._first[path, kind]
            lines.append(f"{count} x {path}: {one}\n    first: {said}")
        return "\n".join(lines)

    def _explain(self):
        print(f"SIMVISOR_SEED={self.seed}, round {self.rounds}; the last "
              f"calls:", file=sys.stderr)
        for one in self.ring.last(SHOWN_CALLS):
            print(one, file=sys.stderr)
        for machine in self.machines.all:
            print(f"{machine.name}: exit code {machine.daemon.process.poll()}",
                  file=sys.stderr)
            if machine.alive:
                print(watchdog.stacks(machine.daemon.process.pid),
                      file=sys.stderr)
        print(self.shown_problems(), file=sys.stderr, flush=True)

    def show(self):
        total = sum(self._outcomes.values())
        print(f"{total} calls in {self.rounds} rounds, "
              f"{time.monotonic() - self._began:.1f} s")
        by_reason, by_path = collections.Counter(), collections.Counter()
        for (path, code, reason), count in self._outcomes.items():
            by_reason[reason or code] += count
            if not path.endswith(UNKNOWN):
                by_path[path] += count
        print("ended with: " + ", ".join(
            f"{count} {one}" for one, count in by_reason.most_common()))
        print("OK, of calls, and the slowest answer of a patient one:")
        for path, count in sorted(by_path.items()):
            print(f"  {self._outcomes[path, 'OK', '']:7} of {count:7} "
                  f"{self._slowest.get(path, 0):6.2f} s {path}")
        for machine in self.machines.all:
            print(f"{machine.name}: at most {machine.highest_rss // MIB} MiB "
                  f"of {machine.rss_limit // MIB}")
