"""Machines from boot logs in the forms that people keep them in: `e820 explain`
says without a daemon what a daemon does with the same log, for dom0 and for a
guest with the host's map."""

import json
import pathlib
import subprocess
import tempfile
import unittest

import harness

LOGS = harness.ROOT / "tests/testdata"
SERIAL_CAPTURE = LOGS / "e820/serial-capture.log"
REAL_DOM0 = LOGS / "e820/msi-h61m-8g-dom0.dmesg"


def explain(log, *flags):
    return subprocess.run(
        [harness.SIMVISOR, "-o", "json", "e820", "explain", str(log), *flags],
        capture_output=True, text=True, timeout=harness.DEADLINE, check=False)


class BootLogsTest(unittest.TestCase):

    def start(self, *flags):
        daemon = harness.Daemon(*flags)
        self.addCleanup(daemon.close)
        client = harness.Client(daemon.address)
        self.addCleanup(client.close)
        return daemon, client

    def summary(self, client, domid):
        return client.memory.GetP2mSummary(
            harness.memory.GetP2mSummaryRequest(
                domain=harness.ref(domid))).summary

    def assert_same(self, summary, kernel):
        self.assertEqual(summary.remapped_frames, kernel["remapped_pages"])
        self.assertEqual(summary.released_frames, kernel["released_pages"])
        self.assertEqual(summary.tools_max_pfn, kernel["max_pfn"])
        self.assertEqual(summary.p2m_size, kernel["p2m_area"])

    def test_the_daemon_does_what_explain_says(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        # What dom0's kernel keeps of its map with dom0_mem=1G,max:1G.
        trimmed = pathlib.Path(folder.name) / "trimmed.dmesg"
        trimmed.write_text("[    0.000000] Linux version 4.19.0 (a@b)\n"
                           "Xen: [mem 0x0-0x9dfff] usable\n"
                           "Xen: [mem 0x9e000-0xfffff] reserved\n"
                           "Xen: [mem 0x100000-0x40061fff] usable\n",
                           encoding="ascii")
        for log, flags in (
                (trimmed, ("--dom0-memory", "1g")),
                (trimmed, ("--dom0-memory", "2g")),
                (SERIAL_CAPTURE, ("--dom0-max-memory", "1g")),
                (SERIAL_CAPTURE, ("--dom0-memory", "2g",
                                  "--dom0-max-memory", "1g")),
                (SERIAL_CAPTURE, ()),
                (SERIAL_CAPTURE, ("--dom0-memory", "1g")),
                (LOGS / "e820/hypervisor-map-old-form.txt",
                 ("--dom0-memory", "4g", "--dom0-hotplug-limit", "512")),
                (LOGS / "e820/type20.dmesg", ("--dom0-memory", "4g")),
                (REAL_DOM0, ("--dom0-memory", "7024020k"))):
            with self.subTest(log=log.name, flags=flags):
                said = explain(log, *flags)
                self.assertEqual(said.returncode, 0, said.stderr)
                _, client = self.start("--host-e820", str(log), *flags)
                dom0 = json.loads(said.stdout)["dom0"]
                self.assert_same(self.summary(client, 0), dom0)
                memory = client.get("Domain-0").memory
                self.assertEqual(memory.current_pages, dom0["memory_pages"])

    def test_a_guest_gets_the_map_that_explain_says(self):
        flags = ("--dom0-memory", "1g")
        said = explain(SERIAL_CAPTURE, *flags, "--guest-memory", "4g")
        guest = json.loads(said.stdout)["guest"]
        daemon, client = self.start("--host-e820", str(SERIAL_CAPTURE), *flags)
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "guest.cfg"
            config.write_text('name="g"\nmemory=4096\ne820_host=1\n',
                              encoding="ascii")
            harness.simvisor(daemon.address, "create", str(config))
        self.assert_same(self.summary(client, 1), guest)
        names = ["", "usable", "reserved", "ACPI data", "ACPI NVS", "unusable"]
        self.assertEqual(
            [(entry.start_bytes, entry.size_bytes, names[entry.type])
             for entry in client.get("g").e820.entries],
            [(entry["start_bytes"], entry["size_bytes"], entry["type"])
             for entry in guest["given_map"]])

    def test_the_daemon_starts_the_dom0_of_the_log_and_warns(self):
        daemon, client = self.start("--host-e820", str(SERIAL_CAPTURE))
        pages = client.get("Domain-0").memory.current_pages
        self.assertEqual(pages, 1014568)
        self.assertIn("dom0's map (lines 23 to 37)", daemon.read_log())

    def test_a_dom0_log_with_no_ram_to_spare_starts_whole_with_a_note(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "dom0.dmesg"
            log.write_text("Linux version 4.19.0 (a@b)\n"
                           "Xen: [mem 0x0-0x9ffff] usable\n"
                           "Xen: [mem 0x100000-0x4005ffff] usable\n",
                           encoding="ascii")
            daemon, client = self.start("--host-e820", str(log),
                                        "--dom0-memory", "1g")
        pages = client.get("Domain-0").memory.current_pages
        self.assertEqual(pages, harness.GIB)
        self.assertIn("160 pages of RAM more than the map has",
                      daemon.read_log())

    def test_another_file_is_refused_with_what_it_is(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "other"
            for text, what in ((b"", "it is empty"),
                               (b"Xen saved domain, xl format\n \0 \r",
                                "it is a save image")):
                log.write_bytes(text)
                refused = subprocess.run(
                    [harness.SIMVISORD, "--host-e820", str(log)],
                    capture_output=True, text=True, timeout=harness.DEADLINE,
                    check=False)
                self.assertEqual(refused.returncode, 1)
                self.assertIn(f"--host-e820: {log}: {what}; ", refused.stderr)

    def test_a_large_log_is_refused_by_its_size(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "large"
            log.write_bytes(b"\n" * (40 << 20))
            refused = subprocess.run(
                [harness.SIMVISORD, "--host-e820", str(log)],
                capture_output=True, text=True, timeout=harness.DEADLINE,
                check=False)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("more than 16 MiB", refused.stderr)
            said = explain(log)
            self.assertEqual(said.returncode, 1)
            self.assertIn("more than 16777216 bytes", said.stderr)


if __name__ == "__main__":
    unittest.main()
