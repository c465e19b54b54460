"""Addresses that clash, and user's files next to sockets."""

import os
import pathlib
import subprocess
import socket
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402


def port_of(daemon):
    return daemon.ready["addresses"][-1].rsplit(":", 1)[1]


class ListenTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def start(self, *flags):
        daemon = harness.Daemon(*flags, folder=self.folder)
        self.addCleanup(daemon.close)
        return daemon

    def refusal(self, *addresses):
        """What the daemon says about addresses that it cannot listen on."""
        flags = [word for address in addresses for word in ("--listen", address)]
        ended = subprocess.run(
            [harness.SIMVISORD, *flags], capture_output=True, text=True,
            timeout=harness.DEADLINE, check=False)
        self.assertEqual(ended.returncode, 1, ended.stderr)
        self.assertEqual(ended.stdout, "")
        return ended.stderr

    def path(self, name):
        return os.path.join(self.folder, name)

    def test_one_socket_by_two_names(self):
        os.symlink(self.folder, self.path("link"))
        first, second = f"unix:{self.path('s')}", f"unix:{self.path('link/s')}"
        said = self.refusal(first, second)
        self.assertIn(first, said)
        self.assertIn(second, said)
        self.assertIn("same socket", said)
        self.assertEqual(os.listdir(self.folder), ["link"])

    def test_one_port_by_two_addresses(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        for first, second in (("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1"),
                              ("127.0.0.1", "[::]"), ("[::]", "0.0.0.0"),
                              ("127.0.0.1", "localhost")):
            with self.subTest(first=first, second=second):
                first, second = f"{first}:{port}", f"{second}:{port}"
                said = self.refusal(first, second)
                self.assertIn(f"cannot listen on {second}", said)
                self.assertIn(f"--listen {first} has taken that port", said)

    def test_a_port_of_another_process(self):
        daemon = self.start("--listen", "127.0.0.1:0")
        for name in ("127.0.0.1", "0.0.0.0", "localhost"):
            with self.subTest(host=name):
                address = f"{name}:{port_of(daemon)}"
                said = self.refusal(f"unix:{self.path('t')}", address)
                self.assertIn(f"cannot listen on {address}", said)
                self.assertIn("Address already in use", said)
                self.assertFalse(os.path.exists(self.path("t")))

    def test_a_path_of_another_process(self):
        daemon = self.start()
        said = self.refusal(daemon.address)
        self.assertIn(f"cannot listen on {daemon.address}", said)
        self.assertIn(f"process {daemon.process.pid} listens there", said)

    def test_nothing_beside_the_socket_is_touched(self):
        lock = self.path("simvisor.sock.lock")
        for make in (lambda: pathlib.Path(lock).write_text("precious", "ascii"),
                     lambda: pathlib.Path(lock).write_text("", "ascii"),
                     lambda: os.symlink("target", lock),
                     lambda: os.mkdir(lock), lambda: os.mkfifo(lock)):
            make()
            before = os.lstat(lock)
            daemon = self.start()
            self.assertEqual(sorted(os.listdir(self.folder)),
                             ["simvisor.sock", "simvisor.sock.lock"])
            self.assertEqual(daemon.stop(), 0)
            self.assertEqual(os.listdir(self.folder), ["simvisor.sock.lock"])
            after = os.lstat(lock)
            self.assertEqual((after.st_ino, after.st_mode, after.st_size),
                             (before.st_ino, before.st_mode, before.st_size))
            self.start().kill()
            self.start().stop()
            os.rmdir(lock) if os.path.isdir(lock) else os.remove(lock)

    def test_a_file_that_takes_the_sockets_place_stays(self):
        daemon = self.start()
        os.remove(daemon.socket)
        pathlib.Path(daemon.socket).write_text("precious", "ascii")
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(pathlib.Path(daemon.socket).read_text("ascii"),
                         "precious")

    def test_of_daemons_that_start_at_once_one_serves(self):
        address = f"unix:{self.path('simvisor.sock')}"
        for _ in range(3):
            self.start().kill()  # leaves its socket
            started = [
                subprocess.Popen([harness.SIMVISORD, "--listen", address],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True)
                for _ in range(4)]
            ready = [bool(process.stdout.readline()) for process in started]
            client = harness.Client(address)
            served = client.counts().domain_count == 1
            client.close()
            said = []
            for process, serves in zip(started, ready):
                if serves:
                    process.terminate()
                said.append(process.communicate(timeout=harness.DEADLINE)[1])
            self.assertEqual(sum(ready), 1)
            self.assertTrue(served)
            for process, serves, text in zip(started, ready, said):
                self.assertEqual(process.returncode, 0 if serves else 1, text)
                if not serves:
                    self.assertIn("listens there", text)


if __name__ == "__main__":
    unittest.main()
