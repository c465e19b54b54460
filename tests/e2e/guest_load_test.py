"""Loads of guests: an independent checker reads every page and computes what it
must hold, also after a save and a restore, and after a page was overwritten."""

import os
import pathlib
import sys
import tempfile
import unittest

import harness
from harness import domain, guest_load, memory, ref

sys.path.insert(0, os.path.dirname(__file__))
import load_checker  # noqa: E402

PATTERNS = {
    "sequential": guest_load.LOAD_PATTERN_SEQUENTIAL,
    "random": guest_load.LOAD_PATTERN_RANDOM,
    "hotspot": guest_load.LOAD_PATTERN_HOTSPOT,
}


class GuestLoadTest(harness.DaemonTest):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.client.create("guest", 3000)

    def tearDown(self):
        self.client.destroy("guest")
        self.assert_clean()

    def simvisor(self, *arguments, **options):
        return harness.simvisor(self.daemon.address, *arguments, **options)

    def start(self, pattern, pages, seed):
        self.simvisor("guest", "load", "guest", "--pattern", pattern,
                      "--working-set", str(pages), "--seed", str(seed),
                      "--pages-per-second", "20000")

    def test_a_load_without_numbers_fits_a_small_guest(self):
        started = self.simvisor("guest", "load", "guest").stdout
        self.assertRegex(
            started, r"^1000 pages per second, random, on \d+ pages?, seed 1: "
                     r"0 writes done\n$")
        spec = self.load().load.spec
        self.assertEqual(spec.pages_per_second, 1000)
        self.assertGreater(spec.working_set_pages, 3000 // 8)
        self.assertLessEqual(spec.working_set_pages, 3000 // 4)
        self.wait_for_writes(1)

    def load(self):
        return self.client.guest_load.GetGuestLoad(
            guest_load.GetGuestLoadRequest(domain=ref("guest")),
            timeout=harness.DEADLINE)

    def wait_for_writes(self, wanted):
        """Polls until there are that many writes; the daemon's clock drives the
        load."""
        for _ in range(1000000):
            if self.load().load.writes >= wanted:
                return
        self.fail(f"the load does not get to {wanted} writes")

    def read(self, pfns):
        data = self.client.memory.ReadGuestMemory(
            memory.ReadGuestMemoryRequest(
                domain=ref("guest"), pfn=pfns.first_pfn,
                length_bytes=4096 * pfns.count),
            timeout=harness.DEADLINE).data
        return [data[i:i + 4096] for i in range(0, len(data), 4096)]

    def assert_content(self):
        """Pauses the guest and returns the load."""
        found = self.load()
        self.assertFalse(found.load.running)
        spec = found.load.spec
        pattern = next(name for name, value in PATTERNS.items()
                       if value == spec.pattern)
        pages = [page for pfns in found.pages for page in self.read(pfns)]
        expected = load_checker.expected_pages(
            pattern, spec.seed, spec.working_set_pages, found.load.writes)
        self.assertEqual(len(pages), spec.working_set_pages)
        for index, (page, wanted) in enumerate(zip(pages, expected)):
            self.assertEqual(page, wanted, f"page {index} of {found.load}")
        self.simvisor("guest", "load", "guest", "--check")
        return found

    def test_every_page_holds_what_the_formula_says(self):
        for seed, pattern in enumerate(PATTERNS):
            self.start(pattern, 150, seed)
            self.wait_for_writes(400)
            self.simvisor("pause", "guest")
            self.assert_content()
            self.simvisor("unpause", "guest")
            self.simvisor("guest", "load", "guest", "--stop")

    def test_a_load_is_saved_restored_and_goes_on(self):
        image = str(self.folder / "image")
        self.start("random", 200, 2**64 - 1)
        self.wait_for_writes(300)
        self.simvisor("save", "guest", image)
        self.simvisor("restore", "-p", image)
        saved = self.assert_content().load.writes
        self.assertGreaterEqual(saved, 300)
        self.assert_clean()
        self.simvisor("unpause", "guest")
        self.wait_for_writes(saved + 300)
        self.simvisor("save", "-c", "guest", image)
        after = self.load().load.writes
        self.wait_for_writes(after + 300)
        self.simvisor("destroy", "guest")
        self.simvisor("restore", image)
        self.wait_for_writes(after + 300)
        self.simvisor("pause", "guest")
        self.assert_content()

    def test_a_page_that_was_spoilt_is_found(self):
        self.start("sequential", 50, 3)
        self.wait_for_writes(50)
        self.simvisor("pause", "guest")
        pfn = self.assert_content().pages[-1].first_pfn
        self.simvisor("guest", "write", "guest", str(pfn), "spoilt",
                      "--offset", "100")
        done = self.simvisor("guest", "load", "guest", "--check", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"the first at pfn {pfn:#x}", done.stderr)
        self.simvisor("unpause", "guest")
        # Two rounds later every page has been written again.
        self.wait_for_writes(self.load().load.writes + 100)
        self.simvisor("guest", "load", "guest", "--check")

    def test_what_cannot_be_is_refused(self):
        with self.assert_refused("FAILED_PRECONDITION", "GUEST_LOAD_NOT_FOUND"):
            self.load()
        spec = guest_load.LoadSpec(pages_per_second=1, working_set_pages=10**6)
        with self.assert_refused("RESOURCE_EXHAUSTED",
                                 "GUEST_MEMORY_EXHAUSTED"):
            self.client.guest_load.StartGuestLoad(
                guest_load.StartGuestLoadRequest(domain=ref("guest"),
                                                 spec=spec))
        spec.working_set_pages = 10
        self.client.domain.PauseDomain(
            domain.PauseDomainRequest(domain=ref("guest")))
        with self.assert_refused("FAILED_PRECONDITION", "DOMAIN_NOT_RUNNING"):
            self.client.guest_load.StartGuestLoad(
                guest_load.StartGuestLoadRequest(domain=ref("guest"),
                                                 spec=spec))


if __name__ == "__main__":
    unittest.main()
