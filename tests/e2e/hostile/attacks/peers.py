"""Daemons that lie about a migration, and others that say nothing."""

import concurrent.futures
import os
import socket
import threading

import harness
from harness import domain, grpc, live, ref

MUTE = "mute.sock"
LIAR = "liar.sock"

EVIL = "\x1b[2J\u202eevil\nMOVED"


def _committed():
    return live.ReceiveDomainResponse(
        committed=live.ReceiveDomainResponse.Committed(
            domain=domain.Domain(domid=7, name=EVIL)))


def _answers():
    """The answers of a liar, sent at once whatever arrives."""
    admitted = live.ReceiveDomainResponse(
        admitted=live.ReceiveDomainResponse.Admitted())
    prepared = live.ReceiveDomainResponse(
        prepared=live.ReceiveDomainResponse.Prepared())
    return ([admitted, prepared, _committed()], [_committed()],
            [prepared, admitted], [admitted, _committed()], [admitted], [])


class Liar(harness.migration_service_pb2_grpc.MigrationServiceServicer):
    """Answers too early, with text that a terminal would obey."""

    def __init__(self):
        self._answers = _answers()
        self._count = 0
        self._lock = threading.Lock()

    def ReceiveDomain(self, request_iterator, context):
        with self._lock:
            self._count += 1
            answers = self._answers[self._count % len(self._answers)]
        yield from answers
        if len(answers) == 1:
            for _ in request_iterator:  # and then silence
                pass
        context.abort(grpc.StatusCode.UNKNOWN, EVIL)

    def ResolveMigration(self, request, context):
        context.abort(grpc.StatusCode.NOT_FOUND, EVIL)


def lying_peers(attack):
    """Migrates domains to daemons that lie and to daemons that never answer."""
    liar = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
    harness.migration_service_pb2_grpc.add_MigrationServiceServicer_to_server(
        Liar(), liar)
    addresses = [f"unix:{os.path.join(attack.folder, one)}"
                 for one in (LIAR, MUTE)]
    liar.add_insecure_port(addresses[0])
    liar.start()
    mute = socket.socket(socket.AF_UNIX)
    mute.bind(os.path.join(attack.folder, MUTE))
    mute.listen(64)

    def step(rnd, client, number):
        name = f"moves{number}"
        attack.ask(client.domain.CreateDomain, domain.CreateDomainRequest(
            spec=domain.DomainSpec(name=name, memory_pages=600)))
        request = live.MigrateDomainRequest(
            domain=ref(name), target=addresses[number % 3 == 0])
        attack.ask(lambda request, timeout: list(
            client.migration.MigrateDomain(request, timeout=timeout)), request,
                   timeout=rnd.choice((0.2, 2, 10)))
    try:
        attack.loop(10, step)
    finally:
        liar.stop(None)
        mute.close()
