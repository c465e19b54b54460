"""A domain of a soak, and what its owner knows about it.

Its owner makes all changes to it, one after the other, with two exceptions: its
balloon driver works on its own, only upwards, and other domains map its frames.
So contents, classes and counts are known exactly.
"""

from harness import common, domain, guest_load, host, memory, ref
from migrations.moving_guest import CHUNK, PAGE, ZEROS

from soak.calls import Fault

# The kernel and the load have their pages below this pfn; the owner writes from
# here on.
FIRST = 1900
# Steps never make a guest smaller: it needs pages to suspend, and for its
# lists.
LEAST = FIRST + 500

RAM = common.P2M_CLASS_RAM
MISSING = common.P2M_CLASS_MISSING
FOREIGN = common.P2M_CLASS_FOREIGN


class Guest:
    """A guest of the client whose `calls` these are, at machine `at`."""

    def __init__(self, calls, at, name, pae):
        self.calls = calls
        self.at = at
        self.name = name
        self.pae = pae
        self.paused = False
        self.load = None  # its LoadSpec, if it has one
        self.spaces = 0
        self.foreign = {}  # pfn -> mfn mapped there
        self.content = {}  # pfn -> page; other pages hold zeros
        self.info = None  # the domain at the last look
        self.runs = None  # (first, count, class), from the same look

    # Calls about this guest.

    def call(self, method, request, *allowed):
        """Sends `request` with the domain filled in."""
        request.domain.CopyFrom(ref(self.name))
        return self.calls(self.at, method, request, *allowed)

    def must(self, condition, what):
        if not condition:
            raise Fault(f"{self.calls.name}: {self.name}: {what}; it was "
                        f"{self.info}, {self.runs}")

    # What can be seen of it.

    def look(self):
        """Records its present state, which must be consistent."""
        for _ in range(20):
            info = self._get()
            runs = self._list()
            if self._get().memory == info.memory:
                break
        else:
            self.must(False, "its driver does not come to rest")
        self.info, self.runs = info, runs
        for first, count, p2m_class in runs:
            if p2m_class != RAM:
                for pfn in range(max(first, FIRST), first + count):
                    self.content.pop(pfn, None)
        self._check()

    def _get(self):
        return self.call("domain.GetDomain", domain.GetDomainRequest()).domain

    def _list(self):
        request = memory.ListP2mRunsRequest(
            domain=ref(self.name), merge=memory.RUN_MERGE_BY_CLASS)
        parts = self.calls.stream(self.at, "memory.ListP2mRuns", request)
        return [(run.first_pfn, run.count, run.p2m_class)
                for part in parts for run in part.runs]

    def _check(self):
        said = self.info.memory
        self.must(self.info.name == self.name and not self.info.suspended
                  and self.info.handover == domain.HANDOVER_NONE,
                  "it is not its owner's alone")
        self.must(self.info.state == (domain.DOMAIN_STATE_PAUSED if self.paused
                                      else domain.DOMAIN_STATE_RUNNING),
                  "its state is not what it was made")
        counted = dict.fromkeys((RAM, MISSING, FOREIGN), 0)
        end = 0
        for first, count, p2m_class in self.runs:
            self.must(first == end and count > 0, "there are gaps in its runs")
            end = first + count
            counted[p2m_class] = counted.get(p2m_class, 0) + count
        self.must(counted[RAM] == said.current_pages - said.foreign_held_pages,
                  f"it has {counted[RAM]} RAM words")
        self.must(counted[MISSING] >= said.balloon_pages,
                  f"it has {counted[MISSING]} missing words")
        self.must(counted[FOREIGN] == len(self.foreign),
                  f"it has {counted[FOREIGN]} foreign words, not "
                  f"{len(self.foreign)}")

    @property
    def settled(self):
        """Whether its driver has nothing to do."""
        return (self.info.memory.balloon_state
                != domain.BALLOON_STATE_AGAIN)

    @property
    def pages(self):
        """The pages that it has itself."""
        return (self.info.memory.current_pages
                - self.info.memory.foreign_held_pages)

    def extents(self, p2m_class, first=FIRST):
        """(first, end) of the runs of a class from `first` on."""
        return [(max(start, first), start + count)
                for start, count, found in self.runs
                if found == p2m_class and start + count > first]

    def class_of(self, pfn):
        """None past the list."""
        for first, count, p2m_class in self.runs:
            if first <= pfn < first + count:
                return p2m_class
        return None

    # What it holds.

    def check_content(self, pfns=None):
        """Every page that was written, or each of the given pages, holds what
        it must."""
        for first, count in joined(self.content if pfns is None else pfns):
            answer = self.call(
                "memory.ReadGuestMemory",
                memory.ReadGuestMemoryRequest(pfn=first,
                                              length_bytes=count * PAGE))
            self.must(len(answer.data) == count * PAGE, "bytes are missing")
            for i in range(count):
                data = answer.data[i * PAGE:(i + 1) * PAGE]
                wanted = self.content.get(first + i, ZEROS)
                self.must(data == wanted,
                          f"pfn {first + i} begins with {data[:16].hex()}, not "
                          f"{wanted[:16].hex()}")

    def check_load(self):
        answer = self.call("guest_load.CheckGuestLoad",
                           guest_load.CheckGuestLoadRequest())
        self.must(answer.mismatched_pages == 0
                  and answer.checked_pages == self.load.working_set_pages
                  and answer.load.spec == self.load,
                  f"its load has gone wrong: {answer}")

    def check_frames(self, pfns):
        """It owns the frames of these RAM pages, and they read the same by
        mfn."""
        answer = self.call("memory.TranslatePfns",
                           memory.TranslatePfnsRequest(pfns=pfns))
        for pfn, p2m_class in zip(pfns, answer.classes):
            self.must(p2m_class == self.class_of(pfn),
                      f"pfn {pfn} is of class {p2m_class}")
        own = [(pfn, mfn) for pfn, p2m_class, mfn in
               zip(pfns, answer.classes, answer.frames) if p2m_class == RAM]
        if not own:
            return
        extents = [common.MfnExtent(first_mfn=mfn, count=1) for _, mfn in own]
        runs = [run for part in self.calls.stream(
            self.at, "host.LookupFrames",
            host.LookupFramesRequest(extents=extents)) for run in part.runs]
        for (pfn, mfn), run in zip(own, runs, strict=True):
            self.must((run.first_mfn, run.domid, run.first_pfn)
                      == (mfn, self.info.domid, pfn), f"pfn {pfn}: {run}")
        frames = [frame for part in self.calls.stream(
            self.at, "host.ReadFrames", host.ReadFramesRequest(extents=extents))
            for frame in part.frames]
        for (pfn, _), frame in zip(own, frames, strict=True):
            if pfn >= FIRST:
                self.must((frame.content or ZEROS)
                          == self.content.get(pfn, ZEROS),
                          f"mfn {frame.mfn}, pfn {pfn}: other bytes by mfn")

    def check_all(self):
        self.look()
        self.check_content()
        if self.load is not None:
            self.check_load()


def joined(pfns):
    """(first, count) of neighbours, as much as one call reads."""
    extents = []
    for pfn in sorted(pfns):
        if (extents and sum(extents[-1]) == pfn
                and extents[-1][1] < CHUNK):
            extents[-1][1] += 1
        else:
            extents.append([pfn, 1])
    return extents
