// The fixture of tests of verbs: runs command lines with a FakeDaemon and
// compares the transcript with the verb's golden file.
//
// tests/testdata/goldens/verbs/VERB.txt is a transcript.  Its lines begin with
//
//   #   a fact that the next command line shows
//   $   the command line, without the address of the daemon
//   >   a request that the daemon received
//   |   a line on standard output; |~ if it has no line feed
//   !   a line on standard error; !~ if it has no line feed
//   =   the exit code
//
// Paths of the test's folder begin with FOLDER there, the default address is
// ADDRESS, a duration is TIME, a random id of a migration RANDOM, bytes other
// than printable ASCII are \xNN, and JSON has its keys in alphabetical order.
// SIMVISOR_UPDATE_GOLDENS=1 rewrites the files (tests/support/golden_file.h).
//
// Thread safety: one thread.

#ifndef SIMVISOR_TESTS_CLIENT_VERBS_VERB_FIXTURE_H_
#define SIMVISOR_TESTS_CLIENT_VERBS_VERB_FIXTURE_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/session/session.h"
#include "tests/client/verbs/fake_daemon.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {

// Every verb with its group, such as "p2m foreign map", as help lists them.
std::vector<std::string> AllVerbs();

class VerbTest : public ::testing::Test {
 protected:
  // Begins the transcript of `verb`, such as "p2m dump", with its help.
  void Begin(const std::string& verb);
  // Compares the transcript with its golden file.
  void TearDown() override;

  // Says what the next lines show.
  void Note(absl::string_view fact);
  // Runs "simvisor LINE" with the daemon; words are split as in `batch`.
  // Returns the exit code, which is also in the transcript.
  int Run(const std::string& line);
  // The same with terminals instead of files as streams.
  int RunOnTerminal(const std::string& line);
  // The same without the address of the daemon.
  int RunWithoutAddress(const std::string& line);

  // Runs a line that the transcript leaves out.
  int RunUnseen(const std::string& line);

  // Writes a file in the test's folder; returns its path.
  std::string WriteFile(const std::string& name, const std::string& text);

  ScopedFolder folder_;
  const std::string address_ = "unix:" + folder_ / "fake.sock";
  FakeDaemon daemon_{address_};

 private:
  enum class Output { kFiles, kTerminal };
  int RunWords(const std::string& line, std::vector<std::string> words,
               Output output);
  // Adds `text` line by line.
  void Add(absl::string_view mark, absl::string_view text);

  std::string verb_;
  std::string transcript_;
};

}  // namespace simvisor::client

#endif  // SIMVISOR_TESTS_CLIENT_VERBS_VERB_FIXTURE_H_
