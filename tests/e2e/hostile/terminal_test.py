"""What a lying daemon can make `simvisor` print: for every verb, a daemon that
answers with hostile text in every string of every response, or fails with such
text.  A terminal shows all output as it is, and no line begins with text that
followed a line feed in a string."""

import json
import os
import pathlib
import pty
import re
import subprocess
import sys
import tempfile
import unicodedata
import unittest
from concurrent import futures

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402
from harness import (  # noqa: E402
    address_space, domain, error_details_pb2, fault, grpc, guest_load, host,
    memory, migration, secondary_mmu, status_pb2)
from google.protobuf import any_pb2, descriptor_pb2  # noqa: E402
from google.protobuf import message_factory  # noqa: E402

FORGED = "FORGED"
# A title for the terminal's window, a colour by C1, an override and an isolate of
# direction, characters of no width, ends of lines of every kind.
EVIL = ("evil\x1b]0;pwned\x07\x1b[31m\x9b31m\u202egnp\u2066\u200b\ufeff\x7f\x08"
        f"\r{FORGED}\n{FORGED}\u2028{FORGED}\x85{FORGED}\U000e0041\x00")
FILES = (address_space, domain, fault, guest_load, host, memory, migration,
         secondary_mmu)
SERVICES = [service for file in FILES
            for service in file.DESCRIPTOR.services_by_name.values()]
FACTORY = message_factory.MessageFactory()
# Tokens that would make the client ask for pages forever.
TOKENS = ("next_page_token",)


def message_class(descriptor):
    return FACTORY.GetPrototype(descriptor)


def fill(message, depth=0):
    """Fills every field; in a oneof, the last one."""
    for field in message.DESCRIPTOR.fields:
        repeated = field.label == field.LABEL_REPEATED
        if field.name in TOKENS:
            continue
        if field.type == field.TYPE_MESSAGE:
            if depth > 8:
                continue
            if repeated:
                for _ in range(2):
                    fill(getattr(message, field.name).add(), depth + 1)
            else:
                getattr(message, field.name).SetInParent()
                fill(getattr(message, field.name), depth + 1)
            continue
        if field.type == field.TYPE_STRING:
            value = EVIL
        elif field.type == field.TYPE_BYTES:
            value = EVIL.encode()
        elif field.type == field.TYPE_BOOL:
            value = True
        elif field.type == field.TYPE_ENUM:
            value = field.enum_type.values[-1].number
        else:
            value = 1
        if repeated:
            getattr(message, field.name).extend([value] * 2)
        else:
            setattr(message, field.name, value)


class Liar(grpc.GenericRpcHandler):
    """Answers every method of Simvisor: with filled responses, or with an error.
    `shapes` are changes to a response, by the name of its type."""

    def __init__(self):
        self.fails = False
        self.shapes = {}
        self.asked = set()
        self.methods = {f"/{service.full_name}/{method.name}": method
                        for service in SERVICES for method in service.methods}
        self.server = grpc.server(futures.ThreadPoolExecutor(4),
                                  handlers=(self,))
        self.folder = tempfile.TemporaryDirectory()
        self.address = f"unix:{self.folder.name}/liar.sock"
        self.server.add_insecure_port(self.address)
        self.server.start()

    def close(self):
        self.server.stop(None)
        self.folder.cleanup()

    def response(self, method):
        response = message_class(method.output_type)()
        fill(response)
        if method.output_type.name in self.shapes:
            self.shapes[method.output_type.name](response)
        return response

    def fail(self, context):
        details = any_pb2.Any()
        details.Pack(error_details_pb2.ErrorInfo(
            domain="simvisor", reason=f"REASON_{EVIL}"))
        status = status_pb2.Status(code=5, message=EVIL, details=[details])
        context.set_trailing_metadata((
            ("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(grpc.StatusCode.NOT_FOUND, EVIL.replace("\0", ""))

    def service(self, details):
        method = self.methods.get(details.method)
        if method is None:
            return None
        self.asked.add(method.name)
        request = message_class(method.input_type)

        def unary(_, context):
            if self.fails:
                self.fail(context)
            return self.response(method)

        def stream(requests, context):
            if self.fails:
                self.fail(context)
            if method.name == "StreamMemoryOps":
                for one in requests:
                    response = message_class(method.output_type)()
                    for op in one.ops:
                        result = response.results.add()
                        fill(result)
                        result.id = op.id
                    yield response
                return
            yield self.response(method)

        def take_all(requests, context):
            for _ in requests:
                pass
            return unary(None, context)

        coders = {"request_deserializer": request.FromString,
                  "response_serializer":
                      lambda message: message.SerializeToString()}
        proto = descriptor_pb2.MethodDescriptorProto()
        method.CopyToProto(proto)
        if proto.server_streaming and proto.client_streaming:
            return grpc.stream_stream_rpc_method_handler(stream, **coders)
        if proto.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, **coders)
        if proto.client_streaming:
            return grpc.stream_unary_rpc_method_handler(take_all, **coders)
        return grpc.unary_unary_rpc_method_handler(unary, **coders)


CONFIG = 'name = "guest"\nmemory = 4\n'
SCRIPT = f"""title: "a script\\n{FORGED}"
steps {{
  name: "a step\\n{FORGED}"
  get_domain {{
    request {{ domain {{ domid: 1 }} }}
    expect {{ domain {{ name: "another" }} }}
  }}
  save {{ name: "evil" field: "domain.name" }}
}}
cleanup {{
  name: "a cleanup step\n{FORGED}"
  get_domain {{
    request {{ domain {{ name: "${{evil}}" }} }}
    expect {{ domain {{ name: "not ${{evil}}" }} }}
  }}
}}
"""
BATCH = "p2m lookup guest 1\nmem-set guest 4m\nnothing known\n"

# Every verb, with arguments that make it call the daemon; {0} is a folder.
VERBS = (
    "create {0}/guest.cfg", "list", "list 1", "list -v", "info", "info release",
    "domid 1", "domname 1", "destroy 1", "pause 1", "unpause 1",
    "rename 1 other", "save 1 {0}/image", "restore {0}/guest.cfg",
    "migrate 1 unix:/nowhere", "migrations", "migrate-resolve id --keep",
    "vcpu-list", "vcpu-list 1", "vcpu-pin 1 0 0", "mem-set 1 8m",
    "mem-max 1 8m", "balloon down 1 1", "balloon up 1 1", "balloon state 1",
    "batch {0}/batch", "identity mark 1 1 2", "p2m dump 1", "p2m lookup 1 1",
    "p2m stat 1", "p2m map 1", "p2m walk 1", "p2m set 1 1 1 missing",
    "p2m foreign map 1 1 1+3", "p2m foreign unmap 1 1", "p2m mfn 1 1",
    "frames lookup 1", "frames read 1", "audit", "guest read 1 1",
    "guest write 1 1 text", "guest load 1",
    "guest load 1 --status", "guest load 1 --stop", "guest load 1 --check",
    "address-space create 1", "address-space destroy 1 1",
    "address-space list 1", "address-space translate 1 1 1",
    "address-space sync 1", "run {0}/script", "fault add save.piece",
    "fault list", "fault list --points", "fault clear --all", "fault enable",
    "fault disable", "mmu attach 1", "mmu list", "mmu stat 1",
    "mmu mappings 1", "mmu young 1 0-9", "mmu fence 1", "mmu check 1 other",
    "e820 explain {0}/guest.cfg", "help", "version",
)


def leaves(*path):
    """The commands below `path` that have no subcommands."""
    told = subprocess.run([harness.SIMVISOR, *path, "--help"],
                          capture_output=True, text=True, check=True).stdout
    if "\nSubcommands:\n" not in told:
        return [" ".join(path)]
    below = told.split("\nSubcommands:\n")[1].split("\n\n")[0]
    names = re.findall(r"^  ([a-z0-9-]+)", below, re.M)
    return [leaf for name in names for leaf in leaves(*path, name)]


class TerminalTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = cls.temporary.name
        for name, text in (("guest.cfg", CONFIG), ("script", SCRIPT),
                           ("batch", BATCH)):
            pathlib.Path(cls.folder, name).write_text(text, encoding="utf-8")
        cls.liar = Liar()

    @classmethod
    def tearDownClass(cls):
        cls.liar.close()
        cls.temporary.cleanup()

    def setUp(self):
        self.liar.fails = False
        self.liar.shapes = {
            "SaveDomainResponse": lambda r: setattr(r, "last", True)}

    def run_verb(self, verb, *options):
        return subprocess.run(
            [harness.SIMVISOR, "-H", self.liar.address, *options,
             *verb.format(self.folder).split()],
            capture_output=True, timeout=harness.DEADLINE, check=False)

    def assert_safe(self, data, verb):
        text = data.decode()  # fails for text that is not UTF-8
        for character in text:
            if character in "\n\t":
                continue
            self.assertNotIn(
                unicodedata.category(character), ("Cc", "Cf", "Zl", "Zp"),
                f"{verb}: {ascii(text)}")
        for line in text.splitlines():
            self.assertFalse(line.strip().startswith(FORGED),
                             f"{verb}: {ascii(text)}")

    def test_every_verb_is_tried(self):
        for leaf in leaves():
            self.assertTrue(any(verb == leaf or verb.startswith(leaf + " ")
                                for verb in VERBS), leaf)
        for verb in VERBS:
            self.run_verb(verb)
        methods = {method.name for service in SERVICES
                   for method in service.methods}
        # A method that only daemons call.
        self.assertEqual(methods - self.liar.asked, {"ReceiveDomain"})

    def test_answers_are_shown_and_not_obeyed(self):
        shown = 0
        for verb in VERBS:
            done = self.run_verb(verb)
            self.assertIn(done.returncode, (0, 1), (verb, done.stderr))
            self.assert_safe(done.stdout, verb)
            self.assert_safe(done.stderr, verb)
            shown += b"evil\\x1b" in done.stdout + done.stderr
        # Otherwise the test would not have seen the daemon's text.
        self.assertGreater(shown, 10)

    def test_errors_are_shown_and_not_obeyed(self):
        self.liar.fails = True
        for verb in VERBS:
            done = self.run_verb(verb)
            self.assertIn(done.returncode, (0, 1, 3), (verb, done.stderr))
            self.assert_safe(done.stdout, verb)
            self.assert_safe(done.stderr, verb)

    def test_json_escapes_by_itself_and_tells_the_truth(self):
        for verb in VERBS:
            done = self.run_verb(verb, "-o", "json")
            self.assert_safe(done.stdout, verb)
            self.assert_safe(done.stderr, verb)
        answer = json.loads(self.run_verb("list", "-o", "json").stdout)
        self.assertEqual(answer["domains"][0]["name"], EVIL)
        answer = json.loads(self.run_verb("list -l").stdout)
        self.assertEqual(answer[0]["config"]["c_info"]["name"], EVIL)
        answer = json.loads(self.run_verb("migrations", "-o", "json").stdout)
        self.assertEqual(answer["migrations"][0]["message"], EVIL)

    def test_a_terminal_with_colours_gets_no_others(self):
        ours, theirs = pty.openpty()
        environment = {**os.environ, "TERM": "xterm"}
        environment.pop("NO_COLOR", None)
        for verb in ("p2m map 1", "list", "migrations", "migrate 1 unix:/no"):
            done = subprocess.run(
                [harness.SIMVISOR, "-H", self.liar.address, *verb.split()],
                stdout=theirs, stderr=theirs, env=environment,
                timeout=harness.DEADLINE, check=False)
            self.assertIn(done.returncode, (0, 1))
            seen = b""
            os.write(theirs, b"\nthe end\n")
            while not seen.endswith(b"the end\r\n"):
                seen += os.read(ours, 65536)
            # Sequences of the program itself: colours, and erasing a progress
            # bar.
            plain = re.sub(rb"\x1b\[[0-9;]*m|\r\x1b\[K", b"", seen)
            self.assert_safe(plain.replace(b"\r\n", b"\n"), verb)
        os.close(ours)
        os.close(theirs)


if __name__ == "__main__":
    unittest.main()
