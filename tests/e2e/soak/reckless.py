"""Clients that give up in the middle of a call, set deadlines that are too
short, or vanish with their calls open.

They know nothing about their guests: the run destroys the remaining ones when
it empties the machines.
"""

import os
import queue
import subprocess

import harness
from harness import (DEADLINE, common, domain, grpc, guest_load, host, live,
                     memory, migration, ref)

from soak.calls import GIVEN_UP
from soak.client import Client

NAMES = 2  # guests of each client

# All errors for a guest that is gone, or that another client is using at the
# same time; none of these reasons is a fault.
EXPECTED = GIVEN_UP + (
    "ADDRESS_SPACE_NOT_FOUND", "ARCH_NOT_PAE", "DOMAIN_DYING",
    "DOMAIN_MIGRATING", "DOMAIN_NOT_BOOTED", "DOMAIN_NOT_FOUND",
    "DOMAIN_NOT_MIGRATABLE", "DOMAIN_NOT_RUNNING", "DOMAIN_SUSPENDED",
    "DOWNTIME_EXCEEDED", "FRAME_NOT_FOREIGN", "GUEST_LOAD_NOT_FOUND",
    "GUEST_LOAD_RUNNING", "GUEST_MEMORY_EXHAUSTED", "HOST_MEMORY_EXHAUSTED",
    "IMAGE_TRUNCATED", "MAX_MEM_BELOW_TARGET", "MAX_MEM_EXCEEDED",
    "MIGRATION_SETTLED", "NAME_IN_USE", "P2M_CHANGED", "P2M_TREE_STALE",
    "PAGE_IN_USE_BY_KERNEL", "PFN_HOLDS_FOREIGN", "PFN_HOLDS_RAM",
    "PFN_NOT_BALLOONABLE", "PFN_NOT_RAM", "PFN_OUT_OF_RANGE",
    "STATIC_MAX_EXCEEDED", "TARGET_UNREACHABLE", "UUID_IN_USE")


class Reckless(Client):

    def __init__(self, number, *rest):
        super().__init__("reckless", number, *rest)
        self._image = None
        self._steps = ((self.one_call, 40), (self.vanish, 2),
                       (self.half_a_stream, 6), (self.half_a_save, 4),
                       (self.half_a_restore, 4), (self.half_a_migration, 8),
                       (self.killed_program, 1))

    def step(self):
        steps, weights = zip(*self._steps)
        self.random.choices(steps, weights)[0](
            self.random.randrange(len(self.calls.machines)))

    def _any_name(self):
        return f"{self.name}.{self.random.randrange(NAMES)}"

    def _patience(self):
        """Seconds until the client gives up."""
        return self.random.choice((0.0002, 0.001, 0.003, 0.01, 1))

    def request(self):
        """A random call: method and request."""
        rnd, guest = self.random, ref(self._any_name())
        pfn, pages = rnd.randrange(6000), rnd.choice((1, 50, 3000))
        requests = {
            "domain.CreateDomain": domain.CreateDomainRequest(
                spec=domain.DomainSpec(
                    name=guest.name, memory_pages=3000, max_memory_pages=5000,
                    arch=rnd.randint(1, 2), balloon_room=rnd.randint(1, 2)),
                start_paused=rnd.random() < 0.2),
            "domain.DestroyDomain": domain.DestroyDomainRequest(domain=guest),
            "domain.UnpauseDomain": domain.UnpauseDomainRequest(domain=guest),
            "domain.PauseDomain": domain.PauseDomainRequest(domain=guest),
            "memory.BalloonDown": memory.BalloonDownRequest(
                domain=guest, pages=pages, allow_partial=True),
            "memory.BalloonUp": memory.BalloonUpRequest(
                domain=guest, pages=pages, allow_partial=True),
            "memory.SetMemoryTarget": memory.SetMemoryTargetRequest(
                domain=guest, target_pages=2000 + pages),
            "memory.WriteGuestMemory": memory.WriteGuestMemoryRequest(
                domain=guest, pfn=pfn, data=b"reckless" * 512 * 20),
            "memory.ReadGuestMemory": memory.ReadGuestMemoryRequest(
                domain=guest, pfn=pfn, length_bytes=1 << 20),
            "memory.MarkIdentityRange": memory.MarkIdentityRangeRequest(
                domain=guest, start_pfn=pfn, end_pfn=pfn + 40,
                release_ram=True),
            "memory.SetP2mRange": memory.SetP2mRangeRequest(
                domain=guest, first_pfn=pfn, count=pages,
                p2m_class=common.P2M_CLASS_MISSING,
                ram_policy=common.RAM_POLICY_RELEASE),
            "memory.MapForeignFrames": memory.MapForeignFramesRequest(
                domain=guest, slots=[
                    memory.ForeignSlot(pfn=pfn + i, mfn=rnd.randrange(60000))
                    for i in range(40)]),
            "guest_load.StartGuestLoad": guest_load.StartGuestLoadRequest(
                domain=guest, spec=guest_load.LoadSpec(
                    pages_per_second=2000, working_set_pages=200)),
            "guest_load.CheckGuestLoad": guest_load.CheckGuestLoadRequest(
                domain=guest),
            "guest_load.StopGuestLoad": guest_load.StopGuestLoadRequest(
                domain=guest),
            "host.AuditHost": host.AuditHostRequest(),
        }
        method = rnd.choice(sorted(requests))
        return method, requests[method]

    def one_call(self, at):
        """Makes a call with a deadline that is too short, or cancels it, or
        lets it end."""
        method, request = self.request()
        patience, cancels = self._patience(), self.random.random() < 0.5

        def ask():
            call = self.calls.stub(at, method).future(
                request, timeout=DEADLINE if cancels else patience)
            try:
                call.result(timeout=patience if cancels else None)
            except grpc.FutureTimeoutError:
                call.cancel()
            except grpc.FutureCancelledError:
                pass
            return True
        self.calls.during(at, f"{method} reckless", request, ask, EXPECTED)

    def vanish(self, at):
        """Closes the connection with many calls open."""
        def ask():
            client = harness.Client(self.calls.machines[at].address)
            calls = []
            for _ in range(self.random.randint(1, 20)):
                method, request = self.request()
                service, _, name = method.partition(".")
                calls.append(getattr(getattr(client, service), name).future(
                    request, timeout=DEADLINE))
            try:
                calls[0].exception(timeout=self._patience())
            except (grpc.FutureTimeoutError, grpc.FutureCancelledError):
                pass
            client.close()
            return True
        self.calls.during(at, "a connection breaks", "", ask, EXPECTED)

    def half_a_stream(self, at):
        """Sends many requests and reads few answers."""
        def ask():
            stream = self.calls.stub(at, "host.LookupFrames")(
                host.LookupFramesRequest(extents=[common.MfnExtent(
                    first_mfn=0, count=60000)]), timeout=DEADLINE)
            for _ in range(self.random.randint(0, 3)):
                next(stream, None)
            stream.cancel()
            return True
        self.calls.during(at, "host.LookupFrames reckless", "", ask, EXPECTED)

    def half_a_save(self, at):
        """Reads the image, and never says whether it is stored."""
        requests = queue.SimpleQueue()
        pieces = []

        def ask():
            requests.put(migration.SaveDomainRequest(
                start=migration.SaveDomainRequest.Start(
                    domain=ref(self._any_name()))))
            call = self.calls.stub(at, "migration.SaveDomain")(
                iter(requests.get, None), timeout=DEADLINE)
            for piece in call:
                pieces.append(piece.data)
                if piece.last or self.random.random() < 0.02:
                    break
            call.cancel()
            return True
        try:
            if self.calls.during(at, "migration.SaveDomain reckless", "", ask,
                                 EXPECTED):
                self._image = pieces
        finally:
            requests.put(None)

    def half_a_restore(self, at):
        if not self._image:
            return
        released = queue.SimpleQueue()
        cut = self.random.randint(0, len(self._image))

        def stream():
            for piece in self._image[:cut]:
                yield migration.RestoreDomainRequest(data=piece)
            released.get()

        def ask():
            call = self.calls.stub(at, "migration.RestoreDomain").future(
                stream(), timeout=DEADLINE)
            try:
                call.exception(timeout=self._patience())
            except (grpc.FutureTimeoutError, grpc.FutureCancelledError):
                call.cancel()
            return True
        try:
            self.calls.during(at, "migration.RestoreDomain reckless", "", ask,
                              EXPECTED)
        finally:
            released.put(None)

    def half_a_migration(self, at):
        def ask():
            call = self.calls.stub(at, "migration.MigrateDomain")(
                live.MigrateDomainRequest(
                    domain=ref(self._any_name()),
                    target=self.calls.machines[1 - at].address),
                timeout=self._patience() * 10)
            for _ in call:
                if self.random.random() < 0.4:
                    call.cancel()
            return True
        self.calls.during(at, "migration.MigrateDomain reckless", "", ask,
                          EXPECTED)

    def killed_program(self, at):
        """A client that is killed without a chance to say anything."""
        arguments = self.random.choice((
            ("save", self._any_name(),
             os.path.join(self.calls.folder, f"{self.name}.killed")),
            ("migrate", self._any_name(), self.calls.machines[1 - at].address),
            ("p2m", "dump", self._any_name()), ("audit",)))

        def ask():
            program = subprocess.Popen(
                [harness.SIMVISOR, "--address",
                 self.calls.machines[at].address, *arguments],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                program.wait(self.random.choice((0.005, 0.02, 0.05)))
            except subprocess.TimeoutExpired:
                program.kill()
            program.wait(DEADLINE)
            return True
        self.calls.during(at, "simvisor killed", arguments, ask, ())
