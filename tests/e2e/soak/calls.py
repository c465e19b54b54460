"""The calls of one client of a soak.

Every call has a deadline, is counted, and is known to the watchdog while it
lasts.  A refusal is a valid answer if the caller allows its reason; any other
refusal is a fault, which ends the run.
"""

import collections
import time

import harness
from harness import grpc

# Errors that the client's own cancellation or a deadline may cause, with or
# without a reason from the daemon.
GIVEN_UP = ("CANCELLED", "DEADLINE_EXCEEDED")


class Fault(Exception):
    """Something that must not happen."""


class Stopped(Exception):
    """The run has ended during a call."""


class Refused:
    """Why a call was refused.  False as a condition, while an answer is
    true."""

    def __init__(self, reason):
        self.reason = reason

    def __bool__(self):
        return False


class Calls:
    """A client's connections, one to each machine."""

    def __init__(self, name, machines):
        self.name = name
        self.machines = machines
        self.clients = [harness.Client(one.address) for one in machines]
        self.counts = collections.Counter()  # by method
        self.refusals = collections.Counter()  # by method and reason
        self.last = collections.deque(maxlen=30)
        self.doing = None  # (since, what) during a call

    def close(self):
        for client in self.clients:
            client.close()

    def __call__(self, at, method, request, *allowed):
        """The answer of machine number `at`, or Refused."""
        def ask():
            return self.stub(at, method)(request, timeout=harness.DEADLINE)
        return self.during(at, method, request, ask, allowed)

    def stream(self, at, method, request, *allowed):
        """All the parts of an answer, or Refused."""
        def ask():
            return list(self.stub(at, method)(request,
                                              timeout=harness.DEADLINE))
        parts = self.during(at, method, request, ask, allowed)
        if parts == []:
            raise Fault(f"{self.name}: {method} streams nothing for {request}")
        return parts

    def during(self, at, method, request, ask, allowed):
        """The answer of `ask`; `request` is for reports."""
        what = f"{method} at {self.machines[at].name}: {self.show(request)}"
        self.doing = (time.monotonic(), what)
        self.counts[method] += 1
        try:
            answer = ask()
        except grpc.RpcError as error:
            reason = harness.reason_of(error) or error.code().name
            self.refusals[method, reason] += 1
            self.last.append(f"{what}: {reason}")
            if reason not in allowed:
                raise Fault(f"{self.name}: {what}: {error.code().name} "
                            f"{reason}: {error.details()}") from error
            return Refused(reason)
        finally:
            self.doing = None
        self.last.append(what)
        return answer

    def stub(self, at, method):
        service, _, name = method.partition(".")
        return getattr(getattr(self.clients[at], service), name)

    @staticmethod
    def show(request):
        text = " ".join(str(request).split())
        return text if len(text) < 160 else text[:160] + "..."
