"""The methods of a daemon and their messages, by server reflection."""

import collections
import functools
import subprocess
import tempfile

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import harness

REFLECTION = "grpc.reflection.v1alpha"
PATH = f"/{REFLECTION}.ServerReflection/ServerReflectionInfo"

# The end of an unknown method's name.
UNKNOWN = "Nonesuch"

# path: "/service/name".  request, response: classes of messages.
Method = collections.namedtuple(
    "Method", "path name request response client_streaming server_streaming")


def message_class(pool, name):
    """The class of the message type of this full name."""
    factory = message_factory.MessageFactory(pool)
    return factory.GetPrototype(pool.FindMessageTypeByName(name))


@functools.lru_cache(maxsize=None)
def _own_classes():
    """Request and response of reflection itself, from Debian's proto file."""
    with tempfile.NamedTemporaryFile(suffix=".pb") as out:
        subprocess.run(
            ["protoc", f"-I{harness.HEALTH_PROTO}", f"-o{out.name}",
             "grpc/reflection/v1alpha/reflection.proto"], check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return [message_class(pool, f"{REFLECTION}.ServerReflection{one}")
            for one in ("Request", "Response")]


class _Asker:
    """One question per call: a daemon may leave out files that it already sent
    on the same stream."""

    def __init__(self, channel):
        self._request, response = _own_classes()
        self._call = channel.stream_stream(
            PATH, request_serializer=self._request.SerializeToString,
            response_deserializer=response.FromString)

    def ask(self, **question):
        [answer] = self._call(iter([self._request(**question)]),
                              timeout=harness.DEADLINE)
        assert not answer.HasField("error_response"), answer
        return answer

    def services(self):
        answer = self.ask(list_services="")
        return sorted(s.name for s in answer.list_services_response.service)

    def files_with(self, symbol):
        answer = self.ask(file_containing_symbol=symbol)
        return [descriptor_pb2.FileDescriptorProto.FromString(raw) for raw in
                answer.file_descriptor_response.file_descriptor_proto]

    def file(self, name):
        answer = self.ask(file_by_filename=name)
        return [descriptor_pb2.FileDescriptorProto.FromString(raw) for raw in
                answer.file_descriptor_response.file_descriptor_proto]


def _collect(asker, services):
    """Files by name, with everything they depend on."""
    found = {}
    for service in services:
        for file in asker.files_with(service):
            found[file.name] = file
    while True:
        missing = {name for file in found.values() for name in file.dependency
                   if name not in found}
        if not missing:
            return found
        for name in missing:
            for file in asker.file(name):
                found[file.name] = file


def _add(pool, files, name, added):
    if name in added:
        return
    added.add(name)
    for needed in files[name].dependency:
        _add(pool, files, needed, added)
    pool.Add(files[name])


def methods(channel):
    """All methods of all services, reflection's own too."""
    asker = _Asker(channel)
    services = asker.services()
    files = _collect(asker, services)
    pool, added = descriptor_pool.DescriptorPool(), set()
    for name in files:
        _add(pool, files, name, added)
    found = []
    for service in services:
        for method in pool.FindServiceByName(service).methods:
            proto = descriptor_pb2.MethodDescriptorProto()
            method.CopyToProto(proto)
            found.append(Method(
                f"/{service}/{method.name}", method.name,
                message_class(pool, method.input_type.full_name),
                message_class(pool, method.output_type.full_name),
                proto.client_streaming, proto.server_streaming))
    return found


def unknown_method(like):
    """A method that no daemon has, with the messages of a real one."""
    return like._replace(path=like.path + UNKNOWN, name=like.name + UNKNOWN)


