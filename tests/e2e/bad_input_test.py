"""Every wrong call is refused with the right code and reason and changes
nothing; afterwards the daemon still serves, and its audit is clean."""

import concurrent.futures
import threading
import unittest

import harness
from harness import GIB, MIB, common, domain, grpc, host, memory, ref

POOL_GIB = 8


class BadInputTest(harness.DaemonTest):

    FLAGS = ("--host-memory", f"{POOL_GIB}G", "--dom0-memory", "1G")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client.create("vm", GIB, max_memory_pages=2 * GIB)
        cls.client.create("built", GIB // 4, paused=True)

    def refuse_create(self, code, reason, **spec):
        spec.setdefault("name", "refused")
        spec.setdefault("memory_pages", 64 * MIB)
        with self.assert_refused(code, reason):
            self.client.domain.CreateDomain(domain.CreateDomainRequest(
                spec=domain.DomainSpec(**spec)))

    # --- Sizes ---

    def test_sizes_that_no_domain_can_have(self):
        for pages in (0, 1, 255, 2**32, 2**52, 2**64 - 1):
            with self.subTest(pages=pages):
                self.refuse_create("INVALID_ARGUMENT", "MEMORY_SIZE_INVALID",
                                   memory_pages=pages)

    def test_an_odd_size_is_fine(self):
        pages = 2049 * MIB + 1
        self.client.create("odd", pages)
        runs = self.client.runs("odd", merge=memory.RUN_MERGE_BY_CLASS)
        self.assertEqual([(r.p2m_class, r.count) for r in runs],
                         [(common.P2M_CLASS_RAM, pages),
                          (common.P2M_CLASS_IDENTITY, 786432 - pages)])
        self.client.destroy("odd")

    def test_a_maximum_below_the_memory(self):
        self.refuse_create("INVALID_ARGUMENT", "MEMORY_SIZE_INVALID",
                           memory_pages=GIB, max_memory_pages=GIB - 1)

    def test_a_guest_with_too_few_pages_for_its_own_list(self):
        ram, hole = common.E820_TYPE_RAM, common.E820_TYPE_RESERVED
        pieces = [(0, 257, ram), (257, 4096, hole), (4096, 8192, ram)]
        self.refuse_create(
            "INVALID_ARGUMENT", "MEMORY_SIZE_INVALID", memory_pages=512,
            e820=common.E820Map(entries=[
                common.E820Entry(start_bytes=start * 4096,
                                 size_bytes=(end - start) * 4096, type=kind)
                for start, end, kind in pieces]))

    def test_more_than_the_pool_has(self):
        self.refuse_create("RESOURCE_EXHAUSTED", "HOST_MEMORY_EXHAUSTED",
                           memory_pages=POOL_GIB * GIB)

    def test_arguments_beyond_their_bounds(self):
        self.refuse_create("INVALID_ARGUMENT", "ARGUMENT_TOO_LARGE", vcpus=8193)
        self.refuse_create("INVALID_ARGUMENT", "ARGUMENT_TOO_LARGE",
                           memory_hotplug_limit_gib=65537)
        self.refuse_create("INVALID_ARGUMENT", "ARGUMENT_TOO_LARGE",
                           e820_host=True,
                           pci_devices=["00:00.0"] * 65)

    # --- Names ---

    def test_names_and_uuids_that_are_none(self):
        for name in ("", "123", "a/b", "tab\tbed", "x" * 256,
                     "12345678-1234-1234-1234-123456789012"):
            with self.subTest(name=name):
                self.refuse_create("INVALID_ARGUMENT", "NAME_INVALID",
                                   name=name)
        for uuid in ("zz", "12345678-1234-1234-1234-12345678901",
                     "12345678_1234_1234_1234_123456789012"):
            with self.subTest(uuid=uuid):
                self.refuse_create("INVALID_ARGUMENT", "UUID_INVALID",
                                   uuid=uuid)

    def test_taken_names_and_uuids(self):
        self.refuse_create("ALREADY_EXISTS", "NAME_IN_USE", name="vm")
        self.refuse_create("ALREADY_EXISTS", "NAME_IN_USE", name="Domain-0")
        self.refuse_create("ALREADY_EXISTS", "UUID_IN_USE",
                           uuid=self.client.get("vm").uuid)
        self.refuse("ALREADY_EXISTS", "NAME_IN_USE",
                    self.client.domain.RenameDomain,
                    domain.RenameDomainRequest(domain=ref("vm"),
                                               new_name="built"))

    def test_of_two_clients_that_race_for_a_name_exactly_one_wins(self):
        clients = [harness.Client(self.daemon.address) for _ in range(2)]
        for round_number in range(50):
            gate = threading.Barrier(2)

            def create(client, name=f"race{round_number}", gate=gate):
                gate.wait(harness.DEADLINE)
                try:
                    client.create(name, 4096)
                    return "OK"
                except grpc.RpcError as error:
                    return harness.reason_of(error)

            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                self.assertEqual(sorted(pool.map(create, clients)),
                                 ["NAME_IN_USE", "OK"])
            self.client.destroy(f"race{round_number}")
        for client in clients:
            client.close()
        self.assert_clean()

    def test_domains_that_do_not_exist(self):
        get = self.client.domain.GetDomain
        for nobody in (ref("nobody"), ref(31000), ref(2**32 - 1),
                       common.DomainRef(
                           uuid="12345678-1234-1234-1234-123456789012")):
            self.refuse("NOT_FOUND", "DOMAIN_NOT_FOUND", get,
                        domain.GetDomainRequest(domain=nobody))
        self.refuse("INVALID_ARGUMENT", "ARGUMENT_MISSING", get,
                    domain.GetDomainRequest())
        self.refuse("INVALID_ARGUMENT", "UUID_INVALID", get,
                    domain.GetDomainRequest(
                        domain=common.DomainRef(uuid="not-a-uuid")))

    def test_domain_0_is_not_for_destroying(self):
        self.refuse("FAILED_PRECONDITION", "DOM0_PROTECTED",
                    self.client.domain.DestroyDomain,
                    domain.DestroyDomainRequest(domain=ref(0)))
        self.refuse("FAILED_PRECONDITION", "DOM0_PROTECTED",
                    self.client.domain.RenameDomain,
                    domain.RenameDomainRequest(domain=ref(0), new_name="x"))

    # --- Memory maps ---

    def test_maps_that_are_none(self):
        ram = common.E820_TYPE_RAM

        def entry(start, size, kind=ram):
            return common.E820Entry(start_bytes=start, size_bytes=size,
                                    type=kind)

        for entries in (
                [],
                [entry(0, 0)],
                [entry(0, 2**30), entry(2**29, 2**30)],
                [entry(0, 2**30, common.E820_TYPE_RESERVED)],
                [entry(0, 2**53)],
                [entry(2**63, 2**63)],
                [entry(0, 4096)],
                [entry(i * 2**24, 4096) for i in range(129)]):
            with self.subTest(entries=len(entries)):
                self.refuse_create("INVALID_ARGUMENT", "E820_MALFORMED",
                                   e820=common.E820Map(entries=entries))
        self.refuse_create("INVALID_ARGUMENT", "ARGUMENT_MALFORMED",
                           e820=common.E820Map(entries=[entry(0, 2**30, 99)]))

    def test_ram_so_far_away_that_no_kernel_reaches_it(self):
        self.refuse_create(
            "INVALID_ARGUMENT", "MEMORY_SIZE_INVALID", memory_pages=4000,
            e820=common.E820Map(entries=[
                common.E820Entry(start_bytes=start, size_bytes=16 * 2**20,
                                 type=common.E820_TYPE_RAM)
                for start in (0, 2**52 - 16 * 2**20)]))

    def test_pci_devices_that_are_none_or_lack_the_map(self):
        self.refuse_create("INVALID_ARGUMENT", "ARGUMENT_MALFORMED",
                           e820_host=True, pci_devices=["nonsense"])
        self.refuse_create("INVALID_ARGUMENT", "ARGUMENT_MALFORMED",
                           pci_devices=["00:1f.2"])

    # --- Clients that misbehave ---

    def test_page_tokens_and_sizes_that_are_none(self):
        call = self.client.domain.ListDomains
        self.refuse("INVALID_ARGUMENT", "ARGUMENT_MALFORMED", call,
                    domain.ListDomainsRequest(page_token="nonsense"))
        self.refuse("INVALID_ARGUMENT", "ARGUMENT_TOO_LARGE", call,
                    domain.ListDomainsRequest(page_size=1001))

    def test_a_message_above_4_mib(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.client.memory.WriteGuestMemory(memory.WriteGuestMemoryRequest(
                domain=ref("vm"), pfn=1, data=bytes(5 * 2**20)))
        self.assertEqual(caught.exception.code(),
                         grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assert_clean()

    def test_a_client_that_vanishes_mid_stream(self):
        before = self.client.counts()
        for _ in range(5):
            other = harness.Client(self.daemon.address)
            [(_, first)] = self.client.translate("vm", [0])
            stream = other.host.ReadFrames(host.ReadFramesRequest(
                extents=[common.MfnExtent(first_mfn=first, count=GIB // 2)]))
            next(stream)
            other.close()
        self.assertEqual(self.client.counts(), before)
        self.assert_clean()

    def test_calls_that_are_cut_off_at_once_leave_a_clean_machine(self):
        for i in range(20):
            call = self.client.domain.CreateDomain.future(
                domain.CreateDomainRequest(spec=domain.DomainSpec(
                    name=f"cut{i}", memory_pages=GIB)))
            call.cancel()
        # Domains that got through are complete; nothing else is left.
        self.assert_clean()
        names = [d.name for d in self.client.domain.ListDomains(
            domain.ListDomainsRequest()).domains]
        for name in names:
            if name.startswith("cut"):
                self.assertEqual(self.client.destroy(name).freed_pages, GIB)
        self.assert_clean()

if __name__ == "__main__":
    unittest.main()
