"""Clients make the daemon hold messages: requests that are never completed,
answers that are never read, calls that are cancelled after they have sent much.
The daemon's memory stays within what docs/limits.md says, and other clients are
served."""

import pathlib
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402
from harness import (common, domain, fault, grpc, host, memory,  # noqa: E402
                     migration, ref)

import http2  # noqa: E402

MIB = 1 << 20
BUDGET = 32 * MIB
# The budget, again for what gRPC holds, and what the heap retains.
MOST = 2 * BUDGET + 64 * MIB

WHOLE = 4 * MIB  # the longest message
LARGE = 3 * MIB  # may fill half of the budget
MEDIUM = 60 << 10  # three quarters; more than a response of ListP2mRuns
AUDIT = "/simvisor.v1.HostService/AuditHost"
RUNS = "/simvisor.v1.MemoryService/ListP2mRuns"
RESTORE = "/simvisor.v1.MigrationService/RestoreDomain"


def flags():
    known = subprocess.run([harness.SIMVISORD, "--help"], capture_output=True,
                           text=True, check=True).stdout
    return (("--max-message-memory", f"{BUDGET // MIB}m")
            if "--max-message-memory" in known else ())


def unknown_field(size):
    """A message of about `size` bytes: a field that the API does not have, but
    the message keeps."""
    length = bytes([size & 0x7f | 0x80, size >> 7 & 0x7f | 0x80,
                    size >> 14 & 0x7f | 0x80, size >> 21])
    return b"\xfa\x01" + length + bytes(size)


class PeakOf:
    """The peak of a daemon's memory during a block, above its memory at the
    beginning."""

    def __init__(self, daemon):
        self._daemon = daemon
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self):
        while not self._stop.wait(0.01):
            self.bytes = max(self.bytes,
                             self._daemon.rss_bytes() - self._before)

    def __enter__(self):
        self.bytes = 0
        self._before = self._daemon.rss_bytes()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


class MessagesMemoryTest(unittest.TestCase):

    def start(self, *more):
        self.daemon = harness.Daemon("--host-memory", "4g", "--placement",
                                     "scatter", *flags(), *more)
        self.addCleanup(self.daemon.close)
        self.client = harness.Client(self.daemon.address)
        self.addCleanup(self.client.close)
        self.client.counts()
        self.connections = []
        self.addCleanup(lambda: [c.close() for c in self.connections])

    def connect(self, **how):
        self.connections.append(http2.Connection(self.daemon.socket, **how))
        return self.connections[-1]

    def assert_served(self):
        begin = time.monotonic()
        self.client.counts()
        self.client.get("Domain-0")
        self.assertLess(time.monotonic() - begin, 5)

    def test_messages_that_never_get_whole(self):
        self.start()
        body = http2.message(bytes(WHOLE - 1), length=WHOLE)

        def hold(connection):
            for _ in range(30):
                connection.send(connection.open(AUDIT), body)

        with PeakOf(self.daemon) as peak:
            threads = [threading.Thread(
                target=hold, args=(self.connect(timeout=3),))
                for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    self.assert_served()
                    thread.join(0.2)
            self.assert_served()
        self.assertLess(peak.bytes, MOST)
        self.assertEqual(self.client.audit().clean, True)

    def test_message_that_claims_to_be_of_gigabytes(self):
        self.start()
        connection = self.connect(timeout=3)
        stream = connection.open(AUDIT)
        piece = bytes(MIB)
        with PeakOf(self.daemon) as peak:
            connection.send(stream, http2.message(piece, length=0x7fffffff))
            for _ in range(300):
                if connection.send(stream, piece) < len(piece):
                    break
            self.assert_served()
        self.assertLess(peak.bytes, MOST)

    def test_calls_that_the_daemon_ends_in_the_middle_of_a_message(self):
        self.start("--stall-timeout", "1s")
        connection = self.connect()
        options = migration.RestoreOptions(
            spec=domain.DomainSpec(name="never"))
        first = http2.message(migration.RestoreDomainRequest(
            options=options).SerializeToString())
        piece = http2.message(bytes(MIB - 1), length=MIB)
        with PeakOf(self.daemon) as peak:
            # At any one time, these messages fill half of the budget; all
            # together are ten times as much.
            for _ in range(20):
                streams = [connection.open(RESTORE) for _ in range(16)]
                for stream in streams:
                    connection.send(stream, first)
                    self.assertEqual(connection.send(stream, piece),
                                     len(piece))
                while not connection.ended.keys() >= set(streams):
                    self.assertTrue(connection.pump(wait=True))
                self.assertTrue(connection.is_open)
        self.assertLess(peak.bytes, MOST)
        stream = connection.open(AUDIT)
        connection.send(stream, http2.message(b""), end=True)
        while stream not in connection.ended:
            self.assertTrue(connection.pump(wait=True))
        self.assert_served()
        self.assertTrue(self.client.audit().clean)

    def test_answers_that_are_never_read(self):
        self.start()
        # Scattered frames, so that a response is full of runs.
        self.client.create("runs", 16384)
        request = http2.message(memory.ListP2mRunsRequest(
            domain=ref("runs")).SerializeToString())
        with PeakOf(self.daemon) as peak:
            for _ in range(2):
                connection = self.connect(window=0)
                for _ in range(400):
                    connection.send(connection.open(RUNS), request, end=True)
                connection.pump()
            self.client.get("runs")
            # This call comes after them in the pool's queue.
            self.assertEqual(self.client.translate("runs", [0])[0][0],
                             common.P2M_CLASS_RAM)
        self.assertLess(peak.bytes, MOST)
        # Closing them makes room for others.
        for connection in self.connections:
            connection.close()
        deadline = time.monotonic() + 10
        while True:
            try:
                self.assertEqual(
                    sum(run.count for run in self.client.runs("runs")
                        if run.p2m_class == common.P2M_CLASS_RAM), 16384)
                break
            except grpc.RpcError as error:
                self.assertEqual(harness.reason_of(error),
                                 "MESSAGE_MEMORY_EXHAUSTED")
                self.assertLess(time.monotonic(), deadline)
        self.assertTrue(self.client.audit().clean)

    def test_large_calls_that_are_cancelled_in_the_queue(self):
        self.start("--enable-fault-injection")
        # These calls keep all threads of the pool busy.
        self.client.fault.AddFault(fault.AddFaultRequest(rule=fault.FaultRule(
            point="create.begin", delay_ms=60000)))
        busy = [self.client.domain.CreateDomain.future(
            domain.CreateDomainRequest(spec=domain.DomainSpec(
                name=f"busy{i}", memory_pages=4096))) for i in range(40)]
        large = http2.message(unknown_field(LARGE))
        small = memory.SetMaxMemoryRequest(domain=ref("nobody"), max_pages=1)
        others = []
        with PeakOf(self.daemon) as peak:
            for _ in range(2):
                connection = self.connect()
                for _ in range(80):
                    stream = connection.open(
                        "/simvisor.v1.MemoryService/SetMaxMemory")
                    connection.send(stream, large, end=True)
                    connection.reset(stream)
                others.append(self.client.memory.SetMaxMemory.future(small))
            self.client.counts()
        self.assertLess(peak.bytes, MOST)
        self.client.fault.RemoveFaults(fault.RemoveFaultsRequest(all=True))
        # Small calls waited for their turn.
        for call in others:
            self.assertEqual(harness.reason_of(call.exception()),
                             "DOMAIN_NOT_FOUND")
        for call in busy:
            call.cancel()
        self.assert_served()

    def await_refusal(self, size):
        """Sends requests of `size` bytes until the budget has no room for
        one."""
        call = self.client.channel.unary_unary(AUDIT)
        body = unknown_field(size)
        deadline = time.monotonic() + harness.DEADLINE
        while True:
            try:
                call(body, timeout=harness.DEADLINE)
            except grpc.RpcError as error:
                self.assertEqual(
                    (error.code().name, harness.reason_of(error)),
                    ("RESOURCE_EXHAUSTED", "MESSAGE_MEMORY_EXHAUSTED"))
                self.assertIn("--max-message-memory", error.details())
                return
            self.assertLess(time.monotonic(), deadline)

    def test_larger_calls_are_refused_and_small_ones_are_not(self):
        self.start()
        if not flags():
            self.fail("the daemon has no --max-message-memory")
        held = [self.connect(window=0) for _ in range(2)]
        self.client.create("much", 16384)
        request = http2.message(memory.ListP2mRunsRequest(
            domain=ref("much")).SerializeToString())
        # Their first responses would take more than the whole budget.
        for connection in held:
            for _ in range(400):
                connection.send(connection.open(RUNS), request, end=True)
        self.await_refusal(LARGE)
        self.assert_served()
        self.await_refusal(MEDIUM)
        # Messages of other sizes have left a quarter to small ones: what a
        # request takes when parsed, and an answer, stay below 4 KiB.
        self.assert_served()
        self.assertEqual(len(self.client.translate("much", range(100))), 100)


if __name__ == "__main__":
    unittest.main()
