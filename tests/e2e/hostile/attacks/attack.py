"""What every attack has: the daemon's addresses, a folder, an end time, and a
count of the answers."""

import collections
import contextlib
import random
import threading
import time

import harness
from harness import DEADLINE, grpc

PATIENCE = 30.0  # deadline in seconds of a call that nothing else ends


class Attack:
    """One attack on a daemon that listens at `address` and at `tcp`.

    Thread safety: every method may be called from any thread."""

    def __init__(self, address, tcp, folder, seconds):
        self.address = address
        self.tcp = tcp
        self.folder = folder
        self.began = time.monotonic()
        self.seconds = seconds
        self.came_back = collections.Counter()
        self.wrong = []  # problems, as texts
        self._lock = threading.Lock()

    # --- Time ---

    @property
    def over(self):
        return self.left <= 0

    @property
    def left(self):
        """Seconds until the end."""
        return max(0.0, self.began + self.seconds - time.monotonic())

    def rest(self, seconds):
        """Sleeps, but not past the end."""
        time.sleep(min(seconds, self.left))

    # --- Calls ---

    @contextlib.contextmanager
    def client(self, address=None):
        """Stubs on a separate connection."""
        client = harness.Client(address or self.address)
        try:
            yield client
        finally:
            client.close()

    def ask(self, what, *args, **kwargs):
        """Makes a call and returns the answer; None if it is refused."""
        kwargs.setdefault("timeout", PATIENCE)
        try:
            answer = what(*args, **kwargs)
        except grpc.RpcError as error:
            self.note_error(error)
            return None
        self.note("OK")
        return answer

    def note(self, outcome):
        with self._lock:
            self.came_back[outcome] += 1

    def note_error(self, error):
        self.note(f"{error.code().name} {harness.reason_of(error) or ''}")

    def note_wrong(self, text):
        with self._lock:
            self.wrong.append(text)

    # --- Threads ---

    def loop(self, threads, step):
        """Calls step(random, client, number) on each thread until the end.
        Each has a connection of its own."""
        def work(number):
            rnd = random.Random(number)
            with self.client() as client:
                while not self.over:
                    try:
                        step(rnd, client, number)
                    except grpc.RpcError as error:
                        self.note_error(error)
                    except OSError as error:
                        self.note(f"OSError {error.errno}")
        self.together([lambda number=number: work(number)
                       for number in range(threads)])

    @staticmethod
    def together(works):
        threads = [threading.Thread(target=one, daemon=True) for one in works]
        for one in threads:
            one.start()
        for one in threads:
            one.join()


class Silence:
    """An iterator that yields some requests and then holds the stream open
    until it is released."""

    def __init__(self, *requests):
        self._requests = requests
        self._let_go = threading.Event()

    def __iter__(self):
        yield from self._requests
        self._let_go.wait(DEADLINE)

    def let_go(self):
        self._let_go.set()
