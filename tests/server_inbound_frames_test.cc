#include <algorithm>
#include <cstdint>
#include <random>
#include <string>

#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "server/inbound_frames.h"
#include "tests/random_seed.h"

namespace simvisor::server {
namespace {

constexpr uint8_t kData = 0;
constexpr uint8_t kHeaders = 1;
constexpr uint8_t kReset = 3;
constexpr uint8_t kPing = 6;
constexpr uint8_t kEnd = 1;
constexpr uint8_t kPadded = 8;
constexpr uint64_t kCall = InboundFrames::kCallBytes;

std::string Preface() { return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"; }

std::string Frame(uint8_t kind, uint8_t flags, uint32_t stream,
                  const std::string& payload) {
  const auto size = static_cast<uint32_t>(payload.size());
  std::string frame;
  for (const int shift : {16, 8, 0}) {
    frame += static_cast<char>(size >> shift);
  }
  frame += static_cast<char>(kind);
  frame += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) {
    frame += static_cast<char>(stream >> shift);
  }
  return frame + payload;
}

// What stands in front of a message of `size` bytes.
std::string Prefix(uint32_t size) {
  std::string prefix(1, '\0');
  for (const int shift : {24, 16, 8, 0}) {
    prefix += static_cast<char>(size >> shift);
  }
  return prefix;
}

std::string Message(size_t size) {
  return Prefix(static_cast<uint32_t>(size)) + std::string(size, 'x');
}

class InboundFramesTest : public testing::Test {
 protected:
  InboundFramesTest() { Send(Preface()); }

  bool Send(const std::string& bytes) {
    return frames_.Feed(absl::MakeConstSpan(
        reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
  }

  InboundFrames frames_;
};

TEST_F(InboundFramesTest, CallCountsUntilItsMessageIsWhole) {
  EXPECT_TRUE(Send(Frame(kHeaders, 4, 1, "h")));
  EXPECT_EQ(frames_.held(), kCall);
  EXPECT_TRUE(Send(Frame(kData, 0, 1, Prefix(100) + "12345")));
  EXPECT_EQ(frames_.held(), kCall + 5);
  EXPECT_TRUE(Send(Frame(kData, 0, 1, std::string(94, 'x'))));
  EXPECT_EQ(frames_.held(), kCall + 99);
  EXPECT_TRUE(Send(Frame(kData, 0, 1, "x")));
  EXPECT_EQ(frames_.held(), 0u);
  // The stream goes on, now for the bytes of its messages only.
  EXPECT_TRUE(Send(Frame(kData, 0, 1, Message(7) + Prefix(9) + "ab")));
  EXPECT_EQ(frames_.held(), 2u);
  EXPECT_TRUE(Send(Frame(kData, kEnd, 1, "")));
  EXPECT_EQ(frames_.held(), 0u);
}

TEST_F(InboundFramesTest, StreamsCountByThemselves) {
  for (const uint32_t stream : {1, 3, 5, 7}) {
    EXPECT_TRUE(Send(Frame(kHeaders, 4, stream, "")));
  }
  EXPECT_EQ(frames_.held(), 4 * kCall);
  EXPECT_TRUE(Send(Frame(kData, 0, 3, Prefix(10) + "123")));
  EXPECT_TRUE(Send(Frame(kData, kEnd, 7, Message(10))));
  EXPECT_TRUE(Send(Frame(kPing, 0, 0, "12345678")));
  EXPECT_EQ(frames_.held(), 3 * kCall + 3);
  EXPECT_TRUE(Send(Frame(kReset, 0, 3, "1234")));
  EXPECT_EQ(frames_.held(), 2 * kCall);
  // Of streams that are over, or never were, nothing counts.
  EXPECT_TRUE(Send(Frame(kData, 0, 3, Prefix(10) + "123")));
  EXPECT_TRUE(Send(Frame(kData, 0, 99, Prefix(10) + "123")));
  EXPECT_EQ(frames_.held(), 2 * kCall);
  EXPECT_TRUE(Send(Frame(kReset, 0, 1, "1234")));
  EXPECT_TRUE(Send(Frame(kHeaders, kEnd, 5, "trailers")));
  EXPECT_EQ(frames_.held(), 0u);
}

TEST_F(InboundFramesTest, CallsThatTheDaemonEndedDoNotAddUp) {
  // A client that has read the end of a call need not end it by itself.
  for (uint32_t stream = 1; stream < 40000; stream += 2) {
    ASSERT_TRUE(Send(Frame(kHeaders, 4, stream, "")));
    ASSERT_TRUE(Send(Frame(kData, 0, stream, Message(10))));
  }
  EXPECT_EQ(frames_.held(), 0u);
  // One of the first goes on all the same, and counts.
  EXPECT_TRUE(Send(Frame(kData, 0, 1, Prefix(10) + "123")));
  EXPECT_EQ(frames_.held(), 3u);
}

TEST_F(InboundFramesTest, PaddingIsNoData) {
  EXPECT_TRUE(Send(Frame(kHeaders, 4, 1, "")));
  EXPECT_TRUE(Send(Frame(kData, kPadded, 1,
                         std::string(1, '\3') + Prefix(10) + "12" + "ppp")));
  EXPECT_EQ(frames_.held(), kCall + 2);
  // All padding, and more of it than there is.
  EXPECT_TRUE(Send(Frame(kData, kPadded, 1, std::string("\2pp"))));
  EXPECT_TRUE(Send(Frame(kData, kPadded, 1, std::string("\xffpp"))));
  EXPECT_EQ(frames_.held(), kCall + 2);
}

TEST_F(InboundFramesTest, EmptyMessageIsWholeAtOnce) {
  EXPECT_TRUE(Send(Frame(kHeaders, 4, 1, "")));
  EXPECT_TRUE(Send(Frame(kData, 0, 1, Message(0))));
  EXPECT_EQ(frames_.held(), 0u);
}

TEST_F(InboundFramesTest, MessageOfGigabytesEndsTheConnection) {
  EXPECT_TRUE(Send(Frame(kHeaders, 4, 1, "")));
  EXPECT_TRUE(Send(
      Frame(kData, 0, 1,
            Prefix(static_cast<uint32_t>(InboundFrames::kMaxMessageBytes)))));
  EXPECT_TRUE(Send(Frame(kHeaders, 4, 3, "")));
  EXPECT_FALSE(Send(Frame(
      kData, 0, 3,
      Prefix(static_cast<uint32_t>(InboundFrames::kMaxMessageBytes + 1)))));
}

TEST_F(InboundFramesTest, StreamsWithoutNumberEndTheConnection) {
  bool ok = true;
  uint32_t stream = 1;
  for (; ok && stream < 100000; stream += 2) {
    ok = Send(Frame(kHeaders, 4, stream, ""));
  }
  EXPECT_FALSE(ok);
  EXPECT_GT(stream, 2 * 1000u);
}

TEST_F(InboundFramesTest, HowTheBytesAreCutUpDoesNotMatter) {
  std::mt19937_64 random(TestSeeds(1).front());
  std::string sent;
  for (uint32_t stream = 1; stream < 200; stream += 2) {
    sent += Frame(kHeaders, 4, stream, std::string(random() % 50, 'h'));
    const std::string messages =
        Message(random() % 3000) + Message(random() % 20) + Prefix(50) + "12";
    for (size_t at = 0; at < messages.size();) {
      const size_t size = 1 + random() % 1000;
      sent +=
          random() % 3 == 0
              ? Frame(kData, kPadded, stream,
                      std::string(1, '\2') + messages.substr(at, size) + "pp")
              : Frame(kData, 0, stream, messages.substr(at, size));
      at += size;
    }
    if (random() % 2 == 0) sent += Frame(kReset, 0, stream, "1234");
  }
  Send(sent);
  EXPECT_GT(frames_.held(), 0u);
  for (int round = 0; round < 20; ++round) {
    InboundFrames other;
    const std::string all = Preface() + sent;
    for (size_t at = 0; at < all.size();) {
      const size_t size =
          std::min<size_t>(all.size() - at, 1 + random() % (round * 50 + 1));
      ASSERT_TRUE(other.Feed(absl::MakeConstSpan(
          reinterpret_cast<const uint8_t*>(all.data()) + at, size)));
      at += size;
    }
    EXPECT_EQ(other.held(), frames_.held());
  }
}

TEST_F(InboundFramesTest, AnyBytesAreSurvived) {
  std::mt19937_64 random(TestSeeds(1).front());
  for (int round = 0; round < 2000; ++round) {
    InboundFrames frames;
    std::string bytes = Preface();
    for (int i = 0; i < 30; ++i) {
      bytes += Frame(static_cast<uint8_t>(random() % 10),
                     static_cast<uint8_t>(random()),
                     static_cast<uint32_t>(random() % 8),
                     std::string(random() % 40, static_cast<char>(random())));
      if (random() % 20 == 0) bytes[random() % bytes.size()] ^= 1;
    }
    frames.Feed(absl::MakeConstSpan(
        reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
    EXPECT_LE(frames.held(), 8 * kCall + bytes.size());
  }
}

}  // namespace
}  // namespace simvisor::server
