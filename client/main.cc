// The program `simvisor`: see client/app.h.

#include <fcntl.h>
#include <google/protobuf/stubs/logging.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "client/app.h"

namespace {

using simvisor::client::ScreenSize;

bool IsTerminal(int fd) { return isatty(fd) == 1; }

// no-color.org: any value that is not empty switches colours off.
bool WantsColors() {
  const char* const no_color = std::getenv("NO_COLOR");
  const char* const term = std::getenv("TERM");
  return (no_color == nullptr || *no_color == '\0') && term != nullptr &&
         std::strcmp(term, "dumb") != 0;
}

ScreenSize SizeOf(int fd) {
  winsize size = {};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 ||
      size.ws_row == 0) {
    return {};
  }
  return {.columns = size.ws_col, .rows = size.ws_row};
}

// Opens a file for each standard stream that is closed when the program starts,
// in the direction that the stream does not use.  Otherwise the next file would
// take the stream's number, and text for standard output would go into a
// connection.
void OpenStandardStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) == -1 && errno == EBADF) {
      open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  OpenStandardStreams();
  // Their log lines repeat what the program says itself.
  google::protobuf::SetLogHandler(nullptr);
  setenv("GRPC_VERBOSITY", "NONE", 0);
  std::ios::sync_with_stdio(false);
  const std::vector<std::string> arguments(argv + std::min(argc, 1),
                                           argv + argc);
  return simvisor::client::RunApp(
      arguments,
      {.out = std::cout,
       .err = std::cerr,
       .out_is_terminal = IsTerminal(STDOUT_FILENO),
       .err_is_terminal = IsTerminal(STDERR_FILENO),
       .out_takes_colors = IsTerminal(STDOUT_FILENO) && WantsColors(),
       .screen = SizeOf(STDOUT_FILENO)},
      simvisor::client::ProgramName(argc > 0 ? argv[0] : ""));
}
