"""A guest that is written to and ballooned while it migrates, and a model of
its memory.

One thread makes all changes except the load's, one after the other, so the
model is exact: for every page of the test's part of the guest it knows the one
right content.
"""

import threading

import harness
from harness import common, domain, guest_load, live, memory, ref

PAGE = 4096
CHUNK = 256  # most pages that one call reads or writes
ZEROS = bytes(PAGE)

# Errors that a command may get while its domain is migrating.
SUSPENDED = "DOMAIN_SUSPENDED"
GONE = ("DOMAIN_NOT_FOUND", "DOMAIN_DYING")


def migrate(client, name, target, timeout=harness.DEADLINE, **request):
    """The progress messages of a migration, as they come; has cancel()."""
    policy = live.PrecopyPolicy(**request.pop("policy", {}))
    return client.migration.MigrateDomain(
        live.MigrateDomainRequest(
            domain=ref(name), target=target, policy=policy, **request),
        timeout=timeout)


def ram_extents(client, name, first=0):
    """(first, count) of the RAM from pfn `first` on."""
    for run in client.runs(name, merge=memory.RUN_MERGE_BY_CLASS,
                           start_pfn=first):
        if run.p2m_class == common.P2M_CLASS_RAM:
            yield run.first_pfn, run.count


def read_ram(client, name, first=0):
    """Each page of RAM from pfn `first` on, as (pfn, content)."""
    for start, count in ram_extents(client, name, first):
        for at in range(start, start + count, CHUNK):
            pages = min(CHUNK, start + count - at)
            data = client.memory.ReadGuestMemory(
                memory.ReadGuestMemoryRequest(
                    domain=ref(name), pfn=at, length_bytes=pages * PAGE),
                timeout=harness.DEADLINE).data
            for i in range(pages):
                yield at + i, data[i * PAGE:(i + 1) * PAGE]


def write(client, name, pfn, data, offset=0):
    client.memory.WriteGuestMemory(
        memory.WriteGuestMemoryRequest(domain=ref(name), pfn=pfn, data=data,
                                       offset_bytes=offset),
        timeout=harness.DEADLINE)


def fill(client, name, first, pages):
    """Writes something into each of `pages` pages."""
    for at in range(first, first + pages, CHUNK):
        count = min(CHUNK, first + pages - at)
        write(client, name, at, b"".join(
            (b"page %d " % pfn * 512)[:PAGE] for pfn in range(at, at + count)))


def start_load(client, name, **spec):
    return client.guest_load.StartGuestLoad(
        guest_load.StartGuestLoadRequest(
            domain=ref(name), spec=guest_load.LoadSpec(**spec)),
        timeout=harness.DEADLINE)


def get_load(client, name):
    return client.guest_load.GetGuestLoad(
        guest_load.GetGuestLoadRequest(domain=ref(name)),
        timeout=harness.DEADLINE)


def check_load(client, name):
    return client.guest_load.CheckGuestLoad(
        guest_load.CheckGuestLoadRequest(domain=ref(name)),
        timeout=harness.DEADLINE)


def wait_for_writes(client, name, more):
    """Polls until the load has written this many more pages."""
    wanted = get_load(client, name).load.writes + more
    while get_load(client, name).load.writes < wanted:
        pass


class MovingGuest:
    """The guest `name`, which already has its load and its processes; only this
    object writes to it from pfn `first` on."""

    def __init__(self, random, client, name, first):
        self.random = random
        self.name = name
        self.first = first
        self.home = client  # of the daemon that last ran it
        self.elsewhere = None  # and of the one it migrates to
        self.content = {}  # by pfn; other pages hold zeros
        self.runs = None  # by class, from the last listing
        self.memory = None  # from the last look
        self.refused = 0
        self.done = 0
        self._stop = threading.Event()
        self._stepped = threading.Condition()
        self._thread = None
        self._error = None
        self.look()

    # What the model follows.

    def look(self):
        """Updates the model for ballooned pages: they lose their contents."""
        runs = [(run.first_pfn, run.count, run.p2m_class)
                for run in self.call(lambda client: client.runs(
                    self.name, merge=memory.RUN_MERGE_BY_CLASS))]
        self.runs = runs
        self.memory = self.call(lambda client: client.get(self.name)).memory
        for first, count, p2m_class in runs:
            if p2m_class == common.P2M_CLASS_MISSING:
                for pfn in range(max(first, self.first), first + count):
                    self.content.pop(pfn, None)

    def call(self, what):
        """The answer of the daemon that has the guest."""
        while True:
            try:
                return what(self.home)
            except harness.grpc.RpcError as error:
                if (self.elsewhere is None
                        or harness.reason_of(error) not in GONE):
                    raise
            # It has left here, so it is at the other daemon.
            self.home, self.elsewhere = self.elsewhere, None

    def attempt(self, what):
        """Whether the guest accepted the change."""
        try:
            self.call(what)
            return True
        except harness.grpc.RpcError as error:
            if harness.reason_of(error) != SUSPENDED:
                raise
            self.refused += 1
            return False

    def step(self):
        """Makes one random change to the guest."""
        what = self.random.random()
        if what < 0.7:
            self.write_some()
        else:
            self.balloon(what)
        with self._stepped:
            self.done += 1
            self._stepped.notify_all()

    def write_some(self):
        extents = [(max(first, self.first), first + count)
                   for first, count, p2m_class in self.runs
                   if p2m_class == common.P2M_CLASS_RAM
                   and first + count > self.first]
        first, end = self.random.choice(extents)
        pfn = self.random.randrange(first, end)
        pages = self.random.choice((1, 1, 1, 2, 7, 60))
        pages = min(pages, end - pfn)
        kind = self.random.random()
        if kind < 0.1:  # a part of a page
            offset = self.random.randrange(PAGE)
            data = self.random.randbytes(
                self.random.randint(1, PAGE - offset))
            old = self.content.get(pfn, ZEROS)
            new = {pfn: old[:offset] + data + old[offset + len(data):]}
        else:
            offset = 0
            data = bytes(pages * PAGE) if kind < 0.15 else (
                self.random.randbytes(pages * PAGE))
            new = {pfn + i: data[i * PAGE:(i + 1) * PAGE]
                   for i in range(pages)}
        if self.attempt(lambda client: write(client, self.name, pfn, data,
                                             offset)):
            self.content.update(new)

    def balloon(self, what):
        pages = self.random.randint(1, 600)
        # The guest keeps the pages it needs to suspend, and those that are
        # written to.
        least = self.first + 700
        if what < 0.8:
            pages = min(pages, max(1, self.memory.current_pages - least))
            self.attempt(lambda client: client.memory.BalloonDown(
                memory.BalloonDownRequest(
                    domain=ref(self.name), pages=pages, allow_partial=True),
                timeout=harness.DEADLINE))
        elif what < 0.9:
            self.attempt(lambda client: client.memory.BalloonUp(
                memory.BalloonUpRequest(
                    domain=ref(self.name), pages=pages, allow_partial=True),
                timeout=harness.DEADLINE))
        else:
            target = self.random.randint(least, self.memory.static_max_pages)
            self.attempt(lambda client: client.memory.SetMemoryTarget(
                memory.SetMemoryTargetRequest(
                    domain=ref(self.name), target_pages=target),
                timeout=harness.DEADLINE))
        # Even a refused call may have moved pages first.
        self.look()

    # The thread.

    def start(self, elsewhere=None):
        """Makes changes from now on, at `elsewhere` once the guest is there."""
        self.elsewhere = elsewhere
        self._stop.clear()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def await_steps(self, count):
        with self._stepped:
            wanted = self.done + count
            if not self._stepped.wait_for(
                    lambda: self.done >= wanted or self._error,
                    harness.DEADLINE):
                raise AssertionError("nothing happens to the guest")

    def stop(self):
        if self._thread is None:
            return
        self._stop.set()
        self._thread.join()
        self._thread = None
        if self._error:
            raise self._error

    def _run(self):
        try:
            while not self._stop.is_set():
                self.step()
        except Exception as error:  # any error: stop() raises it
            with self._stepped:
                self._error = error
                self._stepped.notify_all()

    # What must hold at any time between two changes.

    def assert_settled(self, test, client):
        """It runs at `client`'s daemon, with the same memory and words as at
        the last look."""
        one = client.get(self.name)
        test.assertEqual(one.state, domain.DOMAIN_STATE_RUNNING)
        test.assertFalse(one.suspended)
        test.assertEqual(one.handover, domain.HANDOVER_NONE)
        seen, runs = self.memory, self.runs
        self.home, self.elsewhere = client, None
        self.look()
        # Ballooning that stopped half-way goes on when the guest resumes.
        if seen.current_pages == seen.target_pages:
            test.assertEqual(self.runs, runs)
            for field in ("current_pages", "target_pages", "balloon_pages"):
                test.assertEqual(getattr(self.memory, field),
                                 getattr(seen, field), field)
        counted = dict.fromkeys((common.P2M_CLASS_RAM,
                                 common.P2M_CLASS_MISSING), 0)
        for _, count, p2m_class in self.runs:
            counted[p2m_class] = counted.get(p2m_class, 0) + count
        test.assertEqual(counted[common.P2M_CLASS_RAM],
                         self.memory.current_pages)
        test.assertEqual(counted[common.P2M_CLASS_MISSING],
                         self.memory.balloon_pages)

    def assert_content(self, test, client):
        """Every page of the test's part holds what it must."""
        left = set(self.content)
        for pfn, data in read_ram(client, self.name, self.first):
            left.discard(pfn)
            if data != self.content.get(pfn, ZEROS):
                test.fail(f"pfn {pfn:#x} begins with {data[:16].hex()}, not "
                          f"{self.content.get(pfn, ZEROS)[:16].hex()}")
        test.assertEqual(left, set(), "pages that are no RAM any more")
