"""An HTTP/2 client that does what no library would do: it stops in the middle
of a message, reads no answers, or lies about lengths."""

import select
import socket
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = (
    0, 1, 3, 4, 6, 7, 8)
ACK = END_STREAM = 1
END_HEADERS = 4
INITIAL_WINDOW_SIZE = 4
FRAME = 16384  # bytes of a frame that every peer accepts


def _field(name, value):
    # A literal that is not indexed, without Huffman's code.
    return (b"\x00" + bytes([len(name)]) + name.encode() +
            bytes([len(value)]) + value.encode())


def message(data, length=None):
    """gRPC's frame of `data`, which claims the length `length`."""
    return b"\x00" + struct.pack(
        ">I", len(data) if length is None else length) + data


class Connection:
    """One connection to a unix socket.  With `window` 0 the daemon can send
    headers only."""

    def __init__(self, path, window=65535, timeout=30):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self._incoming = select.poll()
        self._incoming.register(self.socket, select.POLLIN)
        self._timeout = timeout
        self._buffer = b""
        self._next_stream = 1
        self._window = 65535  # of the connection, for what is sent
        self._initial = 65535
        self._windows = {}
        self.ended = {}  # stream: how, "reset" or "answered"
        self.is_open = True
        self.socket.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
            self._frame(SETTINGS, 0, 0, struct.pack(
                ">HI", INITIAL_WINDOW_SIZE, window)))

    @staticmethod
    def _frame(kind, flags, stream, payload=b""):
        return (struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) +
                struct.pack(">I", stream) + payload)

    def open(self, path):
        """Begins a call and returns its stream."""
        stream = self._next_stream
        self._next_stream += 2
        self._windows[stream] = self._initial
        headers = b"".join(_field(name, value) for name, value in (
            (":method", "POST"), (":scheme", "http"), (":path", path),
            (":authority", "localhost"), ("te", "trailers"),
            ("content-type", "application/grpc")))
        self._send(self._frame(HEADERS, END_HEADERS, stream, headers))
        return stream

    def send(self, stream, data, end=False):
        """Sends as much of `data` as the daemon allows; returns how much."""
        sent = 0
        while sent < len(data) and self.is_open and stream not in self.ended:
            room = min(FRAME, len(data) - sent, self._window,
                       self._windows[stream])
            if room <= 0:
                if not self.pump(wait=True):
                    break
                continue
            last = end and sent + room == len(data)
            self._send(self._frame(DATA, END_STREAM if last else 0, stream,
                                   data[sent:sent + room]))
            self._window -= room
            self._windows[stream] -= room
            sent += room
            self.pump()
        return sent

    def reset(self, stream):
        """Cancels the call."""
        self._send(self._frame(RST_STREAM, 0, stream, struct.pack(">I", 8)))
        self.ended[stream] = "reset"

    def _send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            self.is_open = False

    def pump(self, wait=False):
        """Reads what has come; with `wait`, waits for something.  False if
        nothing came."""
        came = False
        while self.is_open:
            patience = self._timeout if wait and not came else 0
            if not self._incoming.poll(patience * 1000):
                break
            try:
                data = self.socket.recv(65536)
            except OSError:
                data = b""
            if not data:
                self.is_open = False
                break
            came = True
            self._buffer += data
            self._take_frames()
        return came

    def _take_frames(self):
        while len(self._buffer) >= 9:
            length = int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < 9 + length:
                return
            kind, flags = self._buffer[3], self._buffer[4]
            stream = int.from_bytes(self._buffer[5:9], "big") & 0x7fffffff
            payload = self._buffer[9:9 + length]
            self._buffer = self._buffer[9 + length:]
            self._take(kind, flags, stream, payload)

    def _take(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                name, value = struct.unpack_from(">HI", payload, at)
                if name == INITIAL_WINDOW_SIZE:
                    for known in self._windows:
                        self._windows[known] += value - self._initial
                    self._initial = value
            self._send(self._frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self._send(self._frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            more = int.from_bytes(payload, "big")
            if stream == 0:
                self._window += more
            elif stream in self._windows:
                self._windows[stream] += more
        elif kind == RST_STREAM:
            self.ended.setdefault(stream, "reset")
        elif kind == GOAWAY:
            self.is_open = self.is_open and bool(payload)
        elif flags & END_STREAM and kind in (DATA, HEADERS):
            self.ended.setdefault(stream, "answered")

    def close(self):
        self.socket.close()
