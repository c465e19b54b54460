"""Names of domains with characters that terminals obey or do not show: every
way to set a name refuses them and names the character, and no message shows
it."""

import os
import pathlib
import sys
import tempfile
import unicodedata
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

# A module that live_stream_test imports needs this; the tests here do not run
# Xen's verifier.
os.environ.setdefault("XEN_UTILS", "none")

import harness  # noqa: E402
import live_stream_test  # noqa: E402
from harness import domain, grpc, live, migration  # noqa: E402

PAGES = 4 * harness.MIB
# Each as it appears in a name, and as the message shows it.
HOSTILE = {
    "\x00": "U+0000", "\x1b": "U+001B", "\n": "U+000A", "\x7f": "U+007F",
    "\x80": "U+0080", "\x9b": "U+009B", "\xad": "U+00AD",
    "\u061c": "U+061C", "\u200b": "U+200B", "\u200d": "U+200D",
    "\u200e": "U+200E", "\u2028": "U+2028", "\u2029": "U+2029",
    "\u202a": "U+202A", "\u202e": "U+202E", "\u2060": "U+2060",
    "\u2066": "U+2066", "\u2069": "U+2069", "\u3164": "U+3164",
    "\ufe0f": "U+FE0F", "\ufeff": "U+FEFF", "\uffff": "U+FFFF",
    "\U000e0041": "U+E0041",
}
ORDINARY = ("web-1", "two words", "\xe9t\xe9", "\u6570\u636e\u5e93",
            "\u05e9\u05dc\u05d5\u05dd", "\u0645\u062b\u0627\u0644",
            "\U0001f600", "e\u0301", "\ufffd")


def is_shown(text):
    """Whether people see every character of `text`, and a terminal obeys none."""
    return not any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs")
                   for c in text)


class NamesTest(harness.DaemonTest):

    def tearDown(self):
        answer = self.client.domain.ListDomains(
            domain.ListDomainsRequest(), timeout=harness.DEADLINE)
        for one in answer.domains:
            if one.domid != 0:
                self.client.destroy(one.domid)

    def assert_name_refused(self, error, code):
        self.assertEqual((error.code().name, harness.reason_of(error)),
                         ("INVALID_ARGUMENT", "NAME_INVALID"), error.details())
        self.assertIn(code, error.details())
        self.assertTrue(is_shown(error.details()), ascii(error.details()))

    def save(self, name):
        """Saves and destroys the domain; returns its image."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "image"
            harness.simvisor(self.daemon.address, "save", name, str(path))
            return path.read_bytes()

    def restore(self, image, **options):
        return self.client.migration.RestoreDomain(
            iter([migration.RestoreDomainRequest(
                data=image, options=migration.RestoreOptions(**options))]),
            timeout=harness.DEADLINE).domain

    def test_no_domain_is_created_with_one(self):
        for character, code in HOSTILE.items():
            for name in (f"a{character}b", character):
                with self.assertRaises(grpc.RpcError) as caught:
                    self.client.create(name, PAGES)
                self.assert_name_refused(caught.exception, code)

    def test_no_domain_is_renamed_to_one(self):
        self.client.create("guest", PAGES)
        for character, code in HOSTILE.items():
            with self.assertRaises(grpc.RpcError) as caught:
                self.client.domain.RenameDomain(
                    domain.RenameDomainRequest(
                        domain=harness.ref("guest"), new_name=f"a{character}"),
                    timeout=harness.DEADLINE)
            self.assert_name_refused(caught.exception, code)
        self.assertEqual(self.client.get("guest").name, "guest")

    def test_no_image_restores_one(self):
        self.client.create("a-domain", PAGES)
        image = self.save("a-domain")
        self.assertEqual(image.count(b'"a-domain"'), 1)
        for character, code in HOSTILE.items():
            if character < " ":
                continue  # JSON shows them only escaped
            name = character.encode().ljust(8, b"x")
            with self.assertRaises(grpc.RpcError) as caught:
                self.restore(image.replace(b'"a-domain"', b'"%s"' % name))
            self.assert_name_refused(caught.exception, code)
            with self.assertRaises(grpc.RpcError) as caught:
                self.restore(image, spec=domain.DomainSpec(
                    name=f"a{character}", memory_pages=PAGES))
            self.assert_name_refused(caught.exception, code)
        self.assertEqual(self.restore(image).name, "a-domain")

    def test_an_escape_in_the_images_json_does_not_help(self):
        self.client.create("a-long-domain-name", PAGES)
        image = self.save("a-long-domain-name")
        for escape, code in ((b"\\u001b", "U+001B"), (b"\\u009b", "U+009B"),
                             (b"\\u202e", "U+202E"), (b"\\n", "U+000A")):
            name = escape.ljust(18, b"x")
            with self.assertRaises(grpc.RpcError) as caught:
                self.restore(image.replace(b'"a-long-domain-name"',
                                           b'"%s"' % name))
            self.assert_name_refused(caught.exception, code)

    def test_no_migration_brings_one(self):
        target = live_stream_test.Target()
        self.addCleanup(target.close)
        self.client.create("a-domain", PAGES)
        with self.assertRaises(grpc.RpcError):  # the refusal comes at the end
            for _ in self.client.migration.MigrateDomain(
                    live.MigrateDomainRequest(
                        domain=harness.ref("a-domain"), target=target.address),
                    timeout=harness.DEADLINE):
                pass
        stream = bytes(target.stream)
        self.client.destroy("a-domain")
        self.assertEqual(stream.count(b'"a-domain"'), 1)
        for character in ("\x9b", "\u202e", "\u200b", "\u2028"):
            name = character.encode().ljust(8, b"x")
            offer = live.ReceiveDomainRequest.Offer()
            offer.CopyFrom(target.offer)
            offer.migration_id = f"{ord(character):032x}"
            with self.assertRaises(grpc.RpcError) as caught:
                for _ in self.client.migration.ReceiveDomain(
                        iter([live.ReceiveDomainRequest(offer=offer),
                              live.ReceiveDomainRequest(data=stream.replace(
                                  b'"a-domain"', b'"%s"' % name))]),
                        timeout=harness.DEADLINE):
                    pass
            self.assert_name_refused(caught.exception, f"U+{ord(character):04X}")
        self.assert_clean()

    def test_no_configuration_brings_one(self):
        with tempfile.TemporaryDirectory() as folder:
            for character in ("\x9b", "\u202e", "\u200b", "\u2028"):
                path = os.path.join(folder, "guest.cfg")
                pathlib.Path(path).write_text(
                    f'name = "a{character}b"\nmemory = 4\n', encoding="utf-8")
                done = harness.simvisor(self.daemon.address, "create", path,
                                        check=False)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("NAME_INVALID", done.stderr)
                self.assertIn(f"U+{ord(character):04X}", done.stderr)
                self.assertTrue(is_shown(done.stderr.replace("\n", "")))

    def test_a_name_that_is_not_utf_8_reaches_no_table(self):
        spec = b"\x0a\x03a\xffb\x28\x80\x08"
        request = b"\x0a" + bytes([len(spec)]) + spec
        create = self.client.channel.unary_unary(
            "/simvisor.v1.DomainService/CreateDomain",
            request_serializer=bytes, response_deserializer=bytes)
        with self.assertRaises(grpc.RpcError):
            create(request, timeout=harness.DEADLINE)
        answer = self.client.domain.ListDomains(
            domain.ListDomainsRequest(), timeout=harness.DEADLINE)
        self.assertEqual([one.domid for one in answer.domains], [0])

    def test_the_log_shows_no_name_as_it_was_sent(self):
        daemon = harness.Daemon("--log-level", "debug")
        self.addCleanup(daemon.close)
        client = harness.Client(daemon.address)
        self.addCleanup(client.close)
        for character in HOSTILE:
            with self.assertRaises(grpc.RpcError):
                client.get(f"a{character}b")
        daemon.stop()
        log = daemon.read_log()
        self.assertIn("a\\u202eb", log)
        for line in log.split("\n"):
            self.assertTrue(is_shown(line), ascii(line))

    def test_names_in_every_script_are_taken(self):
        for name in ORDINARY:
            self.assertEqual(self.client.create(name, PAGES).name, name)
            self.assertEqual(self.client.get(name).name, name)

    def test_a_message_shows_no_name_as_it_was_sent(self):
        for character in HOSTILE:
            with self.assertRaises(grpc.RpcError) as caught:
                self.client.get(f"a{character}b")
            self.assertTrue(is_shown(caught.exception.details()),
                            ascii(caught.exception.details()))


if __name__ == "__main__":
    unittest.main()
