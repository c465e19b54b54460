"""A contiguous domain of 1 TiB costs as much as a small one: creating it,
ballooning whole leaves and destroying it do not store p2m words."""

import time
import unittest

import harness
from harness import GIB, memory, ref

TIB = 1024 * GIB
LIMIT = 8 * 2**20  # bytes of daemon memory


class ScaleTest(harness.DaemonTest):

    FLAGS = ("--host-memory", "4T")

    def timed(self, what, call):
        start = time.monotonic()
        result = call()
        # Printed for people; the test does not depend on the speed.
        print(f"{what}: {(time.monotonic() - start) * 1e3:.2f} ms, resident "
              f"{self.daemon.rss_bytes() / 2**20:.1f} MiB")
        return result

    def test_a_contiguous_tebibyte(self):
        self.client.create("warm", GIB)
        self.client.destroy("warm")
        before = self.daemon.rss_bytes()
        self.timed("create 1 TiB", lambda: self.client.create("big", TIB))
        for _ in range(8):
            self.timed("balloon down 64 GiB",
                       lambda: self.client.memory.BalloonDown(
                           memory.BalloonDownRequest(domain=ref("big"),
                                                     pages=64 * GIB)))
        for _ in range(8):
            self.timed("balloon up 64 GiB",
                       lambda: self.client.memory.BalloonUp(
                           memory.BalloonUpRequest(domain=ref("big"),
                                                   pages=64 * GIB)))
        self.assertLess(self.daemon.rss_bytes() - before, LIMIT)
        self.assert_clean()
        freed = self.timed("destroy 1 TiB", lambda: self.client.destroy("big"))
        self.assertEqual(freed.freed_pages, TIB)
        self.assertLess(self.daemon.rss_bytes() - before, LIMIT)
        self.assert_clean()


if __name__ == "__main__":
    unittest.main()
