"""What hostile and careless clients do to a daemon; each attack is a function
that runs until its time is over.

  attack       what all attacks have: addresses, threads, answers
  connections  connections that send nothing, or part of a message
  requests     messages that are garbage, are large, or have odd names
  streams      streams that stall, or whose answers are never read
  images       images made to do harm
  sizes        domains made to be expensive
  work         calls that last long
  peers        daemons that lie, and daemons that say nothing
  files        programs that save to one file
  run          runs some attacks in a separate process
"""
