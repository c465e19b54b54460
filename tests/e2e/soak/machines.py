"""The two daemons of a soak, and what must hold for each at any time."""

import collections

from migrations import migration_pair
from harness import DEADLINE, domain, live, poll

Census = collections.namedtuple("Census", "counts domains rss")

OPEN_STATES = (
    live.MIGRATION_STATE_COPYING, live.MIGRATION_STATE_COMMITTING,
    live.MIGRATION_STATE_UNKNOWN, live.MIGRATION_STATE_RECEIVING,
    live.MIGRATION_STATE_PREPARED)


class Machine(migration_pair.Machine):
    """A daemon with a name for reports."""

    def __init__(self, name, *flags):
        self.name = name
        super().__init__("--log-level", "warn", *flags)

    def list(self):
        """All domains, including dom0 and dying ones, in pages of an odd
        size."""
        found, token = [], ""
        while True:
            answer = self.client.domain.ListDomains(
                domain.ListDomainsRequest(page_size=7, page_token=token),
                timeout=DEADLINE)
            found += answer.domains
            token = answer.next_page_token
            if not token:
                return found

    def on_their_way(self):
        """Migrations that are open and domains that are suspended."""
        answer = self.client.migration.ListMigrations(
            live.ListMigrationsRequest(), timeout=DEADLINE)
        return [one for one in answer.migrations
                if one.state in OPEN_STATES] + [
                    one for one in self.list() if one.suspended]

    def await_rest(self):
        """A call whose client gave up may still be ending."""
        try:
            poll(lambda: not self.on_their_way(), "")
        except AssertionError:
            raise AssertionError(f"{self.name}: these do not arrive: "
                                 f"{self.on_their_way()}") from None

    def frames(self):
        """The host's figures except contents: a page that a client wrote in a
        shared domain keeps its contents."""
        counts = self.client.counts()
        counts.ClearField("contents_pages")
        return counts

    def census(self):
        """The host's figures while all clients are idle: the counts must add
        up.

        Balloon drivers go on working, and abandoned calls may still be ending,
        so this polls until two counts are the same."""
        self.await_rest()
        seen = {}

        def adds_up():
            counts, domains = self.client.counts(), self.list()
            owned = sum(one.memory.current_pages for one in domains)
            seen.update(counts=counts, domains=domains)
            return (counts == self.client.counts()
                    and counts.owned_pages == owned
                    and counts.domain_count == len(domains)
                    and counts.total_pages == counts.free_pages
                    + counts.owned_pages + counts.reserved_pages)

        try:
            poll(adds_up, "")
        except AssertionError:
            raise AssertionError(
                f"{self.name}: what is owned is not what its domains have: "
                f"{seen}") from None
        return Census(seen["counts"], seen["domains"],
                      self.daemon.rss_bytes())

    def audit(self):
        answer = self.client.audit()
        if not answer.clean or answer.findings:
            raise AssertionError(
                f"{self.name}: the audit finds {list(answer.findings)}")

    def end(self):
        """Stops the daemon, which must not have logged an error."""
        self.client.close()
        code = self.daemon.stop()
        errors, log = self.daemon.logged_errors(), self.daemon.read_log()
        self.daemon.close()
        self._folder.cleanup()
        if code != 0 or errors:
            raise AssertionError(
                f"{self.name} ended with {code} and logged {errors}:\n"
                f"{log[-4000:]}")
