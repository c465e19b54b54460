"""The balancer of examples/policies frees memory for a new guest: five guests on
a small host, one of which does not cooperate."""

import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402
from harness import domain, grpc, memory, ref  # noqa: E402

SCRIPT = harness.ROOT / "examples" / "policies" / "balancer.py"
sys.path.append(str(SCRIPT.parent))

import balancer  # noqa: E402

FREE = 100_097
# a, b, c and d are at their maximum, e at its minimum.
RANGES = {name: (30_000, 90_000) for name in "abcd"} | {"e": (60_000, 200_000)}
SIZES = {name: 90_000 for name in "abcd"} | {"e": 60_000}
# What the guests may have together if FREE pages are to be free: 2 GiB without
# the hypervisor's pages and without dom0.
USABLE = 524_288 - 159 - 65_536 - FREE
# The same fraction of each range: 0.3703 of it without c, 0.4697 with it.
WITHOUT_C = {"a": 52_218, "b": 52_218, "d": 52_218, "e": 111_842}
WITH_C = {"a": 58_183, "b": 58_183, "c": 58_183, "d": 58_183, "e": 125_761}


class Recorder(grpc.UnaryUnaryClientInterceptor):
    """Keeps the (name, pages) of all SetMemoryTarget, in order."""

    def __init__(self):
        self.targets = []

    def intercept_unary_unary(self, continuation, details, request):
        if isinstance(request, memory.SetMemoryTargetRequest):
            self.targets.append((request.domain.name, request.target_pages))
        return continuation(details, request)


class Slow(grpc.UnaryUnaryClientInterceptor):
    """Lets the guest a move only so many pages for each SetMemoryTarget."""

    def __init__(self, client, pages):
        self._client = client
        self._pages = pages

    def intercept_unary_unary(self, continuation, details, request):
        if (isinstance(request, memory.SetMemoryTargetRequest)
                and request.domain.name == "a"):
            size = self._client.get("a").memory.current_pages
            request.target_pages = max(request.target_pages, size - self._pages)
        return continuation(details, request)


class WithoutStubsTest(unittest.TestCase):

    def test_a_hint_says_how_the_modules_are_made(self):
        ran = subprocess.run([sys.executable, str(SCRIPT), "--help"],
                             capture_output=True, text=True, env={},
                             timeout=harness.DEADLINE, check=False)
        self.assertEqual((ran.returncode, ran.stdout), (1, ""))
        self.assertEqual(ran.stderr.count("\n"), 1, ran.stderr)
        self.assertIn("scripts/python_stubs.sh", ran.stderr)


class BalancerTest(harness.DaemonTest):

    FLAGS = ("--host-memory", "2g", "--dom0-memory", "256m")

    def setUp(self):
        for name, pages in SIZES.items():
            self.client.create(name, pages, max_memory_pages=RANGES[name][1])

    def tearDown(self):
        for found in self.client.domain.ListDomains(
                domain.ListDomainsRequest()).domains:
            if found.domid != 0:
                self.client.destroy(found.domid)
        self.assert_clean()

    def pause(self, name):
        self.client.domain.PauseDomain(domain.PauseDomainRequest(domain=ref(name)))

    def unpause(self, name):
        self.client.domain.UnpauseDomain(
            domain.UnpauseDomainRequest(domain=ref(name)))

    def run_balancer(self, free=FREE, patience=1, **ranges):
        """Runs it as a program, for all guests and `ranges`."""
        guests = [f"{name}={low}:{high}"
                  for name, (low, high) in (RANGES | ranges).items()]
        return subprocess.run(
            [sys.executable, SCRIPT, self.daemon.address, str(free),
             str(patience), *guests],
            capture_output=True, text=True, timeout=harness.DEADLINE,
            check=False, env={"PYTHONPATH": str(harness.STUBS)})

    def sizes(self):
        return {name: self.client.get(name).memory.current_pages
                for name in RANGES}

    def test_the_others_make_up_for_a_guest_that_does_not_cooperate(self):
        self.pause("c")
        done = self.run_balancer()
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (0, "c\n", ""))
        self.assertEqual(self.sizes(), WITHOUT_C | {"c": 90_000})
        self.assertEqual(self.client.counts().free_pages, FREE)
        self.client.create("new", FREE)

    def test_a_guest_that_cooperates_again_gets_its_share(self):
        self.pause("c")
        self.run_balancer(patience=0.2)
        self.unpause("c")
        done = self.run_balancer()
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (0, "\n", ""))
        self.assertEqual(self.sizes(), WITH_C)
        self.client.create("new", FREE)

    def test_no_guest_is_raised_before_all_others_are_down(self):
        self.pause("c")
        recorder = Recorder()
        left_out = balancer.balance(
            grpc.intercept_channel(self.client.channel, recorder), FREE, RANGES,
            patience=0.2)
        self.assertEqual(left_out, {"c"})
        raised = recorder.targets.index(("e", WITHOUT_C["e"]))
        self.assertEqual({pages for name, pages in recorder.targets[:raised]
                          if name == "e"}, {SIZES["e"]})
        for name in "abd":
            self.assertIn((name, WITHOUT_C[name]), recorder.targets[:raised])

    def test_a_guest_that_takes_long_but_makes_progress_is_waited_for(self):
        # It takes 16 rounds of 50 ms.
        left_out = balancer.balance(
            grpc.intercept_channel(self.client.channel, Slow(self.client, 2000)),
            FREE, RANGES, patience=0.2)
        self.assertEqual(left_out, set())
        self.assertEqual(self.sizes(), WITH_C)

    def test_a_request_that_no_lowering_can_meet_changes_nothing(self):
        before = self.sizes()
        done = self.run_balancer(free=USABLE + FREE - 180_000 + 7)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("7 pages are missing", done.stderr)
        self.assertEqual(self.sizes(), before)

    def test_a_name_that_no_guest_has_is_printed_and_changes_nothing(self):
        before = self.sizes()
        done = self.run_balancer(gone=(1000, 2000), lost=(1000, 2000))
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (1, "", "balancer: no guest is named gone, lost\n"))
        self.assertEqual(self.sizes(), before)

    def test_a_name_may_have_colons_and_equals_signs(self):
        self.client.create("tier:1=web", 1000)
        done = self.run_balancer(**{"tier:1=web": (1000, 1000)})
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (0, "\n", ""))

    def test_guests_on_later_pages_are_found(self):
        # A page of ListDomains has at most two of them.
        class Paged(grpc.UnaryUnaryClientInterceptor):
            def intercept_unary_unary(self, continuation, details, request):
                if isinstance(request, domain.ListDomainsRequest):
                    request.page_size = 2
                return continuation(details, request)

        channel = grpc.intercept_channel(self.client.channel, Paged())
        self.assertEqual(balancer.balance(channel, FREE, RANGES, patience=1),
                         set())
        self.assertEqual(self.sizes(), WITH_C)

    def test_an_error_that_is_the_callers_fault_ends_it(self):
        done = self.run_balancer(free=0, a=(90_001, 90_001))
        self.assertEqual(done.returncode, 1)
        self.assertIn("INVALID_ARGUMENT", done.stderr)

    def test_without_guests_it_says_how_to_call_it(self):
        done = subprocess.run(
            [sys.executable, SCRIPT, self.daemon.address, "1", "5"],
            capture_output=True, text=True, timeout=harness.DEADLINE,
            check=False, env={"PYTHONPATH": str(harness.STUBS)})
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("NAME=MIN:MAX", done.stderr)

    def test_the_program_is_short_and_reads_no_message(self):
        text = SCRIPT.read_text()
        self.assertLess(len(text.splitlines()), 60)
        self.assertNotIn(".details()", text)


if __name__ == "__main__":
    unittest.main()
