"""A fuzzer for all methods that a daemon lists by reflection.

  reflection  the methods and their messages, as the daemon describes them
  values      what answers have named so far: domains, frames, tokens, ids
  words       values of single fields, sensible and extreme, by the field's name
  generator   whole messages
  dialogues   the messages of streams, in order, out of order, or cut short
  garbage     bytes that are not a message
  calls       makes one call in one of many ways, describes its outcome
  table       docs/errors.md and the methods' comments, as rules
  checks      what must hold for every error
  ring        the last calls, for reports
  replay      sends a call from such a report again
  machines    the daemons, and what must hold for an idle one
  driver      rounds of calls on several threads, with checks in between
"""
