"""Runs attacks in a separate process, so that they do not slow down the one
that measures:

  python3 run.py ADDRESS TCP FOLDER SECONDS NAME...

Prints, as JSON, the answers by attack, and the problems.
"""

import json
import os
import sys
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.dirname(os.path.dirname(HERE))]

from attacks import (connections, files, images, peers,  # noqa: E402
                     requests, sizes, streams, work)
from attacks.attack import Attack  # noqa: E402
from harness import grpc  # noqa: E402

ATTACKS = {one.__name__: one for one in (
    connections.idle_connections, requests.unparsable_messages,
    requests.cancelled_bodies, requests.bad_names, streams.silent_streams,
    streams.unread_streams, streams.reflection_streams, images.hostile_images,
    sizes.hotplug_areas, sizes.scattered_creates, work.load_checks, work.audits,
    peers.lying_peers, files.one_file)}


def main(address, tcp, folder, seconds, *names):
    os.nice(10)  # real attackers run elsewhere and do not use the daemon's CPUs
    attacks = {name: Attack(address, tcp, folder, float(seconds))
               for name in names}

    def run(name):
        attack = attacks[name]
        while not attack.over:
            try:
                ATTACKS[name](attack)
            except grpc.RpcError as error:
                # Its preparation is refused, perhaps because of another attack.
                attack.note_error(error)
                attack.rest(0.5)
            except Exception:
                attack.note_wrong(f"{name}: {traceback.format_exc()}")
                return
    Attack.together([lambda name=name: run(name) for name in names])
    print(json.dumps({name: {"came back": one.came_back, "wrong": one.wrong}
                      for name, one in attacks.items()}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # streams that never end keep threads of gRPC
