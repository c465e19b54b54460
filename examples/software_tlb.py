#!/usr/bin/python3
"""A secondary MMU to copy: a software TLB of one domain.  docs/secondary-mmu.md says what it does and why.

    PYTHONPATH=build/python software_tlb.py ADDRESS DOMAIN PAGES [NAME]

stores a counter into each of the first PAGES pages through its own mappings, again and again until SIGINT
or SIGTERM, and loads it.  It goes on across balloons, saves and migrations that fail, and prints what it did."""
import importlib.util, queue, signal, sys, threading, time, grpc
if not importlib.util.find_spec("simvisor"):
    sys.exit("software_tlb: run scripts/python_stubs.sh, and set PYTHONPATH to its build/python")
from simvisor.v1 import secondary_mmu_service_pb2 as mmu, secondary_mmu_service_pb2_grpc as mmu_rpc
from simvisor.v1 import secondary_mmus_pb2 as types

Send = mmu.SubscribeRequest
SAFE = 0.9  # of a lease; clocks drift


class Gone(Exception):
    """The subscription has ended: fenced, released, left, or the daemon is lost."""


class Refused(Exception):
    """The daemon refuses an access; the argument is its reason, such as PAGE_IN_USE_BY_KERNEL."""


def _must(holds, otherwise):
    if not holds:
        raise Gone(f"the daemon breaks the protocol: {otherwise}")


class SoftwareTlb:
    """Thread-safe.  Mappings never leave it: use() calls f(mfn) while the mapping cannot be taken away.  So f must be
    short and must call neither the daemon nor this object: a change of the domain waits for it."""

    def __init__(self, channel, domain, name="software-tlb", ranges=(), rule=types.RETRY_RULE_UNSPECIFIED,
                 events=types.EVENT_FILTER_ALL, lease_ms=5000, window=256, timeout=60, observe=None):
        """Waits until subscribed; grpc.RpcError if that fails.  ranges: (first, count) each, none is the whole domain."""
        self._lock = threading.Condition()  # guards all below; the acknowledgement needs it, hence waits for f
        self._table = {}  # pfn: (mfn, writable)
        self._used = set()  # pfns used since they were last asked for
        self._waits, self._void = {}, set()  # req: answer or None; faults whose `installed` does not count
        self._open, self._next_ev, self._last_req = set(), 1, 0  # ranges begun and not closed
        self._lease, self._safe_until, self._sent = 0.0, 0.0, {}  # nonce: when it was sent
        self._leaving, self._error = False, None  # set once, at the end
        self._window, self._observe = window, observe or (lambda message: None)
        self.counts = {"installs": 0, "retries": 0, "begins": 0, "ends": 0, "aborts": 0, "pages": 0, "slept": 0}
        self._out = queue.SimpleQueue()
        registered = time.monotonic()
        self._out.put(Send(register=Send.Register(
            domain={"name": domain}, name=name, rule=rule, events=events, lease_ms=lease_ms, fault_window=window,
            intervals=[{"first_pfn": first, "count": count} for first, count in ranges])))
        self._call = mmu_rpc.SecondaryMmuServiceStub(channel).Subscribe(iter(self._out.get, None))
        threading.Thread(target=self._read, args=(registered,), daemon=True).start()
        with self._lock:
            self._lock.wait_for(lambda: self._lease or self._error, timeout)
            if not self._lease:
                self._call.cancel()  # leaves nothing at the daemon
                self._out.put(None)
                raise self._error or Gone("not subscribed in time")
        threading.Thread(target=self._renew, daemon=True).start()

    def use(self, pfn, f, write=False):
        """f(mfn), faulting as often as it takes; None, without f, if the domain has no frame there."""
        while True:
            with self._lock:
                self._until_safe()
                mfn, writable = self._table.get(pfn, (None, False))
                if mfn is not None and (writable or not write):
                    self._used.add(pfn)
                    return f(mfn)
                self._lock.wait_for(lambda: self._error or len(self._waits) < self._window)
                answer = self._ask(fault=Send.Fault(req=self._new_req(), pfn=pfn, write=write, wait=True))
            kind = answer.WhichOneof("message")
            if kind == "not_mapped":
                return None
            if kind == "fault_error":
                raise Gone(f"pfn {pfn:#x}: {answer.fault_error.code} {answer.fault_error.reason}")

    def load(self, pfn, offset, length):
        """Bytes that the device reads through its mapping; None if the domain has no frame there."""
        return self._access(Send.Access(pfn=pfn, offset_bytes=offset, length_bytes=length), False)

    def store(self, pfn, offset, data):
        """Stores through the mapping of the device; None if the domain has no frame there, else b""."""
        return self._access(Send.Access(pfn=pfn, offset_bytes=offset, data=data), True)

    def drop(self, first, count):
        """Throws mappings out.  Faults that are under way are asked again: their answers may be older than this."""
        with self._lock:
            self._let_go(first, count)
            self._void |= self._waits.keys()
            self._out.put(Send(drop=Send.Drop(pfns=[{"first_pfn": first, "count": count}])))

    def detach(self):
        """Leaves.  Cannot fail; not from within f."""
        with self._lock:
            if not self._error:
                self._leaving = True
                self._table.clear()
                self._out.put(Send(unregister=Send.Unregister()))
            self._lock.wait_for(lambda: self._error)

    def _until_safe(self):
        while not self._leaving and not self._error and (left := self._safe_until - time.monotonic()) <= 0:
            self.counts["slept"] += 1  # a renewal is overdue; without one the daemon fences, and the stream ends
            self._lock.wait(self._lease)
        self._check()

    def _check(self):
        if self._error or self._leaving:
            raise Gone(str(self._error or "it has left"))

    def _new_req(self):
        self._last_req += 1
        return self._last_req

    def _ask(self, **message):
        """Sends a request, and waits for its answer or for the end; releases the lock meanwhile."""
        self._check()
        req = next(iter(message.values())).req
        self._waits[req] = None
        self._out.put(Send(**message))
        return self._answer_of(req)

    def _answer_of(self, req):
        self._lock.wait_for(lambda: self._waits[req] or self._error)
        self._void.discard(req)
        answer = self._waits.pop(req)
        self._lock.notify_all()  # the window has a place
        if answer is None:
            self._check()
        return answer

    def _access(self, access, write):
        def send(_):  # under the lock: so it is sent before the acknowledgement of what takes the mapping away
            access.req = self._new_req()
            self._waits[access.req] = None
            self._out.put(Send(access=access))
            return access.req
        req = self.use(access.pfn, send, write)
        if req is None:
            return None
        with self._lock:
            answer = self._answer_of(req).accessed
        if answer.reason:
            raise Refused(answer.reason)
        return answer.data

    def _read(self, registered):
        error = Gone("the stream ended")
        try:
            for message in self._call:
                with self._lock:  # waits for f; after an acknowledgement no f can hold the frame
                    self._handle(message, message.WhichOneof("message"), registered)
                self._observe(message)
        except (grpc.RpcError, Gone) as ended:
            error = ended
            self._call.cancel()
        with self._lock:  # void, however it ended
            self._table.clear()
            self._error = error
            self._lock.notify_all()
        self._out.put(None)

    def _handle(self, message, kind, registered):
        _must(message.ev == self._next_ev, f"ev {message.ev} came, {self._next_ev} was due")
        self._next_ev += 1
        body = getattr(message, kind)
        if kind == "registered":
            self._lease = body.lease_ms / 1000
            self._safe_until = registered + SAFE * self._lease
        elif kind == "renewed":
            sent = self._sent.pop(body.nonce)
            if body.extended:
                self._safe_until = max(self._safe_until, sent + SAFE * self._lease)
        elif kind == "installed" and not self._leaving and body.req not in self._void:
            self.counts["installs"] += 1
            for page in range(body.count):
                self._table[body.pfn + page] = (body.mfn + page, body.writable)
        elif kind == "retry":
            self.counts["retries"] += 1
        elif kind in ("begin", "end", "abort"):
            self._handle_range(message.ev, kind, body)
        elif kind == "page":
            self.counts["pages"] += 1
            self._let_go(body.pfn, 1)
            self._out.put(Send(ack=Send.Ack(ev=message.ev)))
        elif kind == "release":
            self._open.clear()
            self._table.clear()
            self._out.put(Send(ack=Send.Ack(ev=message.ev)))
        elif kind == "young":
            self._out.put(Send(young=Send.YoungReply(ev=message.ev, young=self._young(body.pfns, body.clear))))
        if hasattr(body, "req") and body.req in self._waits:
            self._waits[body.req] = message
        self._lock.notify_all()

    def _handle_range(self, ev, kind, body):
        if kind != "begin":
            _must(body.range_id in self._open, f"range {body.range_id} is closed twice, or never began")
            self._open.remove(body.range_id)
            self.counts[kind + "s"] += 1
            return
        for extent in body.pfns:
            self._let_go(extent.first_pfn, extent.count, body.reason == types.INVALIDATE_REASON_PROTECT)
        if not body.more:
            _must(body.range_id not in self._open, f"range {body.range_id} begins twice")
            self._open.add(body.range_id)
            self.counts["begins"] += 1
            self._out.put(Send(ack=Send.Ack(ev=ev)))

    def _mapped_in(self, first, count):
        pfns = range(first, first + count)
        return [pfn for pfn in pfns if pfn in self._table] if count < len(self._table) else [
            pfn for pfn in self._table if pfn in pfns]

    def _let_go(self, first, count, keep_read_only=False):
        for pfn in self._mapped_in(first, count):
            mfn, _ = self._table.pop(pfn)
            if keep_read_only:
                self._table[pfn] = (mfn, False)

    def _young(self, pfns, clear):
        used = sorted(pfn for pfn in self._used if pfns.first_pfn <= pfn < pfns.first_pfn + pfns.count)
        if clear:
            self._used.difference_update(used)
        runs = []
        for pfn in used:
            if runs and runs[-1]["first_pfn"] + runs[-1]["count"] == pfn:
                runs[-1]["count"] += 1
            else:
                runs.append({"first_pfn": pfn, "count": 1})
        return runs if len(runs) <= 4096 else [pfns]

    def _renew(self):
        nonce = 0
        with self._lock:
            while not self._error and not self._leaving:
                nonce += 1
                self._sent[nonce] = time.monotonic()
                self._out.put(Send(renew=Send.Renew(nonce=nonce)))
                self._lock.wait_for(lambda: self._error or self._leaving, self._lease / 3)


def main(address, domain, pages, name="software-tlb"):
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    tlb = SoftwareTlb(grpc.insecure_channel(address), domain, name)
    print(f"subscribed to {domain} as {name}", flush=True)
    rounds = 0
    try:
        while not stop.is_set():
            rounds += 1
            for pfn in range(int(pages)):
                try:
                    tlb.store(pfn, 0, rounds.to_bytes(8, "little"))
                except Refused as refused:  # devices cannot store to page tables and the p2m list
                    if str(refused) != "PAGE_IN_USE_BY_KERNEL":
                        raise
                tlb.load(pfn, 0, 8)
        tlb.detach()
    except Gone as gone:
        print("gone:", gone)
    print(f"{rounds} rounds;", ", ".join(f"{count} {what}" for what, count in tlb.counts.items()))


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) in (4, 5) else sys.exit(__doc__)
