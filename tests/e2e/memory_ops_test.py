"""StreamMemoryOps as a Python client sees it, and `simvisor batch`."""

import json
import os
import queue
import subprocess
import tempfile
import unittest

import harness
from harness import common, grpc, memory, memory_ops, ref

PAGES = 16 * 1024


class MemoryOpsTest(harness.DaemonTest):

    def setUp(self):
        super().setUp()
        for name in ("a", "b"):
            self.client.create(name, PAGES)
        self.addCleanup(self.assert_clean)
        for name in ("a", "b"):
            self.addCleanup(self.client.destroy, name)

    def stream(self, batches):
        """Results of all operations, in the order in which they came."""
        responses = self.client.memory.StreamMemoryOps(
            (memory_ops.StreamMemoryOpsRequest(ops=batch) for batch in batches),
            timeout=harness.DEADLINE)
        return [result for response in responses for result in response.results]

    def test_operations_of_a_domain_are_done_in_their_order(self):
        ops = [memory_ops.MemoryOp(
            id=i, domain=ref("ab"[i % 2]),
            set_target=memory_ops.MemoryOp.SetTarget(target_pages=PAGES - i))
            for i in range(2000)]
        results = self.stream(ops[i:i + 300] for i in range(0, 2000, 300))
        self.assertEqual(len(results), 2000)
        for parity in (0, 1):
            own = [r for r in results if r.id % 2 == parity]
            self.assertEqual([r.id for r in own], list(range(parity, 2000, 2)))
            for result in own:
                self.assertEqual(result.set_target.memory.current_pages,
                                 PAGES - result.id)

    def test_every_kind_of_operation_and_a_failure_among_them(self):
        op = memory_ops.MemoryOp
        results = self.stream([[
            op(id=1, domain=ref("a"), balloon_down=op.Balloon(pages=100)),
            op(id=2, domain=ref("a"), balloon_up=op.Balloon(pages=40)),
            op(id=3, domain=ref("a"), balloon_up=op.Balloon(pages=0)),
            op(id=4, domain=ref("a"), identity=op.MarkIdentity(
                start_pfn=5000, end_pfn=5010, release_ram=True)),
            op(id=5, domain=ref("a"), set=op.SetRange(
                first_pfn=5000, count=1, p2m_class=common.P2M_CLASS_MISSING)),
            op(id=6, domain=ref("a"), write=op.Write(pfn=6000, data=b"hello")),
            op(id=7, domain=ref("a"), translate=op.Translate(pfns=[5000, 5001])),
        ]])
        self.assertEqual([r.id for r in results], list(range(1, 8)))
        self.assertEqual(results[0].balloon_down.moved_pages, 100)
        self.assertEqual(results[1].balloon_up.moved_pages, 40)
        self.assertEqual((results[2].error.code, results[2].error.reason),
                         ("INVALID_ARGUMENT", "RANGE_INVALID"))
        self.assertEqual(results[3].identity.marked_pages, 10)
        self.assertEqual(results[4].WhichOneof("outcome"), "set")
        self.assertEqual(results[5].WhichOneof("outcome"), "write")
        self.assertEqual(list(results[6].translate.classes),
                         [common.P2M_CLASS_MISSING, common.P2M_CLASS_IDENTITY])
        read = self.client.memory.ReadGuestMemory(memory.ReadGuestMemoryRequest(
            domain=ref("a"), pfn=6000, length_bytes=5))
        self.assertEqual(read.data, b"hello")

    def test_one_message_at_a_time_is_answered_at_once(self):
        requests = queue.Queue()
        responses = self.client.memory.StreamMemoryOps(
            iter(requests.get, None), timeout=harness.DEADLINE)
        for i in range(100):
            requests.put(memory_ops.StreamMemoryOpsRequest(
                ops=[memory_ops.MemoryOp(id=i, domain=ref("nobody"))] * (i % 2)))
            self.assertEqual([r.id for r in next(responses).results],
                             [i] * (i % 2))
        requests.put(None)
        self.assertEqual(list(responses), [])
        self.assertEqual(responses.code(), grpc.StatusCode.OK)

    def test_open_stream_does_not_keep_the_daemon_from_ending(self):
        daemon = harness.Daemon()
        self.addCleanup(daemon.close)
        client = harness.Client(daemon.address)
        self.addCleanup(client.close)
        requests = queue.Queue()
        responses = client.memory.StreamMemoryOps(iter(requests.get, None))
        requests.put(memory_ops.StreamMemoryOpsRequest())
        next(responses)
        self.assertEqual(daemon.stop(), 0)
        with self.assertRaises(grpc.RpcError):
            next(responses)
        requests.put(None)

    def batch(self, lines, *options):
        return subprocess.run(
            [harness.SIMVISOR, "-H", self.daemon.address, "batch", *options],
            input="\n".join(lines), capture_output=True, text=True,
            timeout=harness.DEADLINE, check=False)

    def test_lines_of_the_command_line(self):
        done = self.batch(["mem-set a 32m", "# nothing", "balloon down b 8m",
                           "p2m lookup a 0", "guest write b 6000 'a b'"])
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0], "a: target 32 MiB, 32 MiB now")
        self.assertTrue(lines[1].startswith("b: 2048 of 2048 pages ballooned"))
        self.assertTrue(lines[2].startswith("a: 0x0 "), lines[2])
        self.assertEqual(lines[3], "b: 3 bytes written at pfn 0x1770")

        failed = self.batch(["mem-set a 16m", "mem-set nobody 1m", "hello",
                             "mem-set b 16m"], "-o", "json")
        self.assertEqual(failed.returncode, 1)
        results = [json.loads(line) for line in failed.stdout.splitlines()]
        self.assertEqual([r["id"] for r in results], [1, 2, 3, 4])
        self.assertEqual(results[1]["error"]["reason"], "DOMAIN_NOT_FOUND")
        error = json.loads(failed.stderr)
        self.assertEqual(error["code"], "FAILED_PRECONDITION")
        self.assertIn("2 of 4 operations failed", error["message"])

    def run_script(self, expected_pages):
        step = f"""steps {{ memory_ops {{
          request {{
            ops {{ id: 1 domain {{ name: "a" }} balloon_down {{ pages: 9 }} }}
            ops {{ id: 2 domain {{ name: "a" }} balloon_up {{}} }}
            ops {{ id: 3 domain {{ name: "a" }} balloon_up {{ pages: 4 }} }} }}
          expect {{
            results {{ id: 1 balloon_down {{ moved_pages: 9 }} }}
            results {{ id: 2 error {{ reason: "RANGE_INVALID" }} }}
            results {{ id: 3 balloon_up {{
              memory {{ current_pages: {expected_pages} }} }} }} }} }} }}"""
        return subprocess.run(
            [harness.SIMVISOR, "-H", self.daemon.address, "run", "-"],
            input=step, capture_output=True, text=True,
            timeout=harness.DEADLINE, check=False)

    def test_step_of_a_script(self):
        done = self.run_script(PAGES - 5)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        wrong = self.run_script(PAGES)
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("current_pages", wrong.stdout)

    def test_lines_are_answered_as_they_are_typed(self):
        process = subprocess.Popen(
            [harness.SIMVISOR, "-H", self.daemon.address, "batch"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for size in (40, 50, 60):
            process.stdin.write(f"mem-set a {size}m\n")
            process.stdin.flush()
            self.assertEqual(process.stdout.readline(),
                             f"a: target {size} MiB, {size} MiB now\n")
        process.stdin.close()
        self.assertEqual(process.wait(harness.DEADLINE), 0)
        process.stdout.close()

    def test_large_file_of_lines(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "ops")
            with open(path, "w", encoding="ascii") as file:
                for i in range(20000):
                    file.write(f"p2m lookup {'ab'[i % 2]} {i % PAGES}\n")
            done = self.batch([], path)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), 20000)
        for i, line in enumerate(lines):
            self.assertTrue(
                line.startswith(f"{'ab'[i % 2]}: {hex(i % PAGES)} "), line)


if __name__ == "__main__":
    unittest.main()
