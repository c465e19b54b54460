// What is wrong with a command line that cannot be parsed.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_UI_LINE_ERRORS_H_
#define SIMVISOR_CLIENT_UI_LINE_ERRORS_H_

#include <string>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11's
class App;
class ParseError;
}  // namespace CLI

namespace simvisor::client {

// Explains `error` in our words, with what the line may have meant.  `verbs`
// are those of the line as far as it was parsed, from the program on; `plain`
// are its words after "--", which CLI11 takes for arguments.
// REQUIRES: the line is not one that asks for help or the version.
std::string ExplainLine(const CLI::ParseError& error,
                        const std::vector<const CLI::App*>& verbs,
                        const std::vector<std::string>& plain);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_UI_LINE_ERRORS_H_
