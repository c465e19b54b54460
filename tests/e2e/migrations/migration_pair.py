"""Two daemons that domains migrate between; each may die and be started again
at the same address."""

import tempfile
import threading

import harness
from harness import domain, fault, live, poll, ref


class Machine:
    """A daemon at its own address, which outlives the daemon."""

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
        """Starts it again after it has died, without anything it had."""
        self.client.close()
        self.daemon.close()
        self.start()

    def close(self):
        self.client.close()
        self.daemon.close()
        self._folder.cleanup()

    def domains(self):
        """The guests' domains, by name."""
        answer = self.client.domain.ListDomains(domain.ListDomainsRequest(),
                                                timeout=harness.DEADLINE)
        return {one.name: one for one in answer.domains if one.domid != 0}

    def migration(self, migration_id):
        """The entry of ListMigrations for it, or None."""
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
        """Operations that reach the point wait there until remove_faults()."""
        return self.add_fault(point, delay_ms=60000, **rule)

    def await_fault(self, rule):
        """Waits until the rule has acted, that is, until it holds an
        operation."""
        def has_acted():
            faults = self.client.fault.ListFaults(
                fault.ListFaultsRequest(), timeout=harness.DEADLINE).faults
            return any(one.id == rule and one.acted for one in faults)
        poll(has_acted, f"rule {rule} acts")

    def remove_faults(self):
        self.client.fault.RemoveFaults(fault.RemoveFaultsRequest(all=True),
                                       timeout=harness.DEADLINE)


class Migration:
    """A call of MigrateDomain that a separate thread reads."""

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
        """Returns the last response, or raises the call's error."""
        self._thread.join(harness.DEADLINE)
        if self._thread.is_alive():
            raise AssertionError("MigrateDomain does not end")
        if self.error is not None:
            raise self.error
        return self.responses[-1]


class MigrationPair:
    """Migrates domains from the machine `source` to the machine `target`."""

    def __init__(self, *flags):
        self.source = Machine(*flags)
        self.target = Machine(*flags)
        self.machines = (self.source, self.target)

    def other(self, machine):
        return self.target if machine is self.source else self.source

    def migrate(self, name, migration_id="", start=None, **request):
        """Begins to migrate a domain, away from `start` if that is given."""
        start = start or self.source
        return Migration(start.client, live.MigrateDomainRequest(
            domain=ref(name), target=self.other(start).address,
            migration_id=migration_id, **request))

    def close(self):
        for machine in self.machines:
            machine.close()
