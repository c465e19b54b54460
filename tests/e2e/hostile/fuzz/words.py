"""Values of single fields, by the field's name: sensible ones and extremes.

Some fields never get an extreme value, because it would do harm outside the
test, or end it: `target`, an address that the daemon connects to, is one of the
test's sockets or a port of 127.0.0.1, and a valid `delay_ms` is short.
"""

import string

PFN_FIELDS = {"pfn", "pfns", "first_pfn", "start_pfn", "end_pfn", "first_page"}
MFN_FIELDS = {"mfn", "mfns", "first_mfn"}

# Names that are common enough for clients to fight over.
NAMES = [f"fuzz{letter}" for letter in string.ascii_lowercase[:12]]

# Names that a terminal or a log might show as something else.
ODD_STRINGS = [
    "", " ", "0", "17", "a/b", "../x", "x" * 255, "x" * 256, "\u00e9" * 128,
    "tab\tbed", "line\nbreak", "nul\0byte", "\x1b[31mred", "c1\u0085\u009bx",
    "bidi\u202eevil", "zero\u200bwidth", "\ufeffmark", "del\x7f",
    "\u2028line", "12345678-1234-1234-1234-123456789012",
    "00000000-0000-0000-0000-000000000000", "%s%n%x", "\U0001f4be" * 70,
    "\ue000private", "Domain-0", "-rf", "--all", "x" * 5000,
]

ODD_LISTS = (0, 1, 2, 17, 200)
LONG_LISTS = (4096, 4097, 65536, 65537)

FAULT_CODES = ("", "INTERNAL", "UNAVAILABLE", "ABORTED", "NOT_FOUND",
               "CANCELLED", "RESOURCE_EXHAUSTED", "OK", "nonsense", "unknown")

BITS = {"uint32": (32, False), "fixed32": (32, False), "uint64": (64, False),
        "fixed64": (64, False), "int32": (32, True), "sint32": (32, True),
        "sfixed32": (32, True), "int64": (64, True), "sint64": (64, True),
        "sfixed64": (64, True)}


def type_name(field):
    """The field's type as in a proto file."""
    return {field.TYPE_UINT32: "uint32", field.TYPE_FIXED32: "fixed32",
            field.TYPE_UINT64: "uint64", field.TYPE_FIXED64: "fixed64",
            field.TYPE_INT32: "int32", field.TYPE_SINT32: "sint32",
            field.TYPE_SFIXED32: "sfixed32", field.TYPE_INT64: "int64",
            field.TYPE_SINT64: "sint64", field.TYPE_SFIXED64: "sfixed64",
            field.TYPE_BOOL: "bool", field.TYPE_STRING: "string",
            field.TYPE_BYTES: "bytes", field.TYPE_DOUBLE: "double",
            field.TYPE_FLOAT: "float", field.TYPE_ENUM: "enum",
            field.TYPE_MESSAGE: "message"}[field.type]


class Words:

    def __init__(self, random, values, targets):
        """`targets`: the addresses that a daemon may be told to connect to."""
        self.random = random
        self.values = values
        self.targets = targets

    # --- Sensible values ---

    def sensible(self, field):
        special = getattr(self, f"_{field.name}", None)
        if special:
            return special(field)
        kind = type_name(field)
        if kind == "bool":
            return self.random.random() < 0.5
        if kind == "string":
            return self._string(field)
        if kind == "bytes":
            return self.random.randbytes(self.random.choice((0, 1, 16, 4096)))
        if kind == "enum":
            return self.random.choice(field.enum_type.values).number
        if kind in ("double", "float"):
            return self.random.random()
        return self._number(field) & (2 ** 31 - 1 if "32" in kind
                                      else 2 ** 63 - 1)

    def _number(self, field):
        rnd = self.random
        if field.name in PFN_FIELDS:
            return self._near("pfn", rnd.randrange(6000))
        if field.name in MFN_FIELDS:
            return self._near("mfn", rnd.randrange(1 << 20))
        if field.name.endswith(("pages", "_pfns")):
            return self._near("pages",
                              rnd.choice((1, 17, 512, 600, 3000, 20000)))
        return rnd.choice((0, 1, 2, 3, 8, 64, 500))

    def _near(self, kind, otherwise):
        """A value that has been seen, or a neighbour of it."""
        known = self.values.pick(kind, self.random)
        if known is None or self.random.random() < 0.4:
            return otherwise
        return max(0, known + self.random.choice((-1, 0, 0, 0, 0, 0, 1, 600)))

    def _string(self, field):
        return self.random.choice(NAMES)

    def _known(self, kind, otherwise):
        known = self.values.pick(kind, self.random)
        return otherwise if known is None else known

    def _domid(self, field):
        return self._known("domid", 0)

    def _domain(self, field):  # a string: the name in a fault rule
        return self.random.choice(NAMES + ["", ""])

    def _name(self, field):
        if field.containing_type.name == "DomainSpec":
            # New names, and some that other threads use too.
            return self.random.choice(
                [*NAMES, *(f"fuzz{self.random.randrange(1 << 24)}"
                           for _ in NAMES)])
        known = self.random.random() < 0.5 and self.values.pick(
            "name", self.random)
        return known or self.random.choice(NAMES)

    def _new_name(self, field):
        return self.random.choice(NAMES)

    def _e820_host(self, field):
        return True

    def _uuid(self, field):
        if field.containing_type.name == "DomainRef":
            return self._known("uuid", "")
        digits = f"{self.random.randrange(1, 500):032x}"
        return self.random.choice(("", "", "-".join(
            (digits[:8], digits[8:12], digits[12:16], digits[16:20],
             digits[20:]))))

    def _page_token(self, field):
        return self.random.choice(("", self._known("page_token", "")))

    def _page_size(self, field):
        return self.random.choice((0, 1, 2, 7, 1000))

    def _migration_id(self, field):
        if field.containing_type.name == "ResolveMigrationRequest":
            return self._known("migration_id", "none")
        return self.random.choice(
            ("", f"m-{self.random.randrange(1 << 20)}",
             f"m-{self.random.randrange(1 << 20)}",
             self._known("migration_id", "")))

    def _target(self, field):
        return self.random.choice(self.targets)

    def _point(self, field):
        return self._known("point", "save.begin")

    def _code(self, field):
        return self.random.choice(FAULT_CODES)

    def _delay_ms(self, field):
        return self.random.choice((0, 1, 5, 20, 60001, 2**32 - 1))

    def _probability(self, field):
        return self.random.choice((0.01, 0.3, 1.0))

    def _id(self, field):
        kind = ("address_space_id" if "Address" in field.containing_type.name
                else None)
        if kind is None:
            return self.random.randrange(1 << 16)
        return self.random.choice((0, 1, 2, self._known(kind, 0)))

    def _ids(self, field):
        kind = ("fault_id" if "Fault" in field.containing_type.name
                else "address_space_id")
        return self._known(kind, 1) + self.random.choice((0, 0, 1, 5))

    def _memory_hotplug_limit_gib(self, field):
        return self.random.choice((0,) * 20 + (1, 64, 512))

    def _memory_pages(self, field):
        return self.random.choice((600, 1000, 3000, 5000, 20000))

    def _max_memory_pages(self, field):
        return self.random.choice((0, 0, 0, 20000, 30000))

    def _balloon_max_retry(self, field):
        return self.random.choice((0, 1, 5))

    def _vcpus(self, field):
        if field.containing_type.name == "SetVcpuAffinityRequest":
            return self.random.choice((0, 0, 0, 1))
        return self.random.choice((0, 1, 2, 4, 7))

    def _first_cpu(self, field):
        return self.random.randrange(4)

    def _count(self, field):
        if field.containing_type.name == "CpuRange":
            return self.random.randrange(5)
        if field.containing_type.name == "FaultRule":
            return self.random.choice((1, 2))
        return self.random.choice((1, 1, 2, 9, 64, 513, 3000))

    def _pci_devices(self, field):
        return f"00:{self.random.randrange(32):02x}.{self.random.randrange(8)}"

    def _start_bytes(self, field):
        return self.random.randrange(64) * (1 << 22)

    def _size_bytes(self, field):
        return self.random.choice((1 << 20, 1 << 22, 1 << 24))

    def _pages_per_second(self, field):
        return self.random.choice((1, 100, 2000, 20000))

    def _working_set_pages(self, field):
        return self.random.choice((1, 10, 100, 300))

    def _offset_bytes(self, field):
        return self.random.choice((0, 0, 1, 8, 4095))

    def _length_bytes(self, field):
        return self.random.choice((0, 1, 4096, 10000, 1 << 20))

    def _max_bytes_per_second(self, field):
        return self.random.choice((0, 0, 0, 1 << 20))

    def _max_passes(self, field):
        return self.random.choice((0, 1, 2, 5))

    def _max_downtime_ms(self, field):
        return self.random.choice((0, 0, 1, 1000))

    def _service(self, field):
        return self.random.choice(("", "simvisor.v1.HostService", "none"))

    def _file_containing_symbol(self, field):
        return self.random.choice(("simvisor.v1.HostService",
                                   "simvisor.v1.Domain", "simvisor.v1", "x"))

    # --- Extremes ---

    def extreme(self, field):
        rnd = self.random
        if field.name in ("target", "delay_ms"):
            return self.sensible(field)
        kind = type_name(field)
        if kind == "bool":
            return rnd.random() < 0.5
        if kind == "string":
            if rnd.random() < 0.01:
                return "x" * rnd.choice((1 << 20, (4 << 20) + 1))
            return rnd.choice(ODD_STRINGS)
        if kind == "bytes":
            if rnd.random() < 0.05:
                return bytes(rnd.choice(((1 << 20) - 1, 1 << 20, (1 << 20) + 1,
                                         (4 << 20) - 100, 4 << 20)))
            return rnd.randbytes(rnd.choice((0, 1, 4095, 4096, 4097, 70000)))
        if kind == "enum":
            known = [one.number for one in field.enum_type.values]
            return rnd.choice((0, max(known) + 1, 99, -1, 2**31 - 1, -2**31,
                               rnd.choice(known)))
        if kind in ("double", "float"):
            return rnd.choice((0.0, -0.0, -1.0, 1.0, 1.0000001, 5e-324, 1e308,
                               float("inf"), float("-inf"), float("nan")))
        return self._extreme_number(*BITS[kind])

    def _extreme_number(self, bits, signed):
        top = 2 ** (bits - 1 if signed else bits) - 1
        low = -2 ** (bits - 1) if signed else 0
        candidates = [0, 1, 2, top, top - 1, top // 2, top // 2 + 1, 2**31 - 1,
                      2**31, 2**16, 65537, 4096, 4097, low, low + 1]
        if bits == 64:
            candidates += [2**32 - 1, 2**32, 2**52, 2**52 - 1, 2**63 - 1,
                           top - 4095, 2**51, 2**40, 2**24, 2**24 + 1, 2**30]
        return self.random.choice([one for one in candidates
                                   if low <= one <= top])

    def length(self, wild):
        """How many elements a list gets."""
        rnd = self.random
        if wild and rnd.random() < 0.05:
            return rnd.choice(LONG_LISTS)
        if wild:
            return rnd.choice(ODD_LISTS)
        return rnd.choice((1, 1, 2, 5, 30))
