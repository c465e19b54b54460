"""Streams that stay open and ask nothing: they cost no thread, they do not keep
others out, and their number is limited."""

import os
import pathlib
import queue
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402
from harness import grpc, memory_ops  # noqa: E402

REFLECTION = ("/grpc.reflection.v1alpha.ServerReflection/"
              "ServerReflectionInfo")
LIST_SERVICES = b"\x3a\x00"


def symbol(name):
    return b"\x22" + bytes([len(name)]) + name.encode()


class Stream:
    """A stream of bytes that stays open."""

    def __init__(self, client, path):
        self._requests = queue.Queue()
        self._answers = client.channel.stream_stream(path)(
            iter(self._requests.get, None))

    def ask(self, request):
        self._requests.put(request)
        return next(self._answers)

    def end(self):
        self._requests.put(None)
        self._answers.cancel()


class ThreadsTest(unittest.TestCase):

    def start(self, *flags):
        daemon = harness.Daemon("--host-memory", "1g", *flags)
        self.addCleanup(daemon.close)
        return daemon

    def client(self, daemon):
        client = harness.Client(daemon.address)
        self.addCleanup(client.close)
        return client

    def open(self, client, path, first):
        stream = Stream(client, path)
        self.addCleanup(stream.end)
        stream.ask(first)
        return stream

    def threads(self, daemon):
        return len(os.listdir(f"/proc/{daemon.process.pid}/task"))

    def test_open_streams_of_reflection_hold_no_threads(self):
        daemon = self.start()
        client = self.client(daemon)
        self.open(client, REFLECTION, LIST_SERVICES)
        before = self.threads(daemon)
        streams = [self.open(client, REFLECTION, LIST_SERVICES)
                   for _ in range(100)]
        self.assertLess(self.threads(daemon), before + 10)
        self.assertIn(b"simvisor/v1/host_service.proto",
                      streams[-1].ask(symbol("simvisor.v1.HostService")))
        self.assertTrue(client.audit().clean)

    def test_reflection_knows_every_service(self):
        client = self.client(self.start())
        stream = self.open(client, REFLECTION, LIST_SERVICES)
        answer = stream.ask(LIST_SERVICES)
        names = [f"simvisor.v1.{kind}Service" for kind in (
            "AddressSpace", "Domain", "Fault", "GuestLoad", "Host", "Memory",
            "Migration")]
        names += ["grpc.health.v1.Health",
                  "grpc.reflection.v1alpha.ServerReflection"]
        for name in names:
            self.assertIn(name.encode(), answer)
            self.assertIn(b"proto3", stream.ask(symbol(name)), name)
        self.assertIn(b"Nowhere", stream.ask(symbol("simvisor.v1.Nowhere")))
        name = b"simvisor/v1/memory_service.proto"
        self.assertIn(b"simvisor/v1/common.proto",
                      stream.ask(b"\x1a" + bytes([len(name)]) + name))

    def test_streams_end_at_a_bound_and_other_calls_go_on(self):
        try:
            daemon = self.start("--max-calls", "40")
        except RuntimeError as error:
            self.fail(f"there is no bound: {error}")
        client = self.client(daemon)
        path = "/simvisor.v1.MemoryService/StreamMemoryOps"
        first = memory_ops.StreamMemoryOpsRequest().SerializeToString()
        streams = [self.open(client, path, first) for _ in range(20)]
        for other in (path, REFLECTION):
            with self.assertRaises(grpc.RpcError) as caught:
                self.open(client, other, first)
            self.assertEqual(
                (caught.exception.code().name,
                 harness.reason_of(caught.exception)),
                ("RESOURCE_EXHAUSTED", "CALLS_EXHAUSTED"))
            self.assertIn("--max-calls", caught.exception.details())
        self.assertTrue(client.audit().clean)
        client.get("Domain-0")
        # A place that is given back can be used again.
        streams[0].end()
        deadline = time.monotonic() + 10
        while True:
            try:
                self.open(client, path, first)
                break
            except grpc.RpcError:
                self.assertLess(time.monotonic(), deadline)


if __name__ == "__main__":
    unittest.main()
