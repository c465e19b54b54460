"""Sends bytes that are not a message to every method: each call fails with
INVALID_ARGUMENT ARGUMENT_MALFORMED, which names the method and the type, and
nothing is written to the log."""

import pathlib
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import harness  # noqa: E402
from google.protobuf.descriptor import FieldDescriptor  # noqa: E402
from harness import grpc, poll, ref  # noqa: E402

REFLECTION = "grpc.reflection.v1alpha.ServerReflection"

NO_MESSAGES = {
    "tag without an end": b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    "field number 0": b"\x02\x01x",
    "string that ends early": b"\x0a\x7fx",
    "wire type that there is not": b"\x0f",
    "group that is not closed": b"\x0b\x08\x01",
    "length above 2 GiB": b"\x0a\xff\xff\xff\xff\x7f",
}


def all_methods():
    modules = [harness.address_space, harness.domain, harness.fault,
               harness.guest_load, harness.host, harness.memory,
               harness.migration]
    return [method for module in modules
            for service in module.DESCRIPTOR.services_by_name.values()
            for method in service.methods]


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def delimited(field, content):
    return varint(field.number << 3 | 2) + varint(len(content)) + content


def text_that_is_not_utf8(message, depth=3):
    """Bytes of a message with this text in it; None if it has no text field."""
    for field in message.fields:
        if field.type == FieldDescriptor.TYPE_STRING:
            return delimited(field, b"\xff\xfe")
    for field in message.fields:
        if field.type == FieldDescriptor.TYPE_MESSAGE and depth > 0:
            inner = text_that_is_not_utf8(field.message_type, depth - 1)
            if inner is not None:
                return delimited(field, inner)
    return None


class MalformedMessagesTest(harness.DaemonTest):

    # At level info the log also has what happens to domains.
    FLAGS = ("--enable-fault-injection", "--host-memory", "4g", "--log-level",
             "warn")

    def setUp(self):
        super().setUp()
        # Its warnings from the start may come after it has begun to serve.
        poll(lambda: "--enable-fault-injection" in self.daemon.read_log(),
             "it warns of its flag")
        self.log_before = self.daemon.read_log()
        self.addCleanup(
            lambda: self.assertEqual(self.daemon.read_log(), self.log_before))
        self.addCleanup(self.assert_clean)

    def call(self, path, messages):
        """A call that sends bytes; returns all answers."""
        return list(self.client.channel.stream_stream(path)(
            iter(messages), timeout=harness.DEADLINE))

    def assert_malformed(self, method, message, messages):
        path = f"/{method.containing_service.full_name}/{method.name}"
        with self.assertRaises(grpc.RpcError) as caught:
            self.call(path, messages)
        error = caught.exception
        self.assertEqual(
            (error.code().name, harness.reason_of(error)),
            ("INVALID_ARGUMENT", "ARGUMENT_MALFORMED"),
            f"{path}: {error.details()}")
        self.assertIn(message.full_name, error.details())
        self.assertIn(method.name, error.details())

    def test_bytes_that_are_no_message(self):
        for method in all_methods():
            for name, data in NO_MESSAGES.items():
                with self.subTest(method=method.full_name, data=name):
                    self.assert_malformed(method, method.input_type, [data])

    def test_compressed_messages_are_not_inflated(self):
        # 256 MiB of zeros in a quarter of a MiB.
        zeros = delimited(harness.memory.WriteGuestMemoryRequest.DESCRIPTOR
                          .fields_by_name["data"], bytes(256 << 20))
        path = "/simvisor.v1.MemoryService/WriteGuestMemory"
        rss = self.daemon.peak_rss()
        with grpc.insecure_channel(
                f"unix:{self.daemon.socket}",
                options=(("grpc.max_send_message_length", -1),)) as channel:
            for method in (channel.unary_unary, channel.stream_stream):
                call = method(path)
                one = zeros if method == channel.unary_unary else iter([zeros])
                with self.assertRaises(grpc.RpcError) as caught:
                    list(call(one, compression=grpc.Compression.Gzip,
                              timeout=harness.DEADLINE))
                self.assertEqual(caught.exception.code().name, "UNIMPLEMENTED")
        self.assertLess(self.daemon.peak_rss() - rss, 64 << 20)

    def test_text_that_is_not_utf8(self):
        tried = 0
        for method in all_methods():
            data = text_that_is_not_utf8(method.input_type)
            if data is None:
                continue
            tried += 1
            with self.subTest(method=method.full_name):
                self.assert_malformed(method, method.input_type, [data])
        self.assertGreater(tried, 20)

    def test_no_message_where_there_is_to_be_one(self):
        # A request without a message at all, not an empty one.
        for method in all_methods():
            streams = method.full_name.rpartition(".")[2] in (
                "SaveDomain", "RestoreDomain", "ReceiveDomain",
                "StreamMemoryOps")
            if streams:
                continue
            with self.subTest(method=method.full_name):
                path = f"/{method.containing_service.full_name}/{method.name}"
                with self.assertRaises(grpc.RpcError) as caught:
                    self.call(path, [])
                self.assertNotEqual(caught.exception.code().name,
                                    "UNIMPLEMENTED")

    def test_garbage_after_an_image_is_not_the_end_of_the_stream(self):
        self.client.create("whole", 4096)
        image = self.save("whole")
        [method] = [m for m in all_methods() if m.name == "RestoreDomain"]
        pieces = [harness.migration.RestoreDomainRequest(data=image[i:i + 2**20])
                  .SerializeToString() for i in range(0, len(image), 2**20)]
        for name, data in NO_MESSAGES.items():
            with self.subTest(data=name):
                self.assert_malformed(method, method.input_type,
                                      pieces + [data])
        with self.assertRaises(grpc.RpcError) as caught:
            self.client.get("whole")
        self.assertEqual(caught.exception.code().name, "NOT_FOUND")
        # And the image is complete.
        self.client.migration.RestoreDomain(
            (harness.migration.RestoreDomainRequest.FromString(piece)
             for piece in pieces), timeout=harness.DEADLINE)
        self.client.destroy("whole")

    def save(self, name):
        """Saves and destroys the domain; returns its image."""
        request = harness.migration.SaveDomainRequest
        sent = threading.Event()

        def requests():
            yield request(start=request.Start(
                domain=ref(name), layer=harness.migration.IMAGE_LAYER_XL))
            sent.wait(harness.DEADLINE)
            yield request(stored=request.Stored())

        image = b""
        for chunk in self.client.migration.SaveDomain(
                requests(), timeout=harness.DEADLINE):
            image += chunk.data
            if chunk.last:
                sent.set()
        return image

    def test_garbage_instead_of_stored_lets_the_guest_go_on(self):
        self.client.create("kept", 4096)
        self.addCleanup(self.client.destroy, "kept")
        [method] = [m for m in all_methods() if m.name == "SaveDomain"]
        request = harness.migration.SaveDomainRequest
        start = request(start=request.Start(
            domain=ref("kept"), layer=harness.migration.IMAGE_LAYER_XL))
        self.assert_malformed(
            method, method.input_type,
            [start.SerializeToString(), NO_MESSAGES["field number 0"]])
        self.assertEqual(
            harness.domain.DomainState.Name(self.client.get("kept").state),
            "DOMAIN_STATE_RUNNING")

    def test_reflection(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.call(f"/{REFLECTION}/ServerReflectionInfo", [b"\x0a\x7fx"])
        error = caught.exception
        self.assertEqual(
            (error.code().name, harness.reason_of(error)),
            ("INVALID_ARGUMENT", "ARGUMENT_MALFORMED"))


if __name__ == "__main__":
    unittest.main()
