"""A dom0 booted from the memory map of a real boot log ends up as the real one
did according to the log, both through the API and the CLI."""

import json
import unittest

import harness
from harness import common

LOG = harness.ROOT / "tests/testdata/e820/msi-h61m-8g-dom0.dmesg"
NR_PAGES = 0x1acb65
# What the log says was freed and marked 1-1, and where its frames went.
STRETCHES = [(0x9e, 0x100), (0x20000, 0x20200), (0x40000, 0x40200),
             (0xbad80, 0xbadf4), (0xbadf6, 0xbae7f), (0xbb000, 0x100000)]
MOVED_TO = (0x1acb65, 0x1f20c4)
MAP_END = 0x23fe00


class Dom0LogTest(harness.DaemonTest):

    FLAGS = ("--host-e820", str(LOG), "--dom0-memory", f"{NR_PAGES * 4}K")

    def test_six_stretches_of_283999_pfns_are_identity(self):
        runs = self.client.runs("Domain-0", end_pfn=MAP_END)
        identity = [(run.first_pfn, run.first_pfn + run.count) for run in runs
                    if run.p2m_class == common.P2M_CLASS_IDENTITY]
        self.assertEqual(identity, STRETCHES)
        self.assertEqual(sum(end - start for start, end in identity), 283999)
        ram = sum(run.count for run in runs
                  if run.p2m_class == common.P2M_CLASS_RAM)
        self.assertEqual(ram, NR_PAGES)

    def test_the_frames_from_under_the_holes_answer_in_order(self):
        # dom0 was built with frames in order, so the frames under a hole are
        # those missing between its neighbours.
        [(_, base)] = self.client.translate("Domain-0", [0])
        frames = []
        for run in self.client.runs("Domain-0", end_pfn=NR_PAGES):
            if run.p2m_class == common.P2M_CLASS_RAM:
                frames += range(run.first_frame, run.first_frame + run.count)
        moved = []
        for run in self.client.runs("Domain-0", start_pfn=MOVED_TO[0],
                                    end_pfn=MOVED_TO[1]):
            self.assertEqual(run.p2m_class, common.P2M_CLASS_RAM)
            moved += range(run.first_frame, run.first_frame + run.count)
        self.assertEqual(len(moved), 283999)
        self.assertEqual(moved, sorted(moved))
        self.assertEqual(len(set(frames) | set(moved)), NR_PAGES)
        self.assertEqual(min(frames), base)
        summary = self.client.memory.GetP2mSummary(
            harness.memory.GetP2mSummaryRequest(domain=harness.ref(0))).summary
        self.assertEqual(summary.remapped_frames, 283999)
        self.assertEqual(summary.released_frames, 0)
        self.assert_clean()

    def test_the_cli_shows_the_same(self):
        dump = harness.simvisor(self.daemon.address, "p2m", "dump", "Domain-0")
        lines = dump.stdout.splitlines()
        for start, end in STRETCHES:
            self.assertIn(f" [0x{start:x}->0x{end:x}] identity", lines)
        stat = json.loads(harness.simvisor(
            self.daemon.address, "-o", "json", "p2m", "stat",
            "Domain-0").stdout)
        self.assertEqual(stat["summary"]["remapped_frames"], 283999)
        walk = harness.simvisor(self.daemon.address, "p2m", "walk", "Domain-0")
        self.assertIn(str(NR_PAGES), walk.stdout)


class HypervisorsMapTest(harness.DaemonTest):
    """With the hypervisor's map, a current dom0 kernel keeps 512 KiB to 1 MiB
    out of its RAM, for the firmware's iSCSI table."""

    FLAGS = ("--host-e820", str(LOG.parent / "mini-pc-64g-hypervisor-map.dmesg"),
             "--dom0-memory", "63882124k", "--dom0-hotplug-limit", "512")

    def test_440771_frames_move_and_the_area_is_identity(self):
        summary = self.client.memory.GetP2mSummary(
            harness.memory.GetP2mSummaryRequest(domain=harness.ref(0))).summary
        self.assertEqual(summary.remapped_frames, 440771)
        dump = harness.simvisor(self.daemon.address, "p2m", "dump", "Domain-0")
        self.assertIn(" [0x80->0x100] identity", dump.stdout.splitlines())
        self.assert_clean()


class OtherKernelTest(harness.DaemonTest):

    FLAGS = HypervisorsMapTest.FLAGS + ("--dom0-ibft", "off")

    def test_a_kernel_without_the_search_moves_32_frames_less(self):
        summary = self.client.memory.GetP2mSummary(
            harness.memory.GetP2mSummaryRequest(domain=harness.ref(0))).summary
        self.assertEqual(summary.remapped_frames, 440739)


class ReservedBelow1TibTest(harness.DaemonTest):
    """A guest with a device on a machine that has a reserved range far above
    its RAM: the RAM that the PCI hole cuts off continues at 4 GiB."""

    FLAGS = ("--host-e820", str(LOG.parent / "host-reserved-above-4g.dmesg"),
             "--dom0-memory", "1g")

    def test_the_guests_list_ends_behind_4_gib_and_can_be_walked(self):
        created = harness.simvisor(
            self.daemon.address, "create", "/dev/null", 'name="pt"',
            "memory=4096", "maxmem=4096", 'pci=["04:00.0"]')
        self.assertEqual(created.returncode, 0, created.stderr)
        stat = json.loads(harness.simvisor(
            self.daemon.address, "-o", "json", "p2m", "stat", "pt").stdout)
        self.assertEqual(stat["summary"]["tools_max_pfn"], 0x138070)
        walk = harness.simvisor(self.daemon.address, "p2m", "walk", "pt")
        self.assertEqual(walk.returncode, 0, walk.stdout + walk.stderr)
        self.assertIn(str(4096 * 256), walk.stdout)
        self.assert_clean()


if __name__ == "__main__":
    unittest.main()
