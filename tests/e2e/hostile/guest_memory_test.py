"""Guests write as much as they are allowed, but cannot use up the daemon's own
memory; when the system refuses memory, calls end, but the daemon does not."""

import os
import tempfile
import unittest

import memory_case  # noqa: F401, sets the path
from memory_case import FIRST_PFN, LimitedDaemon, read, write

import harness
from harness import MIB, grpc, guest_load, memory, ref

LIMIT = 64 * MIB  # pages
GUEST = 100 * MIB


class BudgetTest(harness.DaemonTest):
    FLAGS = ("--max-guest-memory", "64m")

    def setUp(self):
        self.client.create("guest", GUEST)

    def tearDown(self):
        for info in self.client.domain.ListDomains(
                harness.domain.ListDomainsRequest(),
                timeout=harness.DEADLINE).domains:
            if info.domid != 0:
                self.client.destroy(info.domid)
        self.assertEqual(self.client.counts().contents_pages, 0)
        self.assert_clean()

    def fill(self):
        """Writes up to 100 pages below the limit."""
        used = self.client.counts().contents_pages
        write(self.client, "guest", LIMIT - 100 - used)

    def test_write_beyond_the_budget_writes_nothing(self):
        self.fill()
        self.assertEqual(self.client.counts().contents_limit_pages, LIMIT)
        first = FIRST_PFN + LIMIT
        with self.assert_refused("RESOURCE_EXHAUSTED",
                                 "GUEST_CONTENTS_EXHAUSTED"):
            write(self.client, "guest", 101, first=first)
        self.assertEqual(read(self.client, "guest", first), bytes(4096))
        # Pages that already have contents can be written, and zeros cost
        # nothing.
        write(self.client, "guest", 500, byte=b"y")
        write(self.client, "guest", 500, first=first, byte=b"\0")
        write(self.client, "guest", 100, first=first)
        # Zeros over whole pages give them back.
        write(self.client, "guest", 500, byte=b"\0")
        write(self.client, "guest", 500, first=first + 100)

    def test_load_is_held_up_and_goes_on_when_there_is_room(self):
        self.fill()
        self.client.create("busy", GUEST)
        self.client.guest_load.StartGuestLoad(
            guest_load.StartGuestLoadRequest(
                domain=ref("busy"), spec=guest_load.LoadSpec(
                    working_set_pages=1000, pages_per_second=1000000,
                    pattern=guest_load.LOAD_PATTERN_SEQUENTIAL)),
            timeout=harness.DEADLINE)
        self.wait(lambda: self.client.counts().contents_pages == LIMIT)
        self.assertEqual(self.writes("busy"), 100)
        self.client.destroy("guest")
        self.wait(lambda: self.writes("busy") > 1000)
        self.assertEqual(self.client.counts().contents_pages, 1000)

    def wait(self, condition):
        for _ in range(100000):
            if condition():
                return
        self.fail("it never came")

    def writes(self, name):
        return self.client.guest_load.GetGuestLoad(
            guest_load.GetGuestLoadRequest(domain=ref(name)),
            timeout=harness.DEADLINE).load.writes

    def test_image_beyond_the_budget_is_refused(self):
        write(self.client, "guest", LIMIT - 2000)
        with tempfile.TemporaryDirectory() as folder:
            image = os.path.join(folder, "image")
            harness.simvisor(self.daemon.address, "save", "guest", image)
            self.client.create("other", GUEST)
            write(self.client, "other", 3000)
            before = self.client.counts()
            result = harness.simvisor(self.daemon.address, "restore", image,
                                      check=False)
            self.assertEqual(result.returncode, 1)
            self.assertIn("GUEST_CONTENTS_EXHAUSTED", result.stderr)
            self.assertEqual(self.client.counts(), before)
            self.client.destroy("other")
            harness.simvisor(self.daemon.address, "restore", image)


class LittleMemoryTest(unittest.TestCase):
    """ulimit -v: the daemon goes on, whatever guests write."""

    def write_until_refused(self, *flags):
        daemon = LimitedDaemon(2048, *flags)
        self.addCleanup(daemon.close)
        client = harness.Client(daemon.address)
        self.addCleanup(client.close)
        client.create("guest", 2048 * MIB)
        with self.assertRaises(grpc.RpcError) as caught:
            write(client, "guest", 2000 * MIB)
        self.assertEqual(caught.exception.code(),
                         grpc.StatusCode.RESOURCE_EXHAUSTED,
                         caught.exception.details() + daemon.read_log())
        self.assertTrue(client.audit().clean)
        client.create("more", 16 * MIB)
        client.destroy("guest")
        client.destroy("more")
        client.create("guest", 2048 * MIB)
        write(client, "guest", 100 * MIB)
        self.assertTrue(client.audit().clean)
        self.assertEqual(daemon.stop(), 0)
        return harness.reason_of(caught.exception)

    def test_by_default_guests_may_write_a_share(self):
        self.assertEqual(self.write_until_refused(),
                         "GUEST_CONTENTS_EXHAUSTED")

    def test_without_a_limit_the_daemon_keeps_some_for_itself(self):
        self.assertEqual(self.write_until_refused("--max-guest-memory", "0"),
                         "DAEMON_MEMORY_EXHAUSTED")


if __name__ == "__main__":
    unittest.main()
