"""What an owner does to a guest's memory.  Each step takes a generator of
random numbers and the guest, and updates the guest's model."""

from harness import address_space, common, guest_load, memory, ref
from migrations.moving_guest import PAGE, ZEROS

from soak.guest import FIRST, FOREIGN, LEAST, MISSING, RAM

# The machine may be full at any time; frames that other domains map count too.
SHORT_UP = ("HOST_MEMORY_EXHAUSTED", "MAX_MEM_EXCEEDED", "PFN_NOT_BALLOONABLE")
MOST_LOAD_PAGES = 250
MOST_SPACES = 20


def pick_extent(rnd, extents, most):
    """A stretch of at most `most` pages of one of the extents, or None."""
    if not extents:
        return None
    first, end = rnd.choice(extents)
    start = rnd.randrange(first, end)
    return start, min(rnd.randint(1, most), end - start)


def write(rnd, guest):
    picked = pick_extent(rnd, guest.extents(RAM), rnd.choice((1, 3, 40)))
    if picked is None:
        return
    first, count = picked
    if rnd.random() < 0.2:  # a part of a page
        offset = rnd.randrange(PAGE)
        data = rnd.randbytes(rnd.randint(1, PAGE - offset))
        old = guest.content.get(first, ZEROS)
        new = {first: old[:offset] + data + old[offset + len(data):]}
    else:
        offset = 0
        data = (bytes if rnd.random() < 0.1 else rnd.randbytes)(count * PAGE)
        new = {first + i: data[i * PAGE:(i + 1) * PAGE] for i in range(count)}
    guest.call("memory.WriteGuestMemory", memory.WriteGuestMemoryRequest(
        pfn=first, offset_bytes=offset, data=data))
    guest.content.update(new)


def read(rnd, guest):
    """Some pages that were written, and some that were not."""
    pfns = set(rnd.sample(sorted(guest.content), min(8, len(guest.content))))
    picked = pick_extent(rnd, guest.extents(RAM), 60)
    if picked is not None:
        pfns.update(range(picked[0], sum(picked)))
    guest.check_content(pfns)


def translate(rnd, guest):
    end = sum(guest.runs[-1][:2])
    guest.look()  # its driver may have worked meanwhile
    guest.check_frames([rnd.randrange(end) for _ in range(30)])


def balloon_down(rnd, guest):
    pages = rnd.randint(1, 1500)
    free = guest.pages - LEAST
    if free < 1:
        return
    before, settled = guest.pages, guest.settled
    answer = guest.call(
        "memory.BalloonDown",
        memory.BalloonDownRequest(pages=min(pages, free)),
        *(("DOMAIN_NOT_RUNNING",) if guest.paused else ()))
    guest.must(bool(answer) != guest.paused, "a paused guest has ballooned")
    guest.look()
    if answer:
        guest.must(answer.moved_pages == min(pages, free)
                   and (guest.pages == before - answer.moved_pages
                        or not settled),
                   f"{answer.moved_pages} pages moved down")


def balloon_up(rnd, guest):
    partial = rnd.random() < 0.5
    answer = guest.call(
        "memory.BalloonUp",
        memory.BalloonUpRequest(pages=rnd.randint(1, 1500),
                                allow_partial=partial),
        *(("DOMAIN_NOT_RUNNING",) if guest.paused else SHORT_UP))
    guest.must(not (guest.paused and answer), "a paused guest has ballooned")
    guest.look()


def set_target(rnd, guest):
    most = guest.info.memory.static_max_pages
    target = rnd.randint(min(LEAST, most), most + (rnd.random() < 0.05))
    answer = guest.call(
        "memory.SetMemoryTarget",
        memory.SetMemoryTargetRequest(target_pages=target),
        *(("STATIC_MAX_EXCEEDED",) if target > most else ()))
    guest.must(bool(answer) == (target <= most), "a target above the maximum")
    guest.look()
    if answer:
        guest.must(guest.info.memory.target_pages == target, "another target")
        guest.must(guest.paused or guest.pages <= target, "it is too large")


def set_maximum(rnd, guest):
    target = guest.info.memory.target_pages
    pages = target + rnd.randint(-20, 2500)
    answer = guest.call(
        "memory.SetMaxMemory", memory.SetMaxMemoryRequest(max_pages=pages),
        *(("MAX_MEM_BELOW_TARGET",) if pages < target else ()))
    guest.must(bool(answer) == (pages >= target), "a maximum below the target")
    guest.look()


def mark_identity(rnd, guest):
    """Over RAM, holes and ballooned pages."""
    count = min(rnd.choice((1, 30, 700)), max(1, guest.pages - LEAST))
    first = rnd.randrange(FIRST, max(guest.info.memory.static_max_pages,
                                     FIRST + 1))
    answer = guest.call(
        "memory.MarkIdentityRange",
        memory.MarkIdentityRangeRequest(start_pfn=first, end_pfn=first + count,
                                        release_ram=True),
        "PFN_OUT_OF_RANGE", "PFN_HOLDS_FOREIGN")
    guest.look()
    if answer:
        guest.must(guest.class_of(first) == common.P2M_CLASS_IDENTITY,
                   f"pfn {first} is no identity")


def clear_range(rnd, guest):
    """Makes words missing; identity words become holes."""
    p2m_class = rnd.choice((RAM, common.P2M_CLASS_IDENTITY, MISSING))
    most = 200 if p2m_class != RAM else min(200, guest.pages - LEAST)
    picked = pick_extent(rnd, guest.extents(p2m_class), max(1, most))
    if picked is None or most < 1:
        return
    before, settled = guest.pages, guest.settled
    answer = guest.call(
        "memory.SetP2mRange",
        memory.SetP2mRangeRequest(
            first_pfn=picked[0], count=picked[1], p2m_class=MISSING,
            ram_policy=common.RAM_POLICY_RELEASE))
    guest.look()
    guest.must(guest.class_of(picked[0]) == MISSING, f"{picked} is not clear")
    if p2m_class == RAM:
        guest.must(guest.pages == before - picked[1] or not settled,
                   f"{picked} has given back {answer.released_pages} pages")


def move_page(rnd, guest):
    """Takes a page's frame out of its word and puts it into another one: the
    content goes with the frame."""
    picked = pick_extent(rnd, guest.extents(RAM), 1)
    to = pick_extent(rnd, guest.extents(MISSING), 1)
    if picked is None or to is None or guest.pages <= LEAST:
        return
    pfn, to = picked[0], to[0]
    [mfn] = guest.call("memory.TranslatePfns",
                       memory.TranslatePfnsRequest(pfns=[pfn])).frames
    guest.call("memory.SetP2mRange", memory.SetP2mRangeRequest(
        first_pfn=pfn, count=1, p2m_class=MISSING,
        ram_policy=common.RAM_POLICY_KEEP))
    answer = guest.call("memory.SetP2mRange", memory.SetP2mRangeRequest(
        first_pfn=to, count=1, p2m_class=RAM, first_mfn=mfn),
        "PFN_HOLDS_RAM")  # the driver was quicker
    if not answer:
        guest.call("memory.SetP2mRange", memory.SetP2mRangeRequest(
            first_pfn=pfn, count=1, p2m_class=RAM, first_mfn=mfn))
        to = pfn
    held = guest.content.pop(pfn, ZEROS)
    guest.look()
    guest.content[to] = held
    guest.check_content([to])


def map_foreign(rnd, guest):
    """Maps frames of another domain at missing words."""
    holes = guest.extents(MISSING)
    owner = rnd.choice(guest.calls.machines[guest.at].shared)
    picked = pick_extent(rnd, holes, 12)
    if picked is None or len(guest.foreign) > 100:
        return
    pfns = range(picked[0], sum(picked))
    words = guest.calls(
        guest.at, "memory.TranslatePfns", memory.TranslatePfnsRequest(
            domain=ref(owner),
            pfns=[rnd.randrange(300, 5000) for _ in pfns]))
    frames = [mfn if p2m_class == RAM else 0
              for p2m_class, mfn in zip(words.classes, words.frames)]
    answer = guest.call(
        "memory.MapForeignFrames", memory.MapForeignFramesRequest(
            slots=[memory.ForeignSlot(pfn=pfn, mfn=mfn)
                   for pfn, mfn in zip(pfns, frames)]))
    failed = check_slots(guest, answer, len(pfns), answer.mapped_slots, (
        "FRAME_NOT_FOREIGN", "PFN_NOT_MISSING", "PFN_OUT_OF_RANGE",
        "MFN_OUT_OF_RANGE"))
    for slot, (pfn, mfn) in enumerate(zip(pfns, frames)):
        if slot not in failed:
            guest.foreign[pfn] = mfn
    guest.look()
    for pfn in pfns:
        guest.must((guest.class_of(pfn) == FOREIGN) == (pfn in guest.foreign),
                   f"pfn {pfn} is no foreign word")


def unmap_foreign(rnd, guest):
    if not guest.foreign:
        return
    pfns = sorted(guest.foreign)
    if rnd.random() < 0.4:
        pfns = rnd.sample(pfns, rnd.randint(1, len(pfns)))
    answer = guest.call("memory.UnmapForeignFrames",
                        memory.UnmapForeignFramesRequest(pfns=pfns))
    check_slots(guest, answer, len(pfns), answer.unmapped_slots, ())
    for pfn in pfns:
        del guest.foreign[pfn]
    guest.look()


def check_slots(guest, answer, slots, done, allowed):
    """The slots that failed; all reasons must be allowed ones."""
    guest.must(done + answer.failed_slots == slots
               and len(answer.errors) == answer.failed_slots,
               f"of {slots} slots: {answer}")
    for error in answer.errors:
        guest.must(error.reason in allowed, f"a slot failed: {error}")
    return {error.slot for error in answer.errors}


def spaces(rnd, guest):
    """Starts and ends processes, and looks up pfns through one of them."""
    if not guest.pae:
        guest.call("address_space.CreateAddressSpaces",
                   address_space.CreateAddressSpacesRequest(count=1),
                   "ARCH_NOT_PAE")
        return
    if guest.spaces < MOST_SPACES:
        count = rnd.randint(1, MOST_SPACES - guest.spaces)
        made = guest.call("address_space.CreateAddressSpaces",
                          address_space.CreateAddressSpacesRequest(count=count))
        guest.spaces += count
        guest.must(made.totals.address_spaces == guest.spaces, f"{made}")
    listed = [one for part in guest.calls.stream(
        guest.at, "address_space.ListAddressSpaces",
        address_space.ListAddressSpacesRequest(domain=ref(guest.name)))
        for one in part.address_spaces]
    guest.must(len(listed) == guest.spaces, "another number of processes")
    see_through(rnd, guest, rnd.choice(listed).id)
    gone = rnd.sample([one.id for one in listed],
                      rnd.randint(1, guest.spaces))
    guest.spaces -= len(gone)
    left = guest.call("address_space.DestroyAddressSpaces",
                      address_space.DestroyAddressSpacesRequest(ids=gone))
    guest.must(left.totals.address_spaces == guest.spaces, f"{left}")
    guest.look()


def see_through(rnd, guest, space):
    guest.look()
    end = sum(guest.runs[-1][:2])
    pfns = [rnd.randrange(end) for _ in range(20)]
    seen = guest.call(
        "address_space.TranslateInAddressSpace",
        address_space.TranslateInAddressSpaceRequest(id=space, pfns=pfns))
    for pfn, p2m_class in zip(pfns, seen.classes, strict=True):
        guest.must(p2m_class == guest.class_of(pfn) or not guest.settled,
                   f"pfn {pfn} is of class {p2m_class} in a process")
    synced = guest.call("address_space.SyncAddressSpaces",
                        address_space.SyncAddressSpacesRequest())
    guest.must(synced.entries_rewritten == 0, "tables were out of date")


def load(rnd, guest):
    if guest.load is None:
        spec = guest_load.LoadSpec(
            pages_per_second=rnd.choice((10, 200, 2000)),
            working_set_pages=rnd.randint(1, MOST_LOAD_PAGES),
            pattern=rnd.randint(1, 3), seed=rnd.getrandbits(64))
        answer = guest.call(
            "guest_load.StartGuestLoad",
            guest_load.StartGuestLoadRequest(spec=spec),
            *(("DOMAIN_NOT_RUNNING",) if guest.paused else ()))
        guest.must(bool(answer) != guest.paused, "a paused guest has a load")
        guest.load = spec if answer else None
        return
    guest.check_load()
    if rnd.random() < 0.3:
        guest.call("guest_load.StopGuestLoad",
                   guest_load.StopGuestLoadRequest())
        guest.load = None


def summary(_, guest):
    told = guest.call("memory.GetP2mSummary",
                      memory.GetP2mSummaryRequest()).summary
    guest.must(told.p2m_size == told.ram_pfns + told.identity_pfns
               + told.foreign_pfns + told.missing_pfns, f"{told}")
    guest.must(told.foreign_pfns == len(guest.foreign), f"{told}")
    guest.call("memory.GetMfnListList", memory.GetMfnListListRequest(),
               *(("P2M_TREE_STALE",) if guest.paused else ()))
