// Errors of a script, and where they are.
//
// Thread safety: pure functions; ScriptErrors is thread-compatible.

#ifndef SIMVISOR_CLIENT_SCRIPT_SCRIPT_ERRORS_H_
#define SIMVISOR_CLIENT_SCRIPT_SCRIPT_ERRORS_H_

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "client/script/script_check.h"
#include "client/script/script_parts.h"
#include "google/protobuf/io/tokenizer.h"

namespace simvisor::client {

class ScriptErrors {
 public:
  void Add(const TextPlace& place, std::string text) {
    errors_.push_back({place, std::move(text)});
  }

  bool empty() const { return errors_.empty(); }

  // INVALID_ARGUMENT with a FILE:LINE:COLUMN line for each error, by place.
  absl::Status ToStatus(absl::string_view file_name) const;

 private:
  struct Error {
    TextPlace place;
    std::string text;
  };
  std::vector<Error> errors_;
};

// The first error of protobuf's parser, whose tokenizer goes on after its own:
// a file of another kind may have millions.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    if (has_error_) return;
    has_error_ = true;
    place_ = {.line = std::max(line, 0), .column = std::max(column, 0)};
    text_ = message;
  }

  const TextPlace& place() const { return place_; }
  // Empty without an error.
  const std::string& text() const { return text_; }

 private:
  bool has_error_ = false;
  TextPlace place_;
  std::string text_;
};

// Adds what is wrong with steps that are at the places `steps` and `cleanup`.
void AddScriptFaults(const std::vector<ScriptFault>& faults,
                     const std::vector<TextPlace>& steps,
                     const std::vector<TextPlace>& cleanup,
                     ScriptErrors& errors);

// Adds the errors of `text`, which is not a script as a whole, to `errors`.
// Protobuf's parser stops at its first error, so each step is parsed by itself
// and those that can be parsed are checked; one that cannot has one error.
// `nesting` is the parser's limit.
//
// Adds none for an error that only the whole has, such as two titles.
void FindScriptErrors(absl::string_view text, int nesting,
                      ScriptErrors& errors);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SCRIPT_SCRIPT_ERRORS_H_
