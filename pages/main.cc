// simvisor-pages FOLDER: writes what is installed below share/ for the
// programs: manual pages, and completion for bash and zsh.
//
// All of it comes from the command lines that the programs themselves parse.

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "client/app.h"
#include "pages/completion.h"
#include "pages/man_page.h"
#include "server/flags.h"

namespace simvisor::pages {
namespace {

// Exits if the file cannot be written.
void WriteFile(const std::filesystem::path& path, const std::string& text) {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (file.close(); file) return;
  std::fprintf(stderr, "simvisor-pages: cannot write %s\n", path.c_str());
  std::exit(1);
}

void WriteAll(const std::filesystem::path& folder,
              const client::Verb& program) {
  const std::string name = program.name();
  WriteFile(folder / "bash-completion" / "completions" / name,
            BashCompletion(program));
  WriteFile(folder / "zsh" / "site-functions" / ("_" + name),
            ZshCompletion(program));
  for (const NamedPage& page : ProgramPages(program)) {
    WriteFile(folder / "man" / "man1" / page.file, page.text);
  }
  const NamedPage daemon = DaemonPage(server::DescribeFlags());
  WriteFile(folder / "man" / "man8" / daemon.file, daemon.text);
}

int Main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: simvisor-pages FOLDER\n");
    return 2;
  }
  // Help shows the default address, which must not be the builder's.
  setenv("SIMVISOR_ADDRESS", "unix:$XDG_RUNTIME_DIR/simvisor.sock", 1);
  const std::filesystem::path folder = argv[1];
  client::VisitProgram(
      [&](const client::Verb& program) { WriteAll(folder, program); });
  return 0;
}

}  // namespace
}  // namespace simvisor::pages

int main(int argc, char** argv) { return simvisor::pages::Main(argc, argv); }
