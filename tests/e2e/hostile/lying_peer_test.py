"""Targets give answers that cannot be true, or text that an operator's terminal
must not get; and some addresses are not valid targets.  Whatever a target says
before it was told to run the domain, the guest goes on here.
"""

import os
import socket
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import harness  # noqa: E402
from fake_target import (ADMITTED, PREPARED, FakeTarget, Sent,  # noqa: E402
                         committed, fail, resolved)
from harness import domain, grpc, live, memory, ref, simvisor  # noqa: E402

PAGES = 2048
RATE = 1 << 20  # bytes per second
EVIL = "\x1b[2J\x1b]0;owned\x07\r\nweb-1 out MOVED \u202e\x9b31m"
FORBIDDEN = set(range(0, 10)) | set(range(11, 32)) | set(range(0x7f, 0xa0))


class LyingPeerTest(harness.DaemonTest):
    FLAGS = ("--host-memory", "512")
    number = 0

    def setUp(self):
        self.client.create("web", PAGES)
        # So many that copying them at RATE takes longer than any answer.
        for first in range(500, 1500, 250):
            self.client.memory.WriteGuestMemory(
                memory.WriteGuestMemoryRequest(
                    domain=ref("web"), pfn=first, data=os.urandom(250 * 4096)),
                timeout=harness.DEADLINE)
        self.uuid = self.client.get("web").uuid
        self.over = threading.Event()
        self.targets = []

    def tearDown(self):
        self.over.set()
        for target in self.targets:
            target.close()
        for one in self.client.domain.ListDomains(
                domain.ListDomainsRequest()).domains:
            if one.domid != 0:
                self.client.destroy(one.domid)
        self.assert_clean()

    def migrate(self, play, answer=None, rate=0):
        """Migrates the domain to a target that plays this; returns how it
        ended."""
        target = FakeTarget(play, answer)
        self.targets.append(target)
        return self.migrate_to(target.unix, rate)

    def migrate_to(self, target, rate=0):
        LyingPeerTest.number += 1
        self.id = f"lie-{LyingPeerTest.number}"
        self.error = None
        self.said = []
        try:
            for message in self.client.migration.MigrateDomain(
                    live.MigrateDomainRequest(
                        domain=ref("web"), target=target,
                        migration_id=self.id,
                        policy={"max_bytes_per_second": rate}), timeout=harness.DEADLINE):
                self.said.append(message)
        except grpc.RpcError as error:
            self.error = error
            return error.code().name, harness.reason_of(error)
        return "OK", None

    def listed(self):
        answer = self.client.migration.ListMigrations(
            live.ListMigrationsRequest(), timeout=harness.DEADLINE)
        return next(one for one in answer.migrations
                    if one.migration_id == self.id)

    def assert_runs_here(self):
        one = self.client.get("web")
        self.assertEqual(one.state, domain.DOMAIN_STATE_RUNNING)
        self.assertFalse(one.suspended)
        self.assertEqual(self.listed().state, live.MIGRATION_STATE_KEPT)

    def assert_printable(self, text):
        self.assertFalse([c for c in text if ord(c) in FORBIDDEN],
                         repr(text))
        self.assertNotIn("\u202e", text)

    # Answers that come too early.

    def test_answers_that_come_too_early(self):
        done = committed("web", self.uuid)

        def admitted_before_the_offer(requests, context):
            yield ADMITTED
            yield PREPARED
            self.over.wait(harness.DEADLINE)

        def prepared_with_admitted(requests, context):
            sent = Sent(requests)
            sent.head()
            yield ADMITTED
            yield PREPARED
            self.over.wait(harness.DEADLINE)

        def committed_with_admitted(requests, context):
            sent = Sent(requests)
            sent.head()
            yield ADMITTED
            yield PREPARED
            yield done
            self.over.wait(harness.DEADLINE)

        def committed_in_place_of_prepared(requests, context):
            sent = Sent(requests)
            sent.head()
            yield ADMITTED
            sent.all()
            yield done
            self.over.wait(harness.DEADLINE)

        def admitted_twice(requests, context):
            sent = Sent(requests)
            sent.head()
            yield ADMITTED
            yield ADMITTED
            self.over.wait(harness.DEADLINE)

        def nothing_at_all(requests, context):
            sent = Sent(requests)
            sent.next()
            sent.next()
            yield live.ReceiveDomainResponse()
            self.over.wait(harness.DEADLINE)

        def dropped(request, context):
            return resolved(request, live.MIGRATION_STATE_DROPPED)

        for play, rate in ((admitted_before_the_offer, RATE),
                           (prepared_with_admitted, RATE),
                           (committed_with_admitted, RATE),
                           (committed_in_place_of_prepared, 0),
                           (admitted_twice, RATE), (nothing_at_all, 0)):
            with self.subTest(play.__name__):
                self.assertEqual(
                    self.migrate(play, dropped, rate),
                    ("FAILED_PRECONDITION", "TARGET_MISBEHAVED"))
                self.assert_runs_here()

    def test_a_target_that_keeps_to_the_rules_gets_the_domain(self):
        def honest(requests, context):
            sent = Sent(requests)
            sent.head()
            yield ADMITTED
            sent.all()
            yield PREPARED
            self.assertTrue(sent.next().HasField("commit"))
            yield committed("web", self.uuid)
            self.assertTrue(sent.next().HasField("done"))

        self.assertEqual(self.migrate(honest), ("OK", None))
        self.assertEqual(self.said[-1].domain.name, "web")

    # Answers about something else.

    def commit_other(self, name, uuid):
        def play(requests, context):
            sent = Sent(requests)
            sent.head()
            yield ADMITTED
            sent.all()
            yield PREPARED
            sent.next()
            yield committed(name, uuid)
            self.over.wait(harness.DEADLINE)
        return play

    def test_a_target_that_commits_another_domain_is_asked(self):
        other = "01234567-89ab-cdef-0123-456789abcdef"
        for name, uuid in (("other", self.uuid), ("web", other), ("web", "")):
            with self.subTest(name=name, uuid=uuid):
                self.assertEqual(
                    self.migrate(
                        self.commit_other(name, uuid),
                        lambda request, _: resolved(
                            request, live.MIGRATION_STATE_DROPPED)),
                    ("FAILED_PRECONDITION", "TARGET_MISBEHAVED"))
                self.assert_runs_here()

    def test_what_is_no_final_answer_is_none(self):
        def about_another(request, context):
            return live.ResolveMigrationResponse(migration={
                "migration_id": "another",
                "state": live.MIGRATION_STATE_DROPPED})

        for answer in (
                lambda request, _: resolved(
                    request, live.MIGRATION_STATE_PREPARED),
                lambda request, _: resolved(
                    request, live.MIGRATION_STATE_UNSPECIFIED),
                about_another):
            self.assertEqual(self.migrate(self.commit_other("other", ""),
                                          answer),
                             ("UNAVAILABLE", "MIGRATION_UNRESOLVED"))
            self.assertTrue(self.client.get("web").suspended)
            self.assertEqual(self.listed().state,
                             live.MIGRATION_STATE_UNKNOWN)
            simvisor(self.daemon.address, "migrate-resolve", self.id, "--keep")
            self.assert_runs_here()

    # What peers say.

    def test_messages_of_targets_are_fit_for_a_terminal(self):
        def refuses(requests, context):
            fail(context, grpc.StatusCode.RESOURCE_EXHAUSTED,
                 "HOST_MEMORY_EXHAUSTED", EVIL + "x" * 3000)
            yield ADMITTED

        self.assertEqual(self.migrate(refuses),
                         ("RESOURCE_EXHAUSTED", "HOST_MEMORY_EXHAUSTED"))
        self.assert_printable(self.error.details())
        self.assertLessEqual(len(self.error.details()), 1024)
        message = self.listed().message
        self.assert_printable(message)
        self.assertLessEqual(len(message.encode()), 1024)
        table = simvisor(self.daemon.address, "migrations").stdout
        self.assert_printable(table)
        self.assertNotIn("\nweb-1 out MOVED", table)

    def test_what_a_source_calls_itself_is_fit_for_a_terminal(self):
        self.id = "evil-source"
        call = self.client.migration.ReceiveDomain(iter([
            live.ReceiveDomainRequest(offer={
                "migration_id": self.id, "pages": 1,
                "source": EVIL})]), timeout=harness.DEADLINE)
        with self.assertRaises(grpc.RpcError):
            next(call)
        self.assert_printable(self.listed().peer)
        self.assertLessEqual(len(self.listed().peer.encode()), 256)
        self.assert_printable(
            simvisor(self.daemon.address, "migrations").stdout)

    # Addresses that the daemon must not connect to.

    def test_names_and_schemes_are_no_targets(self):
        for target in ("unix-abstract:5", "xds:80", "xds:///x:80", "dns:80",
                       "dns:///127.0.0.1:80", "localhost:80", "vsock:2:80",
                       "ipv4:80", "2130706433:80"):
            self.assertEqual(self.migrate_to(target),
                             ("INVALID_ARGUMENT", "ARGUMENT_MALFORMED"),
                             target)

    def test_only_this_machine_is_a_target_unless_it_is_said(self):
        for target in ("10.0.0.1:80", "169.254.169.254:80", "[fd00::1]:80",
                       "0.0.0.0:80", "[::]:80"):
            self.assertEqual(self.migrate_to(target),
                             ("PERMISSION_DENIED", "TARGET_NOT_ALLOWED"),
                             target)

    def test_a_list_says_which_targets_there_are(self):
        target = FakeTarget(lambda requests, context: iter(()))
        self.targets.append(target)
        other = harness.Daemon("--migration-targets", target.tcp,
                               "--host-memory", "512")
        self.addCleanup(other.close)
        client = harness.Client(other.address)
        self.addCleanup(client.close)
        client.create("web", PAGES)
        for address, reason in ((target.unix, "TARGET_NOT_ALLOWED"),
                                ("127.0.0.1:9", "TARGET_NOT_ALLOWED"),
                                (target.tcp, "TARGET_UNREACHABLE")):
            with self.assertRaises(grpc.RpcError) as caught:
                list(client.migration.MigrateDomain(
                    live.MigrateDomainRequest(domain=ref("web"),
                                              target=address),
                    timeout=harness.DEADLINE))
            self.assertEqual(harness.reason_of(caught.exception), reason)

    def test_what_cannot_be_reached_is_told_in_one_way(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        plain = os.path.join(folder.name, "plain-file")
        with open(plain, "w", encoding="ascii") as file:
            file.write("x")

        def serve(end):
            """An address where connections are ended in this way."""
            listener = socket.socket()
            self.addCleanup(listener.close)
            listener.bind(("127.0.0.1", 0))
            listener.listen()

            def accept():
                while True:
                    try:
                        connection, _ = listener.accept()
                    except OSError:
                        return
                    connection.sendall(end)
                    connection.close()
            threading.Thread(target=accept, daemon=True).start()
            return f"127.0.0.1:{listener.getsockname()[1]}"

        refused = socket.socket()
        refused.bind(("127.0.0.1", 0))
        self.addCleanup(refused.close)

        def other_service(requests, context):
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "no such method")
            yield ADMITTED

        other = FakeTarget(other_service)
        self.targets.append(other)
        told = set()
        for target in (f"unix:{folder.name}/nothing", f"unix:{plain}",
                       f"unix:{folder.name}",
                       f"127.0.0.1:{refused.getsockname()[1]}",
                       serve(b""), serve(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
                       other.tcp):
            self.assertEqual(self.migrate_to(target),
                             ("UNAVAILABLE", "TARGET_UNREACHABLE"), target)
            told.add(self.error.details()
                     .replace(target, "TARGET"))
            self.assert_runs_here()
        self.assertEqual(len(told), 1, told)


if __name__ == "__main__":
    unittest.main()
