"""Ends a soak that makes no progress, and shows where it is stuck."""

import faulthandler
import os
import shutil
import subprocess
import sys
import threading
import time

# Shorter than the deadline of calls, so that a stuck call is still in the
# daemon; much longer than any call takes, even on a busy machine.
STUCK_SECONDS = 45


def stacks(pid):
    """The stacks of a process's threads."""
    if shutil.which("gdb"):
        done = subprocess.run(
            ["gdb", "-p", str(pid), "-batch", "-nx", "-ex",
             "thread apply all backtrace 25"], capture_output=True, text=True,
            timeout=120, check=False)
        if done.returncode == 0:
            return done.stdout
    lines = []
    for task in sorted(os.listdir(f"/proc/{pid}/task")):
        for what in ("comm", "wchan", "stack"):
            try:
                with open(f"/proc/{pid}/task/{task}/{what}",
                          encoding="ascii") as file:
                    lines.append(f"{task} {what}: {file.read().strip()}")
            except OSError as error:
                lines.append(f"{task} {what}: {error.strerror}")
    return "\n".join(lines)


def report(clients, machines, stuck, out=sys.stderr):
    """What each client did last and is doing now and, if something is stuck,
    where each thread is."""
    now = time.monotonic()
    for client in clients:
        doing = client.calls.doing
        said = f"for {now - doing[0]:.1f} s: {doing[1]}" if doing else "no call"
        print(f"{client.name}: {said}; before:", file=out)
        for line in list(client.calls.last)[-8:]:
            print(f"    {line}", file=out)
    for machine in machines:
        if not machine.alive:
            print(f"{machine.name} has ended with "
                  f"{machine.daemon.process.poll()}:\n"
                  f"{machine.daemon.read_log()[-4000:]}", file=out)
        elif stuck:
            print(f"{machine.name}:\n{stacks(machine.daemon.process.pid)}",
                  file=out)
    if stuck:
        faulthandler.dump_traceback(file=out)
    out.flush()


class Watchdog(threading.Thread):
    """Checks the calls of all clients once a second; calls `stuck(what)` once,
    when a call lasts too long or a daemon has died."""

    def __init__(self, clients, machines, stuck):
        super().__init__(daemon=True)
        self._clients = clients
        self._machines = machines
        self._stuck = stuck
        self._ended = threading.Event()

    def run(self):
        while not self._ended.wait(1):
            wrong = self._look()
            if wrong:
                report(self._clients, self._machines, stuck=True)
                self._stuck(wrong)
                return

    def _look(self):
        for machine in self._machines:
            if not machine.alive:
                return f"{machine.name} has died"
        now = time.monotonic()
        for client in self._clients:
            doing = client.calls.doing
            if doing and now - doing[0] > STUCK_SECONDS:
                return f"{client.name} does not get on: {doing[1]}"
        return None

    def end(self):
        self._ended.set()
        self.join()
