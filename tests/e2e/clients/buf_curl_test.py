"""`buf curl` drives the daemon, using only the daemon's own reflection: create,
balloon, translate, walk, destroy."""

import base64
import json
import pathlib
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402

BUF = harness.ROOT / "node_modules" / ".bin" / "buf"


class BufCurlTest(harness.DaemonTest):

    def curl(self, method, request, check=True):
        """Makes one call; returns the responses, or the error if `check` is
        false."""
        result = subprocess.run(
            [BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge",
             "--reflect-protocol", "grpc-v1alpha", "--emit-defaults",
             "--unix-socket", self.daemon.socket, "--data",
             json.dumps(request), f"http://localhost/{method}"],
            capture_output=True, text=True, timeout=harness.DEADLINE,
            check=False)
        if not check:
            self.assertNotEqual(result.returncode, 0)
            return json.loads(result.stderr)
        self.assertEqual(result.returncode, 0, result.stderr)
        decoder, text, answers = json.JSONDecoder(), result.stdout.strip(), []
        while text:
            answer, end = decoder.raw_decode(text)
            answers.append(answer)
            text = text[end:].lstrip()
        return answers

    def frame(self, mfn):
        [answer] = self.curl("simvisor.v1.HostService/ReadFrames",
                             {"extents": [{"first_mfn": mfn, "count": 1}]})
        return base64.b64decode(answer["frames"][0]["content"])

    def test_a_domain_is_created_ballooned_translated_walked_destroyed(self):
        vm = {"name": "curled"}
        [made] = self.curl(
            "simvisor.v1.DomainService/CreateDomain",
            {"spec": {"name": "curled", "memory_pages": 65536}})
        self.assertEqual(made["domain"]["state"], "DOMAIN_STATE_RUNNING")
        [moved] = self.curl("simvisor.v1.MemoryService/BalloonDown",
                            {"domain": vm, "pages": 512})
        self.assertEqual(moved["movedPages"], "512")
        [words] = self.curl("simvisor.v1.MemoryService/TranslatePfns",
                            {"domain": vm, "pfns": [0, 65535, 1 << 40]})
        self.assertEqual(words["classes"],
                         ["P2M_CLASS_RAM", "P2M_CLASS_MISSING",
                          "P2M_CLASS_IDENTITY"])

        [root] = self.curl("simvisor.v1.MemoryService/GetMfnListList",
                           {"domain": vm})
        fpp = root["wordsPerPage"]
        top = struct.unpack(f"<{fpp}Q", self.frame(int(root["rootMfn"])))
        leaf = struct.unpack(f"<{fpp}Q", self.frame(top[0]))[0]
        word = struct.unpack(f"<{fpp}Q", self.frame(leaf))[0]
        self.assertEqual(word, int(words["frames"][0]))

        [gone] = self.curl("simvisor.v1.DomainService/DestroyDomain",
                           {"domain": vm})
        self.assertEqual(gone["freedPages"], str(65536 - 512))
        self.assert_clean()

    def test_an_error_names_its_reason(self):
        error = self.curl("simvisor.v1.DomainService/GetDomain",
                          {"domain": {"name": "nobody"}}, check=False)
        self.assertEqual(error["code"], "not_found")
        self.assertIn("nobody", error["message"])
        [detail] = error["details"]
        self.assertEqual(detail["type"], "google.rpc.ErrorInfo")

    def test_health_is_described_by_reflection(self):
        [answer] = self.curl("grpc.health.v1.Health/Check", {})
        self.assertEqual(answer["status"], "SERVING")


if __name__ == "__main__":
    unittest.main()
