// Replays the rules of secondary MMUs as executable cases: one JSON file each,
// from tests/testdata/vectors/mmu or the folder named in
// SIMVISOR_MMU_VECTORS, and from its folder own.  An unknown operation or key
// fails the test.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "gtest/gtest-spi.h"
#include "gtest/gtest.h"
#include "tests/vectors/mmu/mmu_replay.h"
#include "tests/vectors/operations.h"

namespace simvisor {
namespace {

// Runs the steps in order, up to the first that cannot be replayed.
void Run(const Json& steps) {
  MmuReplay replay;
  Operations operations;
  replay.AddTo(operations);
  int number = 0;
  for (const Json& step : steps) {
    SCOPED_TRACE(absl::StrFormat("step %d: %s", ++number, step.dump()));
    const Json got = operations.Run(step);
    if (got.is_discarded()) return;
    if (step.contains("expect")) {
      EXPECT_TRUE(MmuReplay::Matches(step["expect"], got))
          << "got " << got.dump();
    }
    replay.Check();
  }
}

void ReplayFile(const Json& file) {
  if (!HasKeys(file, "name arch variant title? assume? steps")) return;
  ASSERT_EQ(file["variant"], "mainline");
  ASSERT_EQ(file["arch"], "x86_64");
  Run(file["steps"]);
}

std::vector<std::filesystem::path> CaseFiles() {
  const char* const given = std::getenv("SIMVISOR_MMU_VECTORS");
  const std::filesystem::path folder =
      given != nullptr ? given : "tests/testdata/vectors/mmu";
  std::vector<std::filesystem::path> files;
  for (const std::filesystem::path& at : {folder, folder / "own"}) {
    if (!std::filesystem::is_directory(at)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(at)) {
      if (entry.path().extension() == ".json") files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

TEST(MmuConformanceTest, EveryCaseHolds) {
  const std::vector<std::filesystem::path> files = CaseFiles();
  ASSERT_FALSE(files.empty());
  for (const std::filesystem::path& path : files) {
    SCOPED_TRACE(path.filename());
    std::ifstream in(path);
    ReplayFile(Json::parse(in));
  }
  std::cout << files.size() << " case files replayed\n";
}

// Whether replaying `steps`, a JSON array, fails with a message that contains
// `why`.
bool FailsOver(const std::string& steps, const std::string& why) {
  testing::TestPartResultArray failures;
  {
    const testing::ScopedFakeTestPartResultReporter reporter(
        testing::ScopedFakeTestPartResultReporter::
            INTERCEPT_ONLY_CURRENT_THREAD,
        &failures);
    Run(Json::parse(steps));
  }
  for (int i = 0; i < failures.size(); ++i) {
    const std::string message = failures.GetTestPartResult(i).message();
    if (message.find(why) != std::string::npos) return true;
  }
  return false;
}

TEST(MmuConformanceTest, AKeyOrNameThatIsNotKnownFails) {
  EXPECT_TRUE(FailsOver(R"([{"op": "balloon_dwon"}])", "unknown op"));
  EXPECT_TRUE(FailsOver(R"([{"op": "boot", "nr_pages": 8, "spares": 1}])",
                        "key spares is not one of"));
  EXPECT_TRUE(FailsOver(R"([{"op": "boot"}])", "key nr_pages is missing"));
  EXPECT_TRUE(
      FailsOver(R"([{"op": "boot", "nr_pages": 8, "expect": {}}])", "got {"));
}

}  // namespace
}  // namespace simvisor
