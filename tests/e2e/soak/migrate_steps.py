"""Steps that migrate an owner's guests to the other machine."""

from harness import DEADLINE, grpc, live, memory, poll, reason_of, ref
from migrations.moving_guest import PAGE

from soak.calls import Fault
from soak.guest import RAM
from soak.life_steps import FULL
from soak.memory_steps import pick_extent
from soak.save_steps import await_resumed, refuse_to_leave


def migrate(rnd, guest):
    """Migrates it to the other machine while it is written to and ballooned;
    now and then the client gives up."""
    if guest.paused or guest.foreign:
        refuse_to_leave(guest)
        return
    request = live.MigrateDomainRequest(
        domain=ref(guest.name),
        target=guest.calls.machines[1 - guest.at].address,
        migration_id=f"{guest.name.replace('.', '-')}-{rnd.getrandbits(32):x}",
        start_paused=rnd.random() < 0.1,
        policy=live.PrecopyPolicy(
            max_passes=rnd.choice((0, 1, 2, 9)),
            max_bytes_per_second=rnd.choice((0, 0, 50, 200)) * 10**6,
            max_downtime_ms=rnd.choice((0, 0, 0, 5))))
    Journey(rnd, guest, request).make()


class Journey:
    """One migration of a guest."""

    # Reasons for which it stays at the source and leaves nothing at the target:
    # no room; a page of its list had to move; it is written to faster than the
    # policy allows.
    STAYS = (FULL, "P2M_CHANGED", "DOWNTIME_EXCEEDED")

    def __init__(self, rnd, guest, request):
        self.rnd = rnd
        self.guest = guest
        self.request = request
        self.give_up = rnd.random() < 0.2
        self.changes = rnd.choice((0, 0, 3))

    def make(self):
        guest = self.guest
        kind = "migration.MigrateDomain" + " cancelled" * self.give_up
        moved = guest.calls.during(guest.at, kind, self.request, self.follow,
                                   self.STAYS + ("CANCELLED",) * self.give_up)
        if self.give_up:
            moved = self.ask_where()
            if not moved:
                await_resumed(guest)
        if moved:
            guest.at = 1 - guest.at
            guest.paused = self.request.start_paused
        guest.check_all()

    def follow(self):
        call = self.guest.calls.stub(
            self.guest.at, "migration.MigrateDomain")(
                self.request, timeout=DEADLINE)
        last = None
        for last in call:
            if last.phase == live.MIGRATION_PHASE_COPYING and self.changes:
                self.changes -= 1
                self.change()
            if self.give_up and self.rnd.random() < 0.5:
                call.cancel()
        if last is None or last.phase != live.MIGRATION_PHASE_MOVED:
            raise Fault(f"{self.guest.name}: the migration ends with {last}")
        return True

    def change(self):
        """Writes a page during the migration, unless the guest has left."""
        pfn = pick_extent(
            self.rnd, self.guest.extents(RAM), 1)[0]
        data = self.rnd.randbytes(PAGE)
        client = self.guest.calls.clients[self.guest.at]
        try:
            client.memory.WriteGuestMemory(
                memory.WriteGuestMemoryRequest(
                    domain=ref(self.guest.name), pfn=pfn, data=data),
                timeout=DEADLINE)
        except grpc.RpcError as error:
            reason = reason_of(error)
            if reason not in ("DOMAIN_SUSPENDED", "DOMAIN_NOT_FOUND",
                              "DOMAIN_DYING"):
                raise Fault(f"{self.guest.name}: a write during a migration: "
                            f"{reason}: {error.details()}") from error
            self.changes = 0
            return
        self.guest.content[pfn] = data

    def ask_where(self):
        """Whether an abandoned migration has moved it after all.  The migration
        has begun, because the client got a message."""
        machine = self.guest.calls.machines[self.guest.at]
        ends = (live.MIGRATION_STATE_MOVED, live.MIGRATION_STATE_KEPT)

        def settled():
            found = machine.migration(self.request.migration_id)
            return found.state if found and found.state in ends else None
        return poll(
            settled, f"{self.guest.name} is here or there"
        ) == live.MIGRATION_STATE_MOVED
