"""Images with handmade notes: a list that ends at pfn 0, which a save walked
without end, and processes whose next id is 0, so that ids repeat.  Each is
refused before anything changes, and a save ends however its call ends.
"""

import os
import pathlib
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness  # noqa: E402
from harness import domain, grpc, host, migration, ref  # noqa: E402

IMAGES = harness.ROOT / "tests" / "testdata" / "images"
# What is wrong with each, in the daemon's words.
BAD = {
    "notes-last-pfn-0.xl": ("p2m.last_pfn, at byte 29: 0", "it must be 1 to"),
    "notes-next-id-0.xl": ("address_spaces.next_id, at byte", "it must be 1 to"),
}
QUICK = 5  # seconds that a short call may take next to eight hostile ones


def restore(client, path, name, **options):
    """Restores a file under its own name."""
    data = pathlib.Path(path).read_bytes()

    def messages():
        first = migration.RestoreDomainRequest(
            options=migration.RestoreOptions(
                spec=domain.DomainSpec(name=name), start_paused=False))
        yield first
        for at in range(0, len(data), 1 << 16):
            yield migration.RestoreDomainRequest(data=data[at:at + (1 << 16)])

    return client.migration.RestoreDomain(messages(), **options)


def save_without_end(client, name, **options):
    """Begins a save that reads everything, and sends nothing else."""
    started = threading.Event()

    def messages():
        yield migration.SaveDomainRequest(
            start=migration.SaveDomainRequest.Start(
                domain=ref(name), layer=migration.IMAGE_LAYER_LIBXC))
        started.wait()

    call = client.migration.SaveDomain(messages(), **options)
    return call, started


class ImageNotesTest(harness.DaemonTest):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # A daemon that does not exit must not outlive the test.
        cls.addClassCleanup(cls.daemon.close)

    def test_each_is_refused_with_field_offset_value_and_limit(self):
        for name, said in BAD.items():
            with self.subTest(name):
                before = self.client.counts()
                done = subprocess.run(
                    [harness.SIMVISOR, "-H", self.daemon.address, "restore",
                     str(IMAGES / name)],
                    capture_output=True, text=True, timeout=harness.DEADLINE,
                    check=False)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn("IMAGE_MALFORMED", done.stderr)
                for words in said:
                    self.assertIn(words, done.stderr)
                self.assertEqual(self.client.counts(), before)
                self.assert_clean()

    def test_eight_at_once_hold_up_no_client(self):
        calls = []
        for name in BAD:
            taken = []
            lock = threading.Lock()

            def one(i, path=IMAGES / name, taken=taken, lock=lock):
                try:
                    restore(self.client, path, f"bad-{i}",
                            timeout=harness.DEADLINE)
                    with lock:
                        taken.append(f"bad-{i}")
                except grpc.RpcError:
                    pass

            threads = [threading.Thread(target=one, args=(i,))
                       for i in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            # Every domain that was restored must be a guest like others.
            calls += [save_without_end(self.client, name, timeout=1)
                      for name in taken]
        for _ in range(3):
            begun = time.monotonic()
            self.client.host.GetHost(host.GetHostRequest(), timeout=QUICK)
            self.assertLess(time.monotonic() - begun, QUICK)
        for call, started in calls:
            call.cancel()
            started.set()
        self.assert_clean()
        self.assertEqual(
            len(self.client.domain.ListDomains(
                domain.ListDomainsRequest()).domains), 1)


class SaveEndsTest(unittest.TestCase):
    """The save of a sound guest ends with its call."""

    def setUp(self):
        self.daemon = harness.Daemon()
        self.addCleanup(self.daemon.close)
        self.client = harness.Client(self.daemon.address)
        self.addCleanup(self.client.close)
        self.client.create("sound", 4 * harness.GIB)

    def wait_until_it_runs(self):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            one = self.client.get("sound")
            if one.state == domain.DOMAIN_STATE_RUNNING and not one.suspended:
                return
            time.sleep(0.01)
        self.fail("the guest has not resumed")

    def test_at_its_deadline(self):
        call, started = save_without_end(self.client, "sound", timeout=0.3)
        with self.assertRaises(grpc.RpcError) as caught:
            for _ in call:
                pass
        started.set()
        self.assertEqual(caught.exception.code().name, "DEADLINE_EXCEEDED")
        self.wait_until_it_runs()

    def test_when_it_is_cancelled(self):
        call, started = save_without_end(self.client, "sound",
                                         timeout=harness.DEADLINE)
        next(call)
        call.cancel()
        started.set()
        self.wait_until_it_runs()

    def test_when_the_daemon_is_to_end(self):
        images = [IMAGES / name for name in BAD]
        for i, path in enumerate(images):
            try:
                restore(self.client, path, f"bad-{i}", timeout=harness.DEADLINE)
            except grpc.RpcError:
                continue
            save_without_end(self.client, f"bad-{i}", timeout=1)
        call, started = save_without_end(self.client, "sound",
                                         timeout=harness.DEADLINE)
        next(call)
        self.daemon.process.terminate()
        begun = time.monotonic()
        try:
            self.assertEqual(self.daemon.process.wait(15), 0)
        except subprocess.TimeoutExpired:
            self.fail("the daemon does not end")
        finally:
            started.set()
        self.assertLess(time.monotonic() - begun, 15)


if __name__ == "__main__":
    unittest.main()
