"""A mixed workload of many clients on two daemons that can run for hours.

  machines   the two daemons, and what must hold for each at any time
  calls      a client's calls: counted, with deadlines, refusals by reason
  guest      a domain and what its owner knows about it
  memory_steps, life_steps, save_steps, migrate_steps
             what an owner does to its guests
  shared     domains that all clients use at once
  client     what all kinds of clients share:
  keeper, reckless, onlooker
  gate       where all clients stop for a moment
  watchdog   ends a run without progress, and shows where it is stuck
  samples    how much memory the daemons use, and whether it grows
  run        the whole run
"""
