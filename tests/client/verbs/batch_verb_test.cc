// batch: how lines become operations, and results become lines.  batch_test.cc
// has the cases that are too large for a transcript.

#include <gtest/gtest.h>

#include <string>

#include "tests/client/verbs/verb_fixture.h"

namespace simvisor::client {
namespace {

constexpr char kMoved[] =
    "results { id: %s set_target { memory { target_pages: 256 current_pages: "
    "512 } } } ";
constexpr char kFailed[] =
    "results { id: %s error { code: 'NOT_FOUND' reason: 'DOMAIN_NOT_FOUND' "
    "message: 'no such domain' } } ";

std::string With(const std::string& form, const std::string& id) {
  std::string text = form;
  return text.replace(text.find("%s"), 2, id);
}

using BatchVerbTest = VerbTest;

TEST_F(BatchVerbTest, Batch) {
  Begin("batch");
  Note("Lines are reported in order, whatever the order of the answers");
  daemon_.Answer("StreamMemoryOps",
                 {With(kMoved, "5") + With(kMoved, "4") + With(kMoved, "2")});
  Run("batch " + WriteFile("ops",
                           "# targets\nmem-set web 1m\n\n  mem-set 7 2m\n"
                           "mem-set web 3m\n"));
  daemon_.Forget("StreamMemoryOps");
  Note("Failures are reported with their line, and do not stop the others");
  daemon_.Answer("StreamMemoryOps",
                 {With(kMoved, "1") + With(kFailed, "2") + With(kMoved, "6")});
  Run("batch " + WriteFile("bad",
                           "mem-set web 1m\nmem-set bad 1m\n"
                           "mem-set web\nlist\nmem-set web nonsense\n"
                           "mem-set web 4m\n"));
  Run("batch -o json " + folder_ / "bad");
  daemon_.Forget("StreamMemoryOps");
  Note("--stop ends at the first failure, before the next line is sent");
  daemon_.Answer("StreamMemoryOps", {With(kMoved, "1")});
  daemon_.Answer("StreamMemoryOps", {With(kFailed, "2")});
  Run("batch --stop " +
      WriteFile("ops", "mem-set web 1m\nmem-set bad 1m\nmem-set web 2m\n"));
  daemon_.Forget("StreamMemoryOps");
  daemon_.Answer("StreamMemoryOps", {With(kMoved, "1")});
  Run("batch --stop " +
      WriteFile("ops", "mem-set web 1m\nnonsense\nmem-set web 2m\n"));
  Note("A name that is not UTF-8 is refused with its line");
  daemon_.Forget("StreamMemoryOps");
  daemon_.Answer("StreamMemoryOps", {With(kMoved, "1") + With(kMoved, "3")});
  Run("batch " + WriteFile("ops",
                           "mem-set web 1m\nmem-set w\xff 1m\n"
                           "mem-set web 2m\n"));
  Note("A domain before its verb is put behind it");
  daemon_.Forget("StreamMemoryOps");
  Run("batch " + WriteFile("ops", "web balloon down 8m\n"));
  Note("A long word is cut in the message");
  Run("batch " + WriteFile("ops", std::string(1000, 'x') + " web\n"));
  Run("batch " + WriteFile("ops", "--" + std::string(1000, 'y') + " web\n"));
  Run("batch " +
      WriteFile("ops", "mem-set web " + std::string(1000, 'z') + "\n"));
  Note("Images, and files with zero bytes, are refused before their lines");
  Run("batch " +
      WriteFile("web.img", "Xen saved domain, xl format\n1\n2\n3\n"));
  Run("batch " + WriteFile("elf", std::string("\x7f"
                                              "ELF\0\n\0\n",
                                              9)));
  Note("An empty file does nothing");
  Run("batch " + WriteFile("ops", ""));
  Run("batch " + folder_ / "none");
}

}  // namespace
}  // namespace simvisor::client
