"""Makes one call in one of many ways, and describes its outcome."""

import collections
import time

from fuzz import checks
from fuzz.dialogues import Sender
from fuzz.garbage import garbage
from fuzz.reflection import UNKNOWN, unknown_method
from fuzz.ring import shown
from harness import grpc

PATIENCE = 20.0  # seconds within which a daemon answers any call
STREAM_SECONDS = 0.5  # for a stream that one side does not end
MOST_RESPONSES = 400  # of a stream, by a client that reads everything
KEPT_IMAGE = 2 << 20

HASTE = (0.0003, 0.002, 0.01, 0.1)

# Calls that may last long because of their purpose.
LASTING = ("MigrateDomain", "Watch", "ServerReflectionInfo")

# Weights for choosing methods; 10 if not listed.
WEIGHTS = {"AuditHost": 2, "CheckGuestLoad": 4, "MigrateDomain": 6,
           "ReceiveDomain": 8, "Watch": 1, "ServerReflectionInfo": 1,
           "CreateDomain": 25, "DestroyDomain": 4, "AddFault": 3,
           "PauseDomain": 4, "UnpauseDomain": 12, "Check": 2, "GetHost": 3}

# How a call was made.  requests: bytes of each message.
Call = collections.namedtuple(
    "Call", "method requests largest timeout timed cancelled unknown patient")
Outcome = collections.namedtuple("Outcome", "code reason seconds problems")


class Caller:
    """The calls of one thread.  `note(machine, call, outcome)` is called after
    each."""

    def __init__(self, random, machine, generator, dialogues, rules, note):
        self.random = random
        self.machine = machine
        self._generator = generator
        self._dialogues = dialogues
        self._checks = rules
        self._note = note
        self._methods = machine.methods
        self._weights = [WEIGHTS.get(one.name, 10) for one in self._methods]

    def one(self):
        [method] = self.random.choices(self._methods, self._weights)
        if self.random.random() < 0.004:
            method = unknown_method(method)
        if method.client_streaming:
            self._stream(method)
        elif method.server_streaming:
            self._listen(method)
        else:
            self._unary(method)

    # --- How ---

    def _request(self, method):
        message = self._generator.message(method.request)
        if self.random.random() < 0.03:
            return garbage(self.random, message)
        return message.SerializeToString()

    def _plan(self, method, requests, keeps_rules=True):
        """Decides on a deadline and on whether to cancel."""
        kind = self.random.random()
        timeout, cancelled, patient = PATIENCE, False, keeps_rules
        if kind < 0.08:
            timeout, patient = self.random.choice(HASTE), False
        elif kind < 0.16:
            cancelled, patient = True, False
        if method.name in LASTING or not keeps_rules:
            timeout = min(timeout, self.random.choice(
                (STREAM_SECONDS / 5, STREAM_SECONDS)))
            patient = False
        if method.name == "MigrateDomain" and self.random.random() < 0.4:
            timeout = 4.0
        return Call(method, requests, max(map(len, requests), default=0),
                    timeout, True, cancelled,
                    method.name.endswith(UNKNOWN), patient)

    def _opened(self, kind, method):
        return getattr(self.machine.channel, kind)(
            method.path, request_serializer=None,
            response_deserializer=method.response.FromString)

    # --- Kinds of calls ---

    def _unary(self, method):
        raw = self._request(method)
        call = self._plan(method, [raw])
        ask = self._opened("unary_unary", method)
        if not call.cancelled:
            self._ended(call, lambda: self._learn(
                ask(raw, timeout=call.timeout)))
            return

        def cancel():
            future = ask.future(raw, timeout=call.timeout)
            self._pause()
            future.cancel()
            if not future.cancelled():
                self._learn(future.result())
        self._ended(call, cancel)

    def _listen(self, method):
        raw = self._request(method)
        call = self._plan(method, [raw])
        responses = self._opened("unary_stream", method)(
            raw, timeout=call.timeout)
        self._ended(call, lambda: self._read(call, responses))

    def _stream(self, method):
        items, keeps_rules = self._dialogues.make(method)
        requests = [one for one in items if isinstance(one, bytes)]
        call = self._plan(method, requests, keeps_rules)
        sender = Sender(items)
        try:
            if method.server_streaming:
                responses = self._opened("stream_stream", method)(
                    iter(sender), timeout=call.timeout)
                self._ended(call, lambda: self._read(call, responses, sender))
            else:
                self._ended(call, lambda: self._send(call, sender))
        finally:
            sender.end()

    def _send(self, call, sender):
        future = self._opened("stream_unary", call.method).future(
            iter(sender), timeout=call.timeout)
        if call.cancelled:
            self._pause()
            future.cancel()
        if not future.cancelled():
            self._learn(future.result())

    def _read(self, call, responses, sender=None):
        """Reads all, some or no responses, and cancels the call if some are
        left."""
        most = MOST_RESPONSES
        if call.cancelled:
            most = self.random.choice((0, 1, 3))
        if most == 0:
            self._pause()
            responses.cancel()
            return
        try:
            self._take(call, responses, most, sender)
        finally:
            if call.cancelled:
                self._pause()
            responses.cancel()  # has no effect on a call that has ended

    def _take(self, call, responses, most, sender):
        data = []
        for count, response in enumerate(responses, 1):
            self._learn(response)
            if sender:
                sender.note(response)
            if call.method.name == "SaveDomain":
                data.append(response.data)
                if response.last:
                    self._keep(b"".join(data))
            if count >= most:
                return

    def _keep(self, image):
        if len(image) <= KEPT_IMAGE:
            self.machine.values.add("image", image, self.random)

    def _pause(self):
        time.sleep(self.random.choice((0, 0, 0.0005, 0.005, 0.03)))

    # --- Outcomes ---

    def _learn(self, response):
        self.machine.values.learn(response, self.random)
        problems = list(self._checks.answer(response))
        if problems:
            raise Wrong(problems)

    def _ended(self, call, work):
        began = time.monotonic()
        code, reason, problems = "OK", "", []
        try:
            work()
        except Wrong as wrong:
            code, problems = "OK", wrong.problems
        except grpc.FutureCancelledError:
            code = "CANCELLED"
        except grpc.RpcError as error:
            code = error.code().name
            info = checks.info_of(checks.details_of(error))
            reason = info.reason if info else ""
            problems = list(self._checks.error(call, error))
        seconds = time.monotonic() - began
        if call.patient and code == "DEADLINE_EXCEEDED" and (
                seconds >= PATIENCE * 0.99):
            problems.append(f"no answer in {seconds:.1f} s")
        self._note(self.machine, call,
                   Outcome(code, reason, seconds, problems))


class Wrong(Exception):
    """An answer with contents that are not allowed."""

    def __init__(self, problems):
        super().__init__("; ".join(problems))
        self.problems = problems


def line(machine, call, outcome):
    """A call as one line."""
    return (f"{machine.name} {call.method.path} within {call.timeout:g} s"
            f"{' cancelled' if call.cancelled else ''}: {outcome.code} "
            f"{outcome.reason} after {outcome.seconds * 1000:.1f} ms: "
            f"{shown(call.requests)}")
