"""What the daemon tells people: the log of domains' lives, what to type next on
a terminal, and which domains end with it."""

import fcntl
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402
from harness import domain, fault, host, memory, MIB, poll, ref  # noqa: E402


def lines_of(daemon):
    """The daemon's log without time and level."""
    return [re.sub(r"^\S+ \S+ ", "", line)
            for line in daemon.read_log().splitlines()]


class LifeLogTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def start(self, name, *flags):
        folder = os.path.join(self.folder, name)
        os.mkdir(folder)
        daemon = harness.Daemon(*flags, folder=folder)
        self.addCleanup(daemon.close)
        return daemon

    def run_simvisor(self, daemon, *arguments):
        return harness.simvisor(daemon.address, *arguments)

    def test_each_event_of_a_life_is_one_line(self):
        daemon = self.start("a")
        file = os.path.join(self.folder, "image")
        client = harness.Client(daemon.address)
        self.addCleanup(client.close)
        client.create("web", 64 * MIB, paused=True)
        for verb in (("unpause", "web"), ("rename", "web", "shop"),
                     ("pause", "shop"), ("unpause", "shop"),
                     ("save", "shop", file), ("restore", file),
                     ("destroy", "shop")):
            self.run_simvisor(daemon, *verb)
        size = "64 MiB (16384 pages)"
        log = lines_of(daemon)
        [saved] = [line for line in log if " saved, " in line]
        self.assertRegex(
            saved, r"^shop \(1\): saved, (\d+ MiB \()?\d+ pages\)? with contents$")
        self.assertEqual(
            [line for line in log if line != saved],
            [f"web (1): created with {size}, paused",
             "web (1): unpaused",
             "web (1): renamed to shop",
             "shop (1): paused",
             "shop (1): unpaused",
             "shop (1): suspended to be saved",
             f"shop (1): destroyed, {size} freed",
             f"shop (2): restored with {size}",
             f"shop (2): destroyed, {size} freed"])

    def test_balloons_and_lookups_leave_no_line(self):
        daemon = self.start("a")
        client = harness.Client(daemon.address)
        self.addCleanup(client.close)
        client.create("web", 64 * MIB)
        before = daemon.read_log()
        client.memory.BalloonDown(
            memory.BalloonDownRequest(domain=ref("web"), pages=100))
        client.translate("web", [1, 2, 3])
        client.get("web")
        client.host.GetHost(host.GetHostRequest())
        self.assertEqual(daemon.read_log(), before)

    def test_a_save_that_fails_says_that_the_guest_goes_on(self):
        daemon = self.start("a", "--enable-fault-injection")
        client = harness.Client(daemon.address)
        self.addCleanup(client.close)
        client.create("web", 64 * MIB)
        client.fault.AddFault(fault.AddFaultRequest(rule=fault.FaultRule(
            point="save.piece", error=fault.FaultError(code="UNAVAILABLE"))))
        with self.assertRaises(AssertionError):
            self.run_simvisor(daemon, "save", "web",
                              os.path.join(self.folder, "image"))
        self.assertEqual(client.get("web").state, domain.DOMAIN_STATE_RUNNING)
        log = lines_of(daemon)
        self.assertIn("fault rule 1 at save.piece: error UNAVAILABLE: added", log)
        self.assertIn('fault point save.piece of domain "web": rule 1 makes the '
                      "call fail with UNAVAILABLE", log)
        self.assertTrue(any(line.startswith("web (1): not saved, it goes on: ")
                            for line in log), log)

    def test_both_ends_log_a_migration_and_its_outcome(self):
        source, target = self.start("a"), self.start("b")
        client = harness.Client(source.address)
        self.addCleanup(client.close)
        client.create("web", 64 * MIB)
        self.run_simvisor(source, "migrate", "web", target.address, "--id", "m1")
        log = lines_of(source)
        self.assertIn(f"web (1): migration m1 to {target.address} begins", log)
        self.assertIn(f"web (1): migration m1 to {target.address}: moved", log)
        self.assertTrue(any(re.fullmatch(
            r"web \(1\): migration m1: \d+ bytes sent in \d+ passes; it did not "
            r"run for \d+ ms", line) for line in log), log)
        peer = rf"[^ ]+ \(pid {source.process.pid}\)"
        log = "\n".join(lines_of(target))
        self.assertRegex(log, rf"web: migration m1 from {peer} begins")
        self.assertRegex(
            log, rf"web \(1\): migration m1 from {peer}: arrived and goes on")

    def test_both_ends_log_a_migration_that_fails(self):
        source = self.start("a", "--enable-fault-injection")
        target = self.start("b")
        client = harness.Client(source.address)
        self.addCleanup(client.close)
        client.create("web", 64 * MIB)
        client.fault.AddFault(fault.AddFaultRequest(rule=fault.FaultRule(
            point="migrate.suspended", error=fault.FaultError(code="ABORTED"))))
        with self.assertRaises(AssertionError):
            self.run_simvisor(source, "migrate", "web", target.address, "--id",
                              "m1")
        log = "\n".join(lines_of(source))
        self.assertIn(f"web (1): migration m1 to {target.address}: kept here: ",
                      log)
        # The target's call may end a moment later.
        poll(lambda: any("web: migration m1: ended without the domain: " in line
                         for line in lines_of(target)),
             "the target logs the end")

    def test_level_warn_leaves_the_lines_out(self):
        daemon = self.start("a", "--log-level", "warn")
        client = harness.Client(daemon.address)
        self.addCleanup(client.close)
        client.create("web", 64 * MIB)
        self.assertEqual(daemon.read_log(), "")


class UnreadTest(unittest.TestCase):

    def test_a_log_that_is_not_read_holds_up_no_call(self):
        with tempfile.TemporaryDirectory() as folder:
            address = f"unix:{folder}/socket"
            process = subprocess.Popen(
                [harness.SIMVISORD, "--listen", address],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(process.stderr.close)
            self.addCleanup(process.stdout.close)
            self.addCleanup(process.kill)
            self.assertIn(b'"ready":true', process.stdout.readline())
            room = fcntl.fcntl(process.stderr, fcntl.F_GETPIPE_SZ)
            client = harness.Client(address)
            self.addCleanup(client.close)
            # Each of the two lines has 50 bytes at least.
            for _ in range(room // 100 + 100):
                client.create("web", 16 * MIB)
                client.destroy("web")
            log = os.read(process.stderr.fileno(), room)
            self.assertNotIn(b"left out", log)
            client.create("last", 16 * MIB)
            log = os.read(process.stderr.fileno(), room).decode()
            client.close()
            process.terminate()
            self.assertEqual(process.wait(harness.DEADLINE), 0)
        count, last = log.splitlines()[-2:]
        self.assertRegex(
            count, r" warning lines left out, since they were not read: [1-9]")
        self.assertRegex(last, r" info last \(\d+\): created with ")


class EndTest(unittest.TestCase):

    def start(self):
        daemon = harness.Daemon()
        self.addCleanup(daemon.close)
        client = harness.Client(daemon.address)
        self.addCleanup(client.close)
        return daemon, client

    def test_a_signal_names_the_domains_that_are_lost(self):
        daemon, client = self.start()
        client.create("web", 64 * MIB)
        client.create("gone", 64 * MIB)
        client.create("db", 64 * MIB)
        client.destroy("gone")
        client.close()
        self.assertEqual(daemon.stop(), 0)
        self.assertIn("2 domains are lost with this daemon: web (1), db (3)\n",
                      daemon.read_log())

    def test_of_many_lost_domains_twenty_are_named(self):
        daemon, client = self.start()
        for number in range(1, 23):
            client.create(f"d{number}", 16 * MIB)
        client.close()
        self.assertEqual(daemon.stop(), 0)
        names = ", ".join(f"d{number} ({number})" for number in range(1, 21))
        self.assertIn(f"22 domains are lost with this daemon: {names} and 2 more\n",
                      daemon.read_log())

    def test_without_guests_nothing_is_lost(self):
        daemon, client = self.start()
        client.close()
        self.assertEqual(daemon.stop(), 0)
        self.assertNotIn("lost", daemon.read_log())


class TerminalTest(unittest.TestCase):

    def run_on_terminal(self, *flags, environment=None):
        """Starts a daemon whose stderr is a terminal, stops it once it has said
        what to type next, and returns all that it wrote there."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        process = subprocess.Popen(
            [harness.SIMVISORD, *flags], stdout=subprocess.PIPE, stderr=slave,
            text=True, cwd=harness.ROOT,
            env={**os.environ, **(environment or {})})
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        os.close(slave)
        self.assertIn('"ready":true', process.stdout.readline())
        seen = b""
        while b"Ctrl-C" not in seen:
            seen += os.read(master, 4096)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(harness.DEADLINE), 0)
        return seen.decode().replace("\r\n", "\n")

    def test_a_terminal_is_told_what_to_type_next(self):
        with tempfile.TemporaryDirectory() as folder:
            text = self.run_on_terminal(environment={"XDG_RUNTIME_DIR": folder})
            # The CLI lies next to the daemon.
            cli = os.path.join(os.path.dirname(harness.SIMVISORD), "simvisor")
            self.assertIn(f"\n  {cli} list\n", text)
            self.assertIn(f"\n  {cli} create examples/small.cfg\n", text)
            self.assertNotIn("--address", text)

    def test_the_address_is_named_if_it_is_not_the_usual_one(self):
        with tempfile.TemporaryDirectory() as folder:
            address = f"unix:{folder}/its own.sock"
            text = self.run_on_terminal("--listen", address)
            self.assertIn(f" --address '{address}' list\n", text)

    def test_a_file_gets_no_such_hint(self):
        daemon = harness.Daemon()
        self.addCleanup(daemon.close)
        self.assertEqual(daemon.stop(), 0)
        self.assertNotIn("simvisor list", daemon.read_log())
        self.assertNotIn("Ctrl-C", daemon.read_log())


if __name__ == "__main__":
    unittest.main()
