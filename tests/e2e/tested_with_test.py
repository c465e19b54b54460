"""The scenarios that the kernel's list was tested with, run as a user runs
them: each has the figures of the real kernel, in both tools views."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import harness

FOLDER = harness.ROOT / "examples/tested-with"
TIMEOUT = 280  # seconds for all scenarios

# RAM, identity and missing pfns, area, private and shared leaves, private and
# shared mids, PTE pages and pages of mids, at the end.
ROWS = {
    "64-dom0-8gib": (
        2097152, 524288, 0, 2621440, 4097, 1023, 9, 1, 9, 9),
    "64-dom0-8gib-hotplug-512gib": (
        2097152, 132120576, 0, 134217728, 4097, 258047, 9, 503, 9, 9),
    "64-dom0-128gib-pci-above-4gib": (
        33554432, 2621440, 0, 36175872, 65537, 5119, 129, 9, 129, 129),
    "32-domu-512mib": (
        131072, 917504, 0, 1048576, 128, 896, 1, 0, 2, 1),
    "32-domu-8gib": (
        2097152, 0, 0, 2097152, 2048, 0, 2, 0, 4, 2),
    "32-domu-43gib": (
        11272192, 262144, 0, 11534336, 11008, 256, 11, 0, 22, 11),
    "32-domu-2gib-passthrough": (
        524288, 524288, 0, 1048576, 512, 512, 1, 0, 2, 1),
    "32-domu-8gib-passthrough": (
        2097152, 1048576, 0, 3145728, 2048, 1024, 3, 0, 6, 3),
    "64-domu-8gib": (
        2097152, 0, 0, 2097152, 4096, 0, 8, 0, 8, 8),
    "64-domu-2049mib": (
        524544, 261888, 0, 786432, 1025, 511, 3, 0, 3, 3),
    "64-domu-5000mib": (
        1280000, 30720, 0, 1310720, 2500, 60, 5, 0, 5, 5),
    "64-domu-balloon": (
        2359296, 0, 262144, 2621440, 5120, 0, 10, 0, 10, 10),
    "64-domu-8gib-passthrough": (
        2097152, 262144, 0, 2359296, 4096, 512, 8, 1, 8, 8),
}


def run(*scenarios):
    return subprocess.run(["bash", FOLDER / "run.sh", *scenarios],
                          capture_output=True, text=True, timeout=TIMEOUT,
                          check=False)


def expected_line(name, view):
    *shape, pte, mid_pages = ROWS[name]
    fixed = 7
    if view == "linear":
        fixed, mid_pages = 4, 0
    ram, identity, missing, area, private, shared, own, whole = shape
    return (f"PASS {name} {view} ram {ram} identity {identity} missing "
            f"{missing} area {area} leaves {private}/{shared} mids "
            f"{own}/{whole} pte {pte} mid pages {mid_pages} metadata "
            f"{fixed + pte + mid_pages}")


class TestedWithTest(unittest.TestCase):

    def test_every_scenario_has_its_figures_in_both_views(self):
        result = run()
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
        self.assertEqual(
            sorted(lines),
            sorted(expected_line(name, view) for name in ROWS
                   for view in ("tree", "linear")))

    def test_a_wrong_figure_fails_and_is_named(self):
        text = (FOLDER / "32-domu-512mib.textproto").read_text("utf-8")
        wrong = re.sub("identity_leaves: 896", "identity_leaves: 895", text)
        self.assertNotEqual(wrong, text)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "wrong.textproto"
            path.write_text(wrong, "utf-8")
            result = run(path)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertEqual(result.stdout.count("FAIL wrong"), 2, result.stdout)
        self.assertIn("identity_leaves: 895 -> 896", result.stdout)

    def test_a_scenario_that_is_not_there_fails(self):
        result = run("128-domu")
        self.assertEqual(result.returncode, 1)
        self.assertIn("FAIL 128-domu", result.stdout)
        self.assertIn("128-domu.textproto", result.stdout)

    def test_a_program_that_is_not_there_fails(self):
        environment = dict(os.environ, SIMVISORD="/nonexistent/simvisord")
        result = subprocess.run(
            ["bash", FOLDER / "run.sh", "64-domu-8gib"], env=environment,
            capture_output=True, text=True, timeout=TIMEOUT, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("/nonexistent/simvisord", result.stdout)


if __name__ == "__main__":
    unittest.main()
