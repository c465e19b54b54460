"""Signals that arrive while the daemon drains, or that should make it drain."""

import os
import pathlib
import signal
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402
from harness import common, grpc, host, memory, poll  # noqa: E402


class SignalsTest(unittest.TestCase):

    def start(self, **kwargs):
        daemon = harness.Daemon(**kwargs)
        self.addCleanup(daemon.close)
        return daemon

    def start_call(self, daemon):
        """A stream that lasts until it is read, because it is larger than all
        buffers."""
        client = harness.Client(daemon.address)
        self.addCleanup(client.close)
        root = client.memory.GetMfnListList(memory.GetMfnListListRequest(
            domain=harness.ref(0)), timeout=harness.DEADLINE).root_mfn
        extent = common.MfnExtent(first_mfn=root, count=1)
        stream = client.host.ReadFrames(
            host.ReadFramesRequest(extents=[extent] * 16384),
            timeout=harness.DEADLINE)
        next(stream)
        return stream

    def await_log(self, daemon, text, times=1):
        deadline = time.monotonic() + harness.DEADLINE
        while daemon.read_log().count(text) < times:
            self.assertIsNone(daemon.process.poll(), daemon.read_log())
            self.assertLess(time.monotonic(), deadline, daemon.read_log())
            time.sleep(0.01)

    def test_a_second_signal_does_not_cut_the_drain_off(self):
        daemon = self.start()
        stream = self.start_call(daemon)
        daemon.process.send_signal(signal.SIGTERM)
        self.await_log(daemon, "draining")
        for i, kind in enumerate((signal.SIGTERM, signal.SIGHUP, signal.SIGINT)):
            daemon.process.send_signal(kind)
            self.await_log(daemon, "draining already", i + 1)
        for _ in stream:
            pass  # to its end: nothing cuts it off
        self.assertEqual(daemon.process.wait(harness.DEADLINE), 0)
        self.assertIn("drained", daemon.read_log())

    def test_a_drain_ends_calls_that_do_not_end(self):
        daemon = self.start()
        stream = self.start_call(daemon)
        start = time.monotonic()
        self.assertEqual(daemon.stop(), 0)
        self.assertLess(time.monotonic() - start, 10)
        with self.assertRaises(grpc.RpcError):
            for _ in stream:
                pass

    def test_a_drain_takes_no_new_connections(self):
        daemon = self.start()
        stream = self.start_call(daemon)
        daemon.process.send_signal(signal.SIGTERM)
        poll(lambda: not os.path.exists(daemon.socket), "its socket goes")
        self.assertIsNone(daemon.process.poll())  # the call goes on
        with self.assertRaises(OSError):
            with socket.socket(socket.AF_UNIX) as late:
                late.connect(daemon.socket)
        for _ in stream:
            pass
        self.assertEqual(daemon.process.wait(harness.DEADLINE), 0)

    def test_hangup_drains(self):
        daemon = self.start()
        stream = self.start_call(daemon)
        daemon.process.send_signal(signal.SIGHUP)
        self.await_log(daemon, "draining")
        for _ in stream:
            pass
        self.assertEqual(daemon.process.wait(harness.DEADLINE), 0)
        self.assertFalse(os.path.exists(daemon.socket))

    def test_hangup_under_nohup_is_ignored(self):
        daemon = self.start(
            preexec=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        daemon.process.send_signal(signal.SIGHUP)
        client = harness.Client(daemon.address)
        self.assertTrue(client.audit().clean)
        client.close()
        self.assertEqual(daemon.stop(), 0)
        self.assertNotIn("Hangup", daemon.read_log())

    def test_a_second_interrupt_after_a_while_ends_at_once(self):
        daemon = self.start()
        stream = self.start_call(daemon)
        daemon.process.send_signal(signal.SIGINT)
        self.await_log(daemon, "draining")
        start = time.monotonic()
        while daemon.process.poll() is None:
            daemon.process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        self.assertEqual(daemon.process.returncode, -signal.SIGINT)
        self.assertLess(time.monotonic() - start, 4)  # within the grace period
        stream.cancel()


if __name__ == "__main__":
    unittest.main()
