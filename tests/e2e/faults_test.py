"""Fault injection: it is off by default, the CLI and scripts set rules, and
crashes really kill the daemon."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest
import unittest.mock

import harness
from harness import simvisor

SMALL = 4096  # pages


class FaultsOffTest(harness.DaemonTest):

    def test_a_daemon_takes_no_faults_unless_started_for_it(self):
        for command in (("add", "save.begin", "--crash"), ("list",),
                        ("list", "--points"), ("clear", "--all")):
            result = simvisor(self.daemon.address, "fault", *command,
                              check=False)
            self.assertEqual(result.returncode, 1)
            self.assertIn("simvisor fault enable", result.stderr)
            self.assertIn("--enable-fault-injection", result.stderr)
            self.assertIn("(FAILED_PRECONDITION FAULT_INJECTION_DISABLED)", result.stderr)
        self.assertNotIn("fault", self.daemon.read_log())


OTHER_USER = 65534  # neither root nor the daemon's


class EnableTest(unittest.TestCase):

    def start(self, *flags):
        daemon = harness.Daemon(*flags)
        self.addCleanup(daemon.close)
        client = harness.Client(daemon.address)
        self.addCleanup(client.close)
        return daemon, client

    def fault(self, address, *arguments, code=0):
        result = simvisor(address, "fault", *arguments, check=False)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result

    def as_other_user(self, address, *arguments):
        """The exit code of the CLI for OTHER_USER, and all that it prints.  It runs
        from a copy, since only root may be able to reach the build."""
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            program = shutil.copy(harness.SIMVISOR, folder)
            result = subprocess.run(
                [program, "--address", address, *arguments], user=OTHER_USER,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                timeout=harness.DEADLINE, check=False)
        return result.returncode, result.stdout

    def test_the_owner_turns_faults_on_and_off_without_a_restart(self):
        daemon, client = self.start()
        address = daemon.address
        self.assertEqual(self.fault(address, "enable").stdout,
                         "fault rules are accepted\n")
        self.assertEqual(self.fault(address, "enable").stdout,
                         "fault rules are already accepted\n")
        self.fault(address, "add", "create.begin")
        with self.assertRaises(harness.grpc.RpcError) as caught:
            client.create("web", SMALL)
        self.assertEqual(harness.reason_of(caught.exception), "FAULT_INJECTED")
        # Allocations of the machine can fail too.
        self.fault(address, "clear", "--all")
        self.fault(address, "add", "frame.allocate")
        with self.assertRaises(harness.grpc.RpcError) as caught:
            client.create("web", SMALL)
        self.assertEqual(harness.reason_of(caught.exception),
                         "HOST_MEMORY_EXHAUSTED")
        self.assertEqual(self.fault(address, "disable").stdout,
                         "fault rules are refused; 1 rule removed\n")
        client.create("web", SMALL)
        log = daemon.read_log()
        self.assertIn(" fault injection is on: any client can make", log)
        self.assertIn(" fault injection is off; rules removed: 1\n", log)

    def test_a_daemon_that_was_started_for_faults_can_be_told_to_refuse_them(self):
        daemon, _ = self.start("--enable-fault-injection")
        self.fault(daemon.address, "disable")
        result = self.fault(daemon.address, "list", code=1)
        self.assertIn("FAULT_INJECTION_DISABLED", result.stderr)

    def test_nobody_else_may_turn_faults_on(self):
        daemon, _ = self.start("--listen", "127.0.0.1:0")
        tcp = daemon.ready["addresses"][1]
        for switch in ("enable", "disable"):
            result = self.fault(tcp, switch, code=1)
            self.assertIn("(PERMISSION_DENIED OWNER_REQUIRED)", result.stderr)
        self.assertNotIn("fault injection", daemon.read_log())

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_another_user_who_is_let_in_may_not_turn_faults_on(self):
        daemon, _ = self.start()
        os.chmod(os.path.dirname(daemon.socket), 0o755)
        os.chmod(daemon.socket, 0o666)
        code, text = self.as_other_user(daemon.address, "fault", "enable")
        self.assertEqual(code, 1)
        self.assertIn("(PERMISSION_DENIED OWNER_REQUIRED)", text)
        # The socket itself lets this user in.
        code, text = self.as_other_user(daemon.address, "list")
        self.assertEqual(code, 0, text)
        self.assertIn("Domain-0", text)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_root_may_turn_faults_on_in_the_daemon_of_another_user(self):
        with tempfile.TemporaryDirectory() as folder:
            os.chown(folder, OTHER_USER, OTHER_USER)
            copy = shutil.copy(harness.SIMVISORD, folder)
            with unittest.mock.patch.object(harness, "SIMVISORD", copy):
                daemon = harness.Daemon(folder=folder,
                                        preexec=lambda: os.setuid(OTHER_USER))
            self.addCleanup(daemon.close)
            self.fault(daemon.address, "enable")
            code, text = self.as_other_user(daemon.address, "fault", "disable")
            self.assertEqual(code, 0, text)


class FaultsTest(harness.DaemonTest):

    FLAGS = ("--enable-fault-injection", "--seed", "7")

    def fault(self, *arguments, code=0):
        result = simvisor(self.daemon.address, "fault", *arguments, check=False)
        self.assertEqual(result.returncode, code,
                         result.stdout + result.stderr)
        return result

    def tearDown(self):
        self.fault("clear", "--all")
        self.assert_clean()

    def test_the_log_says_at_the_start_that_faults_are_taken(self):
        self.assertIn("--enable-fault-injection", self.daemon.read_log())

    def test_a_rule_is_set_listed_hit_and_cleared(self):
        self.assertEqual(self.fault("list").stdout, "no rules are set\n")
        added = self.fault("add", "create.begin", "--domain", "web", "--error",
                           "UNAVAILABLE", "--skip", "1", "--count", "2").stdout
        self.assertRegex(added, r"^rule \d+ is set at create.begin\n$")
        rule = added.split()[1]
        self.client.create("web", SMALL)
        self.client.destroy("web")
        with self.assert_refused("UNAVAILABLE", "FAULT_INJECTED"):
            self.client.create("web", SMALL)
        [heading, line] = self.fault("list").stdout.splitlines()
        self.assertEqual(heading.split(), ["ID", "POINT", "DOMAIN", "ACTION",
                                           "SKIP", "COUNT", "CHANCE", "HITS",
                                           "ACTED"])
        self.assertEqual(line.split(), [rule, "create.begin", "web", "error",
                                        "UNAVAILABLE", "1", "2", "1", "2", "1"])
        listed = json.loads(self.fault("list", "-o", "json").stdout)
        self.assertEqual(listed["faults"][0]["acted"], 1)
        self.assertEqual(self.fault("clear", rule).stdout, "1 rule removed\n")
        gone = self.fault("clear", rule, code=1)
        self.assertIn("no rule has this id", gone.stderr)
        self.assertIn("(NOT_FOUND FAULT_RULE_NOT_FOUND)", gone.stderr)

    def test_every_point_is_explained_as_in_the_manual(self):
        manual = (harness.ROOT / "docs" / "faults.md").read_text("utf-8")
        points = self.fault("list", "--points").stdout.splitlines()
        self.assertGreater(len(points), 30)
        for line in points:
            name, description = line.split(maxsplit=1)
            self.assertIn(f"| `{name}` | {description} |", manual)

    def test_wrong_rules_are_explained(self):
        for arguments, code, said in (
                (("save.nothing", "--crash"), 1, "is not a fault point"),
                (("save.begin", "--error", "BROKEN"), 1,
                 "not a canonical error code"),
                (("save.begin", "--probability", "2"), 1, "at most 1"),
                (("frame.allocate", "--delay-ms", "5"), 1, "cannot delay"),
                (("save.begin", "--delay-ms", "60001"), 2, "--delay-ms"),
                (("save.begin", "--crash", "--delay-ms", "5"), 2, "--crash"),
                (("save.begin", "--skip", "-1"), 2, "--skip"),
                ((), 2, "POINT")):
            result = self.fault("add", *arguments, code=code)
            self.assertIn(said, result.stderr)
        self.assertEqual(self.fault("list").stdout, "no rules are set\n")

    def test_the_example_script_holds(self):
        result = simvisor(self.daemon.address, "run",
                          str(harness.ROOT / "examples" / "faults.textproto"))
        self.assertNotIn("FAIL", result.stdout)

    def test_a_guest_outlives_its_failed_save_whether_or_not_the_file_is(self):
        self.client.create("kept", SMALL)
        for point, stored in (("save.piece", False), ("save.stored", True)):
            with tempfile.TemporaryDirectory() as folder:
                image = pathlib.Path(folder) / "image"
                self.fault("add", point, "--error", "ABORTED", "--count", "1")
                result = simvisor(self.daemon.address, "save", "kept",
                                  str(image), check=False)
                self.assertEqual(result.returncode, 1)
                self.assertIn("(ABORTED FAULT_INJECTED)", result.stderr)
                self.assertEqual(image.exists(), stored)
            self.assertEqual(self.client.get("kept").state,
                             harness.domain.DOMAIN_STATE_RUNNING)
        self.client.destroy("kept")

    def test_the_same_seed_meets_the_same_faults(self):
        outcomes = []
        for _ in range(2):
            daemon = harness.Daemon(*self.FLAGS)
            client = harness.Client(daemon.address)
            simvisor(daemon.address, "fault", "add", "create.begin",
                     "--error", "UNAVAILABLE", "--probability", "0.5")
            seen = ""
            for number in range(40):
                try:
                    client.create(f"web{number}", SMALL)
                    seen += "."
                except harness.grpc.RpcError:
                    seen += "x"
            outcomes.append(seen)
            client.close()
            self.assertEqual(daemon.stop(), 0)
            daemon.close()
        self.assertEqual(outcomes[0], outcomes[1])
        self.assertIn(".", outcomes[0])
        self.assertIn("x", outcomes[0])


class CrashTest(unittest.TestCase):

    def crash(self, point, operate, *options):
        daemon = harness.Daemon("--enable-fault-injection")
        self.addCleanup(daemon.close)
        client = harness.Client(daemon.address)
        self.addCleanup(client.close)
        client.create("web", SMALL)
        simvisor(daemon.address, "fault", "add", point, "--crash", *options)
        result = operate(daemon.address)
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertEqual(daemon.process.wait(harness.DEADLINE),
                         -signal.SIGKILL)
        self.assertRegex(daemon.read_log(),
                         f"critical fault point {point}.* rule 1 kills")

    def test_a_crash_after_a_save_leaves_the_whole_image(self):
        with tempfile.TemporaryDirectory() as folder:
            image = pathlib.Path(folder) / "image"
            self.crash("save.stored",
                       lambda address: simvisor(address, "save", "web",
                                                str(image), check=False),
                       "--domain", "web")
            after = harness.Daemon()
            self.addCleanup(after.close)
            simvisor(after.address, "restore", str(image))
            simvisor(after.address, "audit")

    def test_a_crash_in_an_allocation(self):
        self.crash("frame.allocate",
                   lambda address: simvisor(
                       address, "create", "/dev/null", "name=\"db\"",
                       "memory=16", check=False))


if __name__ == "__main__":
    unittest.main()
