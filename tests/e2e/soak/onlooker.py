"""Clients that look at all domains, regardless of their owners, and change
nothing."""

from harness import (address_space, common, domain, guest_load, host, live,
                     memory, ref)

from soak.calls import Fault
from soak.client import Client

# The domain may disappear at any moment, or not run yet.
GONE = ("DOMAIN_NOT_FOUND", "DOMAIN_DYING")
EARLY = ("DOMAIN_NOT_BOOTED", "P2M_TREE_STALE")


class Onlooker(Client):

    def __init__(self, number, *rest):
        super().__init__("onlooker", number, *rest)
        self._steps = (
            (self.add_up, 6), (self.audit, 3), (self.migrations, 2),
            (self.words, 5), (self.runs, 4), (self.summary, 4),
            (self.bytes, 4), (self.frames, 4), (self.vcpus, 2),
            (self.load, 3), (self.spaces, 2), (self.tools, 3))

    def step(self):
        steps, weights = zip(*self._steps)
        at = self.random.randrange(len(self.calls.machines))
        listed = self.calls(at, "domain.ListDomains",
                            domain.ListDomainsRequest()).domains
        names = [one.name for one in listed if one.name]
        if len(set(names)) != len(names) or names[0] != "Domain-0":
            raise Fault(f"{self.name}: these are listed: {names}")
        one = self.random.choice(listed)
        self.random.choices(steps, weights)[0](at, one)

    def add_up(self, at, _):
        counts = self.calls(at, "host.GetHost", host.GetHostRequest()).host
        if counts.total_pages != (counts.free_pages + counts.owned_pages
                                  + counts.reserved_pages):
            raise Fault(f"{self.name}: the frames do not add up: {counts}")

    def audit(self, at, _):
        answer = self.calls(at, "host.AuditHost", host.AuditHostRequest())
        if answer.findings or not answer.clean:
            raise Fault(f"{self.name}: an audit finds {answer.findings}")

    def migrations(self, at, _):
        self.calls(at, "migration.ListMigrations",
                   live.ListMigrationsRequest())

    def words(self, at, one):
        pfns = [self.random.randrange(10000) for _ in range(200)]
        seen = self.calls(at, "memory.TranslatePfns",
                          memory.TranslatePfnsRequest(
                              domain=ref(one.domid), pfns=pfns), *GONE)
        if not seen:
            return
        frames = [mfn for p2m_class, mfn in zip(seen.classes, seen.frames)
                  if p2m_class == common.P2M_CLASS_RAM]
        if frames:
            self.calls(at, "memory.TranslateMfns", memory.TranslateMfnsRequest(
                domain=ref(one.domid), mfns=frames), *GONE)

    def runs(self, at, one):
        """Without gaps, up to the end or until the domain disappears."""
        parts = self.calls.stream(
            at, "memory.ListP2mRuns", memory.ListP2mRunsRequest(
                domain=ref(one.domid), view=self.random.randint(1, 2),
                merge=self.random.randint(1, 2)), *GONE)
        end = 0
        for part in parts or ():
            for run in part.runs:
                if run.first_pfn != end:
                    raise Fault(f"{self.name}: a gap before {run}")
                end += run.count

    def summary(self, at, one):
        answer = self.calls(at, "memory.GetP2mSummary",
                            memory.GetP2mSummaryRequest(
                                domain=ref(one.domid)), *GONE)
        if not answer:
            return
        told = answer.summary
        if told.p2m_size != (told.ram_pfns + told.identity_pfns
                             + told.foreign_pfns + told.missing_pfns):
            raise Fault(f"{self.name}: words do not add up: {told}")

    def bytes(self, at, one):
        self.calls(at, "memory.ReadGuestMemory",
                   memory.ReadGuestMemoryRequest(
                       domain=ref(one.domid), pfn=self.random.randrange(5000),
                       length_bytes=100000), *GONE, "PFN_NOT_RAM")

    def frames(self, at, _):
        extents = [common.MfnExtent(first_mfn=self.random.randrange(60000),
                                    count=self.random.randint(1, 50))]
        self.calls.stream(at, "host.LookupFrames",
                          host.LookupFramesRequest(extents=extents))
        self.calls.stream(at, "host.ReadFrames",
                          host.ReadFramesRequest(extents=extents),
                          "FRAME_NOT_READABLE")

    def vcpus(self, at, one):
        self.calls(at, "domain.ListVcpus",
                   domain.ListVcpusRequest(domain=ref(one.domid)), *GONE)

    def load(self, at, one):
        found = self.calls(at, "guest_load.CheckGuestLoad",
                           guest_load.CheckGuestLoadRequest(
                               domain=ref(one.domid)),
                           "GUEST_LOAD_NOT_FOUND", *GONE)
        if found and found.mismatched_pages and not (
                one.name.startswith("reckless")):
            raise Fault(f"{self.name}: the load of {one.name}: {found}")

    def spaces(self, at, one):
        parts = self.calls.stream(
            at, "address_space.ListAddressSpaces",
            address_space.ListAddressSpacesRequest(domain=ref(one.domid)),
            "ARCH_NOT_PAE", "DOMAIN_NOT_BOOTED", *GONE)
        for space in [one for part in parts or ()
                      for one in part.address_spaces][:3]:
            self.calls(at, "address_space.TranslateInAddressSpace",
                       address_space.TranslateInAddressSpaceRequest(
                           domain=ref(one.domid), id=space.id,
                           pfns=range(0, 5000, 100)),
                       "ADDRESS_SPACE_NOT_FOUND", "PFN_OUT_OF_RANGE", *GONE)

    def tools(self, at, one):
        self.calls(at, "memory.GetMfnListList",
                   memory.GetMfnListListRequest(domain=ref(one.domid)),
                   *EARLY, *GONE)
