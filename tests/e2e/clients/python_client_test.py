"""A Python client made from the proto files drives the daemon: create, balloon,
translate, walk, destroy."""

import pathlib
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402
from harness import GIB, common, domain, health_pb2, host, memory, ref  # noqa: E402


class PythonClientTest(harness.DaemonTest):

    def test_every_service_reports_serving(self):
        for service in ("", "simvisor.v1.HostService",
                        "simvisor.v1.DomainService",
                        "simvisor.v1.MemoryService",
                        "simvisor.v1.AddressSpaceService",
                        "simvisor.v1.GuestLoadService",
                        "simvisor.v1.MigrationService",
                        "simvisor.v1.FaultService"):
            answer = self.client.health.Check(
                health_pb2.HealthCheckRequest(service=service),
                timeout=harness.DEADLINE)
            self.assertEqual(answer.status,
                             health_pb2.HealthCheckResponse.SERVING, service)

    def test_a_domain_lives_and_leaves_nothing_behind(self):
        before = self.client.counts()
        made = self.client.create("life", GIB, max_memory_pages=2 * GIB)
        self.assertEqual(made.state, domain.DOMAIN_STATE_RUNNING)
        self.assertEqual(made.memory.current_pages, GIB)

        down = self.client.memory.BalloonDown(
            memory.BalloonDownRequest(domain=ref("life"), pages=1000))
        self.assertEqual(down.moved_pages, 1000)
        self.assertEqual(self.client.counts().free_pages,
                         before.free_pages - GIB + 1000)
        [(top_class, _)] = self.client.translate("life", [GIB - 1])
        self.assertEqual(top_class, common.P2M_CLASS_MISSING)

        up = self.client.memory.BalloonUp(
            memory.BalloonUpRequest(domain=ref(made.domid), pages=1000))
        self.assertEqual(up.moved_pages, 1000)
        [(top_class, mfn)] = self.client.translate("life", [GIB - 1])
        self.assertEqual(top_class, common.P2M_CLASS_RAM)
        [part] = self.client.host.LookupFrames(host.LookupFramesRequest(
            extents=[common.MfnExtent(first_mfn=mfn, count=1)]))
        self.assertEqual((part.runs[0].domid, part.runs[0].first_pfn),
                         (made.domid, GIB - 1))

        self.assertEqual(self.client.destroy("life").freed_pages, GIB)
        after = self.client.counts()
        self.assertEqual(after.free_pages, before.free_pages)
        self.assert_clean()

    def test_the_tree_walked_by_mfn_names_every_word(self):
        self.client.create("walked", GIB + 300, max_memory_pages=GIB + 900)
        root = self.client.memory.GetMfnListList(
            memory.GetMfnListListRequest(domain=ref("walked")))
        fpp = root.words_per_page

        def entries(mfn):
            return struct.unpack(f"<{fpp}Q",
                                 self.client.read_frames((mfn, 1))[mfn])

        words = []
        for mid in entries(root.root_mfn)[:-(-root.max_pfn // fpp**2)]:
            leaves = entries(mid)
            pages = self.client.read_frames(*((leaf, 1) for leaf in leaves))
            for leaf in leaves:
                words += struct.unpack(f"<{fpp}Q", pages[leaf])
        for start in range(0, root.max_pfn, 65536):
            pfns = list(range(start, min(start + 65536, root.max_pfn)))
            for pfn, (p2m_class, frame) in zip(
                    pfns, self.client.translate("walked", pfns)):
                word = words[pfn]
                if p2m_class == common.P2M_CLASS_RAM:
                    self.assertEqual(word, frame, hex(pfn))
                elif p2m_class == common.P2M_CLASS_MISSING:
                    self.assertEqual(word, 2**64 - 1, hex(pfn))
                else:  # only the frame of a shared leaf says so
                    self.assertIn(word, (2**64 - 1, frame | 1 << 62), hex(pfn))
        self.client.destroy("walked")
        self.assert_clean()

    def test_contents_stay_with_their_page_and_never_reach_the_next_owner(self):
        self.client.create("writer", 16 * 1024)
        text = b"only for my eyes" * 512
        self.client.memory.WriteGuestMemory(memory.WriteGuestMemoryRequest(
            domain=ref("writer"), pfn=8000, offset_bytes=100, data=text))
        read = self.client.memory.ReadGuestMemory(memory.ReadGuestMemoryRequest(
            domain=ref("writer"), pfn=8000, offset_bytes=100,
            length_bytes=len(text)))
        self.assertEqual(read.data, text)
        [(_, mfn)] = self.client.translate("writer", [8001])
        self.assertEqual(self.client.read_frames((mfn, 1))[mfn],
                         text[3996:3996 + 4096])
        self.client.destroy("writer")
        self.client.create("heir", 16 * 1024)
        [(_, first)] = self.client.translate("heir", [0])
        pages = self.client.read_frames((first, 16 * 1024))
        self.assertIn(mfn, pages)
        self.assertFalse(any(b"eyes" in page for page in pages.values()))
        self.client.destroy("heir")

    def test_a_list_in_pages_names_each_domain_once(self):
        for i in range(25):
            self.client.create(f"page{i}", 4096)
        seen, token = [], ""
        while True:
            answer = self.client.domain.ListDomains(domain.ListDomainsRequest(
                page_size=7, page_token=token))
            self.assertLessEqual(len(answer.domains), 7)
            seen += [d.domid for d in answer.domains]
            token = answer.next_page_token
            if not token:
                break
        self.assertEqual(seen, sorted(set(seen)))
        self.assertEqual(len(seen), 26)
        for i in range(25):
            self.client.destroy(f"page{i}")
        self.assert_clean()


if __name__ == "__main__":
    unittest.main()
