"""`simvisor p2m walk` against a real daemon, directly and through a proxy that
corrupts the data: the walk must find and name each corruption."""

import concurrent.futures
import struct
import tempfile
import unittest

import harness
from harness import GIB, common, grpc, host, memory, ref

READ = "/simvisor.v1.HostService/ReadFrames"
LOOKUP = "/simvisor.v1.HostService/LookupFrames"
SHARED_INFO = "/simvisor.v1.MemoryService/GetMfnListList"


class Proxy(grpc.GenericRpcHandler):
    """Forwards every call, and passes the messages of one method through
    `corrupt`.  On the wire a unary answer is a stream of one message."""

    def __init__(self, address, method, message, corrupt):
        self._channel = grpc.insecure_channel(address)
        self._method, self._message, self._corrupt = method, message, corrupt
        self._folder = tempfile.TemporaryDirectory()
        self.address = f"unix:{self._folder.name}/proxy.sock"
        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(max_workers=2))
        self._server.add_generic_rpc_handlers([self])
        self._server.add_insecure_port(self.address)
        self._server.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.stop(None).wait()
        self._channel.close()
        self._folder.cleanup()

    def service(self, details):
        forward = self._channel.unary_stream(details.method)

        def call(request, _context):
            for answer in forward(request, timeout=harness.DEADLINE):
                if details.method != self._method:
                    yield answer
                    continue
                message = self._message.FromString(answer)
                self._corrupt(message)
                yield message.SerializeToString()

        return grpc.unary_stream_rpc_method_handler(call)


def store(mfn, index, value, width=8):
    """Replaces an entry of frame `mfn` whenever the frame is read."""
    def corrupt(answer):
        for frame in answer.frames:
            if frame.mfn == mfn:
                page = bytearray(frame.content or bytes(4096))
                struct.pack_into("<Q" if width == 8 else "<I", page,
                                 index * width, value)
                frame.content = bytes(page)
    return READ, host.ReadFramesResponse, corrupt


class WalkTest(harness.DaemonTest):

    FLAGS = ("--host-memory", "16g")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.guests = {}
        for view, name in ((1, "tree"), (2, "linear")):
            cls.client.create(name, GIB + 300, max_memory_pages=GIB + 900,
                              tools_view=view)
            cls.guests[name] = cls.client.memory.GetMfnListList(
                memory.GetMfnListListRequest(domain=ref(name)))

    def walk(self, name, corruption=None):
        if corruption is None:
            return harness.simvisor(self.daemon.address, "p2m", "walk", name,
                                    check=False)
        with Proxy(self.daemon.address, *corruption) as proxy:
            return harness.simvisor(proxy.address, "p2m", "walk", name,
                                    check=False)

    def assert_found(self, name, corruption, *parts):
        result = self.walk(name, corruption)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        for part in parts:
            self.assertIn(part, result.stderr)

    def entry(self, mfn, index):
        return struct.unpack_from(
            "<Q", self.client.read_frames((mfn, 1))[mfn], index * 8)[0]

    def table(self, level):
        """The first table of a level under p2m_cr3; level 4 is the root."""
        answer = self.guests["linear"]
        mfn = answer.p2m_cr3 >> 12
        for upper in range(4, level, -1):
            index = answer.p2m_vaddr >> (12 + 9 * (upper - 1)) & 511
            mfn = (self.entry(mfn, index) & (1 << 52) - 1) >> 12
        return mfn

    def test_both_views_pass_untouched(self):
        for name in ("tree", "linear"):
            result = self.walk(name)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(f"ram {GIB + 300}", result.stdout)
            # The proxy itself changes nothing.
            quiet = (READ, host.ReadFramesResponse, lambda answer: None)
            self.assertEqual(self.walk(name, quiet).stdout, result.stdout)

    def test_a_linear_guest_has_no_tree(self):
        answer = self.guests["linear"]
        self.assertEqual(answer.root_mfn, 2**64 - 1)
        self.assertNotEqual(answer.p2m_cr3, 0)
        self.assertEqual(answer.p2m_vaddr % (1 << 30), 0)
        self.assertEqual(self.guests["tree"].p2m_cr3, 0)

    def test_bad_roots(self):
        def no_root(answer):
            answer.root_mfn = 0
        self.assert_found("tree", (SHARED_INFO, memory.GetMfnListListResponse,
                                   no_root), "bad mfn 0x0", "root")

        def far_cr3(answer):
            answer.p2m_cr3 = 1 << 50
        self.assert_found("linear",
                          (SHARED_INFO, memory.GetMfnListListResponse, far_cr3),
                          "bad p2m_cr3 0x4000000000000")

    def test_bad_top_entry(self):
        root = self.guests["tree"].root_mfn
        self.assert_found("tree", store(root, 1, 0),
                          "bad mfn 0x0 at p2m_frame_list_list[1]")

    def test_bad_frame_list(self):
        mid = self.entry(self.guests["tree"].root_mfn, 0)
        self.assert_found("tree", store(mid, 7, 1 << 60),
                          "bad mfn 0x1000000000000000 at p2m_frame_list[7]")
        # A frame that exists, but is not a leaf of the guest.
        other = self.client.translate("linear", [5000])[0][1]
        self.assert_found("tree", store(mid, 7, other),
                          f"bad mfn 0x{other:x} in p2m_frame_list[7]")

    def test_bad_entries_of_page_tables(self):
        index = {4: 402, 3: 0, 2: 0, 1: 9}
        for level in (4, 3, 2, 1):
            self.assert_found(
                "linear", store(self.table(level), index[level], 0),
                "bad mfn 0x0 during page table walk", f"at level {level}")

    def test_bad_word_for_a_leaf(self):
        leaf = self.entry(self.table(1), 3) >> 12 & (1 << 40) - 1
        [run] = [run for part in self.client.host.LookupFrames(
            host.LookupFramesRequest(
                extents=[common.MfnExtent(first_mfn=leaf, count=1)]))
                 for run in part.runs]
        holder = self.entry(self.table(1), run.first_pfn // 512)
        self.assert_found(
            "linear",
            store(holder >> 12 & (1 << 40) - 1, run.first_pfn % 512, 0x1234),
            f"bad mfn 0x{leaf:x} in p2m_frame_list[3]",
            f"p2m[0x{run.first_pfn:x}] is 0x1234")

    def test_bad_m2p_entry(self):
        def forget(answer):
            for run in answer.runs:
                run.ClearField("first_pfn")
        self.assert_found("tree", (LOOKUP, host.LookupFramesResponse, forget),
                          "its m2p entry is invalid")


if __name__ == "__main__":
    unittest.main()
