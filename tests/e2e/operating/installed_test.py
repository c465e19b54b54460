"""What cmake --install puts into a folder: programs, manual pages, and
completion that real shells load."""

import os
import pathlib
import pty
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402

PAGES = 4096

BUILD = pathlib.Path(harness.SIMVISOR).parents[1]


def verbs():
    """Each verb and group of the CLI, as help lists them."""
    text = subprocess.run([harness.SIMVISOR, "--help"], capture_output=True,
                          text=True, check=True).stdout
    listed = text.split("Subcommands:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in listed.splitlines()
            if line.startswith("  ") and not line.startswith("   ")]


class Installed(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        environment = {**os.environ, "DESTDIR": cls.folder.name}
        subprocess.run(["cmake", "--install", BUILD, "--prefix", "/usr"],
                       check=True, env=environment, capture_output=True)
        cls.usr = pathlib.Path(cls.folder.name) / "usr"
        cls.share = cls.usr / "share"

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()


class FilesTest(Installed):

    def test_programs_pages_and_completions_are_where_systems_look(self):
        files = {str(path.relative_to(self.usr))
                 for path in self.usr.rglob("*") if path.is_file()}
        self.assertEqual(files, {
            "bin/simvisor", "bin/simvisord",
            "share/bash-completion/completions/simvisor",
            "share/zsh/site-functions/_simvisor",
            "share/man/man1/simvisor.1", "share/man/man8/simvisord.8",
            *(f"share/man/man1/simvisor-{verb}.1" for verb in verbs())})
        for name in ("simvisor", "simvisord"):
            subprocess.run([self.usr / "bin" / name, "--version"], check=True,
                           capture_output=True)

    def test_manual_pages_are_formatted_without_a_warning(self):
        for page in sorted((self.share / "man").rglob("*.[18]")):
            result = subprocess.run(
                ["man", "--warnings=w", "-E", "UTF-8", "-l", page],
                capture_output=True, text=True, check=False,
                env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"})
            self.assertEqual((result.returncode, result.stderr), (0, ""), page)

    def page(self, name):
        text = subprocess.run(
            ["man", "-E", "ascii", "-l", self.share / "man" / name],
            capture_output=True, text=True, check=True,
            env={**os.environ, "MANWIDTH": "200", "LC_ALL": "C"}).stdout
        return " ".join(text.split())

    def test_pages_say_what_help_says(self):
        page = self.page("man1/simvisor-p2m.1")
        for text in ("simvisor-p2m - look at and change a domain's p2m list",
                     "simvisor p2m set [OPTION]... DOM PFN COUNT CLASS [MFN]",
                     "missing|identity|ram", "--release",
                     "simvisor p2m foreign map"):
            self.assertIn(text, page)
        page = self.page("man1/simvisor.1")
        for text in ("Format: text or json", "Exit codes: 0 done",
                     "simvisord(8), simvisor-create(1)"):
            self.assertIn(text, page)
        # Not the builder's own address.
        self.assertIn("$XDG_RUNTIME_DIR/simvisor.sock", page)
        page = self.page("man8/simvisord.8")
        for text in ("--listen ADDR", "Connections", "--host-memory SIZE",
                     "SIGTERM, SIGINT and SIGHUP"):
            self.assertIn(text, page)


class CompletionTest(Installed):
    """Lines that end where Tab is pressed."""

    def bash(self, line, *, cwd=None):
        """What bash would offer for the last word of the line."""
        # Bash splits a line at the characters of COMP_WORDBREAKS like this.
        script = f"""
            source '{self.share}/bash-completion/completions/simvisor'
            read -r -a words <<< "$1"
            [[ $1 == *' ' ]] && words+=('')
            COMP_WORDS=()
            for word in "${{words[@]}}"; do
              if [[ $word == *[:=]* ]]; then
                while [[ $word =~ ^([^:=]*)([:=])(.*)$ ]]; do
                  [[ -n ${{BASH_REMATCH[1]}} ]] && COMP_WORDS+=("${{BASH_REMATCH[1]}}")
                  COMP_WORDS+=("${{BASH_REMATCH[2]}}")
                  word=${{BASH_REMATCH[3]}}
                done
                [[ -n $word ]] && COMP_WORDS+=("$word")
              else
                COMP_WORDS+=("$word")
              fi
            done
            COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
            _simvisor
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        result = subprocess.run(
            ["bash", "--norc", "--noprofile", "-c", script, "bash", line],
            capture_output=True, text=True, check=True, cwd=cwd,
            env=self.path())
        self.assertEqual(result.stderr, "")
        return result.stdout.split()

    def test_bash_completes_verbs_and_verbs_of_groups(self):
        self.assertEqual(set(self.bash("simvisor ")), set(verbs()))
        self.assertEqual(self.bash("simvisor mig"),
                         [v for v in verbs() if v.startswith("mig")])
        self.assertEqual(self.bash("simvisor p2m du"), ["dump"])
        self.assertEqual(self.bash("simvisor p2m foreign "), ["map", "unmap"])
        # Groups may be abbreviated, and options may come before.
        self.assertEqual(self.bash("simvisor -o json p2 du"), ["dump"])
        self.assertEqual(self.bash("simvisor --timeout=3 p2 du"), ["dump"])
        self.assertEqual(self.bash("simvisor no-such-verb "), [])

    def test_bash_completes_options_and_their_words(self):
        self.assertEqual(self.bash("simvisor p2m set --re"), ["--release"])
        self.assertIn("--output", self.bash("simvisor p2m set --"))
        self.assertEqual(self.bash("simvisor -o "), ["text", "json"])
        self.assertEqual(self.bash("simvisor list --output=j"), ["json"])
        self.assertEqual(self.bash("simvisor guest load web --pattern h"),
                         ["hotspot"])
        # The fourth word of this verb is one of three.
        self.assertEqual(self.bash("simvisor p2m set web 0 1 i"), ["identity"])
        self.assertEqual(self.bash("simvisor p2m set web "), [])
        self.assertEqual(self.bash("simvisor p2m set -- web 0 1 i"), ["identity"])

    def test_bash_completes_files_and_domains(self):
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "web.cfg").touch()
            for line in ("create w", "create -f w", "restore w",
                         "restore w.cfg w", "save web w", "batch w", "run w",
                         "e820 explain w", "guest read web 0 -f w",
                         "guest write web 0 --file w", "frames read 0 -f w"):
                self.assertEqual(self.bash(f"simvisor {line}", cwd=folder),
                                 ["web.cfg"], line)
        daemon = harness.Daemon()
        self.addCleanup(daemon.close)
        client = harness.Client(daemon.address)
        self.addCleanup(client.close)
        client.create("web", PAGES)
        client.create("db", PAGES)
        for address in (f"--address {daemon.address}",
                        f"--address={daemon.address}"):
            self.assertEqual(self.bash(f"simvisor {address} pause w"), ["web"])
        self.assertEqual(
            self.bash(f"simvisor pause --address {daemon.address} "),
            ["Domain-0", "web", "db"])
        self.assertEqual(self.bash("simvisor --address unix:/none pause "), [])

    def test_tab_in_bash_completes_a_line(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"], stdin=slave, stdout=slave,
            stderr=slave, start_new_session=True,
            env={**os.environ, "INPUTRC": "/dev/null", "TERM": "dumb"})
        self.addCleanup(bash.wait)
        self.addCleanup(bash.kill)
        os.close(slave)
        os.write(master, f"source '{self.share}/bash-completion/completions/"
                         "simvisor'\n".encode())
        # Ctrl-A goes to the front of the line, to print its words.
        os.write(master, b"simvisor p2 du\t\x01printf '<%s>' \n")
        seen = b""
        while b"<simvisor><p2><dump>" not in seen:
            seen += os.read(master, 4096)

    def test_the_script_for_bash_has_no_slips(self):
        subprocess.run(
            ["shellcheck", "--shell=bash",
             self.share / "bash-completion" / "completions" / "simvisor"],
            check=True)

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh_loads_its_function(self):
        function = self.share / "zsh" / "site-functions" / "_simvisor"
        self.assertTrue(function.read_text().startswith("#compdef simvisor\n"))
        subprocess.run(["zsh", "-f", "-n", function], check=True)

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh_completes_verbs_options_and_words(self):
        for line, found in (("simvisor p2m du", "simvisor p2m dump "),
                            ("simvisor -o json p2m du",
                             "simvisor -o json p2m dump "),
                            ("simvisor p2m set --rel",
                             "simvisor p2m set --release "),
                            ("simvisor list --output=j",
                             "simvisor list --output=json "),
                            ("simvisor list --outp", "simvisor list --output="),
                            ("simvisor p2m set web 0 1 i",
                             "simvisor p2m set web 0 1 identity ")):
            self.assertEqual(self.zsh(line), found)

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
    def test_zsh_completes_domains(self):
        with tempfile.TemporaryDirectory(suffix=" it's") as folder:
            daemon = harness.Daemon(folder=folder)
            self.addCleanup(daemon.close)
            client = harness.Client(daemon.address)
            self.addCleanup(client.close)
            client.create("web", PAGES)
            client.create("db", PAGES)
            address = "'" + daemon.address.replace("'", "'\\''") + "'"
            for line in (f"simvisor --address {address} pause w",
                         f"simvisor --address={address} pause w",
                         f"simvisor pause --address {address} w"):
                self.assertEqual(self.zsh(line), line + "eb ")

    def zsh(self, line):
        """The line after Tab in an interactive zsh."""
        script = f"""
            zmodload zsh/zpty
            zpty shell zsh -f -i
            zpty -w shell "PS1= PROMPT_EOL_MARK= fpath=('{self.share}/zsh/site-functions' \\$fpath)"
            zpty -w shell 'autoload -Uz compinit; compinit -u -D'
            zpty -w shell 'show() {{ print -r -- "<<$BUFFER>>" }}; zle -N show; bindkey "^X" show'
            zpty -w shell 'print rea''dy'
            zpty -r shell text '*ready*'
            zpty -w -n shell $1$'\\t\\x18'
            zpty -r shell text '*<<*>>*'
            print -r -- ${{${{text##*<<}}%%>>*}}
        """
        result = subprocess.run(["zsh", "-f", "-c", script, "zsh", line],
                                capture_output=True, text=True, check=True,
                                timeout=harness.DEADLINE, env=self.path())
        return result.stdout.rstrip("\n")

    def path(self):
        """An environment where the installed programs come first."""
        return {**os.environ,
                "PATH": f"{self.usr / 'bin'}:{os.environ['PATH']}"}


if __name__ == "__main__":
    unittest.main()
