"""Long calls, many at a time."""

from attacks.images import claiming_load, restore
from harness import domain, guest_load, host, ref


def load_checks(attack):
    """Checks a load that claims 2^62 writes or, if that image is refused, a
    load that writes as fast as allowed."""
    image = claiming_load(attack)
    with attack.client() as client:
        there = restore(attack, client, "claims", image)
        if there is None:
            attack.ask(client.domain.CreateDomain, domain.CreateDomainRequest(
                spec=domain.DomainSpec(name="claims", memory_pages=1500)))
            attack.ask(client.guest_load.StartGuestLoad,
                       guest_load.StartGuestLoadRequest(
                           domain=ref("claims"), spec=guest_load.LoadSpec(
                               pages_per_second=10_000_000,
                               working_set_pages=500)))
    request = guest_load.CheckGuestLoadRequest(domain=ref("claims"))
    attack.loop(12, lambda _, client, __: attack.ask(
        client.guest_load.CheckGuestLoad, request,
        timeout=max(0.1, attack.left)))


def audits(attack):
    """A hundred audits at a time."""
    def step(_, client, __):
        calls = [client.host.AuditHost.future(host.AuditHostRequest(),
                                              timeout=max(0.1, attack.left))
                 for _ in range(100)]
        for one in calls:
            attack.ask(lambda timeout, one=one: one.result())
    attack.loop(1, step)
