#include "server/listen/ready_line.h"

#include <string>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace simvisor::server {
namespace {

TEST(ServerReadyLineTest, OneLineOfJson) {
  const std::string line =
      ReadyLine(42, {*ListenAddress::Parse("unix:/run/simvisor.sock"),
                     *ListenAddress::Parse("127.0.0.1:41234")});
  EXPECT_EQ(line,
            "{\"ready\":true,\"pid\":42,\"addresses\":[\"unix:/run/"
            "simvisor.sock\",\"127.0.0.1:41234\"],\"version\":\"0.1.0\"}\n");
}

TEST(ServerReadyLineTest, OddPathsAreEscaped) {
  const std::string path = "/run/a \"b\"\\c\n\xc3\xa9.sock";
  const std::string line =
      ReadyLine(1, {*ListenAddress::Parse("unix:" + path)});
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_EQ(nlohmann::json::parse(line)["addresses"][0], "unix:" + path);
}

}  // namespace
}  // namespace simvisor::server
