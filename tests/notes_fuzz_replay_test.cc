// Notes whose fields are changed: what fuzzing has found worth keeping, single
// fields, and a few at random, in every build.

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
#include "tests/random_seed.h"

namespace simvisor {
namespace {

using Bytes = std::vector<uint8_t>;

TEST(NotesFuzzReplayTest, NotesThatAreNotChangedMakeTheSameGuest) {
  for (size_t guest = 0; guest < NotesGuests(); ++guest) {
    for (const uint8_t compared : {0, 1}) {
      const Bytes bytes = {static_cast<uint8_t>(guest), compared};
      EXPECT_EQ(RestoreChangedNotes(bytes), std::nullopt) << guest;
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
    const Bytes bytes{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(RestoreChangedNotes(bytes), std::nullopt) << path;
  }
}

TEST(NotesFuzzReplayTest, ChangesAtRandomBreakNothing) {
  const uint64_t seed = TestSeeds(1).front();
  SCOPED_TRACE(testing::Message() << "SIMVISOR_SEED=" << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 400; ++i) {
    Bytes bytes(2 + 4 * (1 + random() % 3));
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    EXPECT_EQ(RestoreChangedNotes(bytes), std::nullopt)
        << testing::PrintToString(bytes);
  }
}

}  // namespace
}  // namespace simvisor
