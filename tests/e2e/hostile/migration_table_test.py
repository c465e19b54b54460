"""Peers and clients begin endless migrations, with strings as long as allowed:
the tables have bounds, and the list of migrations can always be read, page by
page.
"""

import os
import sys
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import harness  # noqa: E402
from fake_target import FakeTarget, Sent, ADMITTED, fail  # noqa: E402
from harness import domain, grpc, live, poll, ref, simvisor  # noqa: E402

AT_ONCE = 64  # that come in
LONG = 30000  # bytes of a host name


class Offer:
    """A call that offers a domain and sends nothing of it."""

    def __init__(self, client, migration_id):
        self._over = threading.Event()
        self.done = threading.Event()
        self._id = migration_id
        self._call = client.migration.ReceiveDomain(self._requests(),
                                                    timeout=harness.DEADLINE)
        if not self._call.add_callback(self.done.set):
            self.done.set()  # it has ended already

    def _requests(self):
        yield live.ReceiveDomainRequest(offer={
            "migration_id": self._id, "pages": 1, "source": "s" * 256})
        self._over.wait(harness.DEADLINE)

    def end(self):
        """Ends its requests, and waits for the end of the call."""
        self._over.set()
        self.done.wait(harness.DEADLINE)

    def reason(self):
        self.done.wait(harness.DEADLINE)
        return harness.reason_of(self._call)


class MigrationTableTest(harness.DaemonTest):
    FLAGS = ("--host-memory", "512")
    number = 0

    def setUp(self):
        self.offers = []

    def tearDown(self):
        for offer in self.offers:
            offer.end()
        for one in self.client.domain.ListDomains(
                domain.ListDomainsRequest()).domains:
            if one.domid != 0:
                self.client.destroy(one.domid)
        self.assert_clean()

    def offer(self):
        MigrationTableTest.number += 1
        offer = Offer(self.client, f"offer-{self.number:058d}")
        self.offers.append(offer)
        return offer

    def list(self, **request):
        return self.client.migration.ListMigrations(
            live.ListMigrationsRequest(**request), timeout=harness.DEADLINE)

    def receiving(self):
        return sum(one.state == live.MIGRATION_STATE_RECEIVING
                   for one in self.list().migrations)

    def migrate(self, target):
        try:
            list(self.client.migration.MigrateDomain(
                live.MigrateDomainRequest(domain=ref("web"), target=target),
                timeout=harness.DEADLINE))
        except grpc.RpcError as error:
            return harness.reason_of(error)
        return "OK"

    def test_only_so_many_domains_come_in_at_a_time(self):
        for _ in range(AT_ONCE):
            self.offer()
        poll(lambda: self.receiving() == AT_ONCE, "all come in")
        one_more = self.offer()
        self.assertTrue(one_more.done.wait(5), "it is not refused")
        self.assertEqual(one_more.reason(), "CALLS_EXHAUSTED")
        self.offers[0].end()
        poll(lambda: self.receiving() == AT_ONCE - 1, "one has ended")
        self.offer()
        poll(lambda: self.receiving() == AT_ONCE, "there is room again")

    def test_addresses_without_end_do_not_break_the_list(self):
        self.client.create("web", 2048)
        for i in range(100):
            host = f"{i:03d}" + "a" * LONG
            self.assertNotEqual(self.migrate(f"{host}:80"), "OK")
        self.assertLess(self.list().ByteSize(), 4 << 20)
        simvisor(self.daemon.address, "migrations")

    def test_messages_without_end_are_cut(self):
        def refuses(requests, context):
            sent = Sent(requests)
            sent.next()
            fail(context, grpc.StatusCode.ABORTED, "P2M_CHANGED", "m" * 3000)
            yield ADMITTED

        target = FakeTarget(refuses)
        self.addCleanup(target.close)
        self.client.create("web", 2048)
        self.assertEqual(self.migrate(target.unix), "P2M_CHANGED")
        self.assertLessEqual(
            max(len(one.message) for one in self.list().migrations), 1024)

    def test_pages_have_every_migration_once(self):
        for _ in range(20):
            self.offer()
        poll(lambda: self.receiving() == 20, "all come in")
        whole = [one.migration_id for one in self.list().migrations]
        for size in (1, 7, len(whole), 1000):
            ids, token = [], ""
            while True:
                page = self.list(page_size=size, page_token=token)
                self.assertLessEqual(len(page.migrations), size)
                ids += [one.migration_id for one in page.migrations]
                token = page.next_page_token
                if not token:
                    break
            self.assertEqual(ids, whole)
        table = simvisor(self.daemon.address, "migrations").stdout
        for migration_id in whole:
            self.assertIn(migration_id, table)
        for request, reason in (({"page_size": 1001}, "ARGUMENT_TOO_LARGE"),
                                ({"page_token": "x"}, "ARGUMENT_MALFORMED"),
                                ({"page_token": "1-2"}, "ARGUMENT_MALFORMED")):
            with self.assertRaises(grpc.RpcError) as caught:
                self.list(**request)
            self.assertEqual(harness.reason_of(caught.exception), reason)

    def test_a_domain_that_is_dropped_is_told_why(self):
        offer = self.offer()
        poll(lambda: self.receiving() == 1, "it comes in")
        self.client.migration.ResolveMigration(
            live.ResolveMigrationRequest(
                migration_id=f"offer-{self.number:058d}",
                decision=live.MIGRATION_DECISION_DROP),
            timeout=harness.DEADLINE)
        self.assertEqual(offer.reason(), "MIGRATION_SETTLED")


if __name__ == "__main__":
    unittest.main()
