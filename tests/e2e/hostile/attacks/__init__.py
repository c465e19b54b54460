"""What hostile and careless clients do to a daemon, each as a function that
goes on until its time is over.

  attack       what all of them have: addresses, threads, what came back
  connections  connections that say nothing, or a part of something
  requests     messages that nobody can parse, are large, or have odd names
  streams      streams that stand still, or whose answers are never read
  images       images made to harm
  sizes        domains made to be expensive
  work         calls that last
  peers        daemons that lie, and others that say nothing
  files        programs that save to one file
  run          runs some of them in a process of its own
"""
