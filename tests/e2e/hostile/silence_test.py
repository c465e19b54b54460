"""Clients and daemons that fall silent: calls that wait for them end after the
stall timeout, what they held is free again, and others do not wait for them.
"""

import os
import signal
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import harness  # noqa: E402
from harness import poll  # noqa: E402
from fake_target import (ADMITTED, HEAD_MESSAGES, PREPARED, FakeTarget, Sent,  # noqa: E402
                         resolved)
from harness import (common, domain, grpc, host, live, memory, memory_ops,  # noqa: E402
                     migration, ref, simvisor)
from migrations.silent_requests import Stalled, Talk  # noqa: E402

PAGES = 4096
WRITTEN = 3000  # pages with contents: more than a connection holds unread
PROMPT = 8  # seconds within which delayed calls must be done
FLAGS = ("--stall-timeout", "1s", "--host-memory", "512", "--log-level",
         "debug")


def fill(client, name):
    for first in range(500, 500 + WRITTEN, 250):
        client.memory.WriteGuestMemory(
            memory.WriteGuestMemoryRequest(
                domain=ref(name), pfn=first,
                data=os.urandom(250 * 4096)), timeout=harness.DEADLINE)


def image_of(client, name):
    """Saves a domain, which is then gone."""
    steps = [migration.SaveDomainRequest(start={"domain": ref(name)})]
    stored = threading.Event()

    def requests():
        yield steps[0]
        stored.wait(harness.DEADLINE)
        yield migration.SaveDomainRequest(stored={})

    image = b""
    for piece in client.migration.SaveDomain(requests(),
                                             timeout=harness.DEADLINE):
        image += piece.data
        if piece.last:
            stored.set()
    return image


class SilenceTest(harness.DaemonTest):
    FLAGS = FLAGS

    def setUp(self):
        self.before = self.client.counts()
        self.over = []

    def tearDown(self):
        for stalled in self.over:
            stalled.over.set()
        for one in self.client.domain.ListDomains(
                domain.ListDomainsRequest()).domains:
            if one.domid != 0:
                self.client.destroy(one.domid)
        poll(lambda: self.client.counts().free_pages == self.before.free_pages,
             "all frames are free")
        self.assert_clean()

    def requests(self, *requests):
        stalled = Stalled(*requests)
        self.over.append(stalled)
        return stalled

    def assert_stalled(self, call, reason="CALL_STALLED"):
        """The call soon ends with ABORTED."""
        since = time.monotonic()
        with self.assertRaises(grpc.RpcError) as caught:
            for _ in call:
                pass
        error = caught.exception
        self.assertEqual((error.code().name, harness.reason_of(error)),
                         ("ABORTED", reason), error.details())
        self.assertLess(time.monotonic() - since, PROMPT)

    def log(self):
        file = self.daemon.log.fileno()
        return os.pread(file, os.fstat(file).st_size, 0)

    def host(self):
        return self.client.host.GetHost(host.GetHostRequest(),
                                        timeout=harness.DEADLINE).host

    def test_a_source_that_stalls_gives_back_what_it_was_promised(self):
        self.client.create("web", PAGES)
        fill(self.client, "web")
        talk = Talk(image_of(self.client, "web"))
        pages = self.client.counts().free_pages - 1000
        silence = self.requests()

        def requests():
            yield live.ReceiveDomainRequest(offer={
                "migration_id": "silent", "pages": pages, "source": "me"})
            yield from (live.ReceiveDomainRequest(data=data)
                        for data in talk.pieces())
            yield from silence

        call = self.client.migration.ReceiveDomain(requests(),
                                                   timeout=harness.DEADLINE)
        self.assertEqual(next(call).WhichOneof("step"), "admitted")
        self.assertGreaterEqual(self.host().claimed_pages, pages)
        self.assertEqual(self.host().incoming_domain_count, 1)
        listed = simvisor(self.daemon.address, "list").stdout
        self.assertRegex(listed, r"web--incoming +\d+ +\d+ +0 +--p---")
        talk.over.set()
        self.assert_stalled(call)
        self.assertEqual(self.host().claimed_pages, 0)
        self.client.create("all-of-it", pages)

    def test_a_restore_that_stalls_gives_its_name_back(self):
        self.client.create("web", PAGES)
        fill(self.client, "web")
        image = image_of(self.client, "web")

        def silent(talk):
            yield from talk.pieces()
            yield from self.requests()

        def trickling(talk):
            yield from talk.pieces()
            yield from talk.trickle()

        for play in (silent, trickling):
            with self.subTest(play.__name__):
                talk = Talk(image)
                call = self.client.migration.RestoreDomain.future(
                    (migration.RestoreDomainRequest(data=data)
                     for data in play(talk)), timeout=harness.DEADLINE)
                poll(lambda: "web--incoming" in simvisor(
                    self.daemon.address, "list").stdout, "it is listed")
                with self.assertRaises(grpc.RpcError) as caught:
                    self.client.create("web", PAGES)
                self.assertEqual(harness.reason_of(caught.exception),
                                 "NAME_IN_USE")
                talk.over.set()
                since = time.monotonic()
                error = call.exception(harness.DEADLINE)
                self.assertEqual(harness.reason_of(error), "CALL_STALLED",
                                 error)
                self.assertLess(time.monotonic() - since, PROMPT)
                self.assertEqual(self.host().incoming_domain_count, 0)
        self.client.create("web", PAGES)

    def assert_resumes(self, name):
        poll(lambda: self.client.get(name).suspended, "it is suspended")
        since = time.monotonic()
        poll(lambda: not self.client.get(name).suspended, "it resumes")
        self.assertLess(time.monotonic() - since, PROMPT)
        self.assertEqual(self.client.get(name).state,
                         domain.DOMAIN_STATE_RUNNING)

    def test_a_guest_resumes_if_its_image_is_not_read(self):
        self.client.create("web", PAGES)
        fill(self.client, "web")
        call = self.client.migration.SaveDomain(iter(self.requests(
            migration.SaveDomainRequest(start={"domain": ref("web")}))),
            timeout=harness.DEADLINE)
        self.assertTrue(next(call).data)
        self.assert_resumes("web")
        with self.assertRaises(grpc.RpcError) as caught:
            for _ in call:
                pass
        # A status that overtakes unread data has no details.
        self.assertEqual(caught.exception.code().name, "ABORTED")
        self.assertIn("CALL_STALLED", caught.exception.details())

    def test_a_guest_resumes_if_its_client_is_stopped(self):
        self.client.create("web", PAGES)
        fill(self.client, "web")
        save = subprocess.Popen(
            [harness.SIMVISOR, "--address", self.daemon.address, "save", "web",
             "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            # After this byte the test stops reading the pipe.
            self.assertTrue(save.stdout.read(1))
            save.send_signal(signal.SIGSTOP)
            self.assert_resumes("web")
            save.send_signal(signal.SIGCONT)
            _, err = save.communicate(timeout=harness.DEADLINE)
            self.assertEqual(save.returncode, 1, err)
        finally:
            if save.poll() is None:
                save.kill()
                save.wait()

    def test_a_guest_resumes_if_its_image_is_never_stored(self):
        self.client.create("web", PAGES)
        call = self.client.migration.SaveDomain(iter(self.requests(
            migration.SaveDomainRequest(start={"domain": ref("web")}))),
            timeout=harness.DEADLINE)
        while not next(call).last:
            pass
        self.assert_resumes("web")
        self.assert_stalled(call)

    def test_a_stream_of_operations_that_is_not_read_ends(self):
        self.client.create("web", PAGES)
        fill(self.client, "web")
        pfns = list(range(500, 3500))
        batch = memory_ops.StreamMemoryOpsRequest(ops=[
            memory_ops.MemoryOp(domain=ref("web"), translate={"pfns": pfns})
            for _ in range(20)])

        call = self.client.memory.StreamMemoryOps(
            iter([batch] * 200), timeout=harness.DEADLINE)
        next(call)
        poll(lambda: b"StreamMemoryOps: ABORTED" in self.log(), "it ends")
        with self.assertRaises(grpc.RpcError) as caught:
            for _ in call:
                pass
        self.assertEqual(caught.exception.code().name, "ABORTED")
        self.assertIn("CALL_STALLED", caught.exception.details())

    def test_frames_that_are_not_read_end_their_call(self):
        self.client.create("web", PAGES)
        fill(self.client, "web")
        frames = [frame for _, frame in self.client.translate(
            "web", list(range(500, 500 + WRITTEN)))]
        call = self.client.host.ReadFrames(host.ReadFramesRequest(
            extents=[common.MfnExtent(first_mfn=frame, count=1)
                     for frame in frames]), timeout=harness.DEADLINE)
        next(call)
        poll(lambda: b"ReadFrames: ABORTED" in self.log(), "it ends")
        with self.assertRaises(grpc.RpcError) as caught:
            for _ in call:
                pass
        self.assertEqual(caught.exception.code().name, "ABORTED")
        self.assertIn("CALL_STALLED", caught.exception.details())

    def test_an_idle_stream_of_operations_stays_open(self):
        stalled = self.requests()
        call = self.client.memory.StreamMemoryOps(iter(stalled),
                                                  timeout=harness.DEADLINE)
        time.sleep(1.5)
        self.assertTrue(call.is_active())
        stalled.over.set()
        self.assertEqual(list(call), [])


class TargetTest(harness.DaemonTest):
    """Migrations to targets played by the test."""

    def setUp(self):
        self.targets = []

    def tearDown(self):
        for target in self.targets:
            target.close()
        for one in self.client.domain.ListDomains(
                domain.ListDomainsRequest()).domains:
            if one.domid != 0:
                self.client.destroy(one.domid)
        self.assert_clean()

    def fake(self, play, answer=None):
        target = FakeTarget(play, answer)
        self.targets.append(target)
        return target

    def migrate(self, name, target, migration_id=""):
        return self.client.migration.MigrateDomain(
            live.MigrateDomainRequest(domain=ref(name), target=target,
                                      migration_id=migration_id),
            timeout=harness.DEADLINE)

    def outcome(self, call):
        try:
            for _ in call:
                pass
        except grpc.RpcError as error:
            return harness.reason_of(error)
        return "OK"

    def state_of(self, migration_id):
        answer = self.client.migration.ListMigrations(
            live.ListMigrationsRequest(), timeout=harness.DEADLINE)
        return next((live.MigrationState.Name(one.state)
                     for one in answer.migrations
                     if one.migration_id == migration_id), None)

    def assert_runs(self, name):
        one = self.client.get(name)
        self.assertEqual(one.state, domain.DOMAIN_STATE_RUNNING)
        self.assertFalse(one.suspended)


class SilentTargetTest(TargetTest):
    FLAGS = FLAGS

    def test_a_target_that_falls_silent_at_each_step(self):
        over = threading.Event()
        self.addCleanup(over.set)

        def never_answers(requests, context):
            over.wait(harness.DEADLINE)
            yield from ()

        def reads_nothing_after_admitted(requests, context):
            for _ in range(HEAD_MESSAGES):
                next(requests)
            yield ADMITTED
            over.wait(harness.DEADLINE)

        def never_prepared(requests, context):
            sent = Sent(requests)
            sent.head()
            yield ADMITTED
            while not over.is_set() and sent.next() is not None:
                pass

        for play, reason in ((never_answers, "TARGET_UNREACHABLE"),
                             (reads_nothing_after_admitted, "CALL_STALLED"),
                             (never_prepared, "CALL_STALLED")):
            with self.subTest(play.__name__):
                self.client.create("web", PAGES)
                fill(self.client, "web")
                since = time.monotonic()
                call = self.migrate("web", self.fake(play).unix,
                                    play.__name__.replace("_", "-"))
                self.assertEqual(self.outcome(call), reason)
                self.assertLess(time.monotonic() - since, PROMPT)
                self.assert_runs("web")
                self.client.destroy("web")

    def commit_in_silence(self, over, answer):
        """A target that is told to run the domain and does not answer."""
        def play(requests, context):
            sent = Sent(requests)
            sent.head()
            yield ADMITTED
            sent.all()
            yield PREPARED
            over.wait(harness.DEADLINE)
        return self.fake(play, answer)

    def test_one_silent_target_delays_no_question_to_another(self):
        over = threading.Event()
        self.addCleanup(over.set)

        def silent(request, context):
            over.wait(harness.DEADLINE)

        may_answer = threading.Event()

        def dropped(request, context):
            if not may_answer.is_set():
                context.abort(grpc.StatusCode.UNAVAILABLE, "later")
            return resolved(request, live.MIGRATION_STATE_DROPPED)

        bad = self.commit_in_silence(over, silent)
        good = self.commit_in_silence(over, dropped)
        calls = []
        for i in range(8):
            self.client.create(f"bad{i}", 2048)
            calls.append((f"bad-{i}", self.migrate(f"bad{i}", bad.unix,
                                                   f"bad-{i}")))
        self.client.create("good", 2048)
        calls.append(("good", self.migrate("good", good.unix, "good")))
        for migration_id, call in calls:
            self.assertEqual(self.outcome(call), "MIGRATION_UNRESOLVED",
                             migration_id)
            self.assertEqual(self.state_of(migration_id),
                             "MIGRATION_STATE_UNKNOWN")
        self.assertTrue(self.client.get("good").suspended)
        may_answer.set()
        since = time.monotonic()
        poll(lambda: self.state_of("good") == "MIGRATION_STATE_KEPT",
             "the one with the target that answers is decided")
        self.assertLess(time.monotonic() - since, PROMPT)
        self.assert_runs("good")
        for i in range(8):
            simvisor(self.daemon.address, "migrate-resolve", f"bad-{i}",
                     "--keep")
            self.assert_runs(f"bad{i}")


class NinthMigrationTest(TargetTest):
    """With the default timeout, so that nothing becomes free meanwhile."""
    FLAGS = ("--host-memory", "512")

    def test_a_target_that_is_well_does_not_wait_for_eight_that_are_not(self):
        over = threading.Event()
        self.addCleanup(over.set)
        reached = threading.Semaphore(0)

        def silent(requests, context):
            reached.release()
            over.wait(harness.DEADLINE)
            yield from ()

        bad = self.fake(silent)
        well = harness.Daemon("--host-memory", "512")
        self.addCleanup(well.close)
        calls = []
        for i in range(10):
            self.client.create(f"bad{i}", 2048)
            calls.append(self.migrate(f"bad{i}", bad.unix))
        for _ in range(8):
            reached.acquire(timeout=harness.DEADLINE)
        self.client.create("web", 2048)
        since = time.monotonic()
        self.assertEqual(self.outcome(self.migrate("web", well.address)), "OK")
        self.assertLess(time.monotonic() - since, PROMPT)
        # A migration that waits for its turn can also be cancelled.
        for call in calls:
            call.cancel()
        for i in range(10):
            self.assert_runs(f"bad{i}")


if __name__ == "__main__":
    unittest.main()
