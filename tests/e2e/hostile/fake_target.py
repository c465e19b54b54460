"""A migration target played by a test: it answers what the test wants, when the
test wants, and keeps no domain.
"""

import concurrent.futures
import os
import queue
import tempfile
import threading

import harness
import stream_checker
from harness import grpc, live
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from simvisor.v1 import migration_service_pb2_grpc

ADMITTED = live.ReceiveDomainResponse(admitted={})
PREPARED = live.ReceiveDomainResponse(prepared={})
# The offer, and the part before the pages of a small guest.
HEAD_MESSAGES = 3


def committed(name, uuid):
    return live.ReceiveDomainResponse(
        committed={"domain": {"domid": 1, "name": name, "uuid": uuid}})


class Sent:
    """The source's messages, as they arrive."""

    def __init__(self, requests):
        self._stream = bytearray()
        self._queue = queue.Queue()
        threading.Thread(target=self._read, args=(requests,),
                         daemon=True).start()

    def _read(self, requests):
        try:
            for request in requests:
                self._queue.put(request)
        except Exception:  # the call is over
            pass
        self._queue.put(None)

    def next(self):
        """The next message; None at the end of the call."""
        request = self._queue.get(timeout=harness.DEADLINE)
        if request is not None:
            self._stream += request.data
        return request

    def head(self):
        """Reads what a target needs before it can admit the domain."""
        for _ in range(HEAD_MESSAGES):
            self.next()

    def all(self):
        """Reads messages until the stream is complete."""
        while not self._is_complete() and self.next() is not None:
            pass

    def _is_complete(self):
        # The last two records have neither a type nor a body.
        if not self._stream.endswith(bytes(16)):
            return False
        try:
            stream_checker.check(bytes(self._stream))
        except stream_checker.Bad:
            return False
        return True


class FakeTarget(migration_service_pb2_grpc.MigrationServiceServicer):
    """Serves on a unix socket and on TCP.

    `play(requests, context)` implements ReceiveDomain; `answer(request,
    context)` implements ResolveMigration, which is UNAVAILABLE without it.
    """

    def __init__(self, play, answer=None):
        self._play = play
        self._answer = answer
        self.asked = []
        self._folder = tempfile.TemporaryDirectory()
        self.over = threading.Event()
        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(max_workers=100))
        migration_service_pb2_grpc.add_MigrationServiceServicer_to_server(
            self, self._server)
        self.unix = "unix:" + os.path.join(self._folder.name, "fake")
        self._server.add_insecure_port(self.unix)
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.tcp = f"127.0.0.1:{port}"
        self._server.start()

    def ReceiveDomain(self, request_iterator, context):
        yield from self._play(request_iterator, context)

    def ResolveMigration(self, request, context):
        self.asked.append(request.migration_id)
        if self._answer is None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "no answer")
        return self._answer(request, context)

    def close(self):
        self.over.set()
        self._server.stop(0).wait(harness.DEADLINE)
        self._folder.cleanup()


def resolved(request, state):
    return live.ResolveMigrationResponse(
        migration={"migration_id": request.migration_id, "state": state})


def fail(context, code, reason, message):
    """Ends the call as a daemon does."""
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(domain="simvisor", reason=reason))
    details = status_pb2.Status(code=code.value[0], message="m", details=[info])
    context.set_trailing_metadata(
        (("grpc-status-details-bin", details.SerializeToString()),))
    context.abort(code, message)
