"""Domains made to be expensive: huge areas for hotplug, and many scattered
frames."""

from harness import GIB, domain, grpc, ref

MOST_GIB = 65536  # of a hotplug limit
SCATTERED_GIB = 8


def _end(attack, client, name):
    attack.ask(client.domain.DestroyDomain,
               domain.DestroyDomainRequest(domain=ref(name)))


def hotplug_areas(attack):
    """Domains of 16 MiB whose list has room for 64 TiB; halves the room after
    each refusal."""
    with attack.client() as client:
        while not attack.over:
            room, made = MOST_GIB, []
            while room and len(made) < 1200 and not attack.over:
                name = f"area{len(made)}"
                answer = attack.ask(
                    client.domain.CreateDomain, domain.CreateDomainRequest(
                        spec=domain.DomainSpec(name=name, memory_pages=4096,
                                               memory_hotplug_limit_gib=room)))
                if answer:
                    made.append(name)
                else:
                    room //= 2
            for name in made:
                _end(attack, client, name)


def scattered_creates(attack):
    """Large domains on a host that scatters frames, one after another; some
    calls are cancelled half-way."""
    def step(rnd, client, number):
        name = f"scattered{number}"
        timeout = rnd.choice((0.05, 0.5, 20))
        try:
            client.domain.CreateDomain(domain.CreateDomainRequest(
                spec=domain.DomainSpec(name=name,
                                       memory_pages=SCATTERED_GIB * GIB)),
                timeout=timeout)
            attack.note("OK")
        except grpc.RpcError as error:
            attack.note_error(error)
        _end(attack, client, name)
    attack.loop(2, step)
