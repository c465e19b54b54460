"""Streams that stall, or whose answers are never read."""

import itertools

from attacks.attack import Silence
from attacks.images import saved
from fuzz import reflection
from harness import (common, domain, grpc, host, live, memory, memory_ops,
                     migration, ref)

PAGES = 4000
HELD = 4.0  # seconds for which a client holds what it does not read


def _silent(attack, open_call, requests):
    """Sends the requests, then waits for the daemon's reaction to the
    silence."""
    silence = Silence(*requests)
    try:
        call = open_call(iter(silence), timeout=max(0.1, attack.left))
        if hasattr(call, "__next__"):
            for _ in call:
                pass
        attack.note("OK")
    except grpc.RpcError as error:
        attack.note_error(error)
    finally:
        silence.let_go()


def _offer(name, number):
    return live.ReceiveDomainRequest(offer=live.ReceiveDomainRequest.Offer(
        migration_id=f"silent-{name}-{number}", pages=PAGES, source="nobody",
        name=f"silent{name}"))


def silent_streams(attack):
    """Begins restores, arrivals and saves, and then says nothing."""
    image, whole = saved(attack, "silent-model"), itertools.count()

    def restore(name, client):
        part = image[:len(image) * 3 // 4]
        _silent(attack, client.migration.RestoreDomain, [
            migration.RestoreDomainRequest(options=migration.RestoreOptions(
                spec=domain.DomainSpec(name=f"silent-restore{name}"))),
            migration.RestoreDomainRequest(data=part)])

    def receive(name, client):
        _silent(attack, client.migration.ReceiveDomain, [
            _offer(name, next(whole)),
            live.ReceiveDomainRequest(data=image[:len(image) // 2])])

    def save(name, client):
        attack.ask(client.domain.CreateDomain, domain.CreateDomainRequest(
            spec=domain.DomainSpec(name=f"silent-save{name}",
                                   memory_pages=PAGES)))
        _silent(attack, client.migration.SaveDomain, [
            migration.SaveDomainRequest(start=migration.SaveDomainRequest.Start(
                domain=ref(f"silent-save{name}"),
                after=migration.AFTER_SAVE_CONTINUE))])

    works = [restore] * 12 + [receive] * 6 + [save] * 4
    attack.loop(len(works), lambda _, client, number: works[number](
        number, client))


def unread_streams(attack):
    """Sends many requests, reads no answers, and keeps the streams open."""
    with attack.client() as client:
        attack.ask(client.domain.CreateDomain, domain.CreateDomainRequest(
            spec=domain.DomainSpec(name="unread", memory_pages=50000)))
        pages = client.counts().total_pages
    batch = memory_ops.StreamMemoryOpsRequest(ops=[
        memory_ops.MemoryOp(id=i, domain=ref("unread"),
                            translate=memory_ops.MemoryOp.Translate(
                                pfns=range(0, 50000, 7)))
        for i in range(40)])
    frames = host.ReadFramesRequest(extents=[common.MfnExtent(
        first_mfn=0, count=min(pages, 60000))])
    extents = host.LookupFramesRequest(extents=[common.MfnExtent(
        first_mfn=0, count=pages)])

    def opened(client, number):
        kind = number % 4
        if kind == 0:
            return client.memory.StreamMemoryOps(itertools.repeat(batch),
                                                 timeout=HELD)
        if kind == 1:
            return client.memory.ListP2mRuns(
                memory.ListP2mRunsRequest(domain=ref("unread")), timeout=HELD)
        if kind == 2:
            return client.host.ReadFrames(frames, timeout=HELD)
        return client.host.LookupFrames(extents, timeout=HELD)

    def step(_, client, number):
        calls = [opened(client, number) for _ in range(6)]
        attack.rest(HELD)
        for one in calls:
            one.cancel()
            attack.note("cancelled")
    attack.loop(4, step)


def reflection_streams(attack):
    """Keeps many reflection streams open."""
    def step(_, client, __):
        silences = [Silence() for _ in range(60)]
        calls = [client.channel.stream_stream(reflection.PATH)(
            iter(one), timeout=HELD) for one in silences]
        attack.rest(HELD)
        for call, silence in zip(calls, silences):
            silence.let_go()
            call.cancel()
            attack.note("cancelled")
    attack.loop(2, step)
