"""Calls that are cut short, or pile up, while others take a long time."""

import unittest

import harness
from harness import GIB, domain, grpc, health_pb2, host, memory, ref


class CutShortTest(harness.DaemonTest):
    """Calls that take long enough to be cut short, on a machine that hands out
    frames one by one."""

    FLAGS = ("--host-memory", "24G", "--dom0-memory", "1G",
             "--placement", "scatter")

    def request(self):
        return domain.CreateDomainRequest(spec=domain.DomainSpec(
            name="late", memory_pages=20 * GIB))

    def assert_nothing_left(self, before):
        # An audit waits for a domain whose creation is still being undone.
        self.assert_clean()
        self.assertEqual(self.client.counts(), before)
        # The name is free as soon as the last trace of the domain is gone.
        while True:
            try:
                self.client.create("late", 4096)
                break
            except grpc.RpcError as error:
                self.assertEqual(harness.reason_of(error), "NAME_IN_USE")
        self.client.destroy("late")

    def test_a_deadline_that_passes_while_frames_are_given_out(self):
        before = self.client.counts()
        with self.assertRaises(grpc.RpcError) as caught:
            self.client.domain.CreateDomain(self.request(), timeout=0.05)
        self.assertEqual(caught.exception.code(),
                         grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assert_nothing_left(before)

    def test_health_answers_while_audits_and_lookups_pile_up(self):
        self.client.create("big", 8 * GIB)
        audits = [self.client.host.AuditHost.future(host.AuditHostRequest())
                  for _ in range(8)]
        # A change that waits for the audits also makes the lookups after it
        # wait.
        others = [self.client.domain.CreateDomain.future(
            domain.CreateDomainRequest(spec=domain.DomainSpec(
                name="waits", memory_pages=4096)))]
        others += [self.client.memory.TranslatePfns.future(
            memory.TranslatePfnsRequest(domain=ref("big"), pfns=[0]))
                   for _ in range(64)]
        self.client.health.Check(health_pb2.HealthCheckRequest(),
                                 timeout=harness.DEADLINE)
        self.assertFalse(any(audit.done() for audit in audits))
        for call in audits + others:
            call.result(harness.DEADLINE)
        self.client.destroy("waits")
        self.client.destroy("big")

    def test_a_client_that_cancels_while_frames_are_given_out(self):
        before = self.client.counts()
        call = self.client.domain.CreateDomain.future(self.request())
        while self.client.counts().free_pages == before.free_pages:
            pass
        call.cancel()
        self.assert_nothing_left(before)


if __name__ == "__main__":
    unittest.main()
