#include "server/images/xl_config.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/support/host_testing.h"

namespace simvisor::server {
namespace {

using nlohmann::json;
using testing::HasSubstr;

auto Malformed(absl::string_view what) {
  return IsError(absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
                 HasSubstr(std::string(what)));
}

std::string Config(const json& create, const json& build) {
  return json{{"c_info", create}, {"b_info", build}}.dump();
}

TEST(ServerXlConfigTest, ConfigurationIsThatOfLibxl) {
  const auto host = simvisor::MakeHost(20000);
  DomainSpec spec = MakeSpec("web \"1\"", 3000, 4000);
  spec.vcpus = 2;
  const auto domain = MustCreate(*host, spec);
  const auto text = MakeXlConfig(*domain);
  ASSERT_THAT(text, IsOk());
  const json config = json::parse(*text);
  EXPECT_EQ(config["c_info"]["type"], "pv");
  EXPECT_EQ(config["c_info"]["name"], "web \"1\"");
  EXPECT_EQ(config["c_info"]["uuid"], UuidToString(domain->Info().uuid));
  EXPECT_EQ(config["b_info"]["max_vcpus"], 2);
  EXPECT_EQ(config["b_info"]["avail_vcpus"], json({0, 1}));
  EXPECT_EQ(config["b_info"]["target_memkb"], 12000);
  EXPECT_EQ(config["b_info"]["max_memkb"], 16000);
  EXPECT_FALSE(config["b_info"].contains("vcpu_hard_affinity"));
}

TEST(ServerXlConfigTest, WhatIsWrittenIsReadBack) {
  const auto host = simvisor::MakeHost(20000);
  DomainSpec spec = MakeSpec("web", 3000, 4000);
  spec.vcpus = 2;
  const auto domain = MustCreate(*host, spec);
  const CpuRanges hard = {{0, 1}, {5, 2}};
  ASSERT_THAT(domain->vcpus().SetAffinity({1}, &hard, nullptr), IsOk());
  const auto read = ParseXlConfig(*MakeXlConfig(*domain));
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->name, "web");
  EXPECT_EQ(read->uuid, domain->Info().uuid);
  EXPECT_EQ(read->vcpus, 2u);
  EXPECT_EQ(read->memory, PageCount(3000));
  EXPECT_EQ(read->max_memory, PageCount(4000));
  ASSERT_EQ(read->vcpu_affinities.size(), 2u);
  EXPECT_EQ(read->vcpu_affinities[0].hard.size(), 64u);  // all CPUs
  EXPECT_EQ(read->vcpu_affinities[1].hard, (CpuRanges{{0, 1}, {5, 1}, {6, 1}}));
}

TEST(ServerXlConfigTest, KeysThatAreNotKnownAreIgnored) {
  const auto read = ParseXlConfig(
      Config({{"name", "x"}, {"ssidref", 1}},
             {{"max_memkb", 8192}, {"type.pv", {{"kernel", "vmlinuz"}}}}));
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->name, "x");
  EXPECT_EQ(read->vcpus, 1u);
  EXPECT_EQ(read->memory, PageCount(0));
  EXPECT_EQ(read->max_memory, PageCount(2048));
}

TEST(ServerXlConfigTest, TextThatIsNotUtf8IsNamedAsSuch) {
  EXPECT_THAT(ParseXlConfig("{\"c_info\": {\"name\": \"latin\xef\"}}"),
              Malformed("byte 0xef at offset 26 is not UTF-8"));
}

TEST(ServerXlConfigTest, NonsenseIsRefused) {
  EXPECT_THAT(ParseXlConfig(""), Malformed("not a JSON object"));
  EXPECT_THAT(ParseXlConfig("[1]"), Malformed("not a JSON object"));
  EXPECT_THAT(ParseXlConfig("{}"), Malformed("c_info"));
  EXPECT_THAT(ParseXlConfig(Config({{"name", ""}}, json::object())),
              Malformed("no name"));
  EXPECT_THAT(
      ParseXlConfig(Config({{"name", "x"}, {"type", "hvm"}}, json::object())),
      Malformed("only PV"));
  EXPECT_THAT(
      ParseXlConfig(Config({{"name", "x"}, {"uuid", "1-2"}}, json::object())),
      Malformed("uuid"));
  for (const json& number : {json(-1), json(1.5), json(8193), json("2")}) {
    EXPECT_THAT(ParseXlConfig(Config({{"name", "x"}}, {{"max_vcpus", number}})),
                Malformed("max_vcpus"))
        << number;
  }
  EXPECT_THAT(ParseXlConfig(Config({{"name", "x"}},
                                   {{"vcpu_hard_affinity", {{0}, {1}}}})),
              Malformed("more affinities"));
  EXPECT_THAT(ParseXlConfig(
                  Config({{"name", "x"}}, {{"vcpu_hard_affinity", {{9999}}}})),
              Malformed("CPUs below"));
}

TEST(ServerXlConfigTest, DeepNestingIsRefused) {
  EXPECT_FALSE(ParseXlConfig(std::string(100000, '[')).ok());
  std::string deep;
  for (int i = 0; i < 50000; ++i) deep += "{\"a\":";
  EXPECT_FALSE(ParseXlConfig(deep).ok());
}

}  // namespace
}  // namespace simvisor::server
