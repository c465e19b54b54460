"""Domains that all clients use at the same time during the whole run.

Each client has some pages of its own in them, so it knows their contents; all
other pages are shared, and a client may find the domain paused, suspended or
ballooned by another client.
"""

import queue

from harness import (DEADLINE, address_space, common, domain, grpc, guest_load,
                     memory, migration, poll, reason_of, ref)
from migrations.moving_guest import PAGE, ZEROS

from soak.calls import Fault

PAGES = 6000
MOST_PAGES = 9000
# Below this size, clients' pages would be ballooned out.
LEAST_PAGES = 4500
SLICE = 12  # pages of each client
FIRST_SLICE = 3000

SUSPENDED = "DOMAIN_SUSPENDED"
NOT_RUNNING = "DOMAIN_NOT_RUNNING"
SHORT = ("HOST_MEMORY_EXHAUSTED", "MAX_MEM_EXCEEDED", "PFN_NOT_BALLOONABLE")


def create(machine, number):
    """The shared domains of machine `number`."""
    machine.shared = []
    for arch, what in ((common.ARCH_X86_64, "64"),
                       (common.ARCH_X86_32_PAE, "pae")):
        name = f"shared-{number}-{what}"
        machine.client.create(name, PAGES, max_memory_pages=MOST_PAGES,
                              arch=arch)
        machine.shared.append(name)


def tidy(machine):
    """Brings them, and dom0, to the state in which the run compares them."""
    client = machine.client
    for name in machine.shared:
        client.domain.UnpauseDomain(
            domain.UnpauseDomainRequest(domain=ref(name)), timeout=DEADLINE)
        stop_load(client, name)
        set_target(client, name, PAGES)
    set_target(client, 0, machine.dom0_pages)


def stop_load(client, name):
    try:
        client.guest_load.StopGuestLoad(
            guest_load.StopGuestLoadRequest(domain=ref(name)),
            timeout=DEADLINE)
    except grpc.RpcError as error:
        if reason_of(error) != "GUEST_LOAD_NOT_FOUND":
            raise


def set_target(client, name, pages):
    def there():
        answer = client.memory.SetMemoryTarget(
            memory.SetMemoryTargetRequest(domain=ref(name),
                                          target_pages=pages),
            timeout=DEADLINE)
        return answer.memory.current_pages == pages
    poll(there, f"{name} has {pages} pages")


class Shared:
    """One client's part in the shared domains."""

    def __init__(self, rnd, calls, number):
        self._rnd = rnd
        self._calls = calls
        self._first = FIRST_SLICE + number * SLICE
        self._content = {}  # (machine, name, pfn) -> page
        self._steps = (
            (self.write, 6), (self.read, 6), (self.set_target, 3),
            (self.balloon, 3), (self.processes, 3), (self.load, 3),
            (self.pause, 1), (self.save, 1), (self.dom0, 1))

    def step(self):
        """Does something to one of them."""
        steps, weights = zip(*self._steps)
        at = self._rnd.randrange(len(self._calls.machines))
        name = self._rnd.choice(self._calls.machines[at].shared)
        self._rnd.choices(steps, weights)[0](at, name)

    def _fail(self, name, what):
        raise Fault(f"{self._calls.name}: {name}: {what}")

    def write(self, at, name):
        pfn = self._first + self._rnd.randrange(SLICE)
        data = self._rnd.randbytes(PAGE)
        if self._calls(at, "memory.WriteGuestMemory",
                       memory.WriteGuestMemoryRequest(
                           domain=ref(name), pfn=pfn, data=data), SUSPENDED):
            self._content[at, name, pfn] = data

    def read(self, at, name):
        data = self._calls(
            at, "memory.ReadGuestMemory", memory.ReadGuestMemoryRequest(
                domain=ref(name), pfn=self._first,
                length_bytes=SLICE * PAGE)).data
        wanted = b"".join(self._content.get((at, name, self._first + i), ZEROS)
                          for i in range(SLICE))
        if data != wanted:
            self._fail(name, f"other bytes from pfn {self._first} on")

    def read_all(self):
        for at, machine in enumerate(self._calls.machines):
            for name in machine.shared:
                self.read(at, name)

    def set_target(self, at, name):
        self._calls(at, "memory.SetMemoryTarget",
                    memory.SetMemoryTargetRequest(
                        domain=ref(name), target_pages=self._rnd.randint(
                            LEAST_PAGES, MOST_PAGES)), SUSPENDED)

    def balloon(self, at, name):
        if self._rnd.random() < 0.5:
            self._calls(at, "memory.BalloonUp", memory.BalloonUpRequest(
                domain=ref(name), pages=self._rnd.randint(1, 800),
                allow_partial=self._rnd.random() < 0.8),
                SUSPENDED, NOT_RUNNING, *SHORT)
            return
        seen = self._calls(at, "domain.GetDomain",
                           domain.GetDomainRequest(domain=ref(name))).domain
        # Below that, all clients may take one page each at the same time.
        if seen.memory.current_pages > LEAST_PAGES:
            self._calls(at, "memory.BalloonDown", memory.BalloonDownRequest(
                domain=ref(name), pages=1), SUSPENDED, NOT_RUNNING)

    def processes(self, at, name):
        wrong = () if name.endswith("pae") else ("ARCH_NOT_PAE",)
        made = self._calls(at, "address_space.CreateAddressSpaces",
                           address_space.CreateAddressSpacesRequest(
                               domain=ref(name), count=3), SUSPENDED, *wrong)
        if not made:
            return
        ids = range(made.first_id, made.first_id + made.count)
        self._calls(at, "address_space.TranslateInAddressSpace",
                    address_space.TranslateInAddressSpaceRequest(
                        domain=ref(name), id=ids[0], pfns=range(0, 9000, 500)))

        def ended():
            return self._calls(at, "address_space.DestroyAddressSpaces",
                               address_space.DestroyAddressSpacesRequest(
                                   domain=ref(name), ids=ids), SUSPENDED)
        poll(ended, f"processes of {name} end")

    def load(self, at, name):
        what = self._rnd.random()
        if what < 0.3:
            self._calls(at, "guest_load.StartGuestLoad",
                        guest_load.StartGuestLoadRequest(
                            domain=ref(name), spec=guest_load.LoadSpec(
                                pages_per_second=100, working_set_pages=100,
                                seed=self._rnd.getrandbits(64))),
                        SUSPENDED, NOT_RUNNING, "GUEST_LOAD_RUNNING")
        elif what < 0.5:
            self._calls(at, "guest_load.StopGuestLoad",
                        guest_load.StopGuestLoadRequest(domain=ref(name)),
                        SUSPENDED, "GUEST_LOAD_NOT_FOUND")
        else:
            found = self._calls(at, "guest_load.CheckGuestLoad",
                                guest_load.CheckGuestLoadRequest(
                                    domain=ref(name)), "GUEST_LOAD_NOT_FOUND")
            if found and found.mismatched_pages:
                self._fail(name, f"its load has gone wrong: {found}")

    def pause(self, at, name):
        self._calls(at, "domain.PauseDomain",
                    domain.PauseDomainRequest(domain=ref(name)), SUSPENDED)
        self._calls(at, "domain.UnpauseDomain",
                    domain.UnpauseDomainRequest(domain=ref(name)), SUSPENDED)

    def save(self, at, name):
        """The guest goes on afterwards."""
        start = migration.SaveDomainRequest.Start(
            domain=ref(name), after=migration.AFTER_SAVE_CONTINUE)
        requests = queue.SimpleQueue()

        def ask():
            requests.put(migration.SaveDomainRequest(start=start))
            for piece in self._calls.stub(at, "migration.SaveDomain")(
                    iter(requests.get, None), timeout=DEADLINE):
                if piece.last:
                    requests.put(migration.SaveDomainRequest(
                        stored=migration.SaveDomainRequest.Stored()))
                    requests.put(None)
            return True
        try:
            self._calls.during(at, "migration.SaveDomain", start, ask,
                               (SUSPENDED, NOT_RUNNING))
        finally:
            requests.put(None)

    def dom0(self, at, _):
        pages = self._calls.machines[at].dom0_pages
        self._calls(at, "memory.SetMemoryTarget",
                    memory.SetMemoryTargetRequest(
                        domain=ref(0), target_pages=self._rnd.randint(
                            pages * 3 // 4, pages)))
