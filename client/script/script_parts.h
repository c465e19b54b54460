// A script's text cut into its fields at the top, so that an error in one of
// them does not hide those in the others.
//
// Knows brackets, strings and comments of protobuf's text format, and nothing
// of the fields' types.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_SCRIPT_SCRIPT_PARTS_H_
#define SIMVISOR_CLIENT_SCRIPT_SCRIPT_PARTS_H_

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace simvisor::client {

// A field such as a step, or text that belongs to none.
struct ScriptPart {
  absl::string_view text;
  // Of its first byte, from 0, as google::protobuf::io::Tokenizer counts.
  int line = 0;
  int column = 0;
  // "title", "steps" or "cleanup"; empty for text that belongs to no field.
  std::string field;
  // How many brackets are not closed before the next step, or the end.
  int open = 0;
};

// The parts of `text`, which they refer to.  A step also begins inside
// brackets, where none can be: then the one before it is open.
std::vector<ScriptPart> SplitScript(absl::string_view text);

// The path of the field at byte `at` of the step `text`, as `set` has it:
// "request.domain.domid".  Empty if the field is outside of request and expect.
std::string PathOfField(absl::string_view text, size_t at);

// The contents of strings in `text` that may be names of variables.
std::set<std::string> PossibleNames(absl::string_view text);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SCRIPT_SCRIPT_PARTS_H_
