"""The daemon's own life: start, second start, stale sockets, signals."""

import json
import os
import signal
import stat
import subprocess
import tempfile
import unittest

import harness
from harness import GIB


def run_daemon(*flags, **kwargs):
    return subprocess.run([harness.SIMVISORD, *flags], capture_output=True,
                          text=True, timeout=harness.DEADLINE, check=False,
                          **kwargs)


class DaemonLifeTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def start(self, *flags):
        daemon = harness.Daemon(*flags, folder=self.folder)
        self.addCleanup(daemon.close)
        return daemon

    def test_the_ready_line_tells_pid_and_addresses(self):
        daemon = self.start("--listen", "127.0.0.1:0")
        self.assertEqual(daemon.ready["pid"], daemon.process.pid)
        unix, tcp = daemon.ready["addresses"]
        self.assertEqual(unix, daemon.address)
        self.assertRegex(tcp, r"^127\.0\.0\.1:[1-9][0-9]*$")
        for address in (unix, tcp):
            client = harness.Client(address)
            self.assertEqual(client.counts().domain_count, 1)
            client.close()
        mode = stat.S_IMODE(os.stat(daemon.socket).st_mode)
        self.assertEqual(mode, 0o600)
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(os.path.exists(daemon.socket))

    def test_no_flag_is_needed(self):
        process = subprocess.Popen(
            [harness.SIMVISORD], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "XDG_RUNTIME_DIR": self.folder})
        self.addCleanup(process.stdout.close)
        ready = json.loads(process.stdout.readline())
        client = harness.Client(ready["addresses"][0])
        counts = client.counts()
        client.close()
        self.assertEqual(counts.total_pages, 64 * GIB)
        self.assertEqual(ready["addresses"],
                         [f"unix:{self.folder}/simvisor.sock"])
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(harness.DEADLINE), 0)

    def test_a_second_daemon_on_the_same_socket_is_refused(self):
        first = self.start()
        second = run_daemon("--listen", first.address)
        self.assertEqual(second.returncode, 1)
        self.assertEqual(second.stdout, "")
        self.assertIn(first.socket, second.stderr)
        client = harness.Client(first.address)
        self.assertEqual(client.counts().domain_count, 1)
        client.close()

    def test_the_socket_of_a_killed_daemon_is_replaced(self):
        self.start().kill()
        self.assertTrue(os.path.exists(f"{self.folder}/simvisor.sock"))
        second = self.start()
        client = harness.Client(second.address)
        self.assertTrue(client.audit().clean)
        client.close()
        self.assertEqual(second.stop(), 0)

    def test_a_file_that_is_not_a_socket_is_left_alone(self):
        path = f"{self.folder}/simvisor.sock"
        with open(path, "w", encoding="ascii") as file:
            file.write("precious")
        refused = run_daemon("--listen", f"unix:{path}")
        self.assertEqual(refused.returncode, 1)
        with open(path, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")

    def test_flags_that_make_no_sense_end_with_usage_errors(self):
        bad_map = f"{self.folder}/map"
        with open(bad_map, "w", encoding="ascii") as file:
            file.write("no map in here\n")
        tiny_map = f"{self.folder}/tiny"
        with open(tiny_map, "w", encoding="ascii") as file:
            file.write("Xen: [mem 0x0-0x7ff] usable\n")
        for flags in (("--host-memory", "lots"), ("--host-memory", "0"),
                      ("--placement", "random"), ("--seed", "x"),
                      ("--listen", "nowhere"), ("--no-such-flag",),
                      ("--host-e820", bad_map),
                      ("--host-e820", tiny_map),
                      ("--host-e820", "/does/not/exist"),
                      ("--host-memory", "1G", "--dom0-memory", "2G")):
            with self.subTest(flags=flags):
                ended = run_daemon(*flags)
                self.assertIn(ended.returncode, (1, 2))
                self.assertEqual(ended.stdout, "")
                self.assertGreater(len(ended.stderr), 20)

    def test_the_same_seed_gives_the_same_frames(self):
        answers = []
        for _ in range(2):
            daemon = self.start("--placement", "scatter", "--seed", "7",
                                "--host-memory", "2G")
            client = harness.Client(daemon.address)
            made = client.create("vm", 4096)
            answers.append((made.uuid, client.translate("vm", range(4096))))
            client.close()
            self.assertEqual(daemon.stop(), 0)
        self.assertEqual(*answers)
        frames = [frame for _, frame in answers[0][1]]
        self.assertNotEqual(frames, sorted(frames))


if __name__ == "__main__":
    unittest.main()
