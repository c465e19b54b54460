"""The messages that a client sends in a stream: as the contract says, out of
order, cut short, with garbage in between, or never closed."""

import collections
import threading

from fuzz.garbage import garbage

# Waits at most SECONDS for a response that fulfils `until`.
Wait = collections.namedtuple("Wait", "until")
# Sends nothing more and does not close the stream either.
HANG = object()

SECONDS = 1.0
PIECE = 1 << 20

# items: bytes, Wait or HANG.  keeps_rules: whether it follows the contract, so
# that a daemon must answer it in time.
Dialogue = collections.namedtuple("Dialogue", "items keeps_rules")


class Sender:
    """The items of a dialogue as an iterator for gRPC, which reads it on its
    own thread while another thread records the responses here."""

    def __init__(self, items):
        self._items = items
        self._changed = threading.Condition()
        self._seen = []
        self._ended = False

    def note(self, response):
        with self._changed:
            self._seen.append(response)
            self._changed.notify_all()

    def end(self):
        """The call has ended: waits for a response end."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def __iter__(self):
        for item in self._items:
            if isinstance(item, bytes):
                yield item
                continue
            until = (lambda _: False) if item is HANG else item.until
            with self._changed:
                self._changed.wait_for(
                    lambda until=until: self._ended or any(
                        map(until, self._seen)),
                    None if item is HANG else SECONDS)
                if self._ended:
                    return


def pieces(random, image):
    """An image in the pieces that a message may have."""
    size = random.choice((PIECE, PIECE, PIECE, 4096, 1000))
    if len(image) > 100 * size:
        size = PIECE
    found = [image[i:i + size] for i in range(0, len(image), size)]
    return found or [b""]


def mutated(random, image):
    """The image with some of its bytes changed, lost or repeated."""
    if not image or random.random() < 0.5:
        return image
    image, kind = bytearray(image), random.randrange(5)
    at = random.randrange(len(image))
    if kind == 0:
        return bytes(image[:at])
    if kind == 1:
        for _ in range(random.choice((1, 1, 8))):
            image[random.randrange(len(image))] ^= 1 << random.randrange(8)
    elif kind == 2:
        at &= ~3
        odd = random.choice((0, 1, 2**31, 2**32, 2**62, 2**63, 2**64 - 1))
        image[at:at + 8] = odd.to_bytes(8, "little")
    elif kind == 3:
        del image[at:at + random.choice((1, 8, 4096))]
    else:
        image[at:at] = image[at:at + random.choice((1, 8, 4096))]
    return bytes(image)


class Dialogues:

    def __init__(self, random, generator, values):
        self.random = random
        self.generator = generator
        self.values = values

    def make(self, method):
        own = getattr(self, f"_{method.name}", self._any)
        return self._mangled(method, own(method))

    # --- As the contract says ---

    def _any(self, method):
        return [self.generator.message(method.request).SerializeToString()
                for _ in range(self.random.choice((1, 1, 2, 5, 12)))]

    def _step(self, method, step):
        """A message of a type whose oneof is called `step`."""
        message = method.request()
        inner = getattr(message, step)
        inner.SetInParent()
        self.generator.fill(inner, self.random.choice((0.0, 0.0, 0.1, 0.5)))
        return message.SerializeToString()

    def _SaveDomain(self, method):
        return [self._step(method, "start"), Wait(lambda one: one.last),
                self._step(method, "stored")]

    def _image(self):
        return mutated(self.random,
                       self.values.pick("image", self.random) or b"")

    def _RestoreDomain(self, method):
        first = method.request()
        if self.random.random() < 0.8:
            self.generator.fill(first.options, self.random.choice((0, 0, 0.2)))
            if self.random.random() < 0.7:
                first.options.spec.memory_pages = 0
                first.options.spec.max_memory_pages = 0
        first.data = b""
        rest = [method.request(data=one).SerializeToString()
                for one in pieces(self.random, self._image())]
        return [first.SerializeToString()] + rest

    def _ReceiveDomain(self, method):
        data = [method.request(data=one).SerializeToString()
                for one in pieces(self.random, self._image())]
        return [self._step(method, "offer"), *data,
                Wait(lambda one: one.HasField("prepared")),
                self._step(method, "commit"),
                Wait(lambda one: one.HasField("committed")),
                self._step(method, "done")]

    # --- Against the contract ---

    def _mangled(self, method, items):
        rnd, kind = self.random, self.random.random()
        if kind < 0.55:
            return Dialogue(items, True)
        at = rnd.randrange(len(items) + 1)
        if kind < 0.66:
            rnd.shuffle(items)
        elif kind < 0.78:
            items = items[:at]
        elif kind < 0.83:
            items = items[:at] + items[max(0, at - 2):]
        elif kind < 0.93:
            items.insert(at, garbage(rnd, self.generator.message(
                method.request)))
        else:
            return Dialogue(items[:at] + [HANG], False)
        return Dialogue(items, True)
