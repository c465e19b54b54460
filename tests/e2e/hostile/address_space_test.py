"""A client creates domains with room for far more memory than will ever exist:
each costs the daemon address space, and the daemon needs some for itself."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402
from harness import MIB, domain, grpc, memory, ref  # noqa: E402

MOST_GIB = 65536  # of room for one domain
KIB_EACH = 64  # what such a domain may cost in memory


class AddressSpaceTest(harness.DaemonTest):

    def create(self, name, gib):
        self.client.domain.CreateDomain(
            domain.CreateDomainRequest(spec=domain.DomainSpec(
                name=name, memory_pages=16 * MIB,
                memory_hotplug_limit_gib=gib)),
            timeout=harness.DEADLINE)

    def write(self, name):
        for pfn in range(3000, 4000, 100):
            self.client.memory.WriteGuestMemory(
                memory.WriteGuestMemoryRequest(
                    domain=ref(name), pfn=pfn, data=b"x" * (100 * 4096)),
                timeout=harness.DEADLINE)

    def take_all(self):
        """Halves the room after each refusal, down to nothing."""
        names, gib, reasons = [], MOST_GIB, set()
        before = self.daemon.rss_bytes()
        large_cost = None
        while gib > 0:
            try:
                self.create(f"d{len(names)}", gib)
                names.append(f"d{len(names)}")
            except grpc.RpcError as error:
                self.assertEqual(error.code(),
                                 grpc.StatusCode.RESOURCE_EXHAUSTED)
                reasons.add(harness.reason_of(error))
                if large_cost is None:
                    large_cost = self.daemon.rss_bytes() - before
                    large_cost /= max(len(names), 1)
                gib //= 2
        self.assertEqual(reasons, {"HOST_ADDRESS_SPACE_EXHAUSTED"})
        return names, large_cost

    def test_domains_that_take_all_address_space_leave_the_daemon_its_own(self):
        names, large_cost = self.take_all()
        self.assertGreater(len(names), 400)
        self.assertLess(large_cost, KIB_EACH * 1024)
        for name in names[:10] + names[-10:]:
            self.write(name)
        self.assertEqual(list(self.client.audit().findings), [])
        # Another domain can have the space that one gives up.
        self.client.destroy(names[0])
        self.create("last", MOST_GIB)
        self.write("last")


if __name__ == "__main__":
    unittest.main()
