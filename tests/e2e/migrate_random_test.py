"""Guests migrate back and forth while they write and balloon, with random
kernels, loads and policies; every page is checked afterwards.

SIMVISOR_SEED=n runs one seed, SIMVISOR_SLOW_RUNS=n runs n of them.
"""

import random
import time
import unittest

import harness
from harness import address_space, common, domain, memory, ref
import load_checker
from migrations.moving_guest import (MovingGuest, get_load, migrate, read_ram,
                          start_load, wait_for_writes)
from migrations.migration_case import Host, MB, MOVED, MigrationTest, PATTERNS, seeds


class RandomTest(MigrationTest):
    """Guests with a load go back and forth while the test writes to them and
    balloons them."""

    def test_whatever_happens_meanwhile_the_guest_is_the_same(self):
        for seed in seeds():
            with self.subTest(seed=seed):
                began = time.monotonic()
                said = self.run_one(seed)
                print(f"SIMVISOR_SEED={seed} {said} "
                      f"{time.monotonic() - began:.1f} s", flush=True)

    def run_one(self, seed):
        rnd = random.Random(seed)
        hosts = [Host("--placement", rnd.choice(("lowest", "scatter")),
                      "--seed", str(seed + i)) for i in range(2)]
        guest = None
        try:
            empty = [host.client.counts() for host in hosts]
            guest, said = self.create(rnd, hosts[0])
            outcomes = []
            for hop in range(rnd.randint(2, 5)):
                source, target = hosts[hop % 2], hosts[(hop + 1) % 2]
                outcomes.append(self.move(rnd, guest, source, target))
                self.assertEqual(source.client.counts(), empty[hop % 2])
                self.assert_clean(source, target)
            self.move_back(guest, target, source)
            self.assertEqual(target.client.counts(), empty[(hop + 1) % 2])
            self.assert_load_is_what_the_formula_says(guest, source)
            source.client.destroy(guest.name)
            self.assertEqual(source.client.counts(), empty[hop % 2])
            self.assert_clean(source, target)
        except Exception:
            print(f"SIMVISOR_SEED={seed} failed", flush=True)
            raise
        finally:
            if guest is not None:
                guest.stop()
            for host in hosts:
                host.close()
        return f"{said}: {', '.join(outcomes)}; {guest.refused} refused;"

    def create(self, rnd, host):
        client = host.client
        pae = rnd.random() < 0.5
        view = rnd.choice((domain.TOOLS_VIEW_TREE, domain.TOOLS_VIEW_LINEAR))
        room = rnd.choice((domain.BALLOON_ROOM_FAITHFUL,
                           domain.BALLOON_ROOM_COMPACT))
        pages = rnd.randint(5000, 8000)
        client.create(
            "guest", pages, max_memory_pages=pages + rnd.randint(0, 5000),
            arch=common.ARCH_X86_32_PAE if pae else common.ARCH_X86_64,
            tools_view=view, balloon_room=room, vcpus=rnd.randint(1, 4))
        if pae and rnd.random() < 0.8:
            client.address_space.CreateAddressSpaces(
                address_space.CreateAddressSpacesRequest(
                    domain=ref("guest"), count=rnd.randint(1, 20)))
        pattern = rnd.choice(sorted(PATTERNS))
        start_load(client, "guest", pattern=pattern, seed=rnd.getrandbits(64),
                   pages_per_second=rnd.choice((300, 3000, 30000)),
                   working_set_pages=rnd.randint(1, 1200))
        last = get_load(client, "guest").pages[-1]
        # The pages that the kernel still needs are in between.
        guest = MovingGuest(rnd, client, "guest",
                            last.first_pfn + last.count + 300)
        for _ in range(rnd.randint(0, 40)):
            guest.step()
        return guest, " ".join((
            "PAE" if pae else "64-bit", domain.ToolsView.Name(view)[11:],
            domain.BalloonRoom.Name(room)[13:], PATTERNS[pattern]))

    def move(self, rnd, guest, source, target):
        """Migrates the guest while it changes; returns the outcome in a
        word."""
        policy = {"max_passes": rnd.choice((0, 1, 2, 4, 9))}
        if rnd.random() < 0.3:
            policy["min_dirty_pages"] = rnd.choice((0, 10, 1000))
        if rnd.random() < 0.7:
            policy["max_bytes_per_second"] = rnd.choice((20, 60, 200)) * MB
        address = rnd.choice((target.unix, target.tcp))
        wait_for_writes(source.client, guest.name, 10)
        before = target.client.counts()
        guest.start(target.client)
        try:
            guest.await_steps(rnd.randint(1, 30))
            outcome = self.try_to(guest, source, address, policy,
                                  rnd.choice((1, 3, 6, 1000)))
        finally:
            guest.stop()
        if outcome == "changed":
            # It runs at the source, and nothing is left at the target.
            guest.assert_settled(self, source.client)
            self.assertEqual(target.client.counts(), before)
            self.assert_load(source.client, guest.name)
            self.assertEqual(
                self.try_to(guest, source, address, policy, None), "moved")
        guest.assert_settled(self, target.client)
        guest.assert_content(self, target.client)
        self.assert_load(target.client, guest.name)
        wait_for_writes(target.client, guest.name, 10)
        harness.simvisor(target.unix, "p2m", "walk", guest.name)
        return outcome

    def try_to(self, guest, source, address, policy, messages):
        """Migrates the guest; the changes stop after this many messages."""
        call = migrate(source.client, guest.name, address, policy=policy)
        last = None
        try:
            for number, last in enumerate(call, 1):
                if number == messages:
                    guest.stop()
        except harness.grpc.RpcError as error:
            self.assertIsNotNone(messages, error.details())
            self.assertEqual(error.code().name, "ABORTED", error.details())
            self.assertEqual(harness.reason_of(error), "P2M_CHANGED")
            return "changed"
        self.assertEqual(last.phase, MOVED)
        return "moved"

    def picture(self, guest, client):
        """What a migration must not change: everything except the load, and
        words and page tables, which name other frames."""
        runs = [(run.first_pfn, run.count, run.p2m_class)
                for run in client.runs(guest.name,
                                       merge=memory.RUN_MERGE_BY_CLASS)]
        summary = client.memory.GetP2mSummary(
            memory.GetP2mSummaryRequest(domain=ref(guest.name)))
        one = client.get(guest.name)
        one.ClearField("domid")
        # A driver that is short of pages tries again when the guest resumes.
        one.memory.ClearField("balloon_state")
        for field in ("state", "schedule_delay_seconds", "retry_count"):
            one.balloon_driver.ClearField(field)
        load = [(pages.first_pfn, pages.first_pfn + pages.count)
                for pages in get_load(client, guest.name).pages]
        written = [pfn for pfn, data in read_ram(client, guest.name)
                   if pfn < guest.first and any(data)
                   and not any(first <= pfn < end for first, end in load)]
        return runs, load, written, summary, one

    def move_back(self, guest, source, target):
        """Migrates the guest while only its load changes it."""
        before = self.picture(guest, source.client)
        self.assertEqual(
            self.try_to(guest, source, target.unix, {}, None), "moved")
        self.assertEqual(self.picture(guest, target.client), before)
        guest.assert_settled(self, target.client)
        guest.assert_content(self, target.client)
        if before[-1].arch == common.ARCH_X86_32_PAE:
            self.assert_processes_see_the_list(guest, target.client)

    def assert_processes_see_the_list(self, guest, client):
        pfns = range(0, guest.memory.static_max_pages, 7)
        expected = client.translate(guest.name, pfns)
        for part in client.address_space.ListAddressSpaces(
                address_space.ListAddressSpacesRequest(
                    domain=ref(guest.name))):
            for one in part.address_spaces:
                seen = client.address_space.TranslateInAddressSpace(
                    address_space.TranslateInAddressSpaceRequest(
                        domain=ref(guest.name), id=one.id, pfns=pfns))
                self.assertEqual(list(zip(seen.classes, seen.frames)),
                                 expected)

    def assert_load_is_what_the_formula_says(self, guest, host):
        host.client.domain.PauseDomain(
            domain.PauseDomainRequest(domain=ref(guest.name)))
        found = get_load(host.client, guest.name)
        spec = found.load.spec
        pages = [pfn for pfns in found.pages
                 for pfn in range(pfns.first_pfn, pfns.first_pfn + pfns.count)]
        self.assertEqual(len(pages), spec.working_set_pages)
        expected = load_checker.expected_pages(
            PATTERNS[spec.pattern], spec.seed, spec.working_set_pages,
            found.load.writes)
        held = dict(read_ram(host.client, guest.name))
        for pfn, data in zip(pages, expected):
            self.assertEqual(held[pfn], data, f"pfn {pfn:#x}")
        self.assert_load(host.client, guest.name)


if __name__ == "__main__":
    unittest.main()
