"""Values that a daemon's answers have named so far, for use in requests.

Thread safety: every method may be called from any thread.
"""

import threading

KEPT = 48  # of each kind
LOOKED_AT = 12  # elements of a list in an answer

PAE = 2  # number of ARCH_X86_32_PAE

# The kind of value that a field of an answer holds.
KINDS = {
    "domid": "domid",
    "uuid": "uuid",
    "next_page_token": "page_token",
    "migration_id": "migration_id",
    "first_id": "address_space_id",
    "first_mfn": "mfn",
    "root_mfn": "mfn",
    "pgd_mfn": "mfn",
    "mfn": "mfn",
    "frames": "mfn",
    "first_frame": "mfn",
    "max_mfn": "mfn",
    "first_pfn": "pfn",
    "pfns": "pfn",
    "p2m_size": "pfn",
    "max_pfn": "pfn",
    "current_pages": "pages",
    "max_pages": "pages",
    "free_pages": "pages",
    "balloon_pages": "pages",
    "working_set_pages": "pages",
}


def is_map(field):
    return bool(field.message_type) and field.message_type.GetOptions().map_entry


def _kind(field):
    """None if the field's values are not used."""
    owner = field.containing_type.name
    if field.name == "name":
        return {"Domain": "name", "FaultPoint": "point"}.get(owner)
    if field.name == "id":
        return {"AddressSpace": "address_space_id", "Fault": "fault_id",
                "AddFaultResponse": "fault_id"}.get(owner)
    return KINDS.get(field.name)


class Values:

    def __init__(self):
        self._lock = threading.Lock()
        self._known = {}

    def add(self, kind, value, random):
        """Keeps it, instead of another value if there are many."""
        with self._lock:
            known = self._known.setdefault(kind, [])
            if value in known:
                return
            if len(known) < KEPT:
                known.append(value)
            else:
                known[random.randrange(KEPT)] = value

    def pick(self, kind, random):
        """One of the values of a kind, or None."""
        with self._lock:
            known = self._known.get(kind)
            return random.choice(known) if known else None

    def forget(self, kind):
        with self._lock:
            self._known.pop(kind, None)

    def learn(self, message, random):
        """Keeps the values that an answer names."""
        if message.DESCRIPTOR.name == "Domain" and message.arch == PAE:
            self.add("pae_domid", message.domid, random)
        for field, value in message.ListFields():
            if is_map(field):
                continue  # the metadata of errors
            repeated = field.label == field.LABEL_REPEATED
            some = value[:LOOKED_AT] if repeated else [value]
            if field.message_type:
                for one in some:
                    self.learn(one, random)
                continue
            kind = _kind(field)
            if kind:
                for one in some:
                    if one not in ("", 2**64 - 1):
                        self.add(kind, one, random)
