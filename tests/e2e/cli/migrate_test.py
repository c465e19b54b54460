"""Migrations to the daemon itself, and Ctrl-C during `simvisor migrate`, where the
command says what became of both sides."""

import pathlib
import signal
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402
from harness import domain, live, poll  # noqa: E402
from migrations.migration_pair import Machine  # noqa: E402


class InterruptedMigrationTest(unittest.TestCase):

    def setUp(self):
        self.source = Machine("--enable-fault-injection")
        self.addCleanup(self.source.close)
        self.target = Machine()
        self.addCleanup(self.target.close)
        self.source.client.create("web", 16384)

    def start_migration(self, *options):
        process = subprocess.Popen(
            [harness.SIMVISOR, "-H", self.source.address, "migrate", "web",
             self.target.address, "--id", "one", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=harness.take_interrupts)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def await_state(self, machine, state):
        def is_there():
            found = machine.migration("one")
            return found is not None and found.state == state
        poll(is_there, live.MigrationState.Name(state))

    def end_interrupted(self, process):
        out, err = process.communicate(timeout=harness.DEADLINE)
        self.assertEqual(process.returncode, -signal.SIGINT, out + err)
        return err

    def test_domain_that_was_being_copied_stays(self):
        process = self.start_migration("--bandwidth", "4096b")
        self.await_state(self.source, live.MIGRATION_STATE_COPYING)
        self.await_state(self.target, live.MIGRATION_STATE_RECEIVING)
        process.send_signal(signal.SIGINT)
        err = self.end_interrupted(process)
        self.assertIn("interrupted; asking the daemon what became of it\n"
                      "note: interrupted: web (1) stays here; "
                      f"{self.target.address} drops", err)
        self.assertEqual(self.source.domains()["web"].state,
                         domain.DOMAIN_STATE_RUNNING)
        self.await_state(self.target, live.MIGRATION_STATE_DROPPED)
        self.assertEqual(self.target.domains(), {})

    def test_migration_that_times_out_says_where_the_domain_is(self):
        process = self.start_migration("--bandwidth", "4096b",
                                       "--timeout", "2")
        _, err = process.communicate(timeout=harness.DEADLINE)
        self.assertEqual(process.returncode, 1, err)
        self.assertIn(f"note: web (1) stays here; {self.target.address} drops",
                      err)
        self.assertIn("no answer within the timeout", err)
        self.await_state(self.source, live.MIGRATION_STATE_KEPT)

    def test_domain_that_had_been_committed_has_moved(self):
        rule = self.source.hold("migrate.committed")
        process = self.start_migration()
        self.source.await_fault(rule)
        process.send_signal(signal.SIGINT)
        self.source.remove_faults()
        err = self.end_interrupted(process)
        self.assertIn("note: interrupted: web (1) has moved to "
                      f"{self.target.address} and is gone here", err)
        self.assertEqual(self.source.domains(), {})
        self.assertEqual(self.target.domains()["web"].state,
                         domain.DOMAIN_STATE_RUNNING)


class OneMachineTest(unittest.TestCase):

    def test_domains_of_two_daemons_have_different_uuids_unless_seeds_say_not(self):
        def uuid_of_the_first(*flags):
            machine = Machine(*flags)
            self.addCleanup(machine.close)
            return machine.client.create("guest", 3000).uuid
        self.assertNotEqual(uuid_of_the_first(), uuid_of_the_first())
        self.assertEqual(uuid_of_the_first("--seed", "1"),
                         uuid_of_the_first("--seed", "1"))

    def test_a_daemon_takes_what_it_has_under_a_new_domid(self):
        machine = Machine("--enable-fault-injection")
        self.addCleanup(machine.close)
        machine.client.create("guest", 6000)
        counts = machine.client.counts()
        before = machine.domains()["guest"]
        arrived = machine.hold("receive.prepared")
        caller = threading.Thread(target=lambda: list(
            machine.client.migration.MigrateDomain(live.MigrateDomainRequest(
                domain=harness.ref("guest"), target=machine.address))))
        caller.start()
        machine.await_fault(arrived)
        both = machine.domains()
        self.assertEqual(set(both), {"guest", "guest--incoming"})
        self.assertEqual(both["guest"].domid, before.domid)
        machine.remove_faults()
        caller.join(harness.DEADLINE)
        after = machine.domains()
        self.assertEqual(set(after), {"guest"})
        self.assertEqual(after["guest"].uuid, before.uuid)
        self.assertEqual(after["guest"].domid, both["guest--incoming"].domid)
        poll(lambda: machine.client.counts() == counts, "the other copy goes")
        self.assertEqual(machine.client.audit().findings, [])


if __name__ == "__main__":
    unittest.main()
