"""Wrong calls about a guest's memory (balloon, ranges, foreign frames,
contents) are refused with the right code and reason and change nothing."""

import unittest

import harness
from harness import GIB, common, domain, host, memory, ref

POOL_GIB = 8
NO_PFN = 2**61


class BadMemoryInputTest(harness.DaemonTest):

    FLAGS = ("--host-memory", f"{POOL_GIB}G", "--dom0-memory", "1G")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client.create("vm", GIB, max_memory_pages=2 * GIB)
        cls.client.create("built", GIB // 4, paused=True)

    # --- Balloon ---

    def test_ballooning_further_than_there_is(self):
        up, down = self.client.memory.BalloonUp, self.client.memory.BalloonDown
        self.refuse("RESOURCE_EXHAUSTED", "MAX_MEM_EXCEEDED", up,
                    memory.BalloonUpRequest(domain=ref("vm"), pages=257))
        self.refuse("RESOURCE_EXHAUSTED", "MAX_MEM_EXCEEDED", up,
                    memory.BalloonUpRequest(domain=ref("vm"), pages=2**64 - 1))
        self.refuse("RESOURCE_EXHAUSTED", "GUEST_MEMORY_EXHAUSTED", down,
                    memory.BalloonDownRequest(domain=ref("vm"), pages=GIB))
        self.refuse("RESOURCE_EXHAUSTED", "GUEST_MEMORY_EXHAUSTED", down,
                    memory.BalloonDownRequest(domain=ref("vm"),
                                              pages=2**64 - 1))
        for call, kind in ((up, memory.BalloonUpRequest),
                           (down, memory.BalloonDownRequest)):
            self.refuse("INVALID_ARGUMENT", "RANGE_INVALID", call,
                        kind(domain=ref("vm"), pages=0))
            self.refuse("FAILED_PRECONDITION", "DOMAIN_NOT_RUNNING", call,
                        kind(domain=ref("built"), pages=1))

    def test_ballooning_up_without_room_or_frames(self):
        self.client.create("full", GIB)
        self.client.memory.SetMaxMemory(memory.SetMaxMemoryRequest(
            domain=ref("full"), max_pages=20 * GIB))
        self.refuse("RESOURCE_EXHAUSTED", "PFN_NOT_BALLOONABLE",
                    self.client.memory.BalloonUp,
                    memory.BalloonUpRequest(domain=ref("full"), pages=1))
        self.client.destroy("full")
        self.client.create("wide", GIB, max_memory_pages=POOL_GIB * GIB)
        self.client.memory.SetMaxMemory(memory.SetMaxMemoryRequest(
            domain=ref("wide"), max_pages=POOL_GIB * GIB))
        self.refuse("RESOURCE_EXHAUSTED", "HOST_MEMORY_EXHAUSTED",
                    self.client.memory.BalloonUp,
                    memory.BalloonUpRequest(domain=ref("wide"),
                                            pages=(POOL_GIB - 1) * GIB))
        part = self.client.memory.BalloonUp(memory.BalloonUpRequest(
            domain=ref("wide"), pages=(POOL_GIB - 1) * GIB,
            allow_partial=True))
        self.assertLess(part.moved_pages, (POOL_GIB - 1) * GIB)
        self.assertEqual(self.client.counts().free_pages, 0)
        self.assertEqual(part.memory.balloon_state,
                         domain.BALLOON_STATE_AGAIN)
        self.assert_clean()
        self.client.destroy("wide")

    def test_targets_and_limits_out_of_bounds(self):
        target, limit = (self.client.memory.SetMemoryTarget,
                         self.client.memory.SetMaxMemory)
        self.refuse("INVALID_ARGUMENT", "STATIC_MAX_EXCEEDED", target,
                    memory.SetMemoryTargetRequest(domain=ref("vm"),
                                                  target_pages=2 * GIB + 1))
        self.refuse("INVALID_ARGUMENT", "MEMORY_SIZE_INVALID", target,
                    memory.SetMemoryTargetRequest(domain=ref("vm")))
        self.refuse("INVALID_ARGUMENT", "MAX_MEM_BELOW_TARGET", limit,
                    memory.SetMaxMemoryRequest(domain=ref("vm"),
                                               max_pages=GIB - 1))
        self.refuse("INVALID_ARGUMENT", "MEMORY_SIZE_INVALID", limit,
                    memory.SetMaxMemoryRequest(domain=ref("vm"),
                                               max_pages=2**32))

    # --- Ranges ---

    def mark(self, name, start, end, **more):
        return memory.MarkIdentityRangeRequest(
            domain=ref(name), start_pfn=start, end_pfn=end, **more)

    def test_identity_ranges_that_are_none(self):
        call = self.client.memory.MarkIdentityRange
        for name in ("vm", "built"):
            self.refuse("INVALID_ARGUMENT", "RANGE_INVALID", call,
                        self.mark(name, 11, 10))
            self.refuse("FAILED_PRECONDITION", "PFN_HOLDS_RAM", call,
                        self.mark(name, 20000, 20001))
        self.refuse("OUT_OF_RANGE", "PFN_OUT_OF_RANGE", call,
                    self.mark("vm", 2 * GIB, 2 * GIB + 1))
        self.refuse("OUT_OF_RANGE", "PFN_OUT_OF_RANGE", call,
                    self.mark("vm", 0, 2**64 - 2))
        self.refuse("OUT_OF_RANGE", "PFN_OUT_OF_RANGE", call,
                    self.mark("vm", 2**63, 2**64 - 1))
        self.refuse("FAILED_PRECONDITION", "PAGE_IN_USE_BY_KERNEL", call,
                    self.mark("vm", 0, GIB, release_ram=True))
        self.assertEqual(call(self.mark("vm", 10, 10)).marked_pages, 0)

    def test_set_ranges_that_are_none(self):
        call = self.client.memory.SetP2mRange

        def change(name="vm", first=2 * GIB - 10, count=1,
                   kind=common.P2M_CLASS_IDENTITY, **more):
            return memory.SetP2mRangeRequest(
                domain=ref(name), first_pfn=first, count=count, p2m_class=kind,
                **more)

        self.refuse("FAILED_PRECONDITION", "DOMAIN_NOT_BOOTED", call,
                    change("built"))
        self.refuse("INVALID_ARGUMENT", "RANGE_INVALID", call, change(count=0))
        self.refuse("OUT_OF_RANGE", "PFN_OUT_OF_RANGE", call, change(count=11))
        self.refuse("OUT_OF_RANGE", "PFN_OUT_OF_RANGE", call,
                    change(first=2**64 - 1, count=2))
        self.refuse("OUT_OF_RANGE", "PFN_OUT_OF_RANGE", call,
                    change(first=1, count=2**64 - 1))
        self.refuse("FAILED_PRECONDITION", "PFN_HOLDS_RAM", call,
                    change(first=20000))
        self.refuse("FAILED_PRECONDITION", "PAGE_IN_USE_BY_KERNEL", call,
                    change(first=0, count=4096,
                           ram_policy=common.RAM_POLICY_RELEASE))
        ram = common.P2M_CLASS_RAM
        [(_, own)] = self.client.translate("vm", [20000])
        [(_, other)] = self.client.translate("built", [0])
        free = self.client.counts().max_mfn - 1
        self.refuse("FAILED_PRECONDITION", "FRAME_IN_USE", call,
                    change(kind=ram, first_mfn=own))
        self.refuse("FAILED_PRECONDITION", "FRAME_NOT_OWNED", call,
                    change(kind=ram, first_mfn=other))
        self.refuse("FAILED_PRECONDITION", "FRAME_NOT_OWNED", call,
                    change(kind=ram, first_mfn=free))
        self.refuse("OUT_OF_RANGE", "MFN_OUT_OF_RANGE", call,
                    change(kind=ram, first_mfn=2**63))
        for kind in (common.P2M_CLASS_FOREIGN, 77):
            self.refuse("INVALID_ARGUMENT", "ARGUMENT_MALFORMED", call,
                        change(kind=kind))
        self.refuse("INVALID_ARGUMENT", "ARGUMENT_MISSING", call,
                    change(kind=common.P2M_CLASS_UNSPECIFIED))

    def test_foreign_slots_that_are_none(self):
        call = self.client.memory.MapForeignFrames
        missing = 2 * GIB - 10

        def request(*slots, name="vm"):
            return memory.MapForeignFramesRequest(domain=ref(name), slots=[
                memory.ForeignSlot(pfn=pfn, mfn=mfn) for pfn, mfn in slots])

        self.refuse("FAILED_PRECONDITION", "DOMAIN_NOT_BOOTED", call,
                    request((0, 0), name="built"))
        self.refuse("INVALID_ARGUMENT", "ARGUMENT_MISSING", call, request())
        self.refuse("INVALID_ARGUMENT", "ARGUMENT_TOO_LARGE", call,
                    request(*[(0, 0)] * 65537))
        [(_, own)] = self.client.translate("vm", [20000])
        [(_, other)] = self.client.translate("built", [0])
        max_mfn = self.client.counts().max_mfn
        answer = call(request(
            (20000, other), (2**64 - 1, other), (2**63, other),
            (missing, own), (missing, 0), (missing, max_mfn - 1),
            (missing, max_mfn), (missing, 2**64 - 1)))
        self.assertEqual(answer.mapped_slots, 0)
        self.assertEqual(
            [(error.slot, error.reason) for error in answer.errors],
            list(enumerate(["PFN_NOT_MISSING", "PFN_OUT_OF_RANGE",
                            "PFN_OUT_OF_RANGE", "FRAME_NOT_FOREIGN",
                            "FRAME_NOT_FOREIGN", "FRAME_NOT_FOREIGN",
                            "MFN_OUT_OF_RANGE", "MFN_OUT_OF_RANGE"])))

        unmap = self.client.memory.UnmapForeignFrames
        self.refuse("INVALID_ARGUMENT", "ARGUMENT_MISSING", unmap,
                    memory.UnmapForeignFramesRequest(domain=ref("vm")))
        answer = unmap(memory.UnmapForeignFramesRequest(
            domain=ref("vm"), pfns=[20000, missing, 2**64 - 1]))
        self.assertEqual([error.reason for error in answer.errors],
                         ["PFN_NOT_FOREIGN", "PFN_NOT_FOREIGN",
                          "PFN_OUT_OF_RANGE"])

    def test_what_a_foreign_word_does_not_allow(self):
        missing = 2 * GIB - 10
        [(_, other)] = self.client.translate("built", [0])
        self.client.memory.MapForeignFrames(memory.MapForeignFramesRequest(
            domain=ref("vm"),
            slots=[memory.ForeignSlot(pfn=missing, mfn=other)]))
        try:
            self.refuse("FAILED_PRECONDITION", "PFN_HOLDS_FOREIGN",
                        self.client.memory.MarkIdentityRange,
                        self.mark("vm", missing - 1, missing + 1))
            self.refuse("FAILED_PRECONDITION", "PFN_HOLDS_FOREIGN",
                        self.client.memory.SetP2mRange,
                        memory.SetP2mRangeRequest(
                            domain=ref("vm"), first_pfn=missing, count=1,
                            p2m_class=common.P2M_CLASS_MISSING))
            self.refuse("FAILED_PRECONDITION", "PFN_NOT_RAM",
                        self.client.memory.ReadGuestMemory,
                        memory.ReadGuestMemoryRequest(
                            domain=ref("vm"), pfn=missing, length_bytes=1))
        finally:
            self.client.memory.UnmapForeignFrames(
                memory.UnmapForeignFramesRequest(domain=ref("vm"),
                                                 pfns=[missing]))

    def test_frames_without_an_answer(self):
        call = self.client.memory.TranslateMfns
        self.refuse("INVALID_ARGUMENT", "ARGUMENT_MISSING", call,
                    memory.TranslateMfnsRequest(domain=ref("vm")))
        self.refuse("INVALID_ARGUMENT", "ARGUMENT_TOO_LARGE", call,
                    memory.TranslateMfnsRequest(domain=ref("vm"),
                                                mfns=[0] * 65537))
        answer = call(memory.TranslateMfnsRequest(domain=ref("vm"),
                                                  mfns=[2**64 - 1]))
        self.assertEqual(list(answer.pfns), [2**64 - 1])

    def test_runs_and_words_out_of_bounds(self):
        self.refuse("OUT_OF_RANGE", "PFN_OUT_OF_RANGE",
                    self.client.memory.ListP2mRuns,
                    memory.ListP2mRunsRequest(domain=ref("vm"),
                                              start_pfn=2 * GIB))
        self.refuse("INVALID_ARGUMENT", "RANGE_INVALID",
                    self.client.memory.ListP2mRuns,
                    memory.ListP2mRunsRequest(domain=ref("vm"),
                                              start_pfn=100, end_pfn=50))
        self.refuse("INVALID_ARGUMENT", "ARGUMENT_TOO_LARGE",
                    self.client.memory.TranslatePfns,
                    memory.TranslatePfnsRequest(domain=ref("vm"),
                                                pfns=[0] * 65537))
        self.refuse("INVALID_ARGUMENT", "ARGUMENT_MISSING",
                    self.client.memory.TranslatePfns,
                    memory.TranslatePfnsRequest(domain=ref("vm")))
        self.assertEqual(self.client.translate("vm", [NO_PFN])[0][0],
                         common.P2M_CLASS_IDENTITY)
        self.refuse("FAILED_PRECONDITION", "DOMAIN_NOT_BOOTED",
                    self.client.memory.GetMfnListList,
                    memory.GetMfnListListRequest(domain=ref("built")))

    def test_contents_out_of_bounds(self):
        read, write = (self.client.memory.ReadGuestMemory,
                       self.client.memory.WriteGuestMemory)
        for pfn in (2 * GIB - 1, 2 * GIB, 2**52, NO_PFN):
            self.refuse("FAILED_PRECONDITION", "PFN_NOT_RAM", read,
                        memory.ReadGuestMemoryRequest(
                            domain=ref("vm"), pfn=pfn, length_bytes=1))
            self.refuse("FAILED_PRECONDITION", "PFN_NOT_RAM", write,
                        memory.WriteGuestMemoryRequest(
                            domain=ref("vm"), pfn=pfn, data=b"x"))
        self.refuse("INVALID_ARGUMENT", "RANGE_INVALID", read,
                    memory.ReadGuestMemoryRequest(domain=ref("vm"), pfn=1))
        self.refuse("INVALID_ARGUMENT", "RANGE_INVALID", read,
                    memory.ReadGuestMemoryRequest(
                        domain=ref("vm"), pfn=1, offset_bytes=4096,
                        length_bytes=1))
        self.refuse("INVALID_ARGUMENT", "ARGUMENT_TOO_LARGE", read,
                    memory.ReadGuestMemoryRequest(
                        domain=ref("vm"), pfn=1, length_bytes=2**20 + 1))
        self.refuse("INVALID_ARGUMENT", "ARGUMENT_TOO_LARGE", write,
                    memory.WriteGuestMemoryRequest(
                        domain=ref("vm"), pfn=1, data=bytes(2**20 + 1)))
        root = self.client.memory.GetMfnListList(
            memory.GetMfnListListRequest(domain=ref("vm"))).root_mfn
        [part] = self.client.host.LookupFrames(host.LookupFramesRequest(
            extents=[common.MfnExtent(first_mfn=root, count=1)]))
        self.refuse("FAILED_PRECONDITION", "PAGE_IN_USE_BY_KERNEL", write,
                    memory.WriteGuestMemoryRequest(
                        domain=ref("vm"), pfn=part.runs[0].first_pfn,
                        data=b"x"))

    def test_frames_out_of_bounds(self):
        limit = self.client.counts().max_mfn
        for call, kind in (
                (self.client.host.LookupFrames, host.LookupFramesRequest),
                (self.client.host.ReadFrames, host.ReadFramesRequest)):
            for first, count in ((limit, 1), (2**40, 2**63),
                                 (2**64 - 1, 1)):
                self.refuse("OUT_OF_RANGE", "MFN_OUT_OF_RANGE", call,
                            kind(extents=[common.MfnExtent(
                                first_mfn=first, count=count)]))
            self.refuse("INVALID_ARGUMENT", "RANGE_INVALID", call,
                        kind(extents=[common.MfnExtent(first_mfn=1)]))
            self.refuse("INVALID_ARGUMENT", "ARGUMENT_MISSING", call, kind())
            self.refuse("INVALID_ARGUMENT", "ARGUMENT_TOO_LARGE", call,
                        kind(extents=[common.MfnExtent(first_mfn=1, count=1)]
                             * 65537))
        for mfn in (limit - 1, 0):  # free; the hypervisor's
            self.refuse("FAILED_PRECONDITION", "FRAME_NOT_READABLE",
                        self.client.host.ReadFrames,
                        host.ReadFramesRequest(extents=[
                            common.MfnExtent(first_mfn=mfn, count=1)]))


if __name__ == "__main__":
    unittest.main()
