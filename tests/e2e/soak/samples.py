"""How much memory the daemons use during a soak, and whether it grows."""

import statistics

MIB = 1 << 20

# The first fifth of a run does not count: malloc's arenas, gRPC's pools and the
# tables of the machines reach their size there.
WARM_UP = 0.2

# Even without a leak there may be a slope.  Samples are taken when only the
# shared guests are left, and they still differ by which arenas of malloc keep
# free pages between live ones, and how many threads gRPC has at the moment: a
# few MiB, which do not grow with the length of the run.  A leak does grow.  In
# ten minutes a daemon answers some 90,000 calls, so such a run finds a leak of
# 120 bytes per call, and a longer run finds smaller ones.
NOISE_SHARE = 0.05
NOISE_BYTES = 8 * MIB

# After the warm-up, fewer samples than this do not show a slope.
FEWEST = 6

SHOWN = 40  # samples in a long run


class Samples:
    """A daemon's resident memory at comparable moments."""

    def __init__(self, name):
        self.name = name
        self.points = []  # (seconds, bytes)

    def add(self, seconds, size):
        self.points.append((seconds, size))

    def growth(self):
        """Bytes by which a line through the samples rises after the warm-up,
        and the allowed rise; None if there are too few samples."""
        if not self.points:
            return None
        start = self.points[-1][0] * WARM_UP
        judged = [point for point in self.points if point[0] >= start]
        if len(judged) < FEWEST:
            return None
        times, sizes = zip(*judged)
        slope, _ = statistics.linear_regression(times, sizes)
        allowed = max(NOISE_SHARE * statistics.fmean(sizes), NOISE_BYTES)
        return slope * (times[-1] - times[0]), allowed

    def show(self):
        each = -(-len(self.points) // SHOWN) or 1
        series = " ".join(f"{size / MIB:.1f}" for _, size in
                          self.points[::each] + self.points[-1:])
        return f"{self.name}: MiB with no guests but shared ones: {series}"
