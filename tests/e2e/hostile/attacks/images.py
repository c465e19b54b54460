"""Images made to do harm: notes that no kernel wrote, pages that do not fit."""

import random

from fuzz.dialogues import mutated
from harness import ROOT, domain, guest_load, migration, ref

PIECE = 1 << 20
FOLDER = ROOT / "tests" / "testdata" / "images"

# A load's seed as it appears in the notes: ten bytes that appear nowhere else.
SEED = 0xfe571234abcd1234


def saved(attack, name, load=None):
    """Saves and destroys a small guest; returns its image."""
    with attack.client() as client:
        attack.ask(client.domain.CreateDomain, domain.CreateDomainRequest(
            spec=domain.DomainSpec(name=name, memory_pages=1500)))
        if load:
            attack.ask(client.guest_load.StartGuestLoad,
                       guest_load.StartGuestLoadRequest(domain=ref(name),
                                                        spec=load))
        start = migration.SaveDomainRequest.Start(domain=ref(name))
        requests = [migration.SaveDomainRequest(start=start),
                    migration.SaveDomainRequest(
                        stored=migration.SaveDomainRequest.Stored())]
        return b"".join(one.data for one in client.migration.SaveDomain(
            iter(requests), timeout=60))


def restore(attack, client, name, image):
    """The domain restored from the image, or None."""
    requests = [migration.RestoreDomainRequest(
        options=migration.RestoreOptions(spec=domain.DomainSpec(name=name)))]
    requests += [migration.RestoreDomainRequest(data=image[i:i + PIECE])
                 for i in range(0, len(image), PIECE)]
    answer = attack.ask(client.migration.RestoreDomain, iter(requests))
    return answer.domain if answer else None


def _varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7f | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def claiming_load(attack, writes=1 << 62):
    """An image of a guest whose load claims this many writes.

    In the notes the number follows the load's seed; it takes more bytes than
    the true one, so the seed gets fewer bytes."""
    image = saved(attack, "claims", guest_load.LoadSpec(
        pages_per_second=1000, working_set_pages=20, seed=SEED))
    seed = _varint(SEED)
    at = image.index(seed) + len(seed)
    size = next(i for i in range(1, 11) if image[at + i - 1] < 0x80)
    room = len(seed) + size - len(_varint(writes))
    other = _varint(1 << 7 * (room - 1) if room > 1 else 1)
    assert len(other) == room, (room, other)
    return image[:at - len(seed)] + other + _varint(writes) + image[at + size:]


def hostile_images(attack):
    """Restores images that lie, and saves the resulting domains."""
    images = [file.read_bytes() for file in sorted(FOLDER.glob("*.xl"))]
    images.append(saved(attack, "image-model"))

    def step(rnd, client, number):
        image = rnd.choice(images)
        name = f"image{number}"
        if image is images[-1]:
            image = mutated(random.Random(rnd.random()), image)
        there = restore(attack, client, name, image)
        if there is None:
            return
        start = migration.SaveDomainRequest(
            start=migration.SaveDomainRequest.Start(domain=ref(there.domid)))
        attack.ask(lambda request, timeout: list(client.migration.SaveDomain(
            iter([request]), timeout=timeout)), start)
        attack.ask(client.domain.DestroyDomain,
                   domain.DestroyDomainRequest(domain=ref(there.domid)))
    attack.loop(3, step)
