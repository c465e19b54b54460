"""After a guest that has written much is destroyed, the daemon is as it was."""

import time
import unittest

import memory_case  # noqa: F401, sets the path
from memory_case import FIRST_PFN, write

import harness
from harness import MIB

WRITTEN = 1024 * MIB  # pages


class MemoryBackTest(harness.DaemonTest):

    def assert_back(self, before):
        """Memory comes back at once, or after a background job has run."""
        deadline = time.monotonic() + harness.DEADLINE
        while (now := self.daemon.rss_bytes()) > 1.2 * before:
            self.assertLess(
                time.monotonic(), deadline,
                f"{before >> 20} MiB before, {now >> 20} MiB after")
            time.sleep(0.01)

    def warm_up(self):
        """The memory that the first messages of this size leave behind is not a
        guest's."""
        self.client.create("warm", 64 * MIB)
        write(self.client, "warm", 40 * MIB)
        self.client.destroy("warm")

    def test_one_guest(self):
        self.warm_up()
        before = self.daemon.rss_bytes()
        self.client.create("guest", WRITTEN + 64 * MIB)
        write(self.client, "guest", WRITTEN)
        self.assertGreater(self.daemon.rss_bytes(), WRITTEN * 4096)
        self.client.destroy("guest")
        self.assert_back(before)

    def test_one_of_two_that_wrote_in_turns(self):
        self.warm_up()
        for name in ("goes", "stays"):
            self.client.create(name, 256 * MIB)
        before = self.daemon.rss_bytes()
        for page in range(0, 200 * MIB, 200):
            for name in ("goes", "stays"):
                write(self.client, name, 200, first=FIRST_PFN + page)
        self.client.destroy("goes")
        self.assert_back(before + 200 * MIB * 4096)
        self.client.destroy("stays")
        self.assert_back(before)


if __name__ == "__main__":
    unittest.main()
