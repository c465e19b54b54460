"""Two daemons between which domains move, each of which may die and be started
again where it was."""

import tempfile
import threading
import time

import harness
from harness import domain, fault, live, ref


def poll(done, what):
    """Asks until `done()` is true and returns what it says."""
    until = time.monotonic() + harness.DEADLINE
    while True:
        answer = done()
        if answer:
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"it did not come to pass: {what}")
        time.sleep(0.002)


class Machine:
    """A daemon at an address of its own, which outlives it."""

    def __init__(self, *flags):
        self._folder = tempfile.TemporaryDirectory()
        self._flags = flags
        self.start()

    def start(self):
        self.daemon = harness.Daemon(*self._flags, folder=self._folder.name)
        self.client = harness.Client(self.daemon.address)
        self.address = self.daemon.address

    @property
    def alive(self):
        return self.daemon.process.poll() is None

    def kill(self):
        self.daemon.kill()

    def start_again(self):
        """After it has died: with nothing of what it had."""
        self.client.close()
        self.daemon.close()
        self.start()

    def close(self):
        self.client.close()
        self.daemon.close()
        self._folder.cleanup()

    def domains(self):
        """Those of guests, by name."""
        answer = self.client.domain.ListDomains(domain.ListDomainsRequest(),
                                                timeout=harness.DEADLINE)
        return {one.name: one for one in answer.domains if one.domid != 0}

    def migration(self, migration_id):
        """What ListMigrations says of it, or None."""
        answer = self.client.migration.ListMigrations(
            live.ListMigrationsRequest(), timeout=harness.DEADLINE)
        return next((one for one in answer.migrations
                     if one.migration_id == migration_id), None)

    def add_fault(self, point, **rule):
        """Sets a rule that acts once and returns its id."""
        rule.setdefault("count", 1)
        return self.client.fault.AddFault(
            fault.AddFaultRequest(rule=fault.FaultRule(point=point, **rule)),
            timeout=harness.DEADLINE).id

    def hold(self, point, **rule):
        """Whoever comes to the point waits there until remove_faults()."""
        return self.add_fault(point, delay_ms=60000, **rule)

    def await_fault(self, rule):
        """Until the rule has acted: who was to be held is held."""
        def has_acted():
            faults = self.client.fault.ListFaults(
                fault.ListFaultsRequest(), timeout=harness.DEADLINE).faults
            return any(one.id == rule and one.acted for one in faults)
        poll(has_acted, f"rule {rule} acts")

    def remove_faults(self):
        self.client.fault.RemoveFaults(fault.RemoveFaultsRequest(all=True),
                                       timeout=harness.DEADLINE)


class Migration:
    """A call of MigrateDomain, which is read on a thread of its own."""

    def __init__(self, client, request):
        self.responses = []
        self.error = None
        self._call = client.migration.MigrateDomain(request,
                                                    timeout=harness.DEADLINE)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        try:
            for response in self._call:
                self.responses.append(response)
        except harness.grpc.RpcError as error:
            self.error = error

    def cancel(self):
        self._call.cancel()

    def wait(self):
        """Returns the last response, or raises what the call failed with."""
        self._thread.join(harness.DEADLINE)
        if self._thread.is_alive():
            raise AssertionError("MigrateDomain does not end")
        if self.error is not None:
            raise self.error
        return self.responses[-1]


class MigrationPair:
    """Domains move from the machine `source` to the machine `target`."""

    def __init__(self, *flags):
        self.source = Machine(*flags)
        self.target = Machine(*flags)
        self.machines = (self.source, self.target)

    def other(self, machine):
        return self.target if machine is self.source else self.source

    def migrate(self, name, migration_id="", start=None, **request):
        """Begins to move a domain, away from `start` if that is given."""
        start = start or self.source
        return Migration(start.client, live.MigrateDomainRequest(
            domain=ref(name), target=self.other(start).address,
            migration_id=migration_id, **request))

    def close(self):
        for machine in self.machines:
            machine.close()
