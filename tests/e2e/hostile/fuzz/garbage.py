"""Bytes that are not a message of any type.

Each is a message, or part of one, with an end that no parser accepts.  The
daemon must not act on anything before that end.
"""

from fuzz.words import type_name

# A field that goes past the end, a group without an end, an unknown wire type,
# a number without an end, field number 0.
ENDS = (b"\x0a\x7f", b"\x0b", b"\x0f", b"\x08" + b"\xff" * 11, b"\x00\x00",
        b"\x0a\xff\xff\xff\xff\x0f", b"\xff")


def _bad_text(message_class):
    """A text field whose bytes are not UTF-8; None if the message has no text
    field.

    Never an address to connect to."""
    for field in message_class.DESCRIPTOR.fields:
        if type_name(field) == "string" and field.name != "target":
            return bytes([field.number << 3 | 2, 2, 0xc3, 0x28])
    return None


def garbage(random, message):
    """Bytes of `message` that end in something that cannot be parsed."""
    ends = ENDS
    text = _bad_text(type(message))
    if text:
        ends += (text, text)
    front = random.choice((b"", message.SerializeToString()))
    if len(front) > 3 << 20:
        front = b""
    return front + random.choice(ends)
