"""What must hold for every error that a daemon returns."""

import re
import unicodedata

from harness import error_details_pb2, status_pb2

MOST_BYTES = 1024
MOST_METADATA_BYTES = 128
MESSAGE_LIMIT = 4 << 20

# A message that names no cause; quoted text is the client's own.
SUCCESS = re.compile(r"(?<![\w\"'])OK(?![\w\"'])")

# Codes that a client library reports on its own, perhaps with the trailers of
# an answer that came too late.
OWN_ANSWERS = {("DEADLINE_EXCEEDED", "Deadline Exceeded"),
               ("CANCELLED", "Locally cancelled by application!")}

# Categories of characters that a terminal obeys or does not show: controls,
# format characters such as a change of direction, line and paragraph
# separators, and surrogates.
HIDDEN = {"Cc", "Cf", "Zl", "Zp", "Cs"}

# gRPC's own services answer without reasons.
OF_GRPC = ("/grpc.health.", "/grpc.reflection.")


# Fields of answers that tools show unchanged.
SHOWN = {"Domain.name", "IncomingDomain.name", "Migration.name",
         "Migration.peer", "Migration.message"}


def has_hidden(text):
    return any(unicodedata.category(one) in HIDDEN for one in text)


def details_of(error):
    """The google.rpc.Status of a failed call, or None."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return status_pb2.Status.FromString(value)
    return None


def info_of(status):
    """The ErrorInfo in a google.rpc.Status, or None."""
    for detail in status.details if status else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info
    return None


def message_problems(message):
    """What is wrong with a message for people."""
    if not message:
        yield "the message is empty"
        return
    if len(message.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        yield f"the message has more than {MOST_BYTES} bytes"
    if has_hidden(message):
        yield f"the message has hidden characters: {ascii(message)}"
    if SUCCESS.search(message):
        yield f"the message gives OK as a cause: {message}"


def metadata_problems(metadata):
    for name, value in metadata.items():
        if has_hidden(value):
            yield f"the metadata {name} has hidden characters: {ascii(value)}"
        if len(value.encode()) > MOST_METADATA_BYTES:
            yield f"the metadata {name} has more than {MOST_METADATA_BYTES} bytes"


class Checks:

    def __init__(self, reasons):
        self._reasons = reasons

    def _reason_problems(self, code, reason):
        if reason not in self._reasons:
            yield f"docs/errors.md has no reason {reason!r}"
        elif (self._reasons[reason] is not None
              and code not in self._reasons[reason]):
            yield f"docs/errors.md does not allow {code} {reason}"
        if reason == "INTERNAL":
            yield "INTERNAL is a fault of the daemon's"

    def error(self, call, error):
        """What is wrong with the way a call failed.

        `call` has method, largest (bytes of the largest request), cancelled,
        timed (whether it had a deadline) and unknown (no such method)."""
        code, status = error.code().name, details_of(error)
        info = info_of(status)
        if info is None or (code, error.details()) in OWN_ANSWERS:
            yield from self._bare(call, code, error.details())
            return
        if info.domain != "simvisor":
            yield f"the domain of the ErrorInfo is {info.domain!r}"
        yield from self._reason_problems(code, info.reason)
        if status.code != error.code().value[0]:
            yield f"the details have the code {status.code}"
        if status.message != error.details():
            yield (f"the details have another message: {status.message!r}, "
                   f"{error.details()!r}")
        yield from message_problems(error.details())
        yield from metadata_problems(info.metadata)

    @staticmethod
    def _bare(call, code, message):
        """Checks an error without a reason: only gRPC may make these."""
        allowed = (
            code == "DEADLINE_EXCEEDED" and call.timed
            or code == "CANCELLED" and call.cancelled
            or code == "UNIMPLEMENTED" and call.unknown
            or code == "RESOURCE_EXHAUSTED" and call.largest > MESSAGE_LIMIT
            or call.method.path.startswith(OF_GRPC))
        if not allowed:
            yield f"{code} has no reason: {message!r}"

    def answer(self, message):
        """What is wrong with the errors of slots and operations in it."""
        names = message.DESCRIPTOR.fields_by_name
        if {"code", "reason", "message"} <= set(names):
            yield from self._reason_problems(message.code, message.reason)
            yield from message_problems(message.message)
            yield from metadata_problems(message.metadata)
            return
        for field, value in message.ListFields():
            if field.full_name.removeprefix("simvisor.v1.") in SHOWN and (
                    has_hidden(value)):
                yield f"{field.full_name} has hidden characters: {ascii(value)}"
            if not field.message_type:
                continue
            repeated = field.label == field.LABEL_REPEATED
            for one in value[:500] if repeated else [value]:
                yield from self.answer(one)
