"""Connections that say nothing, or nothing more, do not keep other clients
out."""

import os
import pathlib
import resource
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402
from harness import grpc, host  # noqa: E402

DESCRIPTORS = 256  # that the daemon may have
FLOOD = 400  # connections, more than that
PATIENCE = 10  # seconds within which a new client must get in

# What a client begins with: the preface and an empty frame of settings.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


def limit_descriptors(soft, hard):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_connection(address):
    if address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        target = address.removeprefix("unix:")
    else:
        connection = socket.socket()
        name, port = address.rsplit(":", 1)
        target = (name, int(port))
    connection.setblocking(False)
    try:
        connection.connect(target)
    except BlockingIOError:
        pass  # the daemon's queue is full, or TCP needs a moment
    return connection


def send(connection, data):
    try:
        connection.send(data)
    except OSError:
        pass  # closed by the daemon, or not yet connected


class ConnectionsTest(unittest.TestCase):

    def setUp(self):
        self.flood = []
        self.addCleanup(self.end_flood)

    def start(self, *flags, soft=DESCRIPTORS, hard=DESCRIPTORS):
        daemon = harness.Daemon("--listen", "127.0.0.1:0", *flags,
                                preexec=limit_descriptors(soft, hard))
        self.addCleanup(daemon.close)
        return daemon

    def start_flood(self, address, data=b""):
        for _ in range(FLOOD):
            connection = open_connection(address)
            if data:
                send(connection, data)
            self.flood.append(connection)

    def end_flood(self):
        while self.flood:
            self.flood.pop().close()

    def descriptors(self, daemon):
        return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))

    def await_descriptors(self, daemon, most):
        deadline = time.monotonic() + PATIENCE
        while self.descriptors(daemon) > most:
            self.assertLess(time.monotonic(), deadline,
                            f"{self.descriptors(daemon)} open, not {most}")
            time.sleep(0.02)

    def assert_served(self, address):
        """A new client gets an answer; returns the seconds it took."""
        start = time.monotonic()
        client = harness.Client(address)
        self.addCleanup(client.close)
        client.host.GetHost(host.GetHostRequest(), timeout=PATIENCE,
                            wait_for_ready=True)
        return time.monotonic() - start

    def test_more_connections_than_descriptors_come_and_go(self):
        for kind in (0, 1):
            daemon = self.start()
            with self.subTest(address=daemon.ready["addresses"][kind]):
                before = self.descriptors(daemon)
                for _ in range(2):
                    self.start_flood(daemon.ready["addresses"][kind])
                    self.end_flood()
                for address in daemon.ready["addresses"]:
                    self.assert_served(address)
                self.await_descriptors(daemon, before + 2)
            self.assertEqual(daemon.stop(), 0)

    def test_a_new_client_gets_in_while_silent_ones_hold_on(self):
        for kind in (0, 1):
            daemon = self.start("--handshake-timeout", "60")
            with self.subTest(address=daemon.ready["addresses"][kind]):
                self.start_flood(daemon.ready["addresses"][kind])
                for address in daemon.ready["addresses"]:
                    self.assert_served(address)
                self.assertLess(self.descriptors(daemon), DESCRIPTORS)
                self.end_flood()
            self.assertEqual(daemon.stop(), 0)

    def test_silent_connections_go_after_the_handshake_timeout(self):
        daemon = self.start("--handshake-timeout", "1")
        before = self.descriptors(daemon)
        for address in daemon.ready["addresses"]:
            for data in (b"", PREFACE[:10], PREFACE[:24]):
                connection = open_connection(address)
                self.flood.append(connection)
                send(connection, data)
        self.await_descriptors(daemon, before)

    def test_a_new_client_gets_in_when_connections_are_idle(self):
        daemon = self.start("--idle-timeout", "2")
        self.start_flood(daemon.ready["addresses"][1], PREFACE)
        for address in daemon.ready["addresses"]:
            self.assert_served(address)

    def test_a_connection_with_a_call_does_not_go_for_a_new_one(self):
        daemon = self.start("--idle-timeout", "2")
        # The oldest and quietest of all, except for its call.
        client = harness.Client(daemon.ready["addresses"][1])
        self.addCleanup(client.close)
        watch = client.health.Watch(
            harness.health_pb2.HealthCheckRequest(), timeout=harness.DEADLINE)
        self.assertEqual(next(watch).status, 1)
        self.start_flood(daemon.ready["addresses"][1], PREFACE)
        # At least as many as a peer may have: if it were idle, it would be
        # closed first.
        start = time.monotonic()
        while time.monotonic() - start < 4:
            self.assert_served(daemon.ready["addresses"][1])
        self.assertTrue(watch.is_active())
        watch.cancel()

    def test_one_process_does_not_keep_another_out(self):
        daemon = self.start()
        self.start_flood(daemon.address, PREFACE)
        start = time.monotonic()
        answer = harness.simvisor(daemon.address, "list")
        self.assertIn("Domain-0", answer.stdout)
        # Long before any of the others has been idle for long enough.
        self.assertLess(time.monotonic() - start, PATIENCE)

    def test_an_idle_connection_stays_while_there_is_room(self):
        daemon = self.start("--idle-timeout", "1")
        clients = [harness.Client(address)
                   for address in daemon.ready["addresses"]]
        for client in clients:
            self.addCleanup(client.close)
            client.counts()
        before = self.descriptors(daemon)
        time.sleep(2)  # no condition to wait for: it must not happen
        self.assertEqual(self.descriptors(daemon), before)
        for client in clients:
            client.counts()
        self.assertEqual(self.descriptors(daemon), before)

    def test_the_limit_of_open_files_is_raised(self):
        daemon = self.start(soft=64, hard=1000)
        limits = pathlib.Path(f"/proc/{daemon.process.pid}/limits").read_text(
            encoding="ascii")
        self.assertRegex(limits, r"Max open files +1000 +1000 ")

    def test_a_bound_beyond_the_limit_of_open_files_is_refused(self):
        with self.assertRaisesRegex(RuntimeError, "limit of 256 open files"):
            self.start("--max-connections", "250")


if __name__ == "__main__":
    unittest.main()
