"""What README.md and docs/clients.md say about clients in other languages, run
as it is written there."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402

PYTHON = "/usr/bin/python3"
STUBS = harness.ROOT / "scripts" / "python_stubs.sh"


def block(document, language, containing=""):
    """The first code block in this language that contains this."""
    text = (harness.ROOT / document).read_text()
    for found in re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S):
        if containing in found:
            return found
    raise AssertionError(f"{document} has no such {language}")


class ClientsTest(harness.DaemonTest):

    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self._folder.name)

    def tearDown(self):
        self._folder.cleanup()

    def run_there(self, *command, **more):
        """Runs a command in the root; returns what it prints."""
        done = subprocess.run(
            command, cwd=harness.ROOT, capture_output=True, text=True,
            timeout=harness.DEADLINE, check=False,
            env=os.environ | {"SIMVISOR_ADDRESS": self.daemon.address} | more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_the_readmes_ten_lines_of_python_list_and_read_a_reason(self):
        program = block("README.md", "python")
        self.assertLessEqual(len([line for line in program.splitlines() if line]),
                             10)
        self.run_there(STUBS, self.folder)
        self.assertEqual(
            self.run_there(PYTHON, "-c", program, PYTHONPATH=str(self.folder)),
            "[('Domain-0', 1048576)]\n"
            "RESOURCE_EXHAUSTED HOST_MEMORY_EXHAUSTED\n")

    def test_python_modules_that_are_up_to_date_stay_as_they_are(self):
        def times():
            return {path: path.stat().st_mtime_ns
                    for path in self.folder.rglob("*.py")}

        # In the caller's folder, not in the script's.
        subprocess.run([STUBS, self.folder.name], cwd=self.folder.parent,
                       check=True, stdout=subprocess.DEVNULL)
        first = times()
        self.assertIn(self.folder / "google/rpc/error_details_pb2.py", first)
        self.assertEqual(self.run_there(STUBS, self.folder), "")
        self.assertEqual(times(), first)
        (self.folder / ".made_of").unlink()
        self.run_there(STUBS, self.folder)
        self.assertTrue(all(time > first[path]
                            for path, time in times().items()))

    def test_a_wrong_option_of_the_script_is_refused(self):
        done = subprocess.run([STUBS, "--help"], capture_output=True, text=True,
                              check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("usage: scripts/python_stubs.sh", done.stderr)

    def test_nodes_loader_takes_the_protos_and_its_client_is_answered(self):
        counts = self.client.counts()
        printed = self.run_there("node", "-e", block("docs/clients.md", "js"))
        # Two calls, answered in either order.
        self.assertEqual(sorted(printed.splitlines()), [
            f"{counts.free_pages} of {counts.total_pages} pages are free",
            "DOMAIN_NOT_FOUND"])

    def test_nodes_loader_takes_all_protos(self):
        names = [path.name for path in
                 (harness.PROTO / "simvisor" / "v1").glob("*.proto")]
        program = f"""
            const loader = require('@grpc/proto-loader');
            const files = {json.dumps(names)}.map((name) => 'simvisor/v1/' + name);
            const all = loader.loadSync(files, {{includeDirs: ['proto']}});
            console.log(Object.keys(all).filter((name) => /Service$/.test(name)).length);
        """
        services = len([name for name in names if name.endswith("_service.proto")])
        self.assertEqual(self.run_there("node", "-e", program), f"{services}\n")

    def test_nodes_generator_takes_the_protos(self):
        self.run_there("bash", "-ec", block("docs/clients.md", "sh", "--es_out"),
                       OUT=str(self.folder))
        for path in (harness.PROTO / "simvisor" / "v1").glob("*.proto"):
            self.assertTrue(
                (self.folder / "simvisor/v1" / f"{path.stem}_pb.js").exists(), path)

    def test_gos_generators_take_the_protos(self):
        self.run_there("bash", "-ec", block("docs/clients.md", "sh", "--go_out"),
                       OUT=str(self.folder))
        made = self.folder / "simvisor" / "v1"
        for path in (harness.PROTO / "simvisor" / "v1").glob("*.proto"):
            self.assertIn("\npackage simvisorv1\n",
                          (made / f"{path.stem}.pb.go").read_text())
            if path.stem.endswith("_service"):
                self.assertIn("\npackage simvisorv1\n",
                              (made / f"{path.stem}_grpc.pb.go").read_text())


if __name__ == "__main__":
    unittest.main()
