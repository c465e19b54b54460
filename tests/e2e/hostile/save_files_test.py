"""What `simvisor save` and `restore` do to the files they are given, and to the
files next to them, whatever these are and whatever other programs do at the
same time: no domain is lost, and none of the user's files."""

import contextlib
import os
import pathlib
import pty
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402
from harness import domain, fault, memory, poll  # noqa: E402

PAGES = 4 * harness.MIB
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)


class FilesTest(harness.DaemonTest):

    FLAGS = ("--enable-fault-injection",)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.image = self.folder / "image"
        self.addCleanup(self.remove_domains)
        for name in ("alpha", "beta"):
            self.client.create(name, PAGES)
            self.client.memory.WriteGuestMemory(
                memory.WriteGuestMemoryRequest(
                    domain=harness.ref(name), pfn=PAGES // 2,
                    data=name.encode()), timeout=harness.DEADLINE)

    def remove_domains(self):
        for name in self.names():
            self.client.destroy(name)

    def names(self):
        answer = self.client.domain.ListDomains(
            domain.ListDomainsRequest(), timeout=harness.DEADLINE)
        return sorted(one.name for one in answer.domains if one.domid != 0)

    def files(self):
        return sorted(path.name for path in self.folder.iterdir())

    def simvisor(self, *args, **kwargs):
        return harness.simvisor(self.daemon.address, *map(str, args),
                                check=False, **kwargs)

    def assert_runs(self, name):
        """The domain exists, and its guest goes on."""
        found = self.client.get(name)
        self.assertEqual((found.state, found.suspended),
                         (domain.DOMAIN_STATE_RUNNING, False))

    def assert_holds(self, path, name):
        """`path` is an image of the domain `name`, and the domain is gone."""
        self.assertNotIn(name, self.names())
        done = self.simvisor("restore", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(name, self.names())
        read = self.client.memory.ReadGuestMemory(
            memory.ReadGuestMemoryRequest(
                domain=harness.ref(name), pfn=PAGES // 2,
                length_bytes=len(name)), timeout=harness.DEADLINE)
        self.assertEqual(read.data, name.encode())

    @contextlib.contextmanager
    def save_under_way(self, name, path, **kwargs):
        """A client that has its file open while the daemon holds the save, until
        let_go()."""
        added = self.client.fault.AddFault(fault.AddFaultRequest(
            rule=fault.FaultRule(point="save.begin", domain=name,
                                 delay_ms=60000)), timeout=harness.DEADLINE)
        saving = subprocess.Popen(
            [harness.SIMVISOR, "-H", self.daemon.address, "save", name,
             str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, **kwargs)
        try:
            poll(lambda: self.hits(added.id) > 0 or saving.poll() is not None,
                 "the save is held, or has ended")
            self.assertIsNone(saving.poll(), "it has ended early")
            yield saving
        finally:
            if saving.poll() is None:
                saving.kill()
            saving.communicate()
            self.let_go()

    def let_go(self):
        self.client.fault.RemoveFaults(
            fault.RemoveFaultsRequest(all=True), timeout=harness.DEADLINE)

    def hits(self, rule):
        answer = self.client.fault.ListFaults(
            fault.ListFaultsRequest(), timeout=harness.DEADLINE)
        return sum(one.hits for one in answer.faults if one.id == rule)

    def save_both_at_once(self):
        """Saves alpha, and beta in the middle of that; returns alpha's
        outcome."""
        with self.save_under_way("alpha", self.image) as saving:
            saving.send_signal(signal.SIGSTOP)
            done = self.simvisor("save", "beta", self.image)
            saving.send_signal(signal.SIGCONT)
            self.let_go()
            self.assertEqual(done.returncode, 0, done.stderr)
            _, said = saving.communicate(timeout=harness.DEADLINE)
            return saving.returncode, said

    def test_of_two_saves_to_a_new_file_the_second_to_end_fails(self):
        code, said = self.save_both_at_once()
        self.assert_holds(self.image, "beta")
        self.assertEqual(code, 1, said)
        self.assertIn("another program has written it", said)
        self.assert_runs("alpha")
        self.assertEqual(self.files(), ["image"])

    def test_of_two_saves_to_a_file_that_was_there_the_second_to_end_fails(self):
        self.image.write_text("what was there")
        code, said = self.save_both_at_once()
        self.assert_holds(self.image, "beta")
        self.assertEqual(code, 1, said)
        self.assert_runs("alpha")
        self.assertEqual(self.files(), ["image"])

    def test_a_file_that_comes_or_changes_meanwhile_stays(self):
        for before in (None, "what was there"):
            with self.subTest(before=before):
                self.image.unlink(missing_ok=True)
                if before:
                    self.image.write_text(before)
                with self.save_under_way("alpha", self.image) as saving:
                    self.image.write_text("somebody else's now")
                    self.let_go()
                    saving.communicate(timeout=harness.DEADLINE)
                    self.assertEqual(saving.returncode, 1)
                self.assertEqual(self.image.read_text(), "somebody else's now")
                self.assertEqual(self.files(), ["image"])
                self.assert_runs("alpha")

    def test_a_file_that_goes_meanwhile_is_made_again(self):
        self.image.write_text("what was there")
        with self.save_under_way("alpha", self.image) as saving:
            self.image.unlink()
            self.let_go()
            _, said = saving.communicate(timeout=harness.DEADLINE)
            self.assertEqual(saving.returncode, 0, said)
        self.assert_holds(self.image, "alpha")

    def test_two_saves_one_after_the_other_replace_each_other(self):
        for name in ("alpha", "beta"):
            done = self.simvisor("save", name, self.image)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(stat.S_IMODE(self.image.stat().st_mode), 0o600)
        self.assertEqual(self.files(), ["image"])
        self.assert_holds(self.image, "beta")

    def test_files_beside_it_are_not_touched(self):
        victim = self.folder / "victim"
        part = self.folder / "image.part"
        victim.write_text("mine")
        part.write_text("mine, too")
        done = self.simvisor("save", "alpha", self.image)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(part.read_text(), "mine, too")
        part.unlink()
        part.symlink_to(victim)
        done = self.simvisor("save", "beta", self.image)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(victim.read_text(), "mine")
        self.assertTrue(part.is_symlink())
        self.assertEqual(self.files(), ["image", "image.part", "victim"])

    def test_nothing_is_left_of_a_client_that_is_ended(self):
        self.image.write_text("what was there")
        for number in SIGNALS:
            with self.subTest(number.name):
                with self.save_under_way("alpha", self.image) as saving:
                    saving.send_signal(number)
                    saving.communicate(timeout=harness.DEADLINE)
                    self.assertEqual(saving.returncode, -number)
                self.assertEqual(self.files(), ["image"])
                self.assertEqual(self.image.read_text(), "what was there")
                poll(lambda: not self.client.get("alpha").suspended,
                     "it resumes")
                self.assert_runs("alpha")

    def test_nothing_is_left_if_the_disk_is_full(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

        done = self.simvisor("save", "alpha", self.image, preexec_fn=limit,
                             restore_signals=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("image: File too large", done.stderr)
        self.assertEqual(self.files(), [])
        self.assert_runs("alpha")
        done = self.simvisor("save", "alpha", "/dev/full")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/dev/full: No space left on device", done.stderr)
        self.assert_runs("alpha")

    def test_a_symbolic_link_stays_and_what_it_leads_to_is_replaced(self):
        (self.folder / "there").mkdir()
        target = self.folder / "there" / "image"
        self.image.symlink_to("there/image")
        for name in ("alpha", "beta"):  # it points nowhere at first
            done = self.simvisor("save", name, self.image)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(os.readlink(self.image), "there/image")
            self.assertTrue(target.is_file())
        self.assertEqual(self.files(), ["image", "there"])
        self.assert_holds(target, "beta")

    def test_places_that_cannot_hold_an_image_are_refused_at_once(self):
        circle = self.folder / "circle"
        circle.symlink_to("circle")
        before = self.files()
        for path, why in ((self.folder, "directory"), (circle, "symbolic"),
                          (self.folder / "none" / "image", "No such file"),
                          (f"{self.image}/", "directory"),
                          (self.folder / ("x" * 256), "too long")):
            done = self.simvisor("save", "alpha", path)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(why, done.stderr)
            self.assertNotIn("Saving", done.stderr)
            self.assert_runs("alpha")
        self.assertEqual(self.files(), before)

    def test_a_name_may_be_as_long_as_a_name_can_be(self):
        path = self.folder / ("x" * 255)
        done = self.simvisor("save", "alpha", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_holds(path, "alpha")

    def test_pipes_and_standard_output_take_an_image(self):
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        with (open(self.image, "wb") as out,
              subprocess.Popen(["cat", fifo], stdout=out) as cat):
            done = self.simvisor("save", "alpha", fifo)
            self.assertEqual(done.returncode, 0, done.stderr)
            cat.wait(harness.DEADLINE)
        self.assertTrue(stat.S_ISFIFO(fifo.stat().st_mode))
        self.assert_holds(self.image, "alpha")
        for name in ("-", "/dev/stdout"):
            out = self.folder / "out"
            with open(out, "wb") as file:
                done = subprocess.run(
                    [harness.SIMVISOR, "-H", self.daemon.address, "save",
                     "beta", name], stdout=file, stderr=subprocess.PIPE,
                    timeout=harness.DEADLINE, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assert_holds(out, "beta")

    def test_an_image_comes_from_a_pipe(self):
        done = self.simvisor("save", "alpha", self.image)
        self.assertEqual(done.returncode, 0, done.stderr)
        data = self.image.read_bytes()
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)

        def write():
            # In pieces that are too short to recognise an image.
            with open(fifo, "wb", buffering=0) as file:
                for piece in (data[:1], data[1:20], data[20:]):
                    file.write(piece)

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        done = self.simvisor("restore", fifo)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("new xl fmt info", done.stderr)
        thread.join(harness.DEADLINE)
        for name in ("-", "/dev/stdin"):
            self.client.destroy("alpha")
            done = subprocess.run(
                [harness.SIMVISOR, "-H", self.daemon.address, "restore", name],
                input=data, capture_output=True, timeout=harness.DEADLINE,
                check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("alpha", self.names())

    def test_a_terminal_is_refused(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        commands = (("save", "alpha", "-"), ("save", "alpha", os.ttyname(theirs)),
                    ("frames", "read", "1", "-f", "-"),
                    ("guest", "read", "alpha", "0", "-f", "-"), ("restore", "-"))
        for command in commands:
            with self.subTest(command):
                client = subprocess.Popen(
                    [harness.SIMVISOR, "-H", self.daemon.address, *command],
                    stdin=theirs, stdout=theirs, stderr=subprocess.PIPE,
                    text=True)
                # A program that prints bytes may wait until the test reads
                # them.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    client.wait(timeout=5)
                client.kill()
                _, said = client.communicate()
                self.assertEqual(client.returncode, 2, said)
                self.assertIn("is a terminal", said)
                self.assertIn("name a file", said)
                self.assert_runs("alpha")


if __name__ == "__main__":
    unittest.main()
