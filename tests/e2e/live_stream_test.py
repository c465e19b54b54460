"""What a daemon sends when it migrates a domain, as a target sees it that is
not a daemon: the target keeps the stream, for Xen's verifier and for the
checker of what restorers insist on, and then behaves well or badly."""

import os
import pathlib
import random
import sys
import tempfile
import unittest
import uuid
from concurrent import futures

import harness
from harness import domain, grpc, live, memory, ref
from simvisor.v1 import migration_service_pb2_grpc

sys.path.insert(0, os.path.dirname(__file__))
import images_test  # noqa: E402
import stream_checker  # noqa: E402

WRITABLE = range(2000, 4000)


class Target(migration_service_pb2_grpc.MigrationServiceServicer):
    """Plays a target.  Calls `between` between two pieces.  Answers COMMIT as
    `commit` says: "refuse", or "break" after committing.  Does not answer the
    first `quiet` questions."""

    def __init__(self, between=lambda: None, commit="refuse", quiet=0):
        self.between = between
        self.commit = commit
        self.quiet = quiet
        self.stream = bytearray()
        self.asked = 0
        self.state = live.MIGRATION_STATE_RECEIVING
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        migration_service_pb2_grpc.add_MigrationServiceServicer_to_server(
            self, self.server)
        self.folder = tempfile.TemporaryDirectory()
        self.address = f"unix:{self.folder.name}/target.sock"
        self.server.add_insecure_port(self.address)
        self.server.start()

    def close(self):
        self.server.stop(None)
        self.folder.cleanup()

    def ReceiveDomain(self, requests, context):
        answer = live.ReceiveDomainResponse
        self.offer = next(requests).offer
        admitted = False
        for request in requests:
            step = request.WhichOneof("step")
            if step == "data":
                self.between()
                self.stream += request.data
                # The record of the p2m list's pages is complete.
                if not admitted and self._head_is_here():
                    admitted = True
                    yield answer(admitted=answer.Admitted())
                if admitted and self.stream.endswith(b"\0" * 16):
                    try:
                        stream_checker.check(bytes(self.stream))
                    except stream_checker.Bad:
                        continue
                    self.state = live.MIGRATION_STATE_PREPARED
                    yield answer(prepared=answer.Prepared())
            elif step == "commit":
                if self.commit == "break":
                    self.state = live.MIGRATION_STATE_COMMITTED
                    context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
                context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no")

    def _head_is_here(self):
        """Whether the stream has everything that comes before the pages."""
        checker = stream_checker.Checker(bytes(self.stream))
        try:
            checker.check()
        except stream_checker.Bad:
            pass
        return bool(checker.p2m_pages)

    def ResolveMigration(self, request, context):
        self.asked += 1
        if self.asked <= self.quiet:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        if self.state != live.MIGRATION_STATE_COMMITTED:
            self.state = live.MIGRATION_STATE_DROPPED
        return live.ResolveMigrationResponse(migration=live.Migration(
            migration_id=request.migration_id, state=self.state))


class LiveStreamTest(harness.DaemonTest):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = pathlib.Path(folder.name) / "stream"

    def tearDown(self):
        for one in self.client.domain.ListDomains(
                domain.ListDomainsRequest()).domains:
            if one.domid != 0:
                self.client.destroy(one.domid)
        self.assert_clean()

    def migrate(self, target):
        self.id = uuid.uuid4().hex
        request = live.MigrateDomainRequest(
            domain=ref("web"), target=target.address, migration_id=self.id)
        return list(self.client.migration.MigrateDomain(
            request, timeout=harness.DEADLINE))

    def refused(self, target):
        with self.assertRaises(grpc.RpcError) as caught:
            self.migrate(target)
        return caught.exception

    def write(self, pfn, data):
        self.client.memory.WriteGuestMemory(memory.WriteGuestMemoryRequest(
            domain=ref("web"), pfn=pfn, data=data))

    def restless(self, seed):
        """Changes the guest between two pieces, in all ways that are
        allowed."""
        chance = random.Random(seed)

        def act():
            try:
                for _ in range(chance.randrange(40)):
                    self.write(chance.choice(WRITABLE),
                               chance.randbytes(chance.randrange(1, 300)))
                if chance.random() < 0.5:
                    self.client.memory.BalloonDown(memory.BalloonDownRequest(
                        domain=ref("web"), pages=chance.randrange(1, 200),
                        allow_partial=True))
                if chance.random() < 0.5:
                    self.client.memory.BalloonUp(memory.BalloonUpRequest(
                        domain=ref("web"), pages=chance.randrange(1, 200),
                        allow_partial=True))
            except grpc.RpcError as error:
                # Ballooned out, or already suspended.
                assert harness.reason_of(error) in (
                    "PFN_NOT_RAM", "DOMAIN_SUSPENDED", "DOMAIN_NOT_RUNNING",
                    "PAGE_IN_USE_BY_KERNEL"), error
        return act

    def test_xens_verifier_and_restorers_rules_hold_for_live_streams(self):
        for number, (arch, view) in enumerate(
                (arch, view)
                for arch in (harness.common.ARCH_X86_64,
                             harness.common.ARCH_X86_32_PAE)
                for view in (domain.TOOLS_VIEW_TREE,
                             domain.TOOLS_VIEW_LINEAR)):
            with self.subTest(arch=arch, view=view):
                self.client.create("web", 6000, max_memory_pages=9000,
                                   arch=arch, tools_view=view)
                target = Target(self.restless(number))
                self.addCleanup(target.close)
                self.refused(target)
                stream_checker.check(bytes(target.stream))
                self.file.write_bytes(target.stream)
                code, said = images_test.verify(self.file, "xl")
                self.assertEqual(code, 0, said)
                self.assertEqual(
                    self.client.get("web").state, domain.DOMAIN_STATE_RUNNING)
                self.client.destroy("web")

    def test_a_target_that_refuses_to_commit_leaves_the_domain_here(self):
        self.client.create("web", 6000)
        self.write(3000, b"still here")
        target = Target(commit="refuse")
        self.addCleanup(target.close)
        self.refused(target)
        self.assertGreaterEqual(target.asked, 1)
        self.assertEqual(target.state, live.MIGRATION_STATE_DROPPED)
        self.assertEqual(self.client.get("web").state,
                         domain.DOMAIN_STATE_RUNNING)

    def test_a_target_that_committed_and_broke_off_is_believed(self):
        self.client.create("web", 6000)
        target = Target(commit="break")
        self.addCleanup(target.close)
        last = self.migrate(target)[-1]
        self.assertEqual(last.phase, live.MIGRATION_PHASE_MOVED)
        self.assertEqual(target.asked, 1)
        with self.assertRaises(grpc.RpcError):
            self.client.get("web")

    def test_a_target_that_keeps_quiet_is_asked_again(self):
        self.client.create("web", 6000)
        target = Target(commit="break", quiet=1)
        self.addCleanup(target.close)
        error = self.refused(target)
        self.assertEqual(harness.reason_of(error), "MIGRATION_UNRESOLVED")
        listed = harness.simvisor(self.daemon.address, "list")
        self.assertIn("is being handed over", listed.stderr)
        self.await_state(live.MIGRATION_STATE_MOVED)
        with self.assertRaises(grpc.RpcError):
            self.client.get("web")

    def await_state(self, state):
        """Waits until the last migration has come to `state`."""
        while True:
            every = self.client.migration.ListMigrations(
                live.ListMigrationsRequest(), timeout=harness.DEADLINE)
            if any(one.state == state for one in every.migrations
                   if one.migration_id == self.id):
                return


if __name__ == "__main__":
    unittest.main()
