"""Twenty-four restores send much of a long record and fall silent: they share
one budget, those that would exceed it are refused, and other clients are
served.
"""

import os
import struct
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness  # noqa: E402
from harness import domain, grpc, migration  # noqa: E402

MIB = 1 << 20
CALLS = 24
SENT = 12 * MIB  # of the record, from each
BUDGET = 256 * MIB  # the default
# Pieces inside the transport, and the stacks of its threads.
SLACK = 160 * MIB

LEAVES = 1 << 23


def silent_image():
    """An image up to somewhere in X86_PV_P2M_FRAMES, whose pages do not touch."""
    head = struct.pack(">QIIHHI", (1 << 64) - 1, 0x58454E46, 3, 0, 0, 0)
    head += struct.pack("<IHHII", 1, 12, 0, 4, 17)
    head += struct.pack("<II", 2, 8) + bytes([8, 4]) + bytes(6)
    head += struct.pack("<II", 0x10, 0)
    head += struct.pack("<II", 3, 8 + 8 * LEAVES)
    head += struct.pack("<II", 0, (1 << 32) - 1)
    words = SENT // 8
    return head + struct.pack(f"<{words}Q", *range(0, 2 * words, 2))


class SilentRestore:
    """A restore with its own name that never ends on its own."""

    def __init__(self, client, name, image):
        self._image = image
        self._name = name
        self._over = threading.Event()
        self.sent = threading.Event()
        self.reason = None
        self.ended = threading.Event()
        self.call = client.migration.RestoreDomain.future(
            self._messages(), timeout=harness.DEADLINE)
        self.call.add_done_callback(self._done)

    def _messages(self):
        yield migration.RestoreDomainRequest(options=migration.RestoreOptions(
            spec=domain.DomainSpec(name=self._name)))
        for at in range(0, len(self._image), MIB):
            yield migration.RestoreDomainRequest(
                data=self._image[at:at + MIB])
        self.sent.set()
        self._over.wait()

    def _done(self, call):
        error = call.exception() if not call.cancelled() else None
        self.reason = harness.reason_of(error) if error else None
        self.ended.set()

    @property
    def settled(self):
        return self.sent.is_set() or self.ended.is_set()

    def end(self):
        self.call.cancel()
        self._over.set()


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class ImageMemoryTest(harness.DaemonTest):

    def test_silent_restores_share_a_budget(self):
        before = self.daemon.rss_bytes()
        image = silent_image()
        silent = []
        try:
            # One after the other: the first use up what the last ones need.
            for i in range(CALLS):
                one = SilentRestore(self.client, f"silent-{i}", image)
                silent.append(one)
                self.assertTrue(wait_for(lambda: one.settled))
            # The last bytes sent may not have arrived yet.
            self.assertTrue(
                wait_for(lambda: any(s.ended.is_set() for s in silent)),
                f"none was refused; {self.daemon.rss_bytes() >> 20} MiB are "
                f"held, {before >> 20} before")
            held = self.daemon.rss_bytes() - before
            self.assertLess(held, BUDGET + SLACK, f"{held >> 20} MiB are held")
            refused = [s.reason for s in silent if s.ended.is_set()]
            self.assertEqual(set(refused), {"IMAGE_MEMORY_EXHAUSTED"})
            self.assertLess(len(refused), CALLS, "none got any memory")
            # Others are served.
            self.client.create("served", 1000)
            self.client.destroy("served")
            self.assert_clean()
        finally:
            for one in silent:
                one.end()
        self.assertTrue(wait_for(lambda: all(s.ended.is_set() for s in silent)))
        self.check_that_images_are_read_again()

    def check_that_images_are_read_again(self):
        self.client.create("saved", 4000)
        path = os.path.join(os.path.dirname(self.daemon.socket), "saved.xl")
        harness.simvisor(self.daemon.address, "save", "saved", path)
        self.assertTrue(wait_for(lambda: self.restores(path)))
        self.client.destroy("saved")
        self.assert_clean()

    def restores(self, path):
        """Whether an image can be read; cancelled calls end soon."""
        return harness.simvisor(self.daemon.address, "restore", path,
                                check=False).returncode == 0


if __name__ == "__main__":
    unittest.main()
