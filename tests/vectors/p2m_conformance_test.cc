// Replays the p2m rules as executable cases: one JSON file each, from
// tests/testdata/vectors or the folder named in SIMVISOR_VECTORS, and from its
// folder balloon.  An unknown operation or key fails the test.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "domain/units/abi.h"
#include "gtest/gtest-spi.h"
#include "gtest/gtest.h"
#include "tests/vectors/balloon_replay.h"
#include "tests/vectors/cpu_mask_replay.h"
#include "tests/vectors/guest_replay.h"
#include "tests/vectors/list_replay.h"
#include "tests/vectors/operations.h"
#include "tests/vectors/pae_replay.h"

namespace simvisor {
namespace {

class Replay {
 public:
  explicit Replay(const Abi& abi)
      : list_(abi), balloon_(abi), guest_(abi), pae_(abi) {
    list_.AddTo(operations_);
    balloon_.AddTo(operations_);
    guest_.AddTo(operations_);
    pae_.AddTo(operations_);
    cpu_masks_.AddTo(operations_);
  }

  // Runs the steps in order, up to the first that cannot be replayed.
  void Run(const Json& steps) {
    int number = 0;
    for (const Json& step : steps) {
      SCOPED_TRACE(absl::StrFormat("step %d: %s", ++number, step.dump()));
      const Json got = operations_.Run(step);
      if (got.is_discarded()) return;
      if (step.contains("expect")) {
        EXPECT_EQ(got, step["expect"]);
      }
      EXPECT_TRUE(list_.Check().ok()) << list_.Check();
    }
  }

 private:
  ListReplay list_;
  BalloonReplay balloon_;
  GuestReplay guest_;
  PaeReplay pae_;
  CpuMaskReplay cpu_masks_;
  Operations operations_;
};

void ReplayFile(const Json& file) {
  if (!HasKeys(file, "name arch variant title? assume? steps")) return;
  ASSERT_EQ(file["variant"], "mainline");
  const bool pae = file["arch"] == "x86_32_pae";
  ASSERT_TRUE(pae || file["arch"] == "x86_64") << "arch " << file["arch"];
  Replay(pae ? kAbiX86_32Pae : kAbiX86_64).Run(file["steps"]);
}

// Replays one file with these steps, a JSON array as text.
void ReplaySteps(const std::string& steps, const std::string& arch) {
  ReplayFile({{"name", "steps"},
              {"arch", arch},
              {"variant", "mainline"},
              {"steps", Json::parse(steps)}});
}

std::vector<std::filesystem::path> VectorFiles() {
  const char* const given = std::getenv("SIMVISOR_VECTORS");
  const std::filesystem::path folder =
      given != nullptr ? given : "tests/testdata/vectors";
  std::vector<std::filesystem::path> files;
  for (const std::filesystem::path& at : {folder, folder / "balloon"}) {
    if (!std::filesystem::is_directory(at)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(at)) {
      if (entry.path().extension() == ".json") files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

TEST(P2mConformanceTest, EveryVectorHolds) {
  const std::vector<std::filesystem::path> files = VectorFiles();
  ASSERT_FALSE(files.empty());
  for (const std::filesystem::path& path : files) {
    SCOPED_TRACE(path.filename());
    std::ifstream in(path);
    ReplayFile(Json::parse(in));
  }
  std::cout << files.size() << " vector files replayed\n";
}

// Whether replaying `steps` fails with a message that contains `why`.
bool FailsOver(const std::string& steps, const std::string& why,
               const std::string& arch = "x86_64") {
  testing::TestPartResultArray failures;
  {
    const testing::ScopedFakeTestPartResultReporter reporter(
        testing::ScopedFakeTestPartResultReporter::
            INTERCEPT_ONLY_CURRENT_THREAD,
        &failures);
    ReplaySteps(steps, arch);
  }
  std::string messages;
  for (int i = 0; i < failures.size(); ++i) {
    absl::StrAppend(&messages, failures.GetTestPartResult(i).message(), "\n");
  }
  const bool found = messages.find(why) != std::string::npos;
  if (!found) std::cout << "failures:\n" << messages;
  return found;
}

TEST(P2mConformanceTest, AKeyOrNameThatIsNotKnownFails) {
  EXPECT_TRUE(FailsOver(R"([{"op": "tree_frash"}])", "unknown op"));
  EXPECT_TRUE(FailsOver(R"([{"op": "balloon", "current": 9, "hihg": 2}])",
                        "key hihg is not one of"));
  EXPECT_TRUE(
      FailsOver(R"([{"op": "cpumask", "cpus": 1, "bits": 64, "expct": 1}])",
                "key expct is not one of"));
  EXPECT_TRUE(FailsOver(R"([{"op": "boot"}])", "key nr_pages is missing"));
  EXPECT_TRUE(FailsOver(R"([{"op": "timer"}])", "there is no domain"));
  EXPECT_TRUE(FailsOver("[]", "arch \"x86_32\"", "x86_32"));
}

TEST(P2mConformanceTest, WakeUpBeforeAnyRoundIsDone) {
  ReplaySteps(R"([
    {"op": "balloon", "current": 900, "low": 5},
    {"op": "wake", "expect": {"state": "DONE", "current": 900, "target": 900,
                              "low": 5, "high": 0, "delay": 1, "retry": 1}}])",
              "x86_64");
}

TEST(P2mConformanceTest, MorePagesThanThereAreToMapEndTheReplay) {
  EXPECT_TRUE(FailsOver(R"([{"op": "domain", "memory": 2000, "room": 30},
                            {"op": "map_ballooned", "count": 31}])",
                        "31 pages to map, with 30 of low memory"));
  EXPECT_TRUE(FailsOver(R"([{"op": "domain", "memory": 2000, "room": 30},
                            {"op": "map_ballooned", "count": 3},
                            {"op": "unmap_ballooned", "count": 4}])",
                        "4 pages to give back, of 3"));
}

TEST(P2mConformanceTest, AGuestMayHaveAnyRoomKeepFewPagesAndHaveAnyFramesFree) {
  ReplaySteps(R"([
    {"op": "domain", "memory": 400, "room": 9000, "guest_keeps": 3, "expect":
     {"state": "DONE", "current": 400, "target": 400, "low": 9000, "high": 0,
      "delay": 1, "retry": 1, "sleep": 3600}},
    {"op": "host_free", "frames": 1000000000},
    {"op": "set_target", "pages": 9400, "expect":
     {"state": "DONE", "current": 9400, "target": 9400, "low": 0, "high": 0,
      "delay": 1, "retry": 1, "sleep": 3600}},
    {"op": "host_free", "frames": 0},
    {"op": "set_target", "pages": 0, "expect":
     {"state": "EAGAIN", "current": 3, "target": 0, "low": 9397, "high": 0,
      "delay": 2, "retry": 2, "sleep": 2}},
    {"op": "set_target", "pages": 9400, "expect":
     {"state": "DONE", "current": 9400, "target": 9400, "low": 0, "high": 0,
      "delay": 1, "retry": 1, "sleep": 3600}}])",
              "x86_64");
}

TEST(P2mConformanceTest, RoomOverTheEndOfLowMemoryIsWhereItIs) {
  ReplaySteps(R"([
    {"op": "domain", "memory": 227226, "room": 1000, "guest_keeps": 273,
     "expect":
     {"state": "DONE", "current": 227226, "target": 227226, "low": 100,
      "high": 900, "delay": 1, "retry": 1, "sleep": 3600}},
    {"op": "set_target", "pages": 227426, "expect":
     {"state": "DONE", "current": 227426, "target": 227426, "low": 0,
      "high": 800, "delay": 1, "retry": 1, "sleep": 3600}}])",
              "x86_32_pae");
  EXPECT_TRUE(FailsOver(R"([
    {"op": "domain", "memory": 227226, "room": 1000, "guest_keeps": 273},
    {"op": "set_target", "pages": 300}])",
                        "a target of 300 pages: this guest reaches to the end",
                        "x86_32_pae"));
}

// Pages taken for one pfn need not be taken again for the next ones.
TEST(P2mConformanceTest, ARangeIsSetAsFarAsThereAreFrames) {
  ReplaySteps(R"([
    {"op": "boot", "nr_pages": 512},
    {"op": "relocate", "limit_pfns": 1048576},
    {"op": "build_frame_tree"},
    {"op": "limit_frames", "left": 4},
    {"op": "assign", "start": 262144, "end": 264704, "value": "ram",
     "mfn": 4096, "expect": {"frames_taken": 4}},
    {"op": "leaf_runs", "mid": 1, "expect": [["private", 2],
                                             ["identity", 510]]},
    {"op": "lookup", "pfn": 263168, "expect": {"flagged": "0x4000000000040400",
     "word": "identity:0x40400", "pfn_to_mfn": "0x40400"}},
    {"op": "assign", "start": 2097152, "end": 2097153, "value": "INVALID",
     "expect": {"frames_taken": 0}},
    {"op": "assign", "start": 2097152, "end": 2097153, "value": "identity",
     "expect": "crash: alloc-entry past the end of the area"},
    {"op": "alloc_entry", "pfn": 2097152,
     "expect": "crash: alloc-entry past the end of the area"}])",
              "x86_64");
}

}  // namespace
}  // namespace simvisor
