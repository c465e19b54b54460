"""Steps in which an owner creates, destroys, pauses and runs its guests.  A
step that ends a guest returns False."""

from harness import common, domain
from migrations.moving_guest import PAGE

from soak.guest import FIRST, Guest

FULL = "HOST_MEMORY_EXHAUSTED"


def create(rnd, calls, name):
    """A guest, or None if the machine is full."""
    pae = rnd.random() < 0.5
    at = rnd.randrange(len(calls.machines))
    pages = rnd.randint(2700, 5500)
    spec = domain.DomainSpec(
        name=name, memory_pages=pages,
        max_memory_pages=pages + rnd.choice((0, 700, 3000)),
        arch=common.ARCH_X86_32_PAE if pae else common.ARCH_X86_64,
        tools_view=rnd.randint(1, 2), balloon_room=rnd.randint(1, 2),
        vcpus=rnd.randint(1, 70),
        memory_hotplug_limit_gib=rnd.choice((0, 0, 1)))
    if pae:
        spec.pae_kernel.shared_kernel_pmd = rnd.random() < 0.3
        spec.pae_kernel.split = rnd.randint(1, 3)
    if rnd.random() < 0.2:
        spec.e820.CopyFrom(map_with_hole(rnd, spec.max_memory_pages))
    paused = rnd.random() < 0.15
    if not calls(at, "domain.CreateDomain",
                 domain.CreateDomainRequest(spec=spec, start_paused=paused),
                 FULL):
        return None
    guest = Guest(calls, at, name, pae)
    if paused:
        guest.call("domain.UnpauseDomain", domain.UnpauseDomainRequest())
    guest.look()
    guest.must(guest.pages == pages or spec.HasField("e820"),
               f"it has {guest.pages} pages, not {pages}")
    return guest


def map_with_hole(rnd, pages):
    """A memory map with a range in the middle that is not RAM."""
    hole = (FIRST + 200) * PAGE
    after = hole + rnd.choice((1, 100, 600)) * PAGE
    kinds = ((0, hole, common.E820_TYPE_RAM),
             (hole, after, common.E820_TYPE_RESERVED),
             (after, after + pages * PAGE, common.E820_TYPE_RAM))
    return common.E820Map(entries=[
        common.E820Entry(start_bytes=start, size_bytes=end - start, type=kind)
        for start, end, kind in kinds])


def destroy(_, guest):
    guest.check_all()
    answer = guest.call("domain.DestroyDomain", domain.DestroyDomainRequest())
    # Frames that others map stay; frames of dying owners may go with it.
    guest.must(guest.foreign
               or answer.freed_pages <= guest.info.memory.current_pages,
               f"it has freed {answer.freed_pages} pages")
    gone = guest.call("domain.GetDomain", domain.GetDomainRequest(),
                      "DOMAIN_NOT_FOUND")
    guest.must(not gone, "it is there still")
    return False


def pause(_, guest):
    guest.call("domain.PauseDomain", domain.PauseDomainRequest())
    guest.paused = True
    guest.look()


def unpause(_, guest):
    guest.call("domain.UnpauseDomain", domain.UnpauseDomainRequest())
    guest.paused = False
    guest.look()


def rename(rnd, guest):
    """Renames it to one of its owner's names, or to a name that is taken."""
    if rnd.random() < 0.2:
        taken = rnd.choice(guest.calls.machines[guest.at].shared)
        guest.must(not guest.call(
            "domain.RenameDomain",
            domain.RenameDomainRequest(new_name=taken), "NAME_IN_USE"),
            f"it is called {taken} as well")
        return
    name = guest.name.partition(".")[0] + f".{rnd.getrandbits(32):x}"
    guest.call("domain.RenameDomain",
               domain.RenameDomainRequest(new_name=name))
    guest.name = name
    guest.look()


def pin(rnd, guest):
    first = rnd.randrange(60)
    cpus = common.CpuSet(ranges=[common.CpuRange(first_cpu=first,
                                                 count=rnd.randint(1, 4))])
    vcpu = rnd.randrange(guest.info.vcpus)
    guest.call("domain.SetVcpuAffinity", domain.SetVcpuAffinityRequest(
        vcpus=[vcpu], hard=cpus))
    listed = guest.call("domain.ListVcpus", domain.ListVcpusRequest(
        page_size=1000)).vcpus
    guest.must(len(listed) == guest.info.vcpus
               and listed[vcpu].hard == cpus, f"virtual CPU {vcpu}: {listed}")
