"""Long work of many clients at once: it holds up only itself.

During each kind of long work, a quiet client looks at its own domain and works
on it, and none of its calls may take a second.
"""

import os
import pathlib
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness  # noqa: E402
from harness import GIB, MIB, domain, grpc, guest_load, host, memory, ref  # noqa: E402

# Seconds: how long a call of the quiet client may take, when the client gives
# up, and within which bounded long work must be done.
QUIET = 1.0
HUNG = 10
SOON = 60
MANY = 100
# Most calls that wait for a thread for long work; see docs/limits.md.
WAITING = 1024


def varint(number):
    """Encodes it as the notes of a guest's kernel do."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


class LongWorkCase(harness.DaemonTest):

    def setUp(self):
        self.quiet = harness.Client(self.daemon.address)
        self.addCleanup(self.quiet.close)
        self.quiet.create("quiet", 16 * MIB)
        self.slowest = ("no call", 0.0)

    def tearDown(self):
        listed = self.client.domain.ListDomains(domain.ListDomainsRequest())
        for one in listed.domains:
            if one.domid != 0:
                self.client.destroy(one.domid)
        self.assert_clean()

    def timed(self, name, call):
        began = time.monotonic()
        call()
        took = time.monotonic() - began
        if took > self.slowest[1]:
            self.slowest = (name, took)

    def look(self):
        """The quiet client's calls that only look."""
        self.timed("GetDomain", lambda: self.quiet.domain.GetDomain(
            domain.GetDomainRequest(domain=ref("quiet")), timeout=HUNG))
        self.timed("ListDomains", lambda: self.quiet.domain.ListDomains(
            domain.ListDomainsRequest(), timeout=HUNG))

    def work(self):
        """Its calls that change its domain, or wait until no other call changes
        it."""
        self.timed("PauseDomain", lambda: self.quiet.domain.PauseDomain(
            domain.PauseDomainRequest(domain=ref("quiet")),
            timeout=HUNG))
        self.timed("ReadGuestMemory", lambda: self.quiet.memory.ReadGuestMemory(
            memory.ReadGuestMemoryRequest(
                domain=ref("quiet"), pfn=300, length_bytes=8),
            timeout=HUNG))
        self.timed("SetMemoryTarget", lambda: self.quiet.memory.SetMemoryTarget(
            memory.SetMemoryTargetRequest(
                domain=ref("quiet"), target_pages=16 * MIB),
            timeout=HUNG))

    def quiet_while(self, calls, *steps):
        """Repeats the steps until the calls have ended, each step at least
        once, and returns how the calls ended."""
        end = time.monotonic() + SOON
        while True:
            for step in steps:
                step()
            self.assertLess(self.slowest[1], QUIET,
                            f"{self.slowest[0]} of the quiet client")
            if all(call.done() for call in calls):
                return [call.exception() for call in calls]
            self.assertLess(time.monotonic(), end, "the long work does not end")

    def assert_all_ok(self, errors):
        self.assertEqual([error for error in errors if error is not None], [])


class LongWorkTest(LongWorkCase):

    FLAGS = ("--host-memory", "48g", "--placement", "scatter")

    def create_scattered(self, count, gib):
        return [
            self.client.domain.CreateDomain.future(
                domain.CreateDomainRequest(
                    spec=domain.DomainSpec(
                        name=f"large-{i}", memory_pages=gib * GIB)),
                timeout=SOON)
            for i in range(count)
        ]

    def restore_with_endless_load(self, name, working_set):
        """A guest whose kernel claims that its load has done 2^62 writes."""
        writes, rate = 1 << 62, 77777
        self.client.create("origin", 64 * MIB)
        self.client.guest_load.StartGuestLoad(
            guest_load.StartGuestLoadRequest(
                domain=ref("origin"),
                spec=guest_load.LoadSpec(
                    pages_per_second=rate, working_set_pages=working_set,
                    pattern=guest_load.LOAD_PATTERN_HOTSPOT, seed=writes)))
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "image")
            harness.simvisor(self.daemon.address, "save", "origin", path)
            image = pathlib.Path(path).read_bytes()
            # Rate, pattern, seed, writes: seed and writes swap places, so that
            # nothing else moves.
            head = varint(rate) + varint(2)
            at = image.index(head + varint(writes)) + len(head)
            seed = at + len(varint(writes))
            size = 1
            while image[seed + size - 1] >= 0x80:
                size += 1
            forged = (image[:at] + image[seed:seed + size] + varint(writes)
                      + image[seed + size:])
            self.assertEqual(len(forged), len(image))
            pathlib.Path(path).write_bytes(forged)
            harness.simvisor(self.daemon.address, "restore", "-p", "--name",
                             name, path)

    def test_checks_of_a_load_that_claims_endless_writes_end(self):
        self.restore_with_endless_load("forged", 2000)
        checks = [
            self.client.guest_load.CheckGuestLoad.future(
                guest_load.CheckGuestLoadRequest(domain=ref("forged")))
            for _ in range(8)
        ]
        try:
            self.assert_all_ok(self.quiet_while(checks, self.look, self.work))
        finally:
            for check in checks:
                check.cancel()
        for check in checks:
            self.assertEqual(check.result().load.writes, 1 << 62)
            self.assertEqual(check.result().checked_pages, 2000)

    def test_many_audits_share_runs_and_hold_up_no_reader(self):
        self.assert_all_ok(
            self.quiet_while(self.create_scattered(1, 8), self.look))
        began = time.monotonic()
        self.assertTrue(self.client.audit().clean)
        one = time.monotonic() - began
        began = time.monotonic()
        audits = [
            self.client.host.AuditHost.future(host.AuditHostRequest())
            for _ in range(MANY)
        ]
        self.assert_all_ok(self.quiet_while(audits, self.look))
        # The first has its own run, the others mostly share one.
        self.assertLess(time.monotonic() - began, 10 * one + 2)
        self.assertTrue(all(audit.result().clean for audit in audits))

    def test_callers_who_leave_an_audit_take_nothing_from_the_others(self):
        self.assert_all_ok(
            self.quiet_while(self.create_scattered(1, 4), self.look))
        for _ in range(3):
            hasty = [
                self.client.host.AuditHost.future(
                    host.AuditHostRequest(), timeout=0.02)
                for _ in range(MANY)
            ]
            patient = self.client.host.AuditHost.future(host.AuditHostRequest())
            cancelled = self.client.host.AuditHost.future(
                host.AuditHostRequest())
            cancelled.cancel()
            self.assertTrue(patient.result(timeout=SOON).clean)
            for audit in hasty:
                error = audit.exception(timeout=SOON)
                if error is not None:
                    self.assertEqual(error.code(),
                                     grpc.StatusCode.DEADLINE_EXCEEDED)

    def test_scattered_creates_leave_threads_to_others(self):
        creates = self.create_scattered(8, 4)
        self.assert_all_ok(self.quiet_while(creates, self.look, self.work))

    def test_calls_that_wait_for_a_busy_domain_hold_up_no_other(self):
        self.assert_all_ok(
            self.quiet_while(self.create_scattered(1, 8), self.look))
        busy = []
        for _ in range(3):
            for target in (GIB, 8 * GIB):
                busy.append(self.client.memory.SetMemoryTarget.future(
                    memory.SetMemoryTargetRequest(
                        domain=ref("large-0"), target_pages=target)))
        for _ in range(MANY):
            busy.append(self.client.domain.PauseDomain.future(
                domain.PauseDomainRequest(domain=ref("large-0"))))
            busy.append(self.client.memory.ReadGuestMemory.future(
                memory.ReadGuestMemoryRequest(
                    domain=ref("large-0"), pfn=300, length_bytes=8)))
            busy.append(self.client.domain.GetDomain.future(
                domain.GetDomainRequest(domain=ref("large-0"))))
        # A paused guest acts on its targets later.
        self.assert_all_ok(self.quiet_while(busy, self.look, self.work))


class BoundedWaitTest(LongWorkCase):
    """Faults hold the threads for long work, for as long as the test needs."""

    FLAGS = ("--enable-fault-injection",)
    CREATES = 24  # more than the threads for long work

    def fault(self, *arguments):
        harness.simvisor(self.daemon.address, "fault", *arguments)

    def test_what_waits_for_long_work_is_bounded(self):
        self.client.create("loaded", 32 * MIB)
        self.client.guest_load.StartGuestLoad(
            guest_load.StartGuestLoadRequest(
                domain=ref("loaded"),
                spec=guest_load.LoadSpec(
                    pages_per_second=1, working_set_pages=100)))
        self.fault("add", "create.begin", "--delay-ms", "60000")
        creates = [
            self.client.domain.CreateDomain.future(
                domain.CreateDomainRequest(
                    spec=domain.DomainSpec(
                        name=f"held-{i}", memory_pages=65 * MIB)))
            for i in range(self.CREATES)
        ]
        # More calls than one connection may have open.
        others = [harness.Client(self.daemon.address) for _ in range(2)]
        for other in others:
            self.addCleanup(other.close)
        checks = [
            others[i % 2].guest_load.CheckGuestLoad.future(
                guest_load.CheckGuestLoadRequest(domain=ref("loaded")))
            for i in range(WAITING + 200)
        ]
        # 1024 calls wait, the others are refused at once.
        end = time.monotonic() + SOON
        while sum(check.done() for check in checks) < 200:
            self.look()
            self.work()
            self.assertLess(time.monotonic(), end, "too few are refused")
        self.assertLess(self.slowest[1], QUIET,
                        f"{self.slowest[0]} of the quiet client")
        self.fault("clear", "--all")
        errors = self.quiet_while(creates + checks, self.look)
        self.assert_all_ok(errors[:len(creates)])
        refused = [error for error in errors if error is not None]
        self.assertGreaterEqual(len(refused), 200)
        self.assertLessEqual(len(refused), 200 + self.CREATES)
        for error in refused:
            self.assertEqual(
                (error.code(), harness.reason_of(error)),
                (grpc.StatusCode.RESOURCE_EXHAUSTED, "CALLS_EXHAUSTED"))


if __name__ == "__main__":
    unittest.main()
