"""Steps that save and restore an owner's guests.  A step that ends a guest
returns False."""

import os
import queue

from harness import DEADLINE, domain, migration, poll, ref

from soak.life_steps import FULL

PIECE = 1 << 20


def save(rnd, guest):
    """Saves it to a file and restores it, perhaps on the other machine; or does
    not restore it; or lets the guest go on after the save."""
    if guest.paused or guest.foreign:
        refuse_to_leave(guest)
        return True
    what = rnd.random()
    if what < 0.15:
        give_up_save(rnd, guest)
        return True
    after = (migration.AFTER_SAVE_DESTROY if what < 0.8 else
             rnd.choice((migration.AFTER_SAVE_CONTINUE,
                         migration.AFTER_SAVE_PAUSE)))
    path = os.path.join(guest.calls.folder, f"{guest.name}.image")
    try:
        write_image(guest, after, path)
        if after == migration.AFTER_SAVE_DESTROY:
            return restore(rnd, guest, path)
    finally:
        os.unlink(path)
    guest.paused = after == migration.AFTER_SAVE_PAUSE
    guest.check_all()
    return True


def write_image(guest, after, path):
    start = migration.SaveDomainRequest.Start(domain=ref(guest.name),
                                              after=after)
    requests = queue.SimpleQueue()

    def ask():
        requests.put(migration.SaveDomainRequest(start=start))
        call = guest.calls.stub(guest.at, "migration.SaveDomain")(
            iter(requests.get, None), timeout=DEADLINE)
        with open(path, "wb") as file:
            for piece in call:
                file.write(piece.data)
                if piece.last:
                    file.flush()
                    requests.put(migration.SaveDomainRequest(
                        stored=migration.SaveDomainRequest.Stored()))
                    requests.put(None)
        return True

    try:
        guest.calls.during(guest.at, "migration.SaveDomain", start, ask, ())
    finally:
        requests.put(None)


def give_up_save(rnd, guest):
    """Cancels after some pieces: the guest goes on as if nothing had
    happened.  A piece says that the guest is suspended: without one, the daemon
    may suspend it after this has looked whether it goes on."""
    start = migration.SaveDomainRequest.Start(domain=ref(guest.name))
    requests = queue.SimpleQueue()

    def ask():
        requests.put(migration.SaveDomainRequest(start=start))
        call = guest.calls.stub(guest.at, "migration.SaveDomain")(
            iter(requests.get, None), timeout=DEADLINE)
        left = rnd.randint(1, 3)
        while left > 0:
            left = 0 if next(call).last else left - 1
        call.cancel()
        return True

    try:
        guest.calls.during(guest.at, "migration.SaveDomain cancelled", start,
                           ask, ())
    finally:
        requests.put(None)
    await_resumed(guest)
    guest.check_all()


def restore(rnd, guest, path):
    """Restores on either machine; if both are full, the guest is lost."""
    paused = rnd.random() < 0.2
    places = rnd.sample(range(len(guest.calls.machines)), 2)
    for at in places:
        if read_image(guest, at, path, paused):
            guest.at, guest.paused = at, paused
            guest.check_all()
            return True
    return False


def read_image(guest, at, path, paused):
    def pieces():
        options = migration.RestoreOptions(start_paused=paused)
        with open(path, "rb") as file:
            while True:
                data = file.read(PIECE)
                if not data:
                    return
                yield migration.RestoreDomainRequest(options=options,
                                                     data=data)
                options = None

    def ask():
        return guest.calls.stub(at, "migration.RestoreDomain")(
            pieces(), timeout=DEADLINE)

    return guest.calls.during(at, "migration.RestoreDomain", guest.name, ask,
                              (FULL,))


def refuse_to_leave(guest):
    """A guest that is paused, or maps frames of others, cannot be saved."""
    reasons = ("DOMAIN_NOT_RUNNING" if guest.paused else
               "DOMAIN_NOT_MIGRATABLE",)
    request = migration.SaveDomainRequest.Start(domain=ref(guest.name))
    call = guest.calls.stub(guest.at, "migration.SaveDomain")
    answer = guest.calls.during(
        guest.at, "migration.SaveDomain", request,
        lambda: list(call(iter([migration.SaveDomainRequest(start=request)]),
                          timeout=DEADLINE)), reasons)
    guest.must(not answer, "it lets itself be saved")
    guest.look()


def await_resumed(guest):
    """The daemon ends an abandoned call in its own time."""
    poll(lambda: not guest.call(
        "domain.GetDomain", domain.GetDomainRequest()).domain.suspended,
        f"{guest.name} goes on")
