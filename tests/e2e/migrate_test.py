"""Live migrations between two daemons, in one situation after another.
"""

import os
import pathlib
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from harness import common, domain, guest_load, live, memory, ref
from migrations.moving_guest import fill, migrate, start_load, wait_for_writes
from migrations.migration_case import (ADMISSION, COPYING, Host, MB, MOVED,
                            MigrationTest, SUSPENDED)


class SituationsTest(MigrationTest):

    @classmethod
    def setUpClass(cls):
        cls.source = Host()
        cls.target = Host("--placement", "scatter")

    @classmethod
    def tearDownClass(cls):
        cls.source.close()
        cls.target.close()

    def setUp(self):
        self.before = [host.client.counts()
                       for host in (self.source, self.target)]

    def tearDown(self):
        for host in (self.source, self.target):
            for one in host.client.domain.ListDomains(
                    domain.ListDomainsRequest()).domains:
                if one.domid != 0:
                    host.client.destroy(one.domid)
        self.assertEqual([host.client.counts()
                          for host in (self.source, self.target)], self.before)
        self.assert_clean(self.source, self.target)

    def create(self, name="guest", pages=6000, written=0):
        self.source.client.create(name, pages)
        fill(self.source.client, name, 1500, written)

    def migrate(self, name="guest", target=None, **options):
        return migrate(self.source.client, name, target or self.target.unix,
                       **options)

    def assert_stayed(self, name="guest"):
        """The guest runs here, the target has nothing of it, and the guest can
        still be migrated."""
        self.assert_runs(self.source, name)
        self.wait_for(lambda: self.target.client.counts() == self.before[1])
        self.assert_clean(self.source, self.target)
        self.assert_moves(name)

    def assert_moves(self, name="guest", **options):
        """Returns the messages of the call."""
        said = list(self.migrate(name, **options))
        self.assertEqual(said[-1].phase, MOVED)
        self.assertEqual(said[-1].domain.name, name)
        self.assertNotIn(name, self.names(self.source))
        self.assertIn(name, self.names(self.target))
        return said

    def names(self, host):
        return [one.name for one in host.client.domain.ListDomains(
            domain.ListDomainsRequest()).domains]

    def wait_for(self, done):
        """Polls until it is so; daemons end calls in their own time."""
        for _ in range(100000):
            if done():
                return
        self.fail("it did not come to pass")

    def until(self, call, phase, data_pages=0):
        """Waits for the message that says so, in a migration that takes a long
        time."""
        for message in call:
            if (message.phase == phase
                    and message.data_pages >= data_pages):
                return message
        self.fail("the migration has ended")

    # Refusals.

    def test_a_paused_guest_is_refused(self):
        self.create()
        self.source.client.domain.PauseDomain(
            domain.PauseDomainRequest(domain=ref("guest")))
        self.assert_refused("DOMAIN_NOT_RUNNING", self.migrate(),
                            "FAILED_PRECONDITION")
        self.assertEqual(self.target.client.counts(), self.before[1])
        self.source.client.domain.UnpauseDomain(
            domain.UnpauseDomainRequest(domain=ref("guest")))
        self.assert_stayed()

    def test_dom0_stays(self):
        self.assert_refused("DOM0_PROTECTED", self.migrate(0))
        self.assert_refused("DOMAIN_NOT_FOUND", self.migrate("nobody"))

    def test_a_name_that_is_taken_at_the_target(self):
        self.create()
        self.target.client.create("guest", 3000)
        taken = self.target.client.counts()
        said = self.assert_refused("NAME_IN_USE", self.migrate(),
                                   "ALREADY_EXISTS")
        self.assertEqual(said[-1].phase, ADMISSION)
        self.assertEqual(self.target.client.counts(), taken)
        self.target.client.destroy("guest")
        self.assert_stayed()

    def test_a_target_that_is_too_small_says_so_before_pages_come(self):
        small = self.host(memory="64m")
        before = small.client.counts()
        self.create(pages=20000, written=2000)
        said = self.assert_refused("HOST_MEMORY_EXHAUSTED",
                                   self.migrate(target=small.unix),
                                   "RESOURCE_EXHAUSTED")
        self.assertEqual({message.phase for message in said}, {ADMISSION})
        self.assertLess(said[-1].bytes_sent, 65536)
        self.wait_for(lambda: small.client.counts() == before)
        self.assert_clean(small)
        self.assert_stayed()

    def test_targets_that_cannot_be_reached(self):
        self.create()
        gone = Host()
        gone.close()
        for target in (gone.unix, gone.tcp):
            self.assert_refused("TARGET_UNREACHABLE",
                                self.migrate(target=target), "UNAVAILABLE")
        for target in ("unix:", "nowhere", "127.0.0.1:0", "127.0.0.1:99999"):
            self.assert_refused("ARGUMENT_MALFORMED",
                                self.migrate(target=target),
                                "INVALID_ARGUMENT")
        self.assert_refused("ARGUMENT_MALFORMED", self.migrate(
            policy={"max_bytes_per_second": 1}))
        self.assert_refused("ARGUMENT_TOO_LARGE", self.migrate(
            policy={"max_passes": 1001}))
        self.assert_stayed()

    def test_a_target_that_dies_in_mid_copy(self):
        dies = Host()
        self.create(written=3000)
        call = self.migrate(target=dies.tcp,
                            policy={"max_bytes_per_second": MB})
        self.until(call, COPYING, data_pages=1)
        dies.daemon.kill()
        self.assert_refused("TARGET_UNREACHABLE", call, "UNAVAILABLE")
        dies.client.close()
        dies.daemon.close()
        self.assert_stayed()

    def test_a_layout_that_changes_ends_it(self):
        self.create(written=3000)
        call = self.migrate(policy={"max_bytes_per_second": 20 * MB})
        self.until(call, COPYING, data_pages=1)
        # A word in a leaf that is a shared identity leaf so far.
        self.source.client.memory.SetP2mRange(memory.SetP2mRangeRequest(
            domain=ref("guest"), first_pfn=100000, count=1,
            p2m_class=common.P2M_CLASS_MISSING))
        self.assert_refused("P2M_CHANGED", call, "ABORTED")
        self.assert_stayed()

    # The command line.

    def simvisor(self, *arguments, code=0):
        done = harness.simvisor(self.source.unix, *arguments, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def test_the_command_line_leaves_it_paused(self):
        self.create(written=100)
        done = self.simvisor("migrate", "-p", "--id", "moving-1", "guest",
                             self.target.unix)
        self.assertRegex(done.stderr, r"Migration successful: \d+ passes")
        self.assertEqual(self.target.client.get("guest").state,
                         domain.DOMAIN_STATE_PAUSED)
        self.assertRegex(self.simvisor("migrations").stdout,
                         r"moving-1 +out +MOVED .* guest to ")
        listed = harness.simvisor(self.target.unix, "migrations").stdout
        self.assertRegex(listed, r"moving-1 +in +COMMITTED .* guest from ")
        harness.simvisor(self.target.unix, "unpause", "guest")
        harness.simvisor(self.target.unix, "p2m", "walk", "guest")
        self.assert_runs(self.target, "guest")

    def test_the_command_line_takes_a_relative_path_as_its_own(self):
        self.create()
        path = pathlib.Path(self.target.unix.removeprefix("unix:"))
        done = subprocess.run(
            [harness.SIMVISOR, "-H", self.source.unix, "migrate", "guest",
             f"unix:{path.name}"], cwd=path.parent, capture_output=True,
            text=True, timeout=harness.DEADLINE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_command_line_explains_failures(self):
        self.create()
        for target, code, said in (
                ("unix:/nowhere", 1, "(UNAVAILABLE TARGET_UNREACHABLE)"),
                ("nowhere", 2, "nowhere")):
            done = self.simvisor("migrate", "guest", target, code=code)
            self.assertIn(said, done.stderr)
        self.simvisor("migrate", "--max-passes", "0", "guest",
                      self.target.unix, code=2)
        self.assert_stayed()

    # In the middle of the copy.

    def test_cancelled_in_mid_copy(self):
        self.create(written=3000)
        start_load(self.source.client, "guest", pages_per_second=1000,
                   working_set_pages=100)
        call = self.migrate(policy={"max_bytes_per_second": MB})
        message = self.until(call, COPYING, data_pages=1)
        self.assertLess(message.data_pages, 3000)
        self.assertGreater(self.target.client.counts().owned_pages
                           + 6000, self.before[1].owned_pages)
        call.cancel()
        self.wait_for(lambda: [one.state for one in self.source.migrations()
                               if one.migration_id == message.migration_id]
                      == [live.MIGRATION_STATE_KEPT])
        wait_for_writes(self.source.client, "guest", 10)
        self.assert_load(self.source.client, "guest")
        self.assert_stayed()
        self.assert_load(self.target.client, "guest")

    def test_a_deadline_passes_in_mid_copy(self):
        self.create(written=3000)
        with self.assertRaises(harness.grpc.RpcError) as caught:
            list(self.migrate(policy={"max_bytes_per_second": MB},
                              timeout=0.5))
        self.assertEqual(caught.exception.code(),
                         harness.grpc.StatusCode.DEADLINE_EXCEEDED)
        self.wait_for(lambda: self.source.migrations()[0].state
                      != live.MIGRATION_STATE_COPYING)
        self.assert_stayed()

    def test_the_bandwidth_is_kept(self):
        self.create(written=3000)
        limit = 10 * MB
        since = sent = None
        for message in self.migrate(
                policy={"max_bytes_per_second": limit, "max_passes": 1}):
            if message.phase == COPYING and since is None:
                since, sent = time.monotonic(), message.bytes_sent
            if message.phase == SUSPENDED and since:
                seconds = time.monotonic() - since
                sent = message.bytes_sent - sent
                since = 0
        self.assertGreater(sent, 3000 * 4096)
        self.assertLess(abs(sent / seconds / limit - 1), 0.2,
                        f"{sent} bytes in {seconds} s")

    def test_progress_only_ever_grows(self):
        self.create(written=3000)
        start_load(self.source.client, "guest", pages_per_second=5000,
                   working_set_pages=500)
        said = self.assert_moves(
            policy={"max_bytes_per_second": 20 * MB, "max_passes": 4},
            migration_id="grows")
        self.assertGreaterEqual(len(said), 7)
        last = live.MigrateDomainResponse()
        for message in said:
            self.assertEqual(message.migration_id, "grows")
            for field in ("phase", "pass", "data_pages", "bytes_sent",
                          "downtime_ms"):
                self.assertGreaterEqual(getattr(message, field),
                                        getattr(last, field), field)
            self.assertLessEqual(message.pass_pfns_done,
                                 message.pass_pfns_total)
            if getattr(message, "pass") == getattr(last, "pass"):
                self.assertGreaterEqual(message.pass_pfns_done,
                                        last.pass_pfns_done)
            self.assertEqual(message.HasField("domain"),
                             message.phase == MOVED)
            if message.phase < SUSPENDED:
                self.assertEqual(message.downtime_ms, 0)
            last = message
        self.assertEqual(said[0].phase, ADMISSION)
        self.assertGreaterEqual(last.data_pages, 3000)
        self.assertGreater(last.bytes_per_second, 0)
        self.assert_load(self.target.client, "guest")

    def test_a_source_ends_at_once_after_it_has_sent_much(self):
        source = self.host()
        source.client.create("much", 60000)
        fill(source.client, "much", 20000, 30000)
        self.assertEqual(list(migrate(source.client, "much",
                                      self.target.unix))[-1].phase, MOVED)
        source.client.close()
        began = time.monotonic()
        self.assertEqual(source.daemon.stop(), 0)
        self.assertLess(time.monotonic() - began, 5)

    # Policies.

    def chased(self, **policy):
        """A guest that writes faster than the daemon copies it."""
        self.create(pages=8000)
        start_load(self.source.client, "guest", pages_per_second=20000,
                   working_set_pages=1000,
                   pattern=guest_load.LOAD_PATTERN_SEQUENTIAL)
        wait_for_writes(self.source.client, "guest", 1000)
        return self.migrate(policy=dict(policy,
                                        max_bytes_per_second=20 * MB))

    def test_a_downtime_that_would_be_exceeded_ends_it(self):
        said = self.assert_refused(
            "DOWNTIME_EXCEEDED", self.chased(max_passes=3, max_downtime_ms=1),
            "ABORTED")
        self.assertNotIn(SUSPENDED, [message.phase for message in said])
        wait_for_writes(self.source.client, "guest", 10)
        self.assert_load(self.source.client, "guest")
        self.assert_stayed()

    def test_a_downtime_that_is_enough_ends_the_passes(self):
        said = list(self.chased(max_passes=100, max_downtime_ms=20000))
        self.assertEqual(said[-1].phase, MOVED)
        self.assertEqual(getattr(said[-1], "pass"), 2)
        self.assertLess(said[-1].downtime_ms, 20000)
        self.assert_load(self.target.client, "guest")

    def test_passes_are_as_many_as_are_allowed(self):
        for most in (1, 3):
            said = list(self.chased(max_passes=most, min_dirty_pages=0))
            self.assertEqual(said[-1].phase, MOVED)
            # The guest is suspended in the last one.
            self.assertEqual(getattr(said[-1], "pass"), most + 1)
            self.assertTrue(all(getattr(message, "pass") <= most
                                for message in said
                                if message.phase == COPYING))
            self.assert_load(self.target.client, "guest")
            self.target.client.destroy("guest")

    def test_few_dirty_pages_end_the_passes(self):
        said = list(self.chased(max_passes=100, min_dirty_pages=2000))
        self.assertEqual(said[-1].phase, MOVED)
        # One over all pages, one over the dirty pages, and the last.
        self.assertEqual(getattr(said[-1], "pass"), 3)
        self.assert_load(self.target.client, "guest")

    # Several at once.

    def test_two_of_one_domain(self):
        self.create(written=3000)
        first = self.migrate(policy={"max_bytes_per_second": 5 * MB})
        self.until(first, COPYING)
        for target in (self.target.unix, self.source.unix):
            self.assert_refused("DOMAIN_MIGRATING",
                                self.migrate(target=target),
                                "FAILED_PRECONDITION")
        self.assertEqual(list(first)[-1].phase, MOVED)

    def test_an_id_is_used_once(self):
        self.create()
        self.create("other")
        self.assert_moves(migration_id="once")
        self.assert_refused("MIGRATION_SETTLED",
                            self.migrate("other", migration_id="once"))
        self.assert_runs(self.source, "other")
        self.assert_moves("other")

    def test_several_domains_both_ways(self):
        names = [f"web{i}" for i in range(3)]
        for name in names:
            self.create(name, written=500)
            start_load(self.source.client, name, pages_per_second=3000,
                       working_set_pages=200)
        self.target.client.create("back", 6000)
        start_load(self.target.client, "back", pages_per_second=3000,
                   working_set_pages=200)
        policy = {"max_bytes_per_second": 5 * MB}
        calls = [self.migrate(name, policy=policy) for name in names]
        calls.append(migrate(self.target.client, "back", self.source.tcp,
                             policy=policy))
        last = [None] * len(calls)

        def follow(i):
            for last[i] in calls[i]:
                pass

        threads = [threading.Thread(target=follow, args=(i,))
                   for i in range(len(calls))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(harness.DEADLINE)
        self.assertEqual([one.phase for one in last], [MOVED] * len(calls))
        for name in names:
            self.assert_load(self.target.client, name)
        self.assert_load(self.source.client, "back")

    def test_while_others_run(self):
        others = [f"other{i}" for i in range(5)]
        for name in [*others, "guest"]:
            self.create(name, written=300)
            start_load(self.source.client, name, pages_per_second=2000,
                       working_set_pages=300)
        self.assert_moves(policy={"max_bytes_per_second": 10 * MB})
        for name in others:
            self.assert_runs(self.source, name)
            wait_for_writes(self.source.client, name, 10)
            self.assert_load(self.source.client, name)
        self.assert_load(self.target.client, "guest")

    def test_it_can_be_saved_after_it_has_moved(self):
        self.create(written=700)
        start_load(self.source.client, "guest", pages_per_second=2000,
                   working_set_pages=300)
        self.assert_moves()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "image")
            harness.simvisor(self.target.unix, "save", "guest", path)
            self.simvisor("restore", path)
        self.assert_load(self.source.client, "guest")
        self.assert_moves()


if __name__ == "__main__":
    unittest.main()
