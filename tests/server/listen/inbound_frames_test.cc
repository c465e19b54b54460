#include "server/listen/inbound_frames.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>

#include "gtest/gtest.h"
#include "tests/server/listen/http2_testing.h"
#include "tests/support/random_seed.h"

namespace simvisor::server {
namespace {

constexpr uint64_t kCall = InboundFrames::kCallBytes;

class InboundFramesTest : public testing::Test {
 protected:
  InboundFramesTest() { Send(Preface()); }

  bool Send(const std::string& bytes) { return frames_.Feed(BytesOf(bytes)); }

  InboundFrames frames_;
};

TEST_F(InboundFramesTest, CallCountsUntilItsMessageIsComplete) {
  EXPECT_TRUE(Send(Frame(kHeaders, 4, 1, "h")));
  EXPECT_EQ(frames_.held(), kCall);
  EXPECT_TRUE(Send(Frame(kData, 0, 1, Prefix(100) + "12345")));
  EXPECT_EQ(frames_.held(), kCall + 5);
  EXPECT_TRUE(Send(Frame(kData, 0, 1, std::string(94, 'x'))));
  EXPECT_EQ(frames_.held(), kCall + 99);
  EXPECT_TRUE(Send(Frame(kData, 0, 1, "x")));
  EXPECT_EQ(frames_.held(), 0u);
  // The stream goes on; from now on only the bytes of its messages count.
  EXPECT_TRUE(Send(Frame(kData, 0, 1, Message(7) + Prefix(9) + "ab")));
  EXPECT_EQ(frames_.held(), 2u);
  EXPECT_TRUE(Send(Frame(kData, kEnd, 1, "")));
  EXPECT_EQ(frames_.held(), 0u);
}

TEST_F(InboundFramesTest, StreamsCountIndependently) {
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
  // Data on streams that are over, or never began, does not count.
  EXPECT_TRUE(Send(Frame(kData, 0, 3, Prefix(10) + "123")));
  EXPECT_TRUE(Send(Frame(kData, 0, 99, Prefix(10) + "123")));
  EXPECT_EQ(frames_.held(), 2 * kCall);
  EXPECT_TRUE(Send(Frame(kReset, 0, 1, "1234")));
  EXPECT_TRUE(Send(Frame(kHeaders, kEnd, 5, "trailers")));
  EXPECT_EQ(frames_.held(), 0u);
}

TEST_F(InboundFramesTest, StreamThatThisEndHasEndedHoldsNothing) {
  EXPECT_TRUE(Send(Frame(kHeaders, 4, 1, "")));
  EXPECT_TRUE(Send(Frame(kHeaders, 4, 3, "")));
  EXPECT_TRUE(Send(Frame(kData, 0, 1, Message(7) + Prefix(1000) + "1234")));
  EXPECT_TRUE(Send(Frame(kData, 0, 3, Prefix(10) + "12")));
  EXPECT_EQ(frames_.held(), 4 + kCall + 2);
  frames_.Ended(1);
  EXPECT_EQ(frames_.held(), kCall + 2);
  frames_.Ended(3);
  EXPECT_EQ(frames_.held(), 0u);
}

TEST_F(InboundFramesTest, DataOnAStreamThatThisEndHasEndedDoesNotCount) {
  EXPECT_TRUE(Send(Frame(kHeaders, 4, 1, "")));
  EXPECT_TRUE(Send(Frame(kHeaders, 4, 3, "")));
  EXPECT_TRUE(Send(Frame(kData, 0, 1, Prefix(1000) + "1234")));
  EXPECT_TRUE(Send(Frame(kData, 0, 3, Prefix(1000) + "1234")));
  // In the middle of a frame.
  const std::string frame = Frame(kData, 0, 1, std::string(500, 'x'));
  EXPECT_TRUE(Send(frame.substr(0, 100)));
  frames_.Ended(1);
  EXPECT_TRUE(Send(frame.substr(100)));
  EXPECT_TRUE(Send(Frame(kData, 0, 1, std::string(400, 'x'))));
  EXPECT_EQ(frames_.held(), kCall + 4);
  // Not even the length of a message matters now.
  EXPECT_TRUE(Send(Frame(kData, 0, 1, Prefix(0x7fffffff) + "1234")));
  // Streams do not begin twice.
  EXPECT_TRUE(Send(Frame(kHeaders, 4, 1, "")));
  EXPECT_TRUE(Send(Frame(kData, 0, 1, Prefix(10) + "12")));
  EXPECT_EQ(frames_.held(), kCall + 4);
  EXPECT_TRUE(Send(Frame(kHeaders, kEnd, 1, "")));
  EXPECT_TRUE(Send(Frame(kReset, 0, 1, "1234")));
  EXPECT_EQ(frames_.held(), kCall + 4);
}

TEST_F(InboundFramesTest, EndOfOneStreamIsNotTheEndOfAnother) {
  EXPECT_TRUE(Send(Frame(kHeaders, 4, 257, "")));
  EXPECT_TRUE(Send(Frame(kHeaders, 4, 513, "")));
  EXPECT_TRUE(Send(Frame(kData, 0, 257, Prefix(10) + "12")));
  EXPECT_TRUE(Send(Frame(kData, 0, 513, Prefix(10) + "123")));
  // Streams of the server, one that has not begun, and the connection itself.
  for (const uint32_t other : {0, 1, 255, 256, 258, 514, 515}) {
    frames_.Ended(other);
  }
  EXPECT_EQ(frames_.held(), 2 * kCall + 5);
  EXPECT_TRUE(Send(Frame(kHeaders, 4, 515, "")));
  EXPECT_EQ(frames_.held(), 3 * kCall + 5);
  frames_.Ended(257);
  frames_.Ended(257);
  EXPECT_EQ(frames_.held(), 2 * kCall + 3);
  EXPECT_TRUE(Send(Frame(kData, 0, 513, "4567")));
  EXPECT_EQ(frames_.held(), 2 * kCall + 7);
}

TEST_F(InboundFramesTest, StreamsThatOnlyAServerBeginsChangeNothing) {
  // Such a number must not hide the clients' that follow.
  EXPECT_TRUE(Send(Frame(kHeaders, 4, 0x7ffffffe, "")));
  EXPECT_TRUE(Send(Frame(kHeaders, 4, 0, "")));
  EXPECT_TRUE(Send(Frame(kData, 0, 0x7ffffffe, Prefix(10) + "12")));
  EXPECT_EQ(frames_.held(), 0u);
  EXPECT_TRUE(Send(Frame(kHeaders, 4, 1, "")));
  EXPECT_EQ(frames_.held(), kCall);
}

TEST_F(InboundFramesTest, CallsThatThisEndEndsDoNotAddUp) {
  // A client that has read the end of a call need not end its half.
  for (uint32_t stream = 1; stream < 40000; stream += 2) {
    ASSERT_TRUE(Send(Frame(kHeaders, 4, stream, "")));
    ASSERT_TRUE(
        Send(Frame(kData, 0, stream, Message(10) + Prefix(1 << 20) + "12345")));
    if (stream > 2000) frames_.Ended(stream - 2000);
  }
  EXPECT_EQ(frames_.held(), 1000 * 5u);
}

TEST_F(InboundFramesTest, PaddingIsNotData) {
  EXPECT_TRUE(Send(Frame(kHeaders, 4, 1, "")));
  EXPECT_TRUE(Send(Frame(kData, kPadded, 1,
                         std::string(1, '\3') + Prefix(10) + "12" + "ppp")));
  EXPECT_EQ(frames_.held(), kCall + 2);
  // Only padding, and more padding than payload.
  EXPECT_TRUE(Send(Frame(kData, kPadded, 1, std::string("\2pp"))));
  EXPECT_TRUE(Send(Frame(kData, kPadded, 1, std::string("\xffpp"))));
  EXPECT_EQ(frames_.held(), kCall + 2);
}

TEST_F(InboundFramesTest, EmptyMessageIsCompleteAtOnce) {
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
  // Streams count whether or not their method has been called.
  uint32_t stream = 1;
  for (size_t i = 0; i < InboundFrames::kMaxStreams; ++i, stream += 2) {
    ASSERT_TRUE(Send(Frame(kHeaders, 4, stream, "")));
    ASSERT_TRUE(i % 2 == 0 || Send(Frame(kData, 0, stream, Message(10))));
  }
  // A stream that ends makes room for another.
  frames_.Ended(5);
  EXPECT_TRUE(Send(Frame(kHeaders, 4, stream, "")));
  EXPECT_FALSE(Send(Frame(kHeaders, 4, stream + 2, "")));
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
      ASSERT_TRUE(other.Feed(BytesOf(all).subspan(at, size)));
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
    frames.Feed(BytesOf(bytes));
    EXPECT_LE(frames.held(), 8 * kCall + bytes.size());
  }
}

}  // namespace
}  // namespace simvisor::server
