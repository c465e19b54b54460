"""Scripts of `simvisor run` with a real daemon: the examples, cleanup steps
after failures and signals, and polling."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402
from harness import domain, fault, poll, simvisor  # noqa: E402

EXAMPLES = harness.ROOT / "examples"
# It needs a daemon that takes faults; faults_test runs it.
ELSEWHERE = ("faults.textproto",)

# Creates a guest and waits for what never comes.  The first call of the poll
# pauses the guest, so that a test sees that the poll has begun.
WAITS = """
steps {
  create_domain { request { spec { name: "script" memory_pages: 4096 } } }
  save { name: "id" field: "domain.domid" }
}
steps {
  name: "never"
  poll { timeout_ms: 3600000 interval_ms: 60000 }
  pause_domain {
    request { domain { name: "script" } }
    expect { state: DOMAIN_STATE_RUNNING }
  }
}
steps { name: "not reached" get_host {} }
"""
CLEANS = """
cleanup {
  name: "it goes"
  destroy_domain {}
  set { field: "request.domain.domid" variable: "id" }
}
"""


class ScriptRun:
    """Runs scripts that create a guest named "script" and must destroy it."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def tearDown(self):
        self.assert_clean()
        self.assertFalse(self.has_guest())

    def has_guest(self):
        try:
            self.client.get("script")
            return True
        except harness.grpc.RpcError:
            return False

    def write(self, text):
        path = os.path.join(self.folder.name, "a.textproto")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def start_script(self, text, *options):
        process = subprocess.Popen(
            [harness.SIMVISOR, "-H", self.daemon.address, *options, "run",
             self.write(text)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=harness.take_interrupts)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def start(self, text, *options):
        """Starts a script, and returns once its poll has begun."""
        process = self.start_script(text, *options)
        poll(self.has_guest, "the guest is there")
        poll(lambda: self.client.get("script").state ==
             domain.DOMAIN_STATE_PAUSED, "its state changes")
        return process

    def end_by(self, process, kind):
        process.send_signal(kind)
        out, err = process.communicate(timeout=harness.DEADLINE)
        self.assertEqual(process.returncode, -kind, out + err)
        return out, err


class ScriptsTest(ScriptRun, harness.DaemonTest):

    def run_script(self, text, *options, code=0):
        done = simvisor(self.daemon.address, "run", *options, self.write(text),
                        check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def test_examples_hold_and_leave_nothing_behind(self):
        before = self.client.counts()
        paths = [path for path in EXAMPLES.glob("*.textproto")
                 if path.name not in ELSEWHERE]
        self.assertGreaterEqual(len(paths), 6)
        for path in paths:
            done = simvisor(self.daemon.address, "run", str(path))
            self.assertNotIn("FAIL", done.stdout)
            self.assertNotIn("skip", done.stdout)
            self.assertEqual(self.client.counts(), before, path)

    def test_interrupt_in_a_poll_ends_it_and_cleanup_runs(self):
        for kind in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            out, err = self.end_by(self.start(WAITS + CLEANS), kind)
            self.assertIn("STOP 2/3 never", out)
            self.assertIn("DOMAIN_STATE_RUNNING -> DOMAIN_STATE_PAUSED", out)
            self.assertNotIn("not reached", out)
            self.assertIn("ok   cleanup 1/1 it goes", out)
            self.assertIn("interrupted in step 2 of 3", err)

    def test_interrupt_with_json_output_keeps_both_streams_json(self):
        process = self.start(WAITS + CLEANS, "-o", "json")
        out, err = self.end_by(process, signal.SIGINT)
        report = json.loads(out)
        self.assertFalse(report["holds"])
        self.assertEqual([step["outcome"] for step in report["steps"]],
                         ["ok", "interrupted"])
        self.assertEqual([step["outcome"] for step in report["cleanup"]],
                         ["ok"])
        error = json.loads(err.splitlines()[-1])
        self.assertEqual(error["code"], "CANCELLED")
        for line in err.splitlines():
            json.loads(line)

    def test_interrupt_ends_a_script_without_cleanup_at_once(self):
        self.end_by(self.start(WAITS), signal.SIGINT)
        self.client.destroy("script")

    def test_closed_output_does_not_keep_cleanup_from_running(self):
        text = WAITS.replace("3600000", "1").replace("60000", "0")
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as closed:
            done = subprocess.run(
                [harness.SIMVISOR, "-H", self.daemon.address, "run",
                 self.write(text + CLEANS)],
                stdout=closed, stderr=subprocess.PIPE, check=False,
                timeout=harness.DEADLINE)
        self.assertEqual(done.returncode, -signal.SIGPIPE, done.stderr)

    def test_failed_step_and_deadline_of_a_poll_are_cleaned_up_after(self):
        text = WAITS.replace("3600000", "200").replace("60000", "20") + CLEANS
        done = self.run_script(text, code=1)
        self.assertRegex(done.stdout, r"FAIL 2/3 never \([0-9.]+ ms, \d+ calls")
        self.assertRegex(done.stdout, r"not so within 200ms \(\d+ calls\)")
        self.assertIn("ok   cleanup 1/1 it goes", done.stdout)
        self.assertEqual(done.stderr, "step 2 of 3 does not hold\n")
        done = self.run_script(text, "--keep-going", code=1)
        self.assertIn("ok   3/3 not reached", done.stdout)
        self.assertEqual(done.stderr, "1 of 3 steps does not hold, step 2\n")

    def test_poll_waits_until_a_domain_comes_and_until_it_goes(self):
        text = """
        steps {{ name: "seen"
          poll {{ timeout_ms: 60000 interval_ms: 10 }}
          get_domain {{ request {{ domain {{ name: "script" }} }} }}
          {} }}"""
        gone = 'expect_error { reason: "DOMAIN_NOT_FOUND" }'
        for change, expected in ((lambda: self.client.create("script", 4096),
                                  ""),
                                 (lambda: self.client.destroy("script"), gone)):
            process = subprocess.Popen(
                [harness.SIMVISOR, "-H", self.daemon.address, "run",
                 self.write(text.format(expected))],
                stdout=subprocess.PIPE, text=True)
            change()
            out, _ = process.communicate(timeout=harness.DEADLINE)
            self.assertEqual(process.returncode, 0, out)
            self.assertIn("ok   1/1 seen", out)


class InterruptedCallTest(ScriptRun, harness.DaemonTest):
    """A signal while a call is in progress."""

    FLAGS = ("--enable-fault-injection",)

    def acted(self):
        """How often the only rule has acted."""
        faults = self.client.fault.ListFaults(fault.ListFaultsRequest()).faults
        return faults[0].acted

    def interrupt_a_create_that_takes(self, milliseconds):
        """Sends SIGINT while CreateDomain waits at a fault point."""
        simvisor(self.daemon.address, "fault", "add", "create.begin",
                 "--delay-ms", str(milliseconds))
        process = self.start_script(WAITS + CLEANS)
        poll(self.acted, "the rule acts")
        start = time.monotonic()
        out, _ = self.end_by(process, signal.SIGINT)
        seconds = time.monotonic() - start
        simvisor(self.daemon.address, "fault", "clear", "--all")
        return out, seconds

    def test_call_that_ends_soon_is_cleaned_up_after(self):
        out, _ = self.interrupt_a_create_that_takes(500)
        self.assertIn("ok   1/3", out)
        self.assertNotIn("never", out)
        self.assertIn("ok   cleanup 1/1 it goes", out)

    def test_call_that_does_not_end_is_cancelled(self):
        out, seconds = self.interrupt_a_create_that_takes(60000)
        self.assertGreater(seconds, 1.9)
        self.assertLess(seconds, 50)
        self.assertIn("STOP 1/3", out)
        self.assertIn("the call was cancelled", out)
        self.assertIn("skip cleanup 1/1 it goes", out)


    def test_second_interrupt_ends_a_cleanup_that_waits_after_a_second(self):
        simvisor(self.daemon.address, "fault", "add", "balloon.begin")
        process = self.start(WAITS + """
        cleanup {
          name: "it never moves"
          poll { timeout_ms: 3600000 interval_ms: 1000 }
          balloon_down { request { domain { name: "script" } pages: 1 } }
        }""")
        process.send_signal(signal.SIGINT)
        self.assertIn("a second Ctrl-C ends them", process.stderr.readline())
        # The second call comes a second after the first, which came after the
        # first signal.
        poll(lambda: self.acted() >= 2, "the rule acts twice")
        self.end_by(process, signal.SIGINT)
        simvisor(self.daemon.address, "fault", "clear", "--all")
        self.client.destroy("script")


class LostDaemonTest(unittest.TestCase):

    def test_cleanup_is_tried_and_the_exit_code_says_what_happened(self):
        daemon = harness.Daemon("--enable-fault-injection")
        self.addCleanup(daemon.close)
        script = """
        steps { add_fault { request { rule {
          point: "create.begin" crash {} } } } }
        steps { create_domain { request { spec {
          name: "script" memory_pages: 4096 } } } }
        cleanup { name: "it goes"
                  destroy_domain { request { domain { name: "script" } } } }
        cleanup { audit_host {} }"""
        done = simvisor(daemon.address, "run", "-", input=script, check=False)
        self.assertEqual(done.returncode, 3, done.stdout + done.stderr)
        self.assertIn("FAIL 2/2", done.stdout)
        self.assertIn("FAIL cleanup 1/2 it goes", done.stdout)
        self.assertIn("FAIL cleanup 2/2", done.stdout)
        self.assertIn("2 of 2 cleanup steps do not hold", done.stderr)


if __name__ == "__main__":
    unittest.main()
