"""Clients that have their own guests and know everything about them."""

from soak import life_steps, memory_steps, migrate_steps, save_steps
from soak.client import EMPTY, Client
from soak.shared import Shared

MOST_GUESTS = 3

STEPS = (
    (memory_steps.write, 12), (memory_steps.read, 8),
    (memory_steps.translate, 5), (memory_steps.balloon_down, 6),
    (memory_steps.balloon_up, 6), (memory_steps.set_target, 6),
    (memory_steps.set_maximum, 3), (memory_steps.mark_identity, 3),
    (memory_steps.clear_range, 4), (memory_steps.move_page, 4),
    (memory_steps.map_foreign, 5), (memory_steps.unmap_foreign, 6),
    (memory_steps.spaces, 4), (memory_steps.load, 5),
    (memory_steps.summary, 3), (life_steps.pause, 2), (life_steps.rename, 2),
    (life_steps.pin, 2), (save_steps.save, 3), (migrate_steps.migrate, 5),
    (life_steps.destroy, 1))


class Keeper(Client):

    def __init__(self, number, *rest):
        super().__init__("keeper", number, *rest)
        self.guests = []
        self._made = 0
        self._shared = Shared(self.random, self.calls, number)

    def step(self):
        what = self.random.random()
        if what < 0.15:
            self._shared.step()
        elif not self.guests or (what < 0.2
                                 and len(self.guests) < MOST_GUESTS):
            self._create()
        else:
            self._do(self.random.choice(self.guests))

    def _create(self):
        self._made += 1
        guest = life_steps.create(self.random, self.calls,
                                  f"{self.name}-{self._made}")
        if guest is not None:
            self.guests.append(guest)

    def _do(self, guest):
        if guest.paused and self.random.random() < 0.3:
            life_steps.unpause(self.random, guest)
            return
        steps, weights = zip(*STEPS)
        if self.random.choices(steps, weights)[0](self.random,
                                                  guest) is False:
            self.guests.remove(guest)

    def obey(self, order):
        for guest in self.guests:
            guest.check_all()
        self._shared.read_all()
        if order == EMPTY:
            while self.guests:
                life_steps.destroy(self.random, self.guests.pop())
