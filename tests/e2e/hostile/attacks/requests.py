"""Messages that cannot be parsed, are large, or have odd names."""

from fuzz import reflection
from fuzz.garbage import garbage
from fuzz.words import ODD_STRINGS
from harness import domain, memory, ref

ALMOST_4_MIB = (4 << 20) - 1024


def unparsable_messages(attack):
    """Sends garbage to every method that takes one message."""
    with attack.client() as client:
        methods = [one for one in reflection.methods(client.channel)
                   if not one.client_streaming]

    def step(rnd, client, _):
        method = rnd.choice(methods)
        kind = "unary_stream" if method.server_streaming else "unary_unary"
        call = getattr(client.channel, kind)(method.path)
        attack.ask(lambda *args, **kwargs: [
            *call(*args, **kwargs)] if method.server_streaming
                   else call(*args, **kwargs),
                   garbage(rnd, method.request()))
    attack.loop(2, step)


def cancelled_bodies(attack):
    """Sends requests as large as allowed, and gives up while they arrive."""
    request = memory.WriteGuestMemoryRequest(
        domain=ref("nobody"), data=bytes(ALMOST_4_MIB))

    def step(rnd, client, _):
        calls = [client.memory.WriteGuestMemory.future(request, timeout=10)
                 for _ in range(4)]
        attack.rest(rnd.choice((0, 0.001, 0.01)))
        for one in calls:
            one.cancel()
            attack.note("cancelled")
    attack.loop(2, step)


def bad_names(attack):
    """Creates domains with names that a terminal shows as something else."""
    def step(rnd, client, number):
        name = rnd.choice(ODD_STRINGS)
        if rnd.random() < 0.5:
            name += str(number)
        answer = attack.ask(
            client.domain.CreateDomain, domain.CreateDomainRequest(
                spec=domain.DomainSpec(name=name, memory_pages=600)))
        if answer is None:
            return
        domid = answer.domain.domid
        attack.ask(client.domain.RenameDomain, domain.RenameDomainRequest(
            domain=ref(domid), new_name=rnd.choice(ODD_STRINGS)))
        attack.ask(client.domain.DestroyDomain,
                   domain.DestroyDomainRequest(domain=ref(domid)))
    attack.loop(1, step)
