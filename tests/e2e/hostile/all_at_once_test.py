"""All attacks at once against one daemon with small budgets: meanwhile a quiet
client gets its answers in time, and afterwards the daemon is as it was.

The attacks run in a few separate processes, see attacks.  SIMVISOR_SECONDS=n
sets how long (30 if not set), SIMVISOR_ATTACKS=NAME,NAME sets which (all if not
set).
"""

import collections
import contextlib
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import budgets  # noqa: E402
import harness  # noqa: E402
import settling  # noqa: E402
from harness import DEADLINE, domain, grpc, ref  # noqa: E402
from soak.watchdog import stacks  # noqa: E402

MIB = 1 << 20
WARM_UP_SECONDS = 12.0
SECONDS = float(os.environ.get("SIMVISOR_SECONDS", 30))

# Which attacks share a process.
PROCESSES = (
    ("idle_connections",),
    ("unparsable_messages", "cancelled_bodies", "bad_names",
     "reflection_streams"),
    ("silent_streams", "unread_streams", "hostile_images"),
    ("hotplug_areas", "scattered_creates", "lying_peers"),
    ("load_checks", "audits", "one_file"),
)

CHOSEN = os.environ.get("SIMVISOR_ATTACKS")
if CHOSEN:
    PROCESSES = [[name for name in names if name in CHOSEN.split(",")]
                 for names in PROCESSES]
    PROCESSES = [names for names in PROCESSES if names]

HOST_GIB = 24
FLAGS = ("--host-memory", f"{HOST_GIB}G", "--dom0-memory", "1G",
         "--placement", "scatter")
# Limits that the attacks must not exceed.
LIMITS = {"max_connections": 300, "handshake_timeout": 1, "idle_timeout": 2,
          "stall_timeout": "3s", "max_calls": 600}
# The usual soft limit of a user's processes; a daemon may raise it to the hard
# limit.
DESCRIPTORS = 1024

# The most that the daemon's tables take when every frame is scattered: a word
# of 8 bytes in the machine's list and one in a guest's.
TABLE_BYTES = HOST_GIB * harness.GIB * 16
OWN_BYTES = 300 * MIB  # the daemon without guests, its threads and their stacks

INTERVAL = 0.02  # between two calls of the quiet client
ANSWER_SECONDS = 1.0  # within which each is answered
NEW_CLIENT_INTERVAL = 1.0  # between two new connections
BACK_SECONDS = 30  # after which the daemon must be as it was
RSS_FACTOR = 1.2


class Quiet:
    """A client that looks at its own domain all the time."""

    def __init__(self, daemon, tcp):
        self.daemon = daemon
        self.addresses = (daemon.address, tcp)
        self.client = harness.Client(daemon.address)
        self.client.create("quiet", 1000)
        self.took = []  # seconds of each call
        self.new_took = []  # on new connections, including refused calls
        self.new_refused = collections.Counter()
        self.highest_rss = 0

    def watch(self, seconds):
        """Calls until the time is over or the daemon has died."""
        end = time.monotonic() + seconds
        newcomers = threading.Thread(target=self._connect_until, args=(end,))
        newcomers.start()
        try:
            while (time.monotonic() < end
                   and self.daemon.process.poll() is None):
                began = time.monotonic()
                self.client.get("quiet")
                self.took.append(time.monotonic() - began)
                self.highest_rss = max(self.highest_rss,
                                       self.daemon.rss_bytes())
                time.sleep(INTERVAL)
        finally:
            newcomers.join()

    def _connect_until(self, end):
        for address in itertools.cycle(self.addresses):
            if (time.monotonic() + NEW_CLIENT_INTERVAL > end
                    or self.daemon.process.poll() is not None):
                return
            time.sleep(NEW_CLIENT_INTERVAL)
            self._connect(address)

    def _connect(self, address):
        """A call on its own new connection."""
        began = time.monotonic()
        client = harness.Client(address)
        try:
            client.domain.GetDomain(domain.GetDomainRequest(
                domain=ref("quiet")), timeout=10)
        except grpc.RpcError as error:
            self.new_refused[f"{error.code().name} {error.details()}"] += 1
        finally:
            client.close()
        self.new_took.append(time.monotonic() - began)

    def show(self):
        for what, all_of_them in (("open connection", self.took),
                                  ("new connection", self.new_took)):
            took = sorted(all_of_them)
            if took:
                print(f"{what}: {len(took)} calls, " + ", ".join(
                    f"{share:g} % within {1000 * took[at]:.1f} ms"
                    for share in (50, 99, 99.9, 100)
                    for at in [min(len(took) - 1,
                                   int(len(took) * share / 100))]))
        for what, count in self.new_refused.most_common():
            print(f"  {count} x {what}")
        print(f"RSS at most {self.highest_rss / MIB:.0f} MiB of "
              f"{rss_limit() / MIB:.0f}", flush=True)


def rss_limit():
    return budgets.total_bytes() + TABLE_BYTES + OWN_BYTES


class Attackers:
    """The processes of the attacks."""

    def __init__(self, daemon, tcp, seconds):
        self._folder = tempfile.TemporaryDirectory()
        self._processes = [subprocess.Popen(
            [sys.executable, os.path.join(HERE, "attacks", "run.py"),
             daemon.address, tcp, self._folder.name, str(seconds), *names],
            stdout=subprocess.PIPE, text=True) for names in PROCESSES]
        self.came_back, self.wrong = {}, []

    def end(self):
        """Waits for them, kills those that do not end, and records what they
        have seen."""
        for one, names in zip(self._processes, PROCESSES):
            try:
                out, _ = one.communicate(timeout=DEADLINE / 2)
                seen = json.loads(out) if out else {}
            except subprocess.TimeoutExpired:
                one.kill()
                one.communicate()
                seen = {name: {"came back": {"killed": 1}, "wrong": []}
                        for name in names}
            for name in names:
                told = seen.get(name, {"came back": {}, "wrong": []})
                self.came_back[name] = told["came back"]
                self.wrong += told["wrong"]
        self._folder.cleanup()

    def show(self):
        for name, counts in self.came_back.items():
            print(f"{name}: " + ", ".join(
                f"{count} {what}" for what, count in sorted(
                    counts.items(), key=lambda one: -one[1])))
        sys.stdout.flush()


class AllAtOnceTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.daemon = cls._start()
        cls.tcp = cls.daemon.ready["addresses"][1]
        cls.quiet = Quiet(cls.daemon, cls.tcp)

    @classmethod
    def _start(cls):
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE,
                           (min(DESCRIPTORS, limits[1]), limits[1]))
        try:
            return harness.Daemon(
                "--listen", "127.0.0.1:0", "--log-level", "error", *FLAGS,
                *budgets.flags(**LIMITS))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    @classmethod
    def tearDownClass(cls):
        cls.quiet.client.close()
        cls.daemon.close()

    # --- One attack of all kinds ---

    def attack(self, seconds):
        attackers = Attackers(self.daemon, self.tcp, seconds)
        try:
            self.quiet.watch(seconds)
        except grpc.RpcError as error:
            self.fail_with_log(f"the quiet client: {error.code().name} "
                               f"{error.details()}")
        finally:
            attackers.end()
            attackers.show()
        if self.daemon.process.poll() is not None:
            self.fail_with_log("the daemon has died")
        return attackers

    def fail_with_log(self, what):
        # A daemon that was just stopped takes a moment to exit.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.daemon.process.wait(0.5)
        self.fail(f"{what}; exit code {self.daemon.process.poll()}:\n"
                  f"{self.daemon.read_log()[-3000:]}")

    # --- Back to what it was ---

    def end_domains(self):
        """Ends what the attackers have left; calls that they were stopped in
        the middle of may still leave something."""
        client = self.quiet.client
        settling.decide_migrations(client)
        for one in self.domains():
            if one.domid != 0 and one.name != "quiet":
                with contextlib.suppress(grpc.RpcError):
                    client.destroy(one.domid)

    def domains(self):
        found, token = [], ""
        while True:
            answer = self.quiet.client.domain.ListDomains(
                domain.ListDomainsRequest(page_token=token), timeout=DEADLINE)
            found += answer.domains
            token = answer.next_page_token
            if not token:
                return found

    def await_as_before(self, before):
        seen = []

        def is_as_before():
            self.end_domains()
            seen[:] = [self.quiet.client.counts()]
            return seen[0] == before
        self.await_it(
            is_as_before, lambda: f"GetHost says {seen[0]}, not {before}\n"
            f"{stacks(self.daemon.process.pid)[-20000:]}")

    def await_it(self, done, what):
        until = time.monotonic() + BACK_SECONDS
        while not done():
            if time.monotonic() > until:
                self.fail(f"after {BACK_SECONDS} s: {what()}")
            time.sleep(0.2)

    def await_rss(self, before):
        self.await_it(
            lambda: self.daemon.rss_bytes() <= before * RSS_FACTOR,
            lambda: f"the daemon takes {self.daemon.rss_bytes() / MIB:.0f} "
                    f"MiB, {before / MIB:.0f} before")
        print(f"RSS afterwards {self.daemon.rss_bytes() / MIB:.0f} MiB")

    def check_answers(self):
        self.assertLess(max(self.quiet.took), ANSWER_SECONDS)

    def check_memory(self):
        self.assertLessEqual(self.quiet.highest_rss, rss_limit())

    def check_sound(self):
        answer = self.quiet.client.audit()
        self.assertEqual(list(answer.findings), [])
        self.assertTrue(answer.clean)
        self.assertEqual(self.quiet.client.get("quiet").name, "quiet")

    def check_new_clients(self):
        """New domains are accepted, and all names that the attackers used are
        free."""
        for address in (self.daemon.address, self.tcp) * 3:
            client = harness.Client(address)
            try:
                for name in ("silent-restore0", "silent0", "area0", "image0",
                             "claims", "moves0", "file0"):
                    client.create(name, 600)
                    client.destroy(name)
            finally:
                client.close()

    def test_quiet_client_is_answered_and_the_daemon_is_as_it_was(self):
        before = self.quiet.client.counts()
        self.attack(WARM_UP_SECONDS)
        self.await_as_before(before)
        rss_before = self.daemon.rss_bytes()
        print(f"after {WARM_UP_SECONDS:g} s of all attacks: "
              f"{rss_before / MIB:.0f} MiB", flush=True)
        try:
            attackers = self.attack(SECONDS)
        finally:
            self.quiet.show()
        for check in (
                self.check_answers, self.check_memory,
                lambda: self.assertEqual(attackers.wrong, []),
                lambda: self.await_as_before(before), self.check_sound,
                self.check_new_clients, lambda: self.await_rss(rss_before),
                lambda: self.assertEqual(self.daemon.stop(), 0)):
            with self.subTest():  # each reports what it finds
                check()


if __name__ == "__main__":
    unittest.main()
