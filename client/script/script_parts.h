// A script's text cut into its fields at the top, so that an error in one of
// them does not hide those in the others.
//
// Knows brackets, strings and comments of protobuf's text format, and nothing
// of the fields' types.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_SCRIPT_SCRIPT_PARTS_H_
#define SIMVISOR_CLIENT_SCRIPT_SCRIPT_PARTS_H_

#include <compare>
#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace simvisor::client {

// A place in a text, from 0, as google::protobuf::io::Tokenizer counts.
struct TextPlace {
  int line = 0;
  int column = 0;

  auto operator<=>(const TextPlace&) const = default;
};

// A field such as a step, or text that belongs to none.
struct ScriptPart {
  absl::string_view text;
  TextPlace place;  // of its first byte
  // "title", "steps" or "cleanup"; empty for text that belongs to no field.
  std::string field;
  // Where its values are: a field that is not a list has one, at `place`.
  std::vector<TextPlace> values;
  // The brackets that are not closed before the next step, or the end, such as
  // "{{<"; the outermost is the first.
  std::string open;
  // Whether a string lacks its second quote; it ends with its line.
  bool open_string = false;
};

// The parts of `text`, which they refer to.  A step also begins inside
// brackets, where none can be: then the one before it is open.
std::vector<ScriptPart> SplitScript(absl::string_view text);

// Where the values of `field`, "steps" or "cleanup", are, in order.
std::vector<TextPlace> PlacesOf(const std::vector<ScriptPart>& parts,
                                absl::string_view field);

// The byte of `text` at a place; its size if it has no such byte.
size_t ByteAt(absl::string_view text, const TextPlace& place);

// The path of the field at byte `at` of the step `text`, as `set` has it:
// "request.domain.domid".  Empty if the field is outside of request and expect.
std::string PathOfField(absl::string_view text, size_t at);

// The contents of strings in `text` that may be names of variables.
std::set<std::string> PossibleNames(absl::string_view text);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SCRIPT_SCRIPT_PARTS_H_
