"""Configuration files as people write them, and what xl and libxl say about
them, through the CLI and through the API."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402
from harness import domain, memory, ref  # noqa: E402

CONFIGS = harness.ROOT / "tests/testdata/configs"
MIB = 256


class XlFilesTest(harness.DaemonTest):

    FLAGS = ("--host-memory", "2g", "--dom0-memory", "512m",
             "--dom0-max-memory", "256m")

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()

    def tearDown(self):
        for found in self.client.domain.ListDomains(
                domain.ListDomainsRequest()).domains:
            if found.domid != 0:
                self.client.destroy(found.name)
        self.folder.cleanup()

    def run_cli(self, *args):
        return subprocess.run(
            [harness.SIMVISOR, "--address", self.daemon.address, *args],
            capture_output=True, timeout=harness.DEADLINE, check=False)

    def complaint(self, *args, code=1):
        """What a failing command says on standard error."""
        done = self.run_cli(*args)
        self.assertEqual(done.returncode, code, done)
        self.assertEqual(done.stdout, b"")
        # protobuf's own message about text that is not UTF-8.
        self.assertNotIn(b"libprotobuf", done.stderr)
        return done.stderr.decode()

    def create(self, text):
        path = os.path.join(self.folder.name, "guest.cfg")
        with open(path, "wb") as file:
            file.write(text)
        return path

    # --- Names ---

    def test_latin1_name_is_named_as_such_by_every_verb(self):
        name = b"latin\xe9"
        what = 'latin\\xe9": byte 0xe9 at offset 5 is not UTF-8'
        self.assertIn(what, self.complaint("create", CONFIGS / "latin1-name.cfg"))
        self.assertIn(what, self.complaint("create", "-n", CONFIGS / "latin1-name.cfg"))
        plain = self.create(b'name = "plain"\nmemory = 64\n')
        harness.simvisor(self.daemon.address, "create", plain)
        self.assertIn(what, self.complaint(
            "create", plain, b'name="latin\xe9"', code=2))
        for verb in (["rename", "plain", name], ["rename", name, "new"],
                     ["list", name], ["destroy", name], ["domid", name],
                     ["mem-set", name, "64m"], ["balloon", "up", name, "1"],
                     ["p2m", "dump", name], ["vcpu-list", name],
                     ["save", name, "/dev/null"],
                     ["restore", "--name", name, "/dev/null"],
                     ["migrate", name, "unix:/nowhere"]):
            self.assertIn(what, self.complaint(*verb, code=2), verb)
        self.assertEqual(self.client.get("plain").name, "plain")
        self.assert_clean()

    def test_script_with_text_that_is_not_utf8_is_refused_with_its_line(self):
        path = self.create(
            b'steps {\n  get_domain { request { domain { name: "a\\351" } } }\n}\n')
        said = self.complaint("run", path)
        self.assertIn("guest.cfg:1:", said)
        self.assertIn('request.domain.name "a\\xe9": byte 0xe9 at offset 1', said)

    def test_names_that_lists_show_for_none_are_refused(self):
        self.client.create("vm", 20 * MIB)
        for name in ("(null)", " ", "\u00a0", "\u3000 "):
            with self.assert_refused("INVALID_ARGUMENT", "NAME_INVALID"):
                self.client.create(name, 20 * MIB)
            with self.assert_refused("INVALID_ARGUMENT", "NAME_INVALID"):
                self.client.domain.RenameDomain(domain.RenameDomainRequest(
                    domain=ref("vm"), new_name=name))

    # --- Keys ---

    def test_keys_without_effect_are_named_in_one_line(self):
        path = self.create(b'''# caf\xe9
name = "guest"   # \xe9
memory = 64
kernel = "/boot/vmlinuz"
vif = [
  'bridge=xenbr0',   # the first
]
cap = 50; weight = 256; period = 100; oos = 1
vnuma = [ [ "pnode=0", "size=64", "vcpus=0" ] ]
pool = "Pool-0"
on_crash = "preserve"
''')
        done = harness.simvisor(self.daemon.address, "create", path)
        self.assertEqual(done.stderr.splitlines()[1:], [
            "warning: without effect here: kernel, vif, cap, weight, period, "
            "oos, vnuma, pool, on_crash"])
        self.assertEqual(self.client.get("guest").memory.current_pages, 64 * MIB)

    def test_what_xl_refuses_is_refused(self):
        for line, said in (
                (b'on_crash = "explode"',
                 'Unknown on_crash action "explode" specified'),
                (b'type = "pv"\nbuilder = "hvm"',
                 'Contradicting "builder" and "type" options specified.'),
                (b'pci = [ "01:00.9" ]',
                 "unable to parse PCI_SPEC_STRING `01:00.9' for passthrough")):
            path = self.create(b'name = "guest"\nmemory = 64\n' + line + b"\n")
            self.assertIn(said, self.complaint("create", path))
        self.assertIn("CR LF", self.complaint(
            "create", self.create(b'name = "a"\r\nmemory = 64\r\n')))
        self.assertIn("byte order mark", self.complaint(
            "create", self.create(b'\xef\xbb\xbfname = "a"\n')))

    # --- PCI devices ---

    def test_device_given_twice_to_one_domain_is_refused(self):
        said = self.complaint("create", CONFIGS / "pci-twice.cfg")
        self.assertIn("PCI device 0000:01:00.0 is named twice", said)
        self.assertIn("ARGUMENT_MALFORMED", said)

    def test_device_given_to_two_domains_is_refused_until_the_first_ends(self):
        first = self.create(
            b'name = "first"\nmemory = 64\npci = [ "01:00.0@5,permissive=1" ]\n')
        harness.simvisor(self.daemon.address, "create", first)
        self.assertEqual(list(self.client.get("first").pci_devices),
                         ["0000:01:00.0"])
        second = self.create(
            b'name = "second"\nmemory = 64\npci = [ "bdf=0:1:0.*" ]\n')
        said = self.complaint("create", second)
        self.assertIn("PCI device 0000:01:00.*: first (", said)
        self.assertIn("PCI_DEVICE_IN_USE", said)
        # The daemon checks this for every client.
        with self.assert_refused("FAILED_PRECONDITION", "PCI_DEVICE_IN_USE"):
            self.client.create("third", 64 * MIB, e820_host=True,
                               pci_devices=["02:00.0", "01:00.0"])
        self.client.destroy("first")
        harness.simvisor(self.daemon.address, "create", second)
        self.assertEqual(list(self.client.get("second").pci_devices),
                         ["0000:01:00.*"])
        self.assert_clean()

    def test_restored_domain_has_the_device_that_its_config_names(self):
        image = os.path.join(self.folder.name, "image")
        plain = self.create(b'name = "guest"\nmemory = 64\n')
        harness.simvisor(self.daemon.address, "create", plain)
        harness.simvisor(self.daemon.address, "save", "guest", image)
        config = self.create(
            b'name = "guest"\nmemory = 64\npci = [ "01:00.0" ]\n')
        harness.simvisor(self.daemon.address, "restore", config, image)
        self.assertEqual(list(self.client.get("guest").pci_devices),
                         ["0000:01:00.0"])
        config = self.create(
            b'name = "twin"\nmemory = 64\npci = [ "01:00.0" ]\n')
        self.assertIn("PCI_DEVICE_IN_USE", self.complaint("restore", config, image))
        self.client.destroy("guest")
        harness.simvisor(self.daemon.address, "restore", config, image)
        self.assert_clean()

    # --- Memory ---

    def test_create_target_and_maximum_agree_on_libxls_mib(self):
        path = self.create(b'name = "guest"\nmemory = 64\nmaxmem = 128\n')
        harness.simvisor(self.daemon.address, "create", path)
        for verb, size, static in (((), 64, 128), (("mem-max", "guest", "96m"), 96, 96),
                                   (("mem-set", "guest", "80m"), 80, 96),
                                   (("mem-max", "guest", "100m"), 100, 100)):
            if verb:
                harness.simvisor(self.daemon.address, *verb)
            state = self.client.get("guest").memory
            self.assertEqual(
                (state.max_pages, state.static_max_pages),
                ((size + 1) * MIB, static * MIB), verb)

    def test_dom0_starts_with_its_maximum_and_keeps_128_mib(self):
        state = self.client.get("Domain-0").memory
        self.assertEqual(state.current_pages, 256 * MIB)
        self.assertIn("dom0 starts with 256 MiB (65536 pages) of memory "
                      "instead of 512 MiB", self.daemon.read_log())
        self.assertIn("minimum threshold for dom0", self.complaint(
            "mem-set", "Domain-0", "127m"))
        with self.assert_refused("INVALID_ARGUMENT", "MEMORY_SIZE_INVALID"):
            self.client.memory.SetMemoryTarget(memory.SetMemoryTargetRequest(
                domain=ref(0), target_pages=128 * MIB - 1))
        with self.assert_refused("INVALID_ARGUMENT", "MEMORY_SIZE_INVALID"):
            self.client.memory.BalloonDown(memory.BalloonDownRequest(
                domain=ref(0), pages=128 * MIB + 1))
        harness.simvisor(self.daemon.address, "mem-set", "Domain-0", "128m")
        self.assertEqual(self.client.get("Domain-0").memory.current_pages,
                         128 * MIB)
        harness.simvisor(self.daemon.address, "mem-set", "Domain-0", "256m")


if __name__ == "__main__":
    unittest.main()
