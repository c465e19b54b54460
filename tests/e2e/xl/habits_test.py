"""What xl's users type, with a link named xl to simvisor: a script of everyday
lines runs unchanged, and each line without meaning here says what to use.

The script and the lines are in tests/testdata/xl.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402

FOLDER = harness.ROOT / "tests/testdata/xl"


class XlHabitsTest(harness.DaemonTest):

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.target = harness.Daemon()
        programs = pathlib.Path(self.folder.name, "bin")
        programs.mkdir()
        (programs / "xl").symlink_to(harness.SIMVISOR)
        self.environment = {**os.environ,
                            "PATH": f"{programs}:{os.environ['PATH']}",
                            "SIMVISOR_ADDRESS": self.daemon.address}

    def tearDown(self):
        self.target.close()
        self.folder.cleanup()

    def run_here(self, *command):
        return subprocess.run(
            command, cwd=self.folder.name, env=self.environment,
            capture_output=True, text=True, timeout=harness.DEADLINE, check=False)

    def test_everyday_script_runs_unchanged(self):
        script = FOLDER / "everyday.sh"
        lines = re.findall(r"^\s*(?!#).*\bxl .*$", script.read_text(), re.M)
        self.assertGreaterEqual(len(lines), 40)
        done = self.run_here("/bin/sh", script, FOLDER, self.target.address)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        moved = harness.simvisor(self.target.address, "list").stdout
        self.assertEqual([line.split()[0] for line in moved.splitlines()[2:]],
                         ["web", "post"])
        self.assert_clean()

    def test_lines_without_meaning_say_in_a_sentence_what_to_use(self):
        for line in (FOLDER / "without_meaning.txt").read_text().splitlines():
            with self.subTest(line):
                done = self.run_here(*line.split())
                self.assertEqual(done.returncode, 2, done)
                self.assertEqual(done.stdout, "")
                said = done.stderr.splitlines()
                if said[-1].startswith("Run 'xl "):
                    said.pop()
                self.assertEqual(len(said), 1, said)
                self.assertRegex(said[0], r"^xl.*: \S+( \S+){4,}")
                self.assertNotIn("no command is named", said[0])

    def test_one_verb_does_several_domains_and_goes_on_after_a_failure(self):
        configs = [str(FOLDER / "web.cfg"), str(FOLDER / "db.cfg")]
        done = self.run_here("xl", "create", *configs)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.run_here("xl", "create", *configs)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("NAME_IN_USE"), 2, done.stderr)
        done = self.run_here("xl", "destroy", "web", "nobody", "db")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.splitlines()[-1], "2 of 3 domains destroyed")
        self.assertEqual(len(self.run_here("xl", "list").stdout.splitlines()), 2)
        self.assert_clean()


if __name__ == "__main__":
    unittest.main()
