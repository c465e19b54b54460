#!/usr/bin/env python3
"""Checks a PV save image against what Xen's restorer insists on.

    stream_checker.py FILE

Independent of the daemon's reader: written from the rules, using only the
standard library.  Exit code 0 if the image is sound; otherwise 1, with a line
that says what is wrong at which byte.
"""

import struct
import sys

XL_MAGIC = b"Xen saved domain, xl format\n \0 \r"
LIBXL_ID = 0x4C6962786C466D74
MAX_BODY = 128 << 20
PAGE = 4096

END, PAGE_DATA, PV_INFO, P2M_FRAMES, BASIC, EXTENDED, XSAVE = range(7)
SHARED_INFO, TSC, HVM_CONTEXT, HVM_PARAMS, TOOLSTACK = range(7, 12)
MSRS, VERIFY = range(12, 14)
CHECKPOINT, DIRTY_LIST, STATIC_END, CPUID, MSR_POLICY = range(14, 19)

# width: levels, context bytes, offsets of start_info, gdt frames, gdt entries,
# cr1 and cr3, and pfns in a page of the p2m list.
LAYOUTS = {8: (4, 5168, 616, 4832, 4960, 4992, 5008, 512),
           4: (3, 2800, 524, 2640, 2704, 2720, 2728, 1024)}


class Bad(Exception):
    """An image that a restorer would refuse."""


class Checker:
    def __init__(self, data):
        self.data = data
        self.at = 0
        self.version = None
        self.width = None
        self.static_end = False
        self.max_pfn = None
        self.p2m_pages = []
        self.types = {}
        self.populated = set()
        self.contexts = {}
        self.verifying = False

    def fail(self, what):
        raise Bad(f"byte {self.at}: {what}")

    def need(self, condition, what):
        if not condition:
            self.fail(what)

    def take(self, size):
        self.need(self.at + size <= len(self.data),
                  f"{size} bytes are due, {len(self.data) - self.at} are left")
        part = self.data[self.at:self.at + size]
        self.at += size
        return part

    def record(self):
        kind, size = struct.unpack("<II", self.take(8))
        self.need(size <= MAX_BODY, f"a body of {size} bytes")
        body = self.take(size)
        self.take(-size % 8)
        return kind, body

    def check(self):
        layered = False
        if self.data[:32] == XL_MAGIC:
            self.xl_header()
            layered = True
        if layered or struct.unpack_from(">Q", self.data)[0] == LIBXL_ID:
            self.libxl_header()
            layered = True
        self.libxc()
        if layered:
            kind, body = self.record()
            self.need(kind == 0 and not body, "the libxl stream has no end")

    def xl_header(self):
        self.take(32)
        order, mandatory, _, size = struct.unpack("=IIII", self.take(16))
        self.need(order == 0x01020304, "byte order of the xl header")
        self.need(mandatory == 3, f"mandatory flags {mandatory:#x}")
        extra = self.take(size)
        (config,) = struct.unpack_from("=I", extra)
        self.need(config <= size - 4, "length of the configuration")

    def libxl_header(self):
        ident, version, options = struct.unpack(">QII", self.take(16))
        self.need(ident == LIBXL_ID, "id of the libxl stream")
        self.need(version == 2, f"version {version} of the libxl stream")
        self.need(options & 1 == 0, "byte order of the libxl stream")
        kind, body = self.record()
        self.need(kind == 1 and not body, "no libxc stream in the libxl stream")

    def libxc(self):
        marker, ident, self.version, options = struct.unpack(
            ">QIIH", self.take(18))
        self.take(6)
        self.need(marker == 2**64 - 1, "marker")
        self.need(ident == 0x58454E46, "id")
        self.need(self.version in (2, 3), f"version {self.version}")
        self.need(options & 1 == 0, "byte order")
        kind, shift = struct.unpack("<IH", self.take(6))
        self.take(10)
        self.need(kind == 1, f"domain type {kind}")
        self.need(shift == 12, f"page shift {shift}")
        kind = None
        while kind != END:
            kind, body = self.record()
            if kind & 0x80000000:
                continue
            handlers = {PV_INFO: self.pv_info, STATIC_END: self.static_data_end,
                        P2M_FRAMES: self.p2m_frames,
                        PAGE_DATA: self.page_data, BASIC: self.basic}
            if kind in handlers:
                handlers[kind](body)
            else:
                self.other(kind, body)
        self.finish()

    def other(self, kind, body):
        sizes = {SHARED_INFO: PAGE, TSC: 24, VERIFY: 0}
        if kind in sizes:
            self.need(len(body) == sizes[kind], f"record {kind:#x}: length")
            self.need(kind != SHARED_INFO or self.width, "no PV_INFO yet")
            self.verifying = self.verifying or kind == VERIFY
        elif kind in (EXTENDED, XSAVE, MSRS):
            self.need(len(body) >= 8, f"record {kind:#x}: length")
            blob = len(body) - 8
            self.need(kind != EXTENDED or blob <= 128, "EXTENDED: length")
            self.need(kind != XSAVE or blob >= 16, "XSAVE: length")
            self.need(kind != MSRS or blob % 16 == 0, "MSRS: length")
        elif kind in (CPUID, MSR_POLICY):
            self.need(self.version == 3, "a policy in version 2")
            unit = 24 if kind == CPUID else 16
            self.need(len(body) % unit == 0, "a policy: length")
        elif kind != END:
            self.fail(f"record {kind:#x}")

    def pv_info(self, body):
        self.need(self.width is None, "a second PV_INFO")
        self.need(len(body) >= 8, "PV_INFO: length")
        width, levels = body[0], body[1]
        self.need(width in LAYOUTS and LAYOUTS[width][0] == levels,
                  f"width {width} with {levels} levels")
        self.width = width

    def static_data_end(self, body):
        self.need(self.version == 3, "STATIC_DATA_END in version 2")
        self.need(not body and not self.static_end, "STATIC_DATA_END")
        self.static_end = True

    def memory_begins(self):
        self.need(self.width, "memory before PV_INFO")
        if self.version == 2:
            self.static_end = True
        self.need(self.static_end, "memory before STATIC_DATA_END")

    def p2m_frames(self, body):
        self.memory_begins()
        self.need(len(body) >= 8, "P2M_FRAMES: length")
        start, end = struct.unpack_from("<II", body)
        per_page = LAYOUTS[self.width][7]
        self.need(start <= end, f"P2M_FRAMES: {start} to {end}")
        count = end // per_page - start // per_page + 1
        self.need(len(body) == 8 + 8 * count, "P2M_FRAMES: count")
        self.max_pfn = max(end, self.max_pfn or 0)
        self.p2m_pages += struct.unpack_from(f"<{count}Q", body, 8)

    def page_data(self, body):
        self.memory_begins()
        self.need(self.max_pfn is not None, "PAGE_DATA before P2M_FRAMES")
        self.need(len(body) >= 8, "PAGE_DATA: length")
        (count,) = struct.unpack_from("<I", body)
        self.need(count >= 1, "PAGE_DATA: no pfn")
        self.need(len(body) >= 8 + 8 * count, "PAGE_DATA: length")
        pages = 0
        for word in struct.unpack_from(f"<{count}Q", body, 8):
            kind, pfn = word >> 60, word & (2**52 - 1)
            self.need(kind not in (5, 6, 7, 8), f"pfn {pfn:#x}: type {kind}")
            self.need(pfn <= self.max_pfn, f"pfn {pfn:#x} past the end")
            pages += kind < 0xD
            if self.verifying:
                continue
            self.types[pfn] = kind
            if kind not in (0xD, 0xF):
                self.populated.add(pfn)
        self.need(len(body) == 8 + 8 * count + PAGE * pages,
                  "PAGE_DATA: length")

    def basic(self, body):
        self.need(self.width, "a virtual CPU before PV_INFO")
        size = LAYOUTS[self.width][1]
        self.need(len(body) == 8 + size, f"VCPU_BASIC: {len(body)} bytes")
        (vcpu,) = struct.unpack_from("<I", body)
        self.need(vcpu < 8192, f"virtual CPU {vcpu}")
        self.contexts[vcpu] = body[8:]

    def expect(self, what, pfn, kinds):
        self.need(pfn in self.populated, f"{what}: pfn {pfn:#x} has no page")
        self.need(self.types[pfn] in kinds,
                  f"{what}: pfn {pfn:#x} is of type {self.types[pfn]}")

    def finish(self):
        self.need(self.width, "no PV_INFO")
        self.need(self.max_pfn is not None, "no P2M_FRAMES")
        self.need(self.static_end, "no STATIC_DATA_END")
        self.need(0 in self.contexts, "virtual CPU 0 has no context")
        for pfn in self.p2m_pages:
            self.expect("p2m page", pfn, [0])
        levels, _, start_info, gdt, entries, cr1, cr3, _ = LAYOUTS[self.width]
        root = [levels, 8 | levels]
        word = "<Q" if self.width == 8 else "<I"
        for vcpu, context in self.contexts.items():
            def load(at):
                return struct.unpack_from(word, context, at)[0]
            if vcpu == 0:
                self.expect("start_info", load(start_info), [0])
            self.need(load(entries) <= 7168, f"{load(entries)} GDT entries")
            for i in range((load(entries) + 511) // 512):
                self.expect("GDT", load(gdt + i * self.width), [0])
            value = load(cr3)
            if self.width == 4:
                value = (value >> 12 | value << 20) & 0xFFFFFFFF
            else:
                value >>= 12
            self.expect("CR3", value, root)
            if self.width == 8 and load(cr1) & 1:
                self.expect("CR1", load(cr1) >> 12, root)


def check(data):
    """Raises Bad unless a restorer would take `data`."""
    if len(data) < 8:
        raise Bad("byte 0: too short")
    Checker(data).check()


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    try:
        check(data)
    except Bad as bad:
        print(f"{sys.argv[1]}: {bad}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
