"""Signals during commands that say what became of their domain, its memory or
the file."""

import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402
from harness import domain, fault, poll, simvisor  # noqa: E402

PAGES = 4 * harness.MIB
# Longer than any test waits; a rule is removed when its test goes on.
HELD_MS = 60000
# What a server of HTTP/2 sends first; without it a client would try again.
EMPTY_SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


class InterruptedTest(harness.DaemonTest):

    FLAGS = ("--enable-fault-injection",)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.image = self.folder / "image"
        self.addCleanup(self.remove_domains)
        self.addCleanup(self.let_go)

    def tearDown(self):
        self.assert_clean()

    def domains(self):
        answer = self.client.domain.ListDomains(
            domain.ListDomainsRequest(), timeout=harness.DEADLINE)
        return {one.name: one for one in answer.domains if one.domid != 0}

    def remove_domains(self):
        for name in self.domains():
            self.client.destroy(name)

    def hold(self, point):
        """Calls wait at `point`."""
        self.client.fault.AddFault(fault.AddFaultRequest(
            rule=fault.FaultRule(point=point, delay_ms=HELD_MS)),
            timeout=harness.DEADLINE)

    def let_go(self):
        self.client.fault.RemoveFaults(
            fault.RemoveFaultsRequest(all=True), timeout=harness.DEADLINE)

    def await_hit(self):
        """Waits until a call is at the only rule's point."""
        poll(lambda: self.client.fault.ListFaults(
            fault.ListFaultsRequest(), timeout=harness.DEADLINE
        ).faults[0].acted, "a call is held")

    def start(self, *args, **kwargs):
        process = subprocess.Popen(
            [harness.SIMVISOR, "-H", self.daemon.address, *map(str, args)],
            stderr=subprocess.PIPE, text=True,
            preexec_fn=harness.take_interrupts, **kwargs)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def end_by(self, process, kind):
        """Waits until the signal has ended the process, and returns what it
        said."""
        process.send_signal(kind)
        return self.end_of(process, kind)

    def end_of(self, process, kind):
        _, err = process.communicate(timeout=harness.DEADLINE)
        self.assertEqual(process.returncode, -kind, err)
        return err

    def end_with_the_call(self, process, kind, has_ended):
        """The same; the call has ended by itself when the signal comes, but its
        client does not know that yet."""
        process.send_signal(signal.SIGSTOP)
        self.let_go()
        poll(has_ended, "the call has ended")
        process.send_signal(kind)
        process.send_signal(signal.SIGCONT)
        return self.end_of(process, kind)

    def end_after_the_call(self, process, kind):
        """The same; the call goes on once the client has cancelled it."""
        process.send_signal(kind)
        for line in process.stderr:
            if line.startswith("interrupted; asking"):
                break
        self.let_go()
        return self.end_of(process, kind)

    def runs(self, name):
        found = self.domains().get(name)
        return (found is not None and not found.suspended
                and found.state == domain.DOMAIN_STATE_RUNNING)

    def has_logged(self, pattern):
        log = os.pread(self.daemon.log.fileno(), 1 << 24, 0).decode()
        return re.search(pattern, log) is not None

    def has_moved_memory(self):
        """True; waits for the call that moves memory of web, which no other
        change of web overtakes."""
        web = harness.ref("web")
        self.client.domain.PauseDomain(domain.PauseDomainRequest(domain=web),
                                       timeout=harness.DEADLINE)
        self.client.domain.UnpauseDomain(
            domain.UnpauseDomainRequest(domain=web), timeout=harness.DEADLINE)
        return True

    def assert_runs(self, name):
        self.assertTrue(self.runs(name), self.domains())

    def write_config(self, name):
        path = self.folder / f"{name}.cfg"
        path.write_text(f'name = "{name}"\nmemory = 16\n')
        return path

    def test_domain_runs_on_and_its_file_stays_if_a_save_is_interrupted(self):
        self.image.write_text("what was there")
        domid = self.client.create("web", PAGES).domid
        for kind in (signal.SIGINT, signal.SIGTERM):
            self.hold("save.piece")
            process = self.start("save", "web", self.image)
            self.await_hit()
            self.assertTrue(self.client.get("web").suspended)
            err = self.end_after_the_call(process, kind)
            self.assertIn(f"note: interrupted: web ({domid}) runs here; "
                          f"{self.image} was not written\n", err)
            self.assertEqual(self.image.read_text(), "what was there")
            self.assertEqual(os.listdir(self.folder), ["image"])
            self.assert_runs("web")

    def test_domain_whose_image_is_stored_is_saved_and_gone(self):
        self.client.create("web", PAGES)
        self.hold("save.stored")
        process = self.start("save", "web", self.image)
        self.await_hit()
        err = self.end_with_the_call(process, signal.SIGINT,
                                     lambda: not self.domains())
        self.assertIn("note: interrupted: web is gone; "
                      f"{self.image} has its complete image\n", err)
        self.assertEqual(self.domains(), {})
        simvisor(self.daemon.address, "restore", self.image)
        self.assert_runs("web")

    def test_save_that_has_stored_its_image_and_does_not_end_is_asked_for(self):
        self.client.create("web", PAGES)
        self.hold("save.stored")
        process = self.start("save", "web", self.image)
        self.await_hit()
        err = self.end_after_the_call(process, signal.SIGINT)
        self.assertIn("note: interrupted: web is gone; "
                      f"{self.image} has its complete image\n", err)
        self.assertEqual(self.domains(), {})

    def test_save_to_a_pipe_that_is_not_read_ends(self):
        # Its image is larger than what a pipe holds.
        self.client.create("web", 256 * harness.MIB)
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        process = self.start("-o", "json", "save", "web", "-", stdout=writer)
        os.close(writer)
        self.assertTrue(os.read(reader, 1))
        err = self.end_by(process, signal.SIGINT)
        self.assertRegex(json.loads(err)["note"],
                         r"interrupted: web \(\d+\) runs here; standard output "
                         r"got only a part of its image")
        self.assert_runs("web")

    def test_save_to_a_pipe_whose_reader_goes_says_so(self):
        self.client.create("web", 256 * harness.MIB)
        reader, writer = os.pipe()
        process = self.start("save", "web", "-", stdout=writer)
        os.close(writer)
        self.assertTrue(os.read(reader, 1))
        os.close(reader)
        err = self.end_of(process, signal.SIGPIPE)
        self.assertRegex(err, r"note: the reader of standard output has gone: "
                              r"web \(\d+\) runs here; standard output got only "
                              r"a part of its image\n\Z")
        self.assertNotIn("interrupted", err)
        self.assert_runs("web")

    def test_create_that_times_out_says_that_it_may_be_done(self):
        self.hold("create.begin")
        process = self.start("--timeout", "0.5", "create", "-q",
                             self.write_config("web"))
        _, err = process.communicate(timeout=harness.DEADLINE)
        self.assertEqual(process.returncode, 1, err)
        self.assertIn("no answer within the timeout; the call may have been "
                      "cancelled, or be done all the same: look with list", err)
        self.let_go()

    def test_restore_that_is_interrupted_half_way_leaves_nothing(self):
        self.client.create("web", PAGES)
        simvisor(self.daemon.address, "save", "web", self.image)
        before = self.client.counts()
        self.hold("restore.piece")
        reader, writer = os.pipe()
        process = self.start("restore", "-", stdin=reader)
        os.close(reader)
        with os.fdopen(writer, "wb", buffering=0) as pipe:
            pipe.write(self.image.read_bytes()[:4096])
            self.await_hit()
            err = self.end_by(process, signal.SIGTERM)
        self.assertIn("note: interrupted: nothing was restored; the daemon "
                      "drops what it has received\n", err)
        self.let_go()
        poll(lambda: self.client.counts() == before, "nothing is left")
        self.assertEqual(self.domains(), {})

    def test_domain_that_has_arrived_is_restored(self):
        self.client.create("web", PAGES)
        simvisor(self.daemon.address, "save", "web", self.image)
        self.hold("restore.arrived")
        process = self.start("restore", self.image)
        self.await_hit()
        err = self.end_with_the_call(process, signal.SIGINT,
                                     lambda: self.runs("web"))
        self.assertRegex(err,
                         r"note: interrupted: web \(\d+\) was restored\n")
        self.assert_runs("web")

    def test_output_of_a_call_that_has_succeeded_is_not_lost(self):
        output = self.folder / "output"

        def output_of(point, has_ended, *args):
            self.hold(point)
            with output.open("w") as file:
                process = self.start(*args, stdout=file)
            self.await_hit()
            self.end_with_the_call(process, signal.SIGINT, has_ended)
            return output.read_text()

        self.client.create("web", 16 * harness.MIB)
        simvisor(self.daemon.address, "save", "web", self.image)
        restored = output_of("restore.arrived", lambda: self.runs("web"),
                             "-o", "json", "restore", self.image)
        self.assertEqual(json.loads(restored)["domain"]["name"], "web")
        self.assertTrue(restored.endswith("}\n"), "it ends with its line")
        memory = output_of("balloon.moved", self.has_moved_memory,
                           "-o", "json", "mem-set", "web", "8")
        self.assertEqual(json.loads(memory)["memory"]["target_pages"],
                         8 * harness.MIB)
        moved = output_of("balloon.moved", self.has_moved_memory,
                          "balloon", "down", "web", "2m")
        self.assertRegex(moved, "^web: 512 of 512 pages ballooned down; ")

    def test_create_that_does_not_end_is_cancelled(self):
        self.hold("create.begin")
        process = self.start("create", "-q", self.write_config("web"),
                             self.write_config("db"))
        self.await_hit()
        err = self.end_by(process, signal.SIGINT)
        self.assertIn("note: 0 of 2 domains created\n", err)
        self.assertIn("note: interrupted: web was not created\n", err)
        self.let_go()
        self.assertEqual(self.domains(), {})

    def test_create_that_ends_soon_is_waited_for_and_no_other_begins(self):
        self.hold("create.built")
        process = self.start("create", "-q", self.write_config("early"),
                             self.write_config("db"))
        self.await_hit()
        err = self.end_with_the_call(
            process, signal.SIGINT,
            lambda: self.has_logged(r"early \(\d+\): created"))
        self.assertIn("note: 1 of 2 domains created\n", err)
        self.assertRegex(err, r"note: interrupted: early \(\d+\) runs here\n")
        self.assertEqual(set(self.domains()), {"early"})

    def assert_memory(self, err, domid, mib):
        size = rf"{mib} MiB \({mib * harness.MIB} pages\)"
        self.assertRegex(err, rf"note: interrupted: web \({domid}\) has {size} "
                              rf"and a target of {size}\n")

    def test_memory_that_has_not_moved_is_said(self):
        domid = self.client.create("web", 16 * harness.MIB).domid
        self.hold("balloon.begin")
        process = self.start("mem-set", "web", "8")
        self.await_hit()
        self.assert_memory(self.end_by(process, signal.SIGINT), domid, 16)

    def test_memory_that_has_moved_stays_moved(self):
        domid = self.client.create("web", 16 * harness.MIB).domid
        for left, line in ((8, ("mem-set", "web", "8")),
                           (6, ("balloon", "down", "web", "2m"))):
            self.hold("balloon.moved")
            process = self.start(*line)
            self.await_hit()
            self.assert_memory(self.end_by(process, signal.SIGTERM), domid, left)
            self.assertEqual(self.client.get("web").memory.current_pages,
                             left * harness.MIB)
            self.let_go()


class SilentDaemonTest(unittest.TestCase):

    def start(self, *args):
        """A command on a terminal, whose daemon takes its connection and answers
        nothing; returns the process and the terminal."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.settimeout(harness.DEADLINE)
        listener.bind(f"{folder.name}/silent.sock")
        listener.listen()
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = subprocess.Popen(
            [harness.SIMVISOR, "-H", f"unix:{folder.name}/silent.sock", *args],
            stdout=subprocess.DEVNULL, stderr=theirs,
            preexec_fn=harness.take_interrupts)
        os.close(theirs)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        connection, _ = listener.accept()
        self.addCleanup(connection.close)
        connection.sendall(EMPTY_SETTINGS)
        return process, ours

    def await_text(self, terminal, text):
        seen = b""
        while text not in seen:
            self.assertTrue(
                select.select([terminal], [], [], harness.DEADLINE)[0], seen)
            seen += os.read(terminal, 4096)

    def test_commands_with_a_progress_bar_end(self):
        started = []
        for line in (("create", "-q", "/dev/null", 'name="web"', "memory=16"),
                     ("mem-set", "web", "8"),
                     ("balloon", "down", "web", "2m")):
            # It has connected, so it waits for its first answer.
            process, terminal = self.start(*line)
            process.send_signal(signal.SIGINT)
            started.append((process, terminal))
        for process, terminal in started:
            self.await_text(terminal, b"interrupted; asking the daemon")
            # More than a second after the first one.
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(harness.DEADLINE), -signal.SIGINT)


if __name__ == "__main__":
    unittest.main()
