"""What tests of live migration share: two daemons and calls to them.
"""

import os
import unittest

import harness
from harness import domain, guest_load, live

from migrations.moving_guest import check_load

RUNS = 6
ADMISSION = live.MIGRATION_PHASE_ADMISSION
COPYING = live.MIGRATION_PHASE_COPYING
SUSPENDED = live.MIGRATION_PHASE_SUSPENDED
MOVED = live.MIGRATION_PHASE_MOVED
MB = 10**6

PATTERNS = {
    guest_load.LOAD_PATTERN_SEQUENTIAL: "sequential",
    guest_load.LOAD_PATTERN_RANDOM: "random",
    guest_load.LOAD_PATTERN_HOTSPOT: "hotspot",
}


def seeds():
    if "SIMVISOR_SEED" in os.environ:
        return [int(os.environ["SIMVISOR_SEED"])]
    return range(1, int(os.environ.get("SIMVISOR_SLOW_RUNS", RUNS)) + 1)


class Host:
    """A daemon and a client connected to it."""

    def __init__(self, *flags, memory="2g"):
        self.daemon = harness.Daemon("--listen", "127.0.0.1:0",
                                     "--host-memory", memory, *flags)
        self.client = harness.Client(self.daemon.address)
        self.unix, self.tcp = self.daemon.ready["addresses"]

    def close(self):
        self.client.close()
        code = self.daemon.stop()
        log = self.daemon.read_log()
        self.daemon.close()
        assert code == 0, f"the daemon ended with {code}:\n{log}"

    def migrations(self):
        return self.client.migration.ListMigrations(
            live.ListMigrationsRequest(),
            timeout=harness.DEADLINE).migrations


class MigrationTest(unittest.TestCase):

    def host(self, *flags, **options):
        host = Host(*flags, **options)
        self.addCleanup(host.close)
        return host

    def assert_clean(self, *hosts):
        for host in hosts:
            answer = host.client.audit()
            self.assertEqual(list(answer.findings), [])
            self.assertTrue(answer.clean)

    def assert_refused(self, reason, call, code=None):
        """Iterating over `call` fails; returns the messages before the
        failure."""
        said = []
        with self.assertRaises(harness.grpc.RpcError) as caught:
            for message in call:
                said.append(message)
        error = caught.exception
        self.assertEqual(harness.reason_of(error), reason, error.details())
        if code is not None:
            self.assertEqual(error.code().name, code)
        return said

    def assert_load(self, client, name):
        """The daemon's own check of the guest's load succeeds."""
        checked = check_load(client, name)
        self.assertEqual(checked.mismatched_pages, 0, checked)
        self.assertEqual(checked.checked_pages,
                         checked.load.spec.working_set_pages)

    def assert_runs(self, host, name):
        one = host.client.get(name)
        self.assertEqual(one.state, domain.DOMAIN_STATE_RUNNING)
        self.assertFalse(one.suspended)
        self.assertEqual(one.handover, domain.HANDOVER_NONE)
