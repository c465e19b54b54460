#include "server/listen/http2_frames.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/server/listen/http2_testing.h"
#include "tests/support/random_seed.h"

namespace simvisor::server {
namespace {

struct Found {
  int kind;
  int flags;
  uint32_t stream;
  std::string payload;
  bool ended = false;

  bool operator==(const Found&) const = default;
};

// Takes `bytes`, whose first piece may continue the last piece found.
void Take(const std::string& bytes, Http2Frames& frames,
          std::vector<Found>& found) {
  absl::Span<const uint8_t> left = BytesOf(bytes);
  Http2Frames::Piece piece;
  while (frames.Next(left, piece)) {
    const Http2Frame& frame = piece.frame;
    if (piece.begins) {
      found.push_back({frame.kind, frame.flags, frame.stream, ""});
    }
    ASSERT_FALSE(found.back().ended);
    found.back().payload.append(piece.payload.begin(), piece.payload.end());
    found.back().ended = piece.left == 0;
  }
  EXPECT_TRUE(left.empty());
}

const std::vector<Found>& Expected() {
  static const std::vector<Found>* const kFound = new std::vector<Found>{
      {kSettings, 0, 0, "", true},
      {kHeaders, kEndHeaders, 1, "status", true},
      {kData, 0, 1, std::string(300, 'd'), true},
      {kPing, 1, 0, "12345678", true},
      {0xfe, 0xff, 0x7fffffff, "z", true},
      {kHeaders, kEndHeaders | kEnd, 1, "trailers", true},
      {kReset, 0, 1, "1234", true}};
  return *kFound;
}

std::string Sent() {
  std::string sent;
  for (const Found& found : Expected()) {
    sent +=
        Frame(static_cast<uint8_t>(found.kind),
              static_cast<uint8_t>(found.flags), found.stream, found.payload);
  }
  return sent;
}

TEST(Http2FramesTest, FramesAreFoundHoweverTheBytesAreCut) {
  const std::string sent = Sent();
  for (size_t first = 0; first <= sent.size(); ++first) {
    Http2Frames frames;
    std::vector<Found> found;
    Take(sent.substr(0, first), frames, found);
    Take(sent.substr(first), frames, found);
    ASSERT_EQ(found, Expected()) << first;
  }
  Http2Frames frames;
  std::vector<Found> found;
  for (const char byte : sent) Take(std::string(1, byte), frames, found);
  EXPECT_EQ(found, Expected());
}

TEST(Http2FramesTest, FramesAreFoundInPartsOfAnySize) {
  std::mt19937_64 random(TestSeeds(1).front());
  std::string sent;
  for (int i = 0; i < 20; ++i) sent += Sent();
  for (int round = 1; round < 100; ++round) {
    Http2Frames frames;
    std::vector<Found> found;
    for (size_t at = 0; at < sent.size();) {
      const size_t size = std::min(sent.size() - at, 1 + random() % round);
      Take(sent.substr(at, size), frames, found);
      at += size;
    }
    ASSERT_EQ(found.size(), 20 * Expected().size());
    for (size_t i = 0; i < found.size(); ++i) {
      ASSERT_EQ(found[i], Expected()[i % Expected().size()]);
    }
  }
}

TEST(Http2FramesTest, ReservedBitOfStreamNumbersIsIgnored) {
  Http2Frames frames;
  std::vector<Found> found;
  Take(Frame(kData, 0, 0x80000005, "x"), frames, found);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].stream, 5u);
}

TEST(Http2FramesTest, LongestFrameIsOneFrame) {
  const std::string payload((1 << 24) - 1, 'x');
  Http2Frames frames;
  std::vector<Found> found;
  Take(Frame(kData, kEnd, 3, payload) + Frame(kPing, 0, 0, "12345678"), frames,
       found);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].payload.size(), payload.size());
}

TEST(Http2FramesTest, StreamsEndWithFlagOrReset) {
  EXPECT_TRUE((Http2Frame{kReset, 0, 1}).EndsStream());
  EXPECT_TRUE((Http2Frame{kHeaders, kEndHeaders | kEnd, 1}).EndsStream());
  EXPECT_TRUE((Http2Frame{kData, kEnd, 1}).EndsStream());
  EXPECT_FALSE((Http2Frame{kHeaders, kEndHeaders, 1}).EndsStream());
  EXPECT_FALSE((Http2Frame{kData, 0, 1}).EndsStream());
  // In a PING the same bit marks an answer.
  EXPECT_FALSE((Http2Frame{kPing, 1, 0}).EndsStream());
  EXPECT_FALSE((Http2Frame{kSettings, 1, 0}).EndsStream());
  EXPECT_FALSE((Http2Frame{kContinuation, 1, 1}).EndsStream());
}

}  // namespace
}  // namespace simvisor::server
