"""The software TLB of examples/ keeps its promises: against a scripted daemon, which
says what a real one says only now and then, and against a real one."""

import concurrent.futures
import pathlib
import queue
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402
from harness import grpc, memory, ref  # noqa: E402
from simvisor.v1 import secondary_mmu_service_pb2 as mmu  # noqa: E402
from simvisor.v1 import secondary_mmu_service_pb2_grpc as mmu_rpc  # noqa: E402
from simvisor.v1 import secondary_mmus_pb2 as types  # noqa: E402

SCRIPT = harness.ROOT / "examples" / "software_tlb.py"
sys.path.append(str(SCRIPT.parent))

import software_tlb  # noqa: E402

Say = mmu.SubscribeResponse


class ScriptedDaemon(mmu_rpc.SecondaryMmuServiceServicer):
    """One subscription whose answers the test writes."""

    def __init__(self):
        self.heard = queue.Queue()
        self._say = queue.Queue()
        self._next_ev = 1
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        mmu_rpc.add_SecondaryMmuServiceServicer_to_server(self, self._server)
        port = self._server.add_insecure_port("localhost:0")
        self._server.start()
        self.channel = grpc.insecure_channel(f"localhost:{port}")

    def Subscribe(self, requests, context):
        def read():
            try:
                for request in requests:
                    self.heard.put(request)
            except grpc.RpcError:
                pass
        threading.Thread(target=read, daemon=True).start()
        yield from iter(self._say.get, None)

    def say(self, ev=None, **message):
        """Says something; returns its number."""
        ev = self._next_ev if ev is None else ev
        self._next_ev = ev + 1
        self._say.put(Say(ev=ev, **message))
        return ev

    def end(self):
        self._say.put(None)

    def hear(self, kind):
        """The next message that is not a renewal, which must be of this kind."""
        while True:
            message = self.heard.get(timeout=harness.DEADLINE)
            heard = message.WhichOneof("message")
            if heard == kind:
                return getattr(message, kind)
            if heard != "renew":
                raise AssertionError(f"heard {heard}, not {kind}")

    def close(self):
        self.end()
        self.channel.close()
        self._server.stop(None)


class ScriptedTest(unittest.TestCase):

    def setUp(self):
        self.pool = concurrent.futures.ThreadPoolExecutor(4)
        self.addCleanup(self.pool.shutdown)  # last: it waits for uses
        self.daemon = ScriptedDaemon()
        self.addCleanup(self.daemon.close)

    def attach(self, lease_ms=60_000, **options):
        made = self.pool.submit(software_tlb.SoftwareTlb, self.daemon.channel,
                                "web", lease_ms=lease_ms, **options)
        self.daemon.hear("register")
        self.daemon.say(registered=Say.Registered(subscription=1,
                                                  lease_ms=lease_ms))
        return made.result(harness.DEADLINE)

    def map_pages(self, tlb, pfn, count, write=True):
        used = self.pool.submit(tlb.use, pfn, lambda mfn: mfn, write)
        fault = self.daemon.hear("fault")
        self.daemon.say(installed=Say.Installed(
            req=fault.req, pfn=pfn, mfn=0x1000 + pfn, count=count, writable=write))
        self.assertEqual(used.result(harness.DEADLINE), 0x1000 + pfn)

    def begin(self, range_id, *extents, more=False,
              reason=types.INVALIDATE_REASON_UNMAP):
        return self.daemon.say(begin=Say.RangeBegin(
            range_id=range_id, reason=reason, blockable=True, more=more,
            pfns=[{"first_pfn": first, "count": count}
                  for first, count in extents]))

    def test_nothing_is_said_before_it_is_registered(self):
        made = self.pool.submit(software_tlb.SoftwareTlb, self.daemon.channel,
                                "web", ranges=[(16, 8)], name="tlb")
        register = self.daemon.heard.get(timeout=harness.DEADLINE).register
        self.assertEqual((register.domain.name, register.name), ("web", "tlb"))
        self.assertEqual([(e.first_pfn, e.count) for e in register.intervals],
                         [(16, 8)])
        self.assertTrue(self.daemon.heard.empty())
        self.daemon.say(registered=Say.Registered(subscription=1, lease_ms=5000))
        made.result(harness.DEADLINE)
        self.assertEqual(self.daemon.heard.get(timeout=harness.DEADLINE)
                         .WhichOneof("message"), "renew")

    def test_a_refused_registration_is_the_error_of_the_call(self):
        self.daemon.end()
        with self.assertRaises(software_tlb.Gone):
            software_tlb.SoftwareTlb(self.daemon.channel, "web")

    def test_the_acknowledgement_waits_for_a_use(self):
        tlb = self.attach()
        self.map_pages(tlb, 5, 1)
        inside, leave = threading.Event(), threading.Event()

        def use(mfn):
            inside.set()
            leave.wait(harness.DEADLINE)
            return mfn
        used = self.pool.submit(tlb.use, 5, use)
        inside.wait(harness.DEADLINE)
        ev = self.begin(1, (4, 2))
        with self.assertRaises(queue.Empty):
            while self.daemon.heard.get(timeout=0.2).WhichOneof(
                    "message") == "renew":
                pass
        leave.set()
        self.assertEqual(self.daemon.hear("ack").ev, ev)
        self.assertEqual(used.result(harness.DEADLINE), 0x1005)

    def test_what_is_let_go_is_faulted_again(self):
        tlb = self.attach()
        self.map_pages(tlb, 5, 3)
        self.begin(1, (0, 6))
        self.daemon.hear("ack")
        self.daemon.say(end=Say.RangeEnd(range_id=1, seq=1))
        self.assertEqual(tlb.use(6, lambda mfn: mfn), 0x1006)
        used = self.pool.submit(tlb.use, 5, lambda mfn: mfn)
        fault = self.daemon.hear("fault")
        self.daemon.say(retry=Say.Retry(req=fault.req))
        fault = self.daemon.hear("fault")
        self.daemon.say(not_mapped=Say.NotMapped(req=fault.req))
        self.assertIsNone(used.result(harness.DEADLINE))

    def test_only_the_last_message_of_a_range_is_acknowledged(self):
        tlb = self.attach()
        self.map_pages(tlb, 5, 3)
        self.begin(1, (5, 1), more=True)
        last = self.begin(1, (7, 1))
        self.assertEqual(self.daemon.hear("ack").ev, last)
        self.assertEqual(tlb.use(6, lambda mfn: mfn), 0x1006)
        self.assertEqual(sorted(tlb._table), [6])

    def test_protection_takes_only_write_access(self):
        tlb = self.attach()
        self.map_pages(tlb, 5, 1)
        self.begin(1, (0, 64), reason=types.INVALIDATE_REASON_PROTECT)
        self.daemon.hear("ack")
        self.assertEqual(tlb.use(5, lambda mfn: mfn), 0x1005)
        self.pool.submit(tlb.use, 5, lambda mfn: mfn, True)
        self.assertTrue(self.daemon.hear("fault").write)

    def test_an_access_is_sent_before_the_acknowledgement(self):
        tlb = self.attach()
        self.map_pages(tlb, 5, 1)
        stored = self.pool.submit(tlb.store, 5, 8, b"text")
        access = self.daemon.hear("access")
        self.assertEqual((access.pfn, access.offset_bytes, access.data),
                         (5, 8, b"text"))
        self.begin(1, (5, 1))
        self.daemon.hear("ack")
        self.daemon.say(accessed=Say.Accessed(req=access.req))
        self.assertEqual(stored.result(harness.DEADLINE), b"")

    def test_a_refused_access_names_the_reason(self):
        tlb = self.attach()
        self.map_pages(tlb, 5, 1)
        stored = self.pool.submit(tlb.store, 5, 8, b"text")
        access = self.daemon.hear("access")
        self.daemon.say(accessed=Say.Accessed(req=access.req,
                                              reason="PAGE_IN_USE_BY_KERNEL"))
        with self.assertRaisesRegex(software_tlb.Refused, "PAGE_IN_USE_BY_KERNEL"):
            stored.result(harness.DEADLINE)

    def test_an_error_ends_the_wait_for_a_fault(self):
        tlb = self.attach()
        used = self.pool.submit(tlb.use, 5, lambda mfn: mfn)
        fault = self.daemon.hear("fault")
        self.daemon.say(fault_error=Say.FaultError(
            req=fault.req, code="OUT_OF_RANGE", reason="PFN_NOT_WATCHED"))
        with self.assertRaisesRegex(software_tlb.Gone, "PFN_NOT_WATCHED"):
            used.result(harness.DEADLINE)

    def test_the_end_of_the_stream_ends_all_waits(self):
        tlb = self.attach()
        self.map_pages(tlb, 5, 1)
        waits = [self.pool.submit(tlb.use, 9, lambda mfn: mfn),
                 self.pool.submit(tlb.load, 5, 0, 8)]
        for _ in waits:
            self.daemon.heard.get(timeout=harness.DEADLINE)
        self.daemon.end()
        for wait in waits:
            with self.assertRaises(software_tlb.Gone):
                wait.result(harness.DEADLINE)
        with self.assertRaises(software_tlb.Gone):
            tlb.use(5, lambda mfn: mfn)
        self.assertEqual(tlb._table, {})

    def test_nothing_is_used_on_a_lease_that_was_not_extended(self):
        tlb = self.attach(lease_ms=900)
        self.map_pages(tlb, 5, 1)
        used = self.pool.submit(time.sleep, 0.9)
        used.result(harness.DEADLINE)  # its lease is over now: 0.9 of 0.9 s
        used = self.pool.submit(tlb.use, 5, lambda mfn: mfn)
        with self.assertRaises(concurrent.futures.TimeoutError):
            used.result(0.1)
        latest = None
        while not self.daemon.heard.empty():
            latest = self.daemon.heard.get().renew.nonce
        self.daemon.say(renewed=Say.Renewed(nonce=latest, extended=False))
        with self.assertRaises(concurrent.futures.TimeoutError):
            used.result(0.1)
        while True:
            message = self.daemon.heard.get(timeout=harness.DEADLINE)
            self.daemon.say(renewed=Say.Renewed(nonce=message.renew.nonce,
                                                extended=True))
            break
        self.assertEqual(used.result(harness.DEADLINE), 0x1005)

    def test_installed_is_ignored_once_it_has_left(self):
        tlb = self.attach()
        used = self.pool.submit(tlb.use, 5, lambda mfn: mfn)
        fault = self.daemon.hear("fault")
        left = self.pool.submit(tlb.detach)
        self.daemon.hear("unregister")
        self.daemon.say(installed=Say.Installed(req=fault.req, pfn=5, mfn=9,
                                                count=1))
        self.daemon.say(unregistered=Say.Unregistered())
        with self.assertRaises(software_tlb.Gone):
            used.result(harness.DEADLINE)
        self.daemon.end()
        left.result(harness.DEADLINE)
        self.assertEqual(tlb._table, {})

    def test_installed_is_void_if_the_page_was_dropped_meanwhile(self):
        tlb = self.attach()
        used = self.pool.submit(tlb.use, 5, lambda mfn: mfn)
        fault = self.daemon.hear("fault")
        tlb.drop(4, 4)
        self.daemon.hear("drop")
        self.daemon.say(installed=Say.Installed(req=fault.req, pfn=5, mfn=9,
                                                count=1))
        fault = self.daemon.hear("fault")
        self.daemon.say(installed=Say.Installed(req=fault.req, pfn=5, mfn=10,
                                                count=1))
        self.assertEqual(used.result(harness.DEADLINE), 10)

    def test_young_is_answered_with_what_was_used(self):
        tlb = self.attach()
        self.map_pages(tlb, 4, 4)
        tlb.use(5, lambda mfn: mfn)
        for expected in ([(4, 2)], []):
            ev = self.daemon.say(young=Say.Young(
                pfns={"first_pfn": 0, "count": 64}, clear=True))
            reply = self.daemon.hear("young")
            self.assertEqual(reply.ev, ev)
            self.assertEqual([(e.first_pfn, e.count) for e in reply.young],
                             expected)

    def breaks_protocol(self, what):
        tlb = self.attach()
        what()
        with self.assertRaisesRegex(software_tlb.Gone, "breaks the protocol"):
            while True:
                tlb.use(5, lambda mfn: mfn)

    def test_a_gap_in_the_numbers_ends_it(self):
        self.breaks_protocol(lambda: self.daemon.say(
            ev=3, renewed=Say.Renewed(nonce=1)))

    def test_a_range_that_is_closed_twice_ends_it(self):
        def close_twice():
            self.begin(1, (5, 1))
            self.daemon.say(end=Say.RangeEnd(range_id=1))
            self.daemon.say(abort=Say.RangeAbort(range_id=1))
        self.breaks_protocol(close_twice)


class RealTest(harness.DaemonTest):

    FLAGS = ("--host-memory", "1g", "--dom0-memory", "256m")

    def setUp(self):
        self.client.create("web", 1024)
        self.tlb = software_tlb.SoftwareTlb(self.client.channel, "web")

    def tearDown(self):
        self.client.destroy("web")
        self.assert_clean()

    def frames(self, *pfns):
        return [frame for _, frame in self.client.translate("web", pfns)]

    def test_it_sees_the_frames_of_the_domain(self):
        self.assertEqual([self.tlb.use(pfn, lambda mfn: mfn)
                          for pfn in (100, 700)], self.frames(100, 700))

    def test_a_store_through_it_reaches_the_guest(self):
        self.tlb.store(700, 16, b"through the TLB")
        read = self.client.memory.ReadGuestMemory(memory.ReadGuestMemoryRequest(
            domain=ref("web"), pfn=700, offset_bytes=16, length_bytes=15))
        self.assertEqual(read.data, b"through the TLB")
        self.assertEqual(self.tlb.load(700, 16, 15), b"through the TLB")

    def test_a_balloon_takes_what_it_has_mapped(self):
        for pfn in range(1024):
            self.tlb.use(pfn, lambda mfn: mfn)
        self.client.memory.BalloonDown(
            memory.BalloonDownRequest(domain=ref("web"), pages=64))
        gone = [pfn for pfn in range(1024)
                if self.tlb.use(pfn, lambda mfn: mfn) is None]
        self.assertEqual(len(gone), 64)
        self.assertEqual(self.tlb.counts["begins"], self.tlb.counts["ends"])

    def test_it_leaves_twice(self):
        self.tlb.use(700, lambda mfn: mfn)
        self.tlb.detach()
        self.tlb.detach()
        with self.assertRaises(software_tlb.Gone):
            self.tlb.use(700, lambda mfn: mfn)

    def test_it_works_while_the_guest_is_ballooned_up_and_down(self):
        stop = threading.Event()

        def work():
            while not stop.is_set():
                for pfn in range(512, 1024, 8):
                    self.tlb.store(pfn, 0, b"x" * 8)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            workers = [pool.submit(work) for _ in range(4)]
            try:
                for _ in range(50):
                    self.client.memory.BalloonDown(
                        memory.BalloonDownRequest(domain=ref("web"), pages=128))
                    self.client.memory.BalloonUp(
                        memory.BalloonUpRequest(domain=ref("web"), pages=128))
            finally:
                stop.set()
            for worker in workers:
                worker.result(harness.DEADLINE)
        self.assert_clean()


class ProgramTest(harness.DaemonTest):

    FLAGS = ("--host-memory", "1g", "--dom0-memory", "256m")

    def test_the_program_goes_on_until_it_is_told_to_stop(self):
        self.client.create("web", 1024)
        with subprocess.Popen(
                [sys.executable, SCRIPT, self.daemon.address, "web", "32"],
                env={"PYTHONPATH": str(harness.STUBS)}, stdout=subprocess.PIPE,
                text=True) as program:
            self.assertEqual(program.stdout.readline(),
                             "subscribed to web as software-tlb\n")
            self.client.memory.BalloonDown(
                memory.BalloonDownRequest(domain=ref("web"), pages=64))
            program.terminate()
            last = program.stdout.readline()
        self.assertEqual(program.returncode, 0)
        self.assertIn(" rounds; ", last)


if __name__ == "__main__":
    unittest.main()
