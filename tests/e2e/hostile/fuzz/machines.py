"""The daemons that are fuzzed, and what must hold for an idle one."""

import contextlib
import glob
import os
import socket
import tempfile
import time

from harness import (DEADLINE, ROOT, common, domain, fault, grpc, guest_load,
                     memory, migration, poll, ref)
from soak import machines as soak_machines

from fuzz import reflection
from fuzz.values import Values
from fuzz.words import NAMES
import budgets
import settling

MIB = 1 << 20

# RAM of each machine, in MiB: small enough to be full at times.
FLAGS = ("--host-memory", "4096", "--dom0-memory", "512", "--cpus", "8")

ANSWER_SECONDS = 1.0  # within which an idle machine answers
IDLE_SHARE = 0.5  # of a CPU, the most that an idle machine uses
IDLE_SECONDS = 0.3  # over which that is measured

# Memory that a daemon may use beside the budgets for client data.
OWN_BYTES = 400 * MIB

# Guests kept between two rounds; the others are destroyed.
KEPT_GUESTS = 8
# Each round begins with at least this many, including dom0.
FEWEST_GUESTS = 6


class Machine(soak_machines.Machine):
    """A daemon with what a fuzzer knows about it."""

    def __init__(self, name, *flags):
        super().__init__(name, *FLAGS, *budgets.flags(), *flags)
        self.channel = self.client.channel
        self.methods = reflection.methods(self.channel)
        self.values = Values()
        self.rss_limit = OWN_BYTES + budgets.total_bytes()
        self.highest_rss = 0
        [self.dom0_pages] = [one.memory.current_pages for one in self.list()]

    def on_their_way(self):
        """As in the soak, but over all pages of the lists."""
        return [one for one in settling.all_migrations(self.client)
                if one.state in soak_machines.OPEN_STATES] + [
                    one for one in self.list() if one.suspended]

    # --- Between rounds ---

    def settle(self):
        """Ends open work and most guests, so that the machine can be
        checked."""
        self._remove_faults()
        settling.decide_migrations(self.client)
        guests = [one for one in self.list() if one.domid != 0]
        for one in guests[KEPT_GUESTS:]:
            self._destroy(one.domid)
        settling.decide_migrations(self.client)
        self.await_rest()

    def populate(self, random):
        """Gives the fuzzer guests of each kind to begin a round with, and
        removes those that are gone."""
        for kind in ("domid", "name", "uuid", "pae_domid"):
            self.values.forget(kind)
        missing = FEWEST_GUESTS - len(self.list())
        for _ in range(missing):
            with contextlib.suppress(grpc.RpcError):
                self.client.create(
                    random.choice(NAMES), random.choice((600, 3000, 20000)),
                    max_memory_pages=30000, arch=random.choice((1, 2)),
                    paused=random.random() < 0.2,
                    tools_view=random.choice((1, 2)),
                    pae_kernel=domain.PaeKernel(
                        shared_kernel_pmd=random.random() < 0.5))
        for one in self.list():
            self.values.learn(one, random)

    def empty(self):
        """Ends every guest; afterwards all frames except dom0's are free."""
        self.settle()
        self._tidy_dom0()

        def is_empty():
            left = [one for one in self.list() if one.domid != 0]
            for one in left:
                if one.state != domain.DOMAIN_STATE_DYING:
                    self._destroy(one.domid)
            return not left
        poll(is_empty, f"{self.name}: every guest ends")

    def _remove_faults(self):
        with contextlib.suppress(grpc.RpcError):
            self.client.fault.RemoveFaults(fault.RemoveFaultsRequest(all=True),
                                           timeout=DEADLINE)

    def _destroy(self, domid):
        with contextlib.suppress(grpc.RpcError):
            self.client.destroy(domid)

    def _tidy_dom0(self):
        """dom0 runs no load, maps no foreign frames and has its size again."""
        client, dom0 = self.client, ref(0)
        with contextlib.suppress(grpc.RpcError):
            client.guest_load.StopGuestLoad(
                guest_load.StopGuestLoadRequest(domain=dom0), timeout=DEADLINE)
        client.domain.UnpauseDomain(
            domain.UnpauseDomainRequest(domain=dom0), timeout=DEADLINE)
        for run in client.runs(0):
            if run.p2m_class == common.P2M_CLASS_FOREIGN:
                client.memory.UnmapForeignFrames(
                    memory.UnmapForeignFramesRequest(
                        domain=dom0, pfns=range(run.first_pfn,
                                                run.first_pfn + run.count)),
                    timeout=DEADLINE)
        client.memory.SetMaxMemory(
            memory.SetMaxMemoryRequest(domain=dom0,
                                       max_pages=client.counts().total_pages),
            timeout=DEADLINE)
        client.memory.SetMemoryTarget(
            memory.SetMemoryTargetRequest(domain=dom0,
                                          target_pages=self.dom0_pages),
            timeout=DEADLINE)

    # --- What must hold ---

    def judge(self):
        """Raises AssertionError with everything that does not hold for an idle
        machine."""
        self.census()
        self.audit()
        self._answers_at_once()
        self.highest_rss = max(self.highest_rss, self.daemon.rss_bytes())
        assert self.highest_rss <= self.rss_limit, (
            f"{self.name} takes {self.highest_rss // MIB} MiB, more than "
            f"{self.rss_limit // MIB}")

    def judge_empty(self):
        self.judge()
        counts = self.client.counts()
        [dom0] = self.list()
        assert counts.owned_pages == dom0.memory.current_pages, (
            f"{self.name}: {counts.owned_pages} frames are owned, dom0 has "
            f"{dom0.memory.current_pages}")
        self._idles()

    def _answers_at_once(self):
        """The best of three, because a test machine is busy with other work
        too."""
        took = []
        for _ in range(3):
            began = time.monotonic()
            self.client.counts()
            took.append(time.monotonic() - began)
            if took[-1] < ANSWER_SECONDS:
                return
        raise AssertionError(f"{self.name} takes {took} s for GetHost")

    def _cpu_seconds(self):
        with open(f"/proc/{self.daemon.process.pid}/stat",
                  encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _idles(self):
        """Without guests there is nothing to do; a thread that keeps working is
        stuck."""
        def is_idle():
            before = self._cpu_seconds()
            time.sleep(IDLE_SECONDS)
            return (self._cpu_seconds() - before) / IDLE_SECONDS < IDLE_SHARE
        poll(is_idle, f"{self.name} has nothing to do and rests")

    def threads(self):
        return len(os.listdir(f"/proc/{self.daemon.process.pid}/task"))

    # --- Images to begin with ---

    def save_images(self, random):
        """Fills the values with images of guests of a few kinds."""
        for layer in range(1, 4):
            for arch in (common.ARCH_X86_64, common.ARCH_X86_32_PAE):
                self.client.create("image", 600, max_memory_pages=900,
                                   arch=arch)
                self.client.guest_load.StartGuestLoad(
                    guest_load.StartGuestLoadRequest(
                        domain=ref("image"), spec=guest_load.LoadSpec(
                            pages_per_second=5000, working_set_pages=20)),
                    timeout=DEADLINE)
                start = migration.SaveDomainRequest(
                    start=migration.SaveDomainRequest.Start(
                        domain=ref("image"), layer=layer))
                stored = migration.SaveDomainRequest(
                    stored=migration.SaveDomainRequest.Stored())
                self.values.add("image", b"".join(
                    one.data for one in self.client.migration.SaveDomain(
                        iter([start, stored]), timeout=DEADLINE)), random)
        for file in glob.glob(str(ROOT / "tests" / "testdata" / "*" / "*.xl")):
            with open(file, "rb") as image:
                self.values.add("image", image.read(), random)


class Machines:
    """Three daemons that know of each other, and addresses without a daemon."""

    def __init__(self, seed):
        self._folder = tempfile.TemporaryDirectory()
        self._mute = socket.socket(socket.AF_UNIX)
        self._mute.bind(os.path.join(self._folder.name, "mute.sock"))
        self._mute.listen(4)
        self._closed = socket.socket()
        self._closed.bind(("127.0.0.1", 0))
        number = str(seed % 2**63)
        self.all = [
            Machine("plain", "--seed", number),
            Machine("scattered", "--seed", number, "--placement", "scatter"),
            Machine("faulty", "--seed", number, "--enable-fault-injection")]

    def targets(self):
        """Addresses that a daemon may be told to connect to: none outside the
        test."""
        port = self._closed.getsockname()[1]
        return [one.address for one in self.all] * 4 + [
            f"unix:{self._folder.name}/nobody.sock",
            f"unix:{self._folder.name}/mute.sock", f"127.0.0.1:{port}",
            f"[::1]:{port}", "", "unix:", "127.0.0.1", "127.0.0.1:0",
            "127.0.0.1:99999", "unix-abstract:7", "unix:" + "x" * 200,
            f"unix:{self._folder.name}/\x1b[31m\u202ered.sock"]

    def end(self):
        """Stops all daemons, which must not have logged an error."""
        for one in self.all:
            one.end()
        self._close()

    def close(self):
        for one in self.all:
            one.close()
        self._close()

    def _close(self):
        self._mute.close()
        self._closed.close()
        self._folder.cleanup()
