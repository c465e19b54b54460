"""Domains are saved and restored, by the CLI and by RPC; Xen's own verifier and
an independent checker of what restorers insist on read every image.

The verifier comes from Debian's xen-utils-4.17, unpacked where XEN_UTILS says.
"""

import itertools
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import unittest

import harness
from harness import common, domain, guest_load, memory, migration, ref

sys.path.insert(0, os.path.dirname(__file__))
import stream_checker  # noqa: E402

XEN = pathlib.Path(os.environ["XEN_UTILS"]) / "usr" / "lib" / "xen-4.17"
SAMPLES = harness.ROOT / "tests" / "testdata" / "streams"
LAYERS = ("libxc", "libxl", "xl")


def verify(path, layer):
    """The verifier's exit code and output."""
    environment = dict(os.environ, PYTHONPATH=str(XEN / "lib" / "python"),
                       PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run(
        ["/usr/bin/python3", str(XEN / "bin" / "verify-stream-v2"),
         "-f", layer, "-i", str(path)],
        env=environment, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


class SamplesTest(unittest.TestCase):

    def test_the_verifier_says_of_the_samples_what_their_names_say(self):
        for path in sorted(SAMPLES.iterdir()):
            code, said = verify(path, "libxc")
            accepted = not path.name.startswith("bad-")
            self.assertEqual(code == 0, accepted, f"{path.name}: {said}")

    def test_the_checker_sees_the_holes_that_the_verifier_leaves(self):
        for path in sorted(SAMPLES.iterdir()):
            sound = (path.name.startswith("valid-")
                     or path.name == "hole-trailing-garbage.libxc")
            with self.subTest(path.name):
                if sound:
                    stream_checker.check(path.read_bytes())
                else:
                    with self.assertRaises(stream_checker.Bad):
                        stream_checker.check(path.read_bytes())


class ImagesTest(harness.DaemonTest):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def tearDown(self):
        for one in self.client.domain.ListDomains(
                domain.ListDomainsRequest()).domains:
            if one.domid != 0 and one.state != domain.DOMAIN_STATE_DYING:
                self.client.destroy(one.domid)
        self.assert_clean()

    def simvisor(self, *arguments, code=0):
        done = subprocess.run(
            [harness.SIMVISOR, "-H", self.daemon.address, *arguments],
            capture_output=True, text=True, timeout=harness.DEADLINE)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def write(self, name, pfn, data):
        self.client.memory.WriteGuestMemory(memory.WriteGuestMemoryRequest(
            domain=ref(name), pfn=pfn, data=data))

    def read(self, name, pfn, size=4096):
        return self.client.memory.ReadGuestMemory(
            memory.ReadGuestMemoryRequest(domain=ref(name), pfn=pfn,
                                          length_bytes=size)).data

    def picture(self, name):
        """What must be the same after a save and a restore."""
        runs = [(run.first_pfn, run.count, run.p2m_class)
                for run in self.client.runs(
                    name, merge=memory.RUN_MERGE_BY_CLASS)]
        summary = self.client.memory.GetP2mSummary(
            memory.GetP2mSummaryRequest(domain=ref(name)))
        one = self.client.get(name)
        one.memory.ClearField("balloon_state")
        return (runs, summary.SerializeToString(deterministic=True),
                one.memory.SerializeToString(deterministic=True), one.vcpus,
                one.uuid)

    def change(self, kind, name, pages):
        """Turns a fresh domain into one of `kind`."""
        if kind in ("ballooned", "all"):
            self.client.memory.BalloonDown(memory.BalloonDownRequest(
                domain=ref(name), pages=pages // 3))
        if kind in ("identity", "all"):
            self.client.memory.MarkIdentityRange(
                memory.MarkIdentityRangeRequest(
                    domain=ref(name), start_pfn=1027, end_pfn=1027 + 600,
                    release_ram=True))
        if kind in ("written", "all"):
            for pfn in (0, 300, 1800, 1801):
                self.write(name, pfn, b"page %d" % pfn * 100)
        if kind == "loaded":
            self.client.guest_load.StartGuestLoad(
                guest_load.StartGuestLoadRequest(
                    domain=ref(name),
                    spec=guest_load.LoadSpec(pages_per_second=10000,
                                             working_set_pages=500)))
            self.wait_for(lambda: self.client.guest_load.GetGuestLoad(
                guest_load.GetGuestLoadRequest(domain=ref(name))).load.writes)

    def test_xen_accepts_every_kind_of_image(self):
        kinds = ("fresh", "ballooned", "identity", "written", "loaded", "odd",
                 "all")
        arches = (common.ARCH_X86_64, common.ARCH_X86_32_PAE)
        views = (domain.TOOLS_VIEW_TREE, domain.TOOLS_VIEW_LINEAR)
        for arch, view, kind in itertools.product(arches, views, kinds):
            pages = 3001 if kind == "odd" else 3000
            self.client.create("guest", pages, max_memory_pages=2 * pages,
                               arch=arch, tools_view=view, vcpus=2)
            self.change(kind, "guest", pages)
            for layer in LAYERS:
                path = self.folder / f"image.{layer}"
                self.simvisor("save", "-c", "--layer", layer, "guest",
                              str(path))
                with self.subTest(arch=arch, view=view, kind=kind,
                                  layer=layer):
                    code, said = verify(path, layer)
                    self.assertEqual(code, 0, said)
                    stream_checker.check(path.read_bytes())
            self.client.destroy("guest")

    def test_a_domain_comes_back_as_it_was_and_its_frames_are_others(self):
        for arch in (common.ARCH_X86_64, common.ARCH_X86_32_PAE):
            self.client.create("guest", 3000, max_memory_pages=5000, arch=arch,
                               vcpus=3)
            self.change("all", "guest", 3000)
            before = self.picture("guest")
            frames = self.client.translate("guest", range(0, 256))
            first = self.folder / "first.xl"
            second = self.folder / "second.xl"
            self.simvisor("save", "guest", str(first))
            self.assertNotIn("guest", self.simvisor("list").stdout)
            self.client.create("between", 300)  # takes the lowest frames
            self.simvisor("restore", str(first))
            self.assertEqual(self.picture("guest"), before)
            self.assertEqual(self.read("guest", 1800, 6), b"page 1")
            self.assertNotEqual(self.client.translate("guest", range(0, 256)),
                                frames)
            self.simvisor("p2m", "walk", "guest")
            self.assert_clean()
            # Saved again, it has the same pages, classes and counts.
            self.simvisor("save", "guest", str(second))
            self.simvisor("restore", str(second))
            self.assertEqual(self.picture("guest"), before)
            self.assertEqual(first.stat().st_size, second.stat().st_size)
            self.client.destroy("guest")
            self.client.destroy("between")

    def test_options_of_save_and_restore_are_those_of_xl(self):
        path = str(self.folder / "image")
        self.client.create("guest", 3000)
        done = self.simvisor("save", "-c", "guest", path)
        self.assertIn(f"Saving to {path} new xl format (info 0x3/0x0/",
                      done.stderr)
        self.assertEqual(self.client.get("guest").state,
                         domain.DOMAIN_STATE_RUNNING)
        self.simvisor("save", "-p", "guest", path)
        self.assertEqual(self.client.get("guest").state,
                         domain.DOMAIN_STATE_PAUSED)
        self.assertIn("NAME_IN_USE",
                      self.simvisor("restore", path, code=1).stderr)
        self.client.destroy("guest")
        done = self.simvisor("restore", "-p", path)
        self.assertIn(f"Loading new save file {path} (new xl fmt info",
                      done.stderr)
        self.assertEqual(self.client.get("guest").state,
                         domain.DOMAIN_STATE_PAUSED)
        # The tree is stale until the guest has resumed.
        self.assertIn("P2M_TREE_STALE",
                      self.simvisor("p2m", "walk", "guest", code=1).stderr)
        self.simvisor("unpause", "guest")
        self.simvisor("p2m", "walk", "guest")

    def test_images_that_name_no_domain_need_a_name(self):
        path = str(self.folder / "image")
        self.client.create("guest", 3000, vcpus=4)
        self.simvisor("save", "--layer", "libxc", "guest", path)
        self.assertIn("ARGUMENT_MISSING",
                      self.simvisor("restore", path, code=1).stderr)
        self.simvisor("restore", "--name", "again", path)
        self.assertEqual(self.client.get("again").vcpus, 4)

    def test_pins_travel(self):
        path = str(self.folder / "image")
        self.client.create("guest", 3000, vcpus=2)
        self.simvisor("vcpu-pin", "guest", "1", "0-3,^1", "2")
        before = self.simvisor("vcpu-list", "guest").stdout
        self.simvisor("save", "guest", path)
        self.simvisor("restore", path)
        after = self.simvisor("vcpu-list", "guest").stdout
        self.assertEqual([line.split()[2:] for line in before.splitlines()],
                         [line.split()[2:] for line in after.splitlines()])

    def test_every_sample_is_restored_or_refused(self):
        for path in sorted(SAMPLES.iterdir()):
            before = self.client.counts()
            sound = (path.name.startswith("valid-")
                     or path.name == "hole-trailing-garbage.libxc")
            done = self.simvisor("restore", "--name", "sample", str(path),
                                 code=0 if sound else 1)
            if sound:
                self.client.destroy("sample")
            else:
                self.assertRegex(done.stderr, r"byte \d+.*\([A-Z_]+ IMAGE_")
            self.assertEqual(self.client.counts(), before)

    def test_a_save_that_cannot_be_stored_leaves_the_guest_running(self):
        self.client.create("guest", 3000)
        done = self.simvisor("save", "guest", "/dev/full", code=1)
        self.assertIn("resuming domain", done.stderr)
        one = self.client.get("guest")
        self.assertEqual(one.state, domain.DOMAIN_STATE_RUNNING)
        self.assertFalse(one.suspended)
        path = self.folder / "no" / "such" / "folder"
        self.simvisor("save", "guest", str(path), code=1)

    def start(self, **options):
        yield migration.SaveDomainRequest(
            start=migration.SaveDomainRequest.Start(domain=ref("guest"),
                                                    **options))

    def test_a_client_that_never_says_stored_leaves_the_guest_running(self):
        self.client.create("guest", 3000)
        call = self.client.migration.SaveDomain(self.start(),
                                                timeout=harness.DEADLINE)
        with self.assertRaises(harness.grpc.RpcError) as caught:
            list(call)
        self.assertEqual(harness.reason_of(caught.exception),
                         "ARGUMENT_MISSING")
        self.assertEqual(self.client.get("guest").state,
                         domain.DOMAIN_STATE_RUNNING)
        call = self.client.migration.SaveDomain(self.start(),
                                                timeout=harness.DEADLINE)
        next(call)
        call.cancel()
        self.wait_for(lambda: not self.client.get("guest").suspended)

    def wait_for(self, done):
        """Polls until it is so; the daemon ends calls in its own time."""
        for _ in range(100000):
            if done():
                return
        self.fail("it did not come to pass")

    def test_a_suspended_guest_refuses_changes(self):
        self.client.create("guest", 3000)
        call = self.client.migration.SaveDomain(self.hold(self.start()),
                                                timeout=harness.DEADLINE)
        last = None
        while last is None or not last.last:
            last = next(call)
        self.assertTrue(self.client.get("guest").suspended)
        self.assertIn("--pss-", self.simvisor("list").stdout)
        for refused in ("unpause", "save"):
            arguments = [refused, "guest"]
            if refused == "save":
                arguments.append(str(self.folder / "other"))
            self.assertIn("DOMAIN_SUSPENDED",
                          self.simvisor(*arguments, code=1).stderr)
        call.cancel()
        self.wait_for(lambda: not self.client.get("guest").suspended)

    def hold(self, first):
        """Requests that go on until the call ends."""
        yield from first
        released = threading.Event()
        self.addCleanup(released.set)
        released.wait(harness.DEADLINE)

    def test_dom0_and_strange_values_are_refused(self):
        Start = migration.SaveDomainRequest.Start
        cases = (
            (Start(domain=ref(0)), "DOM0_PROTECTED"),
            (Start(domain=ref("nobody")), "DOMAIN_NOT_FOUND"),
            (Start(), "ARGUMENT_MISSING"),
            (Start(domain=ref(0), layer=99), "ARGUMENT_MALFORMED"),
            (Start(domain=ref(0), after=99), "ARGUMENT_MALFORMED"))
        for start, reason in cases:
            with self.assertRaises(harness.grpc.RpcError) as caught:
                list(self.client.migration.SaveDomain(
                    iter([migration.SaveDomainRequest(start=start)]),
                    timeout=harness.DEADLINE))
            self.assertEqual(harness.reason_of(caught.exception), reason)
        for requests, reason in (
                ([], "ARGUMENT_MISSING"),
                ([b""], "IMAGE_TRUNCATED"),
                ([b"x" * 100], "IMAGE_MALFORMED")):
            with self.assertRaises(harness.grpc.RpcError) as caught:
                self.client.migration.RestoreDomain(
                    iter([migration.RestoreDomainRequest(data=data)
                          for data in requests]), timeout=harness.DEADLINE)
            self.assertEqual(harness.reason_of(caught.exception), reason)

    def test_a_restore_that_is_cut_off_leaves_nothing(self):
        path = self.folder / "image"
        self.client.create("guest", 3000)
        self.simvisor("save", "guest", str(path))
        before = self.client.counts()
        image = path.read_bytes()
        request = migration.RestoreDomainRequest(data=image[:len(image) // 2])
        call = self.client.migration.RestoreDomain.future(
            self.hold(iter([request])), timeout=harness.DEADLINE)
        call.cancel()
        self.wait_for(lambda: self.client.counts() == before)
        self.simvisor("restore", str(path))

    def test_a_daemon_that_dies_while_saving_leaves_no_half_file(self):
        daemon = harness.Daemon()
        self.addCleanup(daemon.close)
        client = harness.Client(daemon.address)
        self.addCleanup(client.close)
        client.create("guest", 300000)
        path = self.folder / "image"
        path.write_text("what was there")
        saving = subprocess.Popen(
            [harness.SIMVISOR, "-H", daemon.address, "save", "guest",
             str(path)], stderr=subprocess.PIPE, text=True)
        self.assertIn("Saving to", saving.stderr.readline())
        daemon.kill()
        saving.communicate(timeout=harness.DEADLINE)
        # At whatever moment it died, the file is the old one or a complete new
        # one.
        data = path.read_bytes()
        if data != b"what was there":
            stream_checker.check(data)
        self.assertEqual([one.name for one in self.folder.iterdir()],
                         ["image"])


if __name__ == "__main__":
    unittest.main()
