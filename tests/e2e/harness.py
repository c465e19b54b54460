"""Starts real daemons, and talks to them with a client that Debian's protoc and
grpcio make here from the proto files; it does not use Simvisor's own client.

The variables SIMVISORD and SIMVISOR name the programs.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"
HEALTH_PROTO = pathlib.Path("/usr/share/grpc-proto")
SIMVISORD = os.environ["SIMVISORD"]
SIMVISOR = os.environ["SIMVISOR"]
DEADLINE = 60  # seconds; upper bound of everything here

GIB = 262144  # pages
MIB = 256  # pages


def _find_stubs():
    """Lets imports find what scripts/python_stubs.sh makes, once for all tests."""
    out = ROOT / "build" / "python-tests"
    subprocess.run(
        [ROOT / "scripts" / "python_stubs.sh", out, "grpc/health/v1/health.proto"],
        check=True, stdout=subprocess.DEVNULL)
    sys.path.append(str(out))
    # The package made for health must not hide grpcio's own, so that searches
    # here too.
    import grpc
    grpc.__path__.append(str(out / "grpc"))
    return out


STUBS = _find_stubs()

import grpc  # noqa: E402
from google.rpc import error_details_pb2, status_pb2  # noqa: E402
from grpc.health.v1 import health_pb2, health_pb2_grpc  # noqa: E402
from simvisor.v1 import address_space_service_pb2 as address_space  # noqa: E402
from simvisor.v1 import address_space_service_pb2_grpc  # noqa: E402
from simvisor.v1 import common_pb2 as common  # noqa: E402
from simvisor.v1 import domain_service_pb2 as domain  # noqa: E402
from simvisor.v1 import domain_service_pb2_grpc  # noqa: E402
from simvisor.v1 import fault_service_pb2 as fault  # noqa: E402
from simvisor.v1 import fault_service_pb2_grpc  # noqa: E402
from simvisor.v1 import guest_load_service_pb2 as guest_load  # noqa: E402
from simvisor.v1 import guest_load_service_pb2_grpc  # noqa: E402
from simvisor.v1 import host_service_pb2 as host  # noqa: E402
from simvisor.v1 import host_service_pb2_grpc  # noqa: E402
from simvisor.v1 import live_migration_pb2 as live  # noqa: E402
from simvisor.v1 import memory_ops_pb2 as memory_ops  # noqa: E402
from simvisor.v1 import memory_service_pb2 as memory  # noqa: E402
from simvisor.v1 import memory_service_pb2_grpc  # noqa: E402
from simvisor.v1 import migration_service_pb2 as migration  # noqa: E402
from simvisor.v1 import migration_service_pb2_grpc  # noqa: E402
from simvisor.v1 import secondary_mmu_service_pb2 as secondary_mmu  # noqa: E402

__all__ = ["address_space", "common", "domain", "fault", "grpc", "guest_load",
           "health_pb2", "health_pb2_grpc", "host", "live", "memory", "memory_ops",
           "migration", "secondary_mmu"]


def poll(done, what):
    """Polls until `done()` is true and returns its value."""
    until = time.monotonic() + DEADLINE
    while True:
        answer = done()
        if answer:
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"it did not come to pass: {what}")
        time.sleep(0.002)


class Daemon:
    """A separate daemon for a test, on a socket in its own folder.

    `preexec` runs in the daemon's process before the daemon does.
    """

    def __init__(self, *flags, folder=None, preexec=None):
        self._folder = None if folder else tempfile.TemporaryDirectory()
        self.socket = os.path.join(folder or self._folder.name, "simvisor.sock")
        self.address = f"unix:{self.socket}"
        self.log = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(
            [SIMVISORD, "--listen", self.address, *flags],
            stdout=subprocess.PIPE, stderr=self.log, text=True,
            preexec_fn=preexec)
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(DEADLINE)
            raise RuntimeError(f"no ready line; log:\n{self.read_log()}")
        self.ready = json.loads(line)

    def read_log(self):
        self.log.seek(0)
        return self.log.read()

    def logged_errors(self):
        """The lines of its log that are errors or worse; the level follows the
        time (server/logging.cc)."""
        return [line for line in self.read_log().splitlines()
                if re.match(r"\S+ (error|critical) ", line)]

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * 4096

    def peak_rss(self):
        """The peak of the daemon's resident memory, in bytes."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) << 10
        raise AssertionError("no VmHWM")

    def stop(self):
        """Asks the daemon to exit and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)

    def kill(self):
        self.process.kill()
        self.process.wait(DEADLINE)

    def close(self):
        if self.process.poll() is None:
            self.kill()
        self.process.stdout.close()
        self.log.close()
        if self._folder:
            self._folder.cleanup()


class Client:
    """Stubs on one channel."""

    def __init__(self, address):
        # Its own connection: a shared one to a daemon that has died would back
        # off before it finds the next daemon at the same address.
        self.channel = grpc.insecure_channel(
            address, options=(("grpc.use_local_subchannel_pool", 1),))
        self.host = host_service_pb2_grpc.HostServiceStub(self.channel)
        self.domain = domain_service_pb2_grpc.DomainServiceStub(self.channel)
        self.memory = memory_service_pb2_grpc.MemoryServiceStub(self.channel)
        self.guest_load = guest_load_service_pb2_grpc.GuestLoadServiceStub(
            self.channel)
        self.address_space = (
            address_space_service_pb2_grpc.AddressSpaceServiceStub(
                self.channel))
        self.migration = migration_service_pb2_grpc.MigrationServiceStub(
            self.channel)
        self.fault = fault_service_pb2_grpc.FaultServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def close(self):
        self.channel.close()

    def create(self, name, pages, paused=False, **spec):
        request = domain.CreateDomainRequest(
            spec=domain.DomainSpec(name=name, memory_pages=pages, **spec),
            start_paused=paused)
        return self.domain.CreateDomain(request, timeout=DEADLINE).domain

    def destroy(self, name):
        return self.domain.DestroyDomain(
            domain.DestroyDomainRequest(domain=ref(name)), timeout=DEADLINE)

    def get(self, name):
        return self.domain.GetDomain(
            domain.GetDomainRequest(domain=ref(name)), timeout=DEADLINE).domain

    def counts(self):
        return self.host.GetHost(host.GetHostRequest(), timeout=DEADLINE).host

    def audit(self):
        return self.host.AuditHost(host.AuditHostRequest(), timeout=DEADLINE)

    def translate(self, name, pfns):
        answer = self.memory.TranslatePfns(
            memory.TranslatePfnsRequest(domain=ref(name), pfns=pfns),
            timeout=DEADLINE)
        return list(zip(answer.classes, answer.frames))

    def runs(self, name, **request):
        answer = self.memory.ListP2mRuns(
            memory.ListP2mRunsRequest(domain=ref(name), **request),
            timeout=DEADLINE)
        return [run for part in answer for run in part.runs]

    def read_frames(self, *extents):
        """The contents of frames by mfn."""
        request = host.ReadFramesRequest(extents=[
            common.MfnExtent(first_mfn=first, count=count)
            for first, count in extents])
        return {frame.mfn: frame.content or bytes(4096)
                for part in self.host.ReadFrames(request, timeout=DEADLINE)
                for frame in part.frames}


def ref(name):
    return (common.DomainRef(domid=name) if isinstance(name, int)
            else common.DomainRef(name=name))


def reason_of(error):
    """The reason in a failed call's ErrorInfo."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    assert info.domain == "simvisor", info
                    return info.reason
    return None


class DaemonTest(unittest.TestCase):
    """A test case with one daemon for all its tests; FLAGS are its flags."""

    FLAGS = ()

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(*cls.FLAGS)
        cls.client = Client(cls.daemon.address)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        code = cls.daemon.stop()
        log = cls.daemon.read_log()
        cls.daemon.close()
        assert code == 0, f"the daemon ended with {code}:\n{log}"

    def assert_clean(self):
        answer = self.client.audit()
        self.assertEqual(list(answer.findings), [])
        self.assertTrue(answer.clean)
        counts = self.client.counts()
        self.assertEqual(
            counts.total_pages,
            counts.free_pages + counts.owned_pages + counts.reserved_pages)

    @contextlib.contextmanager
    def assert_refused(self, code, reason):
        """The block fails with code and reason, changes no count, and leaves a
        machine whose audit is clean."""
        before = self.client.counts()
        with self.assertRaises(grpc.RpcError) as caught:
            yield
        error = caught.exception
        self.assertEqual((error.code().name, reason_of(error)), (code, reason),
                         error.details())
        self.assertGreater(len(error.details()), 20)
        self.assertEqual(self.client.counts(), before)
        self.assert_clean()

    def refuse(self, code, reason, call, request):
        """The same for one call, whose responses are read if it streams."""
        with self.assert_refused(code, reason):
            answer = call(request)
            if hasattr(answer, "__iter__"):
                list(answer)


def take_interrupts():
    """Lets SIGINT end a process again, as its preexec_fn: a shell that starts
    tests in the background makes them ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def simvisor(address, *args, check=True, **kwargs):
    """Runs the CLI against a daemon."""
    result = subprocess.run(
        [SIMVISOR, "--address", address, *args], capture_output=True, text=True,
        timeout=DEADLINE, check=False, **kwargs)
    if check and result.returncode != 0:
        raise AssertionError(
            f"simvisor {' '.join(args)} ended with {result.returncode}:\n"
            f"{result.stdout}{result.stderr}")
    return result
