"""Programs that save two domains to one file at the same time."""

import os
import re
import subprocess

from harness import SIMVISOR, domain, grpc, ref


def _save(attack, name, path):
    return subprocess.Popen(
        [SIMVISOR, "--address", attack.address, "save", name, path],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _saved_name(path):
    """The name in the configuration that an image begins with; None if the
    configuration is incomplete."""
    try:
        with open(path, "rb") as image:
            found = re.search(rb'"name":"(\w+)"', image.read(4096))
    except OSError:
        return None
    return found.group(1).decode() if found else None


def one_file(attack):
    """If two domains are saved to one file at the same time, the file holds one
    of them; if only one of them has ended, it holds that one.

    Both may end if one program finished before the other began, which happens
    on a busy machine: then the user has overwritten the file."""
    path = os.path.join(attack.folder, "one.img")

    def step(_, client, __):
        names = ("file0", "file1")
        for name in names:
            attack.ask(client.domain.CreateDomain, domain.CreateDomainRequest(
                spec=domain.DomainSpec(name=name, memory_pages=1500)))
        programs = [_save(attack, name, path) for name in names]
        codes = [one.wait() for one in programs]
        attack.note(f"exit codes {sorted(codes)}")
        ended = [name for name, code in zip(names, codes) if code == 0]
        if ended and _saved_name(path) not in ended:
            attack.note_wrong(f"{ended} have ended, and the file holds "
                              f"{_saved_name(path)}")
        for name in names:
            try:
                client.domain.DestroyDomain(
                    domain.DestroyDomainRequest(domain=ref(name)), timeout=30)
            except grpc.RpcError:
                pass  # it has been saved
        if os.path.exists(path):
            os.remove(path)
    attack.loop(1, step)
