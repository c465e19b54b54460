// Operations on memory as lines of text, with the syntax of the commands.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_VERBS_OP_LINE_H_
#define SIMVISOR_CLIENT_VERBS_OP_LINE_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/ui/command_line.h"
#include "simvisor/v1/memory_ops.pb.h"

namespace simvisor::client {

class OpParser {
 public:
  OpParser();
  OpParser(const OpParser&) = delete;
  OpParser& operator=(const OpParser&) = delete;

  // Parses a line such as "mem-set web 512m"; the operation has no id.  Verbs,
  // arguments, abbreviations and quotes are as on the command line.  A
  // UsageError() if the line is not an operation, or the error of reading a
  // file that it names.
  absl::StatusOr<v1::MemoryOp> Parse(const std::string& line);

 private:
  template <typename Args, typename Field>
  void Add(Verb parent, const std::string& name, Field field);

  CommandLine line_;
  // Reset the arguments before each line: an option that a line does not give
  // would keep its value from the line before.
  std::vector<std::function<void()>> resets_;
  std::function<absl::Status(v1::MemoryOp&)> fill_;  // of the verb of the line
};

// One line that describes the result of an operation, such as
// "web: target 512 MiB, 512 MiB now".
// REQUIRES: !result.has_error()
std::string DescribeResult(const v1::MemoryOp& op,
                           const v1::MemoryOpResult& result);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_VERBS_OP_LINE_H_
