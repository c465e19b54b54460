// Notes with changed fields: inputs that fuzzing has kept, single fields, and a
// few at random, in every build.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fuzz/notes_restores.h"
#include "tests/support/random_seed.h"

namespace simvisor {
namespace {

using Input = std::vector<uint8_t>;

TEST(NotesFuzzReplayTest, NotesThatAreNotChangedMakeTheSameGuest) {
  for (size_t guest = 0; guest < NotesGuests(); ++guest) {
    for (const uint8_t compared : {0, 1}) {
      const Input bytes = {static_cast<uint8_t>(guest), compared};
      const NotesOutcome outcome = RestoreChangedNotes(bytes);
      EXPECT_EQ(outcome.wrong, std::nullopt) << guest;
      EXPECT_TRUE(outcome.accepted) << guest;
    }
  }
}

TEST(NotesFuzzReplayTest, CorpusBreaksNothing) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry :
       std::filesystem::directory_iterator("tests/fuzz/corpus/notes")) {
    paths.push_back(entry.path());
  }
  EXPECT_GT(paths.size(), 5u) << "the corpus is not there";
  for (const std::filesystem::path& path : paths) {
    std::ifstream file(path, std::ios::binary);
    const Input bytes{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(RestoreChangedNotes(bytes).wrong, std::nullopt) << path;
  }
}

TEST(NotesFuzzReplayTest, ChangesAtRandomBreakNothing) {
  const uint64_t seed = TestSeeds(1).front();
  SCOPED_TRACE(testing::Message() << "SIMVISOR_SEED=" << seed);
  std::mt19937_64 random(seed);
  int accepted = 0;
  for (int i = 0; i < 400; ++i) {
    // Single changes are more frequent than several at once.
    Input bytes(2 + (random() % 4 == 0 ? 12 : 3));
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    const NotesOutcome outcome = RestoreChangedNotes(bytes);
    EXPECT_EQ(outcome.wrong, std::nullopt) << testing::PrintToString(bytes);
    accepted += outcome.accepted ? 1 : 0;
  }
  // Some changed guests must be accepted, so that they are tested too.
  EXPECT_GT(accepted, 4);
  RecordProperty("accepted", accepted);
}

}  // namespace
}  // namespace simvisor
