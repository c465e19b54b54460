// The program `simvisor`, from its command line to its exit code.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_CLIENT_APP_H_
#define SIMVISOR_CLIENT_APP_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "client/session/session.h"
#include "client/ui/command_line.h"

namespace simvisor::client {

// The name under which the program speaks of itself when it was called as
// `path`: "xl" for a link of that name, "simvisor" for any other.
std::string ProgramName(const std::string& path);

// Parses `arguments` (without the program's name), does what they ask for and
// returns the exit code (exit_code.h).  Output and errors go to `streams`, and
// use `name` for the program.
int RunApp(const std::vector<std::string>& arguments, const Streams& streams,
           const std::string& name = "simvisor");

// Calls `visit` with the program's verbs and options, for those who describe
// them.
void VisitProgram(absl::FunctionRef<void(const Verb& program)> visit);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_APP_H_
