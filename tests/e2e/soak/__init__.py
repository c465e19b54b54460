"""A mixed workload of many clients on two daemons, which can run for hours.

  machines   the two daemons, and what must hold of one at any time
  calls      a client's calls: counted, with deadlines, refusals by reason
  guest      a domain and what its owner knows of it
  memory_steps, life_steps, save_steps, migrate_steps
             what an owner does to its guests
  shared     domains that all clients use at once
  client     what the kinds of clients have in common:
  keeper, reckless, onlooker
  gate       where all clients stop for a moment
  watchdog   ends a run that does not get on, and shows where it stands
  samples    what memory the daemons take, and whether it grows
  run        all of it together
"""
