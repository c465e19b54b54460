// Errors of a script, and where they are.
//
// Thread safety: pure functions; ScriptErrors is thread-compatible.

#ifndef SIMVISOR_CLIENT_SCRIPT_SCRIPT_ERRORS_H_
#define SIMVISOR_CLIENT_SCRIPT_SCRIPT_ERRORS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/io/tokenizer.h"

namespace simvisor::client {

// Collects errors, also those of protobuf's parser.
class ScriptErrors : public google::protobuf::io::ErrorCollector {
 public:
  // Lines and columns count from 0; -1 means unknown.
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    errors_.push_back({line, column, message});
  }

  bool empty() const { return errors_.empty(); }

  // INVALID_ARGUMENT with a FILE:LINE:COLUMN line for each error, by line.
  absl::Status ToStatus(absl::string_view file_name) const;

  struct Error {
    int line;
    int column;
    std::string text;
  };
  const std::vector<Error>& errors() const { return errors_; }

 private:
  std::vector<Error> errors_;
};

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
