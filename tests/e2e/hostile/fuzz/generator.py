"""Whole messages: mostly valid, with one odd field, or wild."""

from fuzz.words import type_name

DEEPEST = 6  # messages in messages
MOST_BYTES = 5 << 20  # in a message, a little more than a daemon takes

# Numbers of classes of p2m words that a range can be set to.
RAM, IDENTITY, MISSING = 1, 2, 4

# Requests that are never sent: they would end the daemon.
NEVER = {"crash"}


class Generator:

    def __init__(self, random, words, values):
        self.random = random
        self.words = words
        self.values = values
        self._pae = False  # whether the message is about PAE guests

    def message(self, message_class):
        """A message of one of three kinds."""
        mood = self.random.random()
        if mood < 0.6:
            oddness = 0.0
        elif mood < 0.88:
            oddness = 0.12
        else:
            oddness = 0.5
        message = message_class()
        self._pae = "AddressSpace" in message_class.DESCRIPTOR.name
        self.fill(message, oddness)
        return message

    def fill(self, message, oddness, depth=0):
        descriptor = message.DESCRIPTOR
        if descriptor.name == "DomainRef" and self.random.random() >= oddness:
            self._refer(message)
            return
        chosen = {self.random.choice(self._choices(one)).name
                  for one in descriptor.oneofs if self._choices(one)
                  and self.random.random() >= self._none(one, oddness)}
        for field in descriptor.fields:
            if field.name in NEVER:
                continue
            if field.containing_oneof and field.name not in chosen:
                continue
            odd = self.random.random() < oddness
            if odd and self.random.random() < 0.25:
                continue  # not set
            if not field.containing_oneof and not odd and self._rare(field):
                continue
            self._set(message, field, odd, oddness, depth)
        self._agree(message, oddness)

    @staticmethod
    def _none(oneof, oddness):
        """How often none of its fields is set."""
        return 0.7 if oneof.name == "memory_map" else oddness * 0.5

    @staticmethod
    def _choices(oneof):
        return [field for field in oneof.fields if field.name not in NEVER]

    def _rare(self, field):
        """Whether a sensible client would leave the field unset this time."""
        if field.name in ("memory_hotplug_limit_gib", "pci_devices",
                          "e820_host", "vcpu_affinities", "max_memory_pages",
                          "policy"):
            return self.random.random() < 0.8
        return False

    def _set(self, message, field, odd, oddness, depth):
        if field.label == field.LABEL_REPEATED:
            self._fill_list(getattr(message, field.name), field, odd, oddness,
                            depth)
        elif type_name(field) == "message":
            if depth < DEEPEST:
                inner = getattr(message, field.name)
                inner.SetInParent()
                if not odd or self.random.random() < 0.5:
                    self.fill(inner, oddness, depth + 1)
        else:
            setattr(message, field.name, self._word(field, odd))

    def _word(self, field, odd):
        return self.words.extreme(field) if odd else self.words.sensible(field)

    def _fill_list(self, values, field, odd, oddness, depth):
        length = self.words.length(odd)
        if type_name(field) == "message":
            if depth >= DEEPEST or length == 0:
                return
            # Long lists of messages repeat a few, which keeps the fuzzer fast.
            some = min(length, 8)
            for _ in range(some):
                self.fill(values.add(), oddness, depth + 1)
            size = max(1, max(one.ByteSize() for one in values))
            for i in range(min(length - some, MOST_BYTES // size)):
                values.add().CopyFrom(values[i % some])
            return
        some = [self._word(field, odd and self.random.random() < 0.3)
                for _ in range(min(length, 30))]
        if not some:
            return
        wide = max((len(one) for one in some if isinstance(one, (str, bytes))),
                   default=8)
        length = min(length, max(1, MOST_BYTES // max(1, wide)))
        if self.random.random() < 0.5 and isinstance(some[0], int):
            # In order and without repetition, as most clients ask.
            values.extend((some[0] + i) & (2**31 - 1) for i in range(length))
        else:
            values.extend((some * (length // len(some) + 1))[:length])

    def _refer(self, ref):
        """Names a domain, mostly one that exists."""
        if self._pae and self.random.random() < 0.8:
            ref.domid = self.values.pick("pae_domid", self.random) or 0
            return
        kind = self.random.choice(("domid", "name", "name", "uuid"))
        known = self.values.pick(kind, self.random)
        if known is None or self.random.random() < 0.03:
            known = self.words.sensible(ref.DESCRIPTOR.fields_by_name[kind])
        setattr(ref, kind, known)

    def _agree(self, message, oddness):
        """Makes fields consistent with each other, as every valid request has
        them."""
        names = message.DESCRIPTOR.fields_by_name
        if self.random.random() < oddness:
            return
        if "start_pfn" in names and "end_pfn" in names:
            message.end_pfn = min(
                message.start_pfn + self.random.choice((1, 2, 16, 600, 5000)),
                2**64 - 1)
        if "max_memory_pages" in names and message.max_memory_pages:
            message.max_memory_pages = max(message.max_memory_pages,
                                           message.memory_pages)
        if "ram_policy" in names:
            message.p2m_class = self.random.choice((RAM, IDENTITY, MISSING))
            if message.p2m_class != RAM:
                message.first_mfn = 0
        if message.DESCRIPTOR.name == "E820Map":
            self._lay_out(message)

    def _lay_out(self, e820):
        """RAM from 0 on, then the other entries one after the other."""
        at = 0
        for i, entry in enumerate(e820.entries):
            entry.start_bytes = at
            if i == 0:
                entry.type, entry.size_bytes = 1, 24 << 20
            at += max(1, min(entry.size_bytes, 1 << 30))
            at += self.random.choice((0, 0, 1 << 20))
