"""Decides what hostile clients have left open."""

import contextlib

from harness import DEADLINE, grpc, live
from soak.machines import OPEN_STATES


def all_migrations(client):
    """The migrations of all pages."""
    found, request = [], live.ListMigrationsRequest()
    while True:
        answer = client.migration.ListMigrations(request, timeout=DEADLINE)
        found += answer.migrations
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token


def decide_migrations(client):
    """Keeps outgoing domains and drops incoming ones, because no peer will ever
    decide them."""
    for one in all_migrations(client):
        if one.state not in OPEN_STATES:
            continue
        outgoing = one.direction == live.MIGRATION_DIRECTION_OUTGOING
        with contextlib.suppress(grpc.RpcError):
            client.migration.ResolveMigration(
                live.ResolveMigrationRequest(
                    migration_id=one.migration_id,
                    decision=live.MIGRATION_DECISION_KEEP if outgoing
                    else live.MIGRATION_DECISION_DROP), timeout=DEADLINE)
