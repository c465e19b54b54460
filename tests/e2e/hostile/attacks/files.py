"""Programs that save two domains to one file at the same time."""

import os
import subprocess

from harness import SIMVISOR, domain, grpc, ref


def _save(attack, name, path):
    return subprocess.Popen(
        [SIMVISOR, "--address", attack.address, "save", name, path],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def one_file(attack):
    """Of two domains that are saved to one file, one at most may end: the file
    holds one."""
    path = os.path.join(attack.folder, "one.img")

    def step(_, client, __):
        names = ("file0", "file1")
        for name in names:
            attack.ask(client.domain.CreateDomain, domain.CreateDomainRequest(
                spec=domain.DomainSpec(name=name, memory_pages=1500)))
        programs = [_save(attack, name, path) for name in names]
        codes = [one.wait() for one in programs]
        attack.note(f"exit codes {sorted(codes)}")
        if codes == [0, 0]:
            attack.note_wrong("two saves to one file have both ended with 0")
        for name in names:
            try:
                client.domain.DestroyDomain(
                    domain.DestroyDomainRequest(domain=ref(name)), timeout=30)
            except grpc.RpcError:
                pass  # it has been saved
        if os.path.exists(path):
            os.remove(path)
    attack.loop(1, step)
