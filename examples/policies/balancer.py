#!/usr/bin/python3
"""Frees memory for a new guest by ballooning others, as XAPI's squeezed does.

    PYTHONPATH=build/python balancer.py ADDRESS FREE_PAGES PATIENCE NAME=MIN:MAX...

MIN and MAX are pages.  All guests end up at the same fraction of their ranges; those
above it go first.  One without progress for PATIENCE seconds is left out and printed."""
import importlib.util, sys, time, grpc
if not importlib.util.find_spec("simvisor"):
    sys.exit("balancer: run scripts/python_stubs.sh, and set PYTHONPATH to its build/python")
from simvisor.v1 import domain_service_pb2 as domain, domain_service_pb2_grpc as domain_rpc
from simvisor.v1 import host_service_pb2 as host, host_service_pb2_grpc as host_rpc
from simvisor.v1 import memory_service_pb2 as memory, memory_service_pb2_grpc as memory_rpc

def share(ranges, pages):
    """Divides pages among guests, by name, with these (min, max)."""
    spare = pages - sum(low for low, _ in ranges.values())
    if spare < 0:
        sys.exit(f"balancer: {-spare} pages are missing even with all guests at their minimum")
    span = max(sum(high - low for low, high in ranges.values()), 1)
    return {name: low + min(spare, span) * (high - low) // span for name, (low, high) in ranges.items()}

def all_domains(stub, token=""):
    """Returns the domains of the page at this token and of those after it."""
    page = stub.ListDomains(domain.ListDomainsRequest(page_token=token))
    return [*page.domains, *(all_domains(stub, more) if (more := page.next_page_token) else [])]

def balance(channel, free_pages, ranges, patience):
    """Returns the uncooperative guests once all others are at their targets."""
    uncooperative, progress = set(), {}
    while True:
        found = all_domains(domain_rpc.DomainServiceStub(channel))
        sizes = {d.name: d.memory.current_pages for d in found if d.name in ranges.keys() - uncooperative}
        others = sum(d.memory.current_pages for d in found if d.name not in sizes)
        machine = host_rpc.HostServiceStub(channel).GetHost(host.GetHostRequest()).host
        usable = machine.total_pages - machine.reserved_pages - machine.claimed_pages - others
        targets = share({name: ranges[name] for name in sizes}, usable - free_pages)
        lowering = any(sizes[name] > targets[name] for name in sizes)
        for name, size in sizes.items():
            target = min(targets[name], size) if lowering else targets[name]
            call = memory_rpc.MemoryServiceStub(channel).SetMemoryTarget.future(
                memory.SetMemoryTargetRequest(domain={"name": name}, target_pages=target))
            if call.code().name not in ("OK", "NOT_FOUND", "FAILED_PRECONDITION"):  # gone, saved
                raise call.exception()
            missing, now = abs(target - size), time.monotonic()
            before, since = progress.get(name, (missing, now))
            progress[name] = missing, since if missing >= before > 0 else now
            if now - progress[name][1] >= patience: uncooperative.add(name)
        if sizes == targets: return uncooperative
        time.sleep(0.05)

if __name__ == "__main__":
    address, free, seconds, *guests = sys.argv[1:] if len(sys.argv) > 4 else sys.exit(__doc__)
    ends = (guest.rpartition("=") for guest in guests)  # a name may have colons and "="
    dynamic = {name: tuple(map(int, pages.split(":"))) for name, _, pages in ends}
    stub = domain_rpc.DomainServiceStub(daemon := grpc.insecure_channel(address))
    if missing := dynamic.keys() - {d.name for d in all_domains(stub)}:
        sys.exit("balancer: no guest is named " + ", ".join(sorted(missing)))
    print(*balance(daemon, int(free), dynamic, float(seconds)), sep="\n")
