"""A fuzzer over all methods that a daemon says it has.

  reflection  the methods and their messages, as the daemon describes them
  values      what answers have named so far: domains, frames, tokens, ids
  words       values of single fields, sensible and extreme, by the field's name
  generator   whole messages
  dialogues   the messages of streams, in order, out of order, or cut short
  garbage     bytes that are no message
  calls       makes one call in one of many ways and says what came of it
  table       docs/errors.md and the methods' comments, as rules
  checks      what must hold of every error
  ring        the last calls, for a report
  replay      sends a call of such a report once more
  machines    the daemons, and what must hold of one that rests
  driver      rounds of calls on several threads, with checks in between
"""
