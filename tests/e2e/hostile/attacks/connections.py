"""Connections that say nothing, or a part of something."""

import contextlib
import resource
import socket

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
BEGINNINGS = (b"", b"", b"P", PREFACE[:10], PREFACE, PREFACE + SETTINGS,
              PREFACE + b"\xff" * 64, b"GET / HTTP/1.1\r\n\r\n")

CONNECTIONS = 1100  # more than the usual limit of descriptors
HEAD_START = 2.0  # seconds that other attacks have to connect


def _connect(attack, number):
    if number % 2:
        connection = socket.socket(socket.AF_UNIX)
        address = attack.address.removeprefix("unix:")
    else:
        connection = socket.socket(socket.AF_INET)
        host, _, port = attack.tcp.rpartition(":")
        address = host, int(port)
    connection.settimeout(1)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def idle_connections(attack):
    """Opens as many connections as a daemon may have descriptors, sends nothing
    or half a message, and closes them all."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    attack.rest(HEAD_START)
    while not attack.over:
        with contextlib.ExitStack() as all_of_them:
            for number in range(CONNECTIONS):
                if attack.over:
                    break
                try:
                    one = all_of_them.enter_context(_connect(attack, number))
                    one.send(BEGINNINGS[number // 2 % len(BEGINNINGS)])
                    attack.note("connected")
                except OSError as error:
                    attack.note(f"OSError {error.errno}")
            attack.rest(1)
