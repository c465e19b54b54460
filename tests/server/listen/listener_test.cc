// Addresses to listen on, and addresses that clash.

#include "server/listen/listener.h"

#include <sys/socket.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/scoped_folder.h"
#include "tests/support/status_matchers.h"

namespace simvisor::server {
namespace {

using testing::AllOf;
using testing::HasSubstr;

absl::StatusOr<std::vector<Listener>> OpenAll(
    const std::vector<std::string>& addresses) {
  std::vector<ListenAddress> parsed;
  for (const std::string& text : addresses) {
    parsed.push_back(*ListenAddress::Parse(text));
  }
  return OpenListeners(parsed);
}

class ServerListenerTest : public testing::Test {
 protected:
  // A port of 127.0.0.1 on which this test listens.
  ServerListenerTest()
      : taken_(*Listener::Open(*ListenAddress::Parse("127.0.0.1:0"))),
        port_(taken_.address().port()) {}

  std::string At(const std::string& host) const {
    return absl::StrCat(host, ":", port_);
  }

  const ScopedFolder folder_;
  const Listener taken_;
  const int port_;
};

TEST_F(ServerListenerTest, PortIsTheOneThatTheSystemChose) {
  const auto listeners =
      OpenAll({"127.0.0.1:0", "127.0.0.1:0", "unix:" + folder_ / "s"});
  ASSERT_THAT(listeners, IsOk());
  EXPECT_GT((*listeners)[0].address().port(), 0);
  EXPECT_NE((*listeners)[0].address().port(), (*listeners)[1].address().port());
  EXPECT_EQ((*listeners)[2].address().path(), folder_ / "s");
}

TEST_F(ServerListenerTest, PortOfAnotherProcessIsNamed) {
  const auto listeners = OpenAll({At("127.0.0.1")});
  EXPECT_EQ(listeners.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(listeners.status().message()),
              AllOf(HasSubstr("cannot listen on " + At("127.0.0.1")),
                    HasSubstr("in use"), HasSubstr("choose another port")));
}

TEST_F(ServerListenerTest, WildcardClashesWithAHostOfItsPort) {
  for (const char* wildcard : {"0.0.0.0", "[::]"}) {
    EXPECT_TRUE(taken_.Clashes(*ListenAddress::Parse(At(wildcard))))
        << wildcard;
    EXPECT_FALSE(OpenAll({At(wildcard)}).ok()) << wildcard;
  }
  EXPECT_TRUE(taken_.Clashes(*ListenAddress::Parse(At("localhost"))));
  EXPECT_FALSE(taken_.Clashes(*ListenAddress::Parse(At("127.0.0.2"))));
  EXPECT_FALSE(taken_.Clashes(*ListenAddress::Parse("127.0.0.1:1")));
}

TEST_F(ServerListenerTest, ClashNamesBothAddresses) {
  const std::string free = [] {
    const auto listener = Listener::Open(*ListenAddress::Parse("127.0.0.3:0"));
    return absl::StrCat(":", listener->address().port());
  }();
  const auto listeners = OpenAll({"127.0.0.3" + free, "0.0.0.0" + free});
  EXPECT_EQ(listeners.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(listeners.status().message()),
              AllOf(HasSubstr("cannot listen on 0.0.0.0" + free),
                    HasSubstr("--listen 127.0.0.3" + free)));
}

TEST_F(ServerListenerTest, OneSocketUnderTwoNamesIsAClash) {
  std::filesystem::create_symlink(folder_.path(), folder_ / "link");
  const auto listeners =
      OpenAll({"unix:" + folder_ / "s", "unix:" + folder_ / "link/s"});
  EXPECT_EQ(listeners.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(listeners.status().message()),
              AllOf(HasSubstr("unix:" + folder_ / "link/s: "),
                    HasSubstr("unix:" + folder_ / "s leads to the same")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "s"));
}

TEST_F(ServerListenerTest, UnknownHost) {
  const auto listeners = OpenAll({"no.such.host.invalid:1"});
  EXPECT_EQ(listeners.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(listeners.status().message()),
              HasSubstr("no.such.host.invalid:1"));
}

TEST_F(ServerListenerTest, NameWithTwoAddressesGetsOnePort) {
  const auto listener = Listener::Open(*ListenAddress::Parse("localhost:0"));
  ASSERT_THAT(listener, IsOk());
  EXPECT_GE(listener->sockets().size(), 1u);
}

}  // namespace
}  // namespace simvisor::server
