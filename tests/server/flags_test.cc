#include "server/flags.h"

#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace simvisor::server {
namespace {

using testing::HasSubstr;

Options Parsed(const std::vector<std::string>& args) {
  const auto result = ParseFlags(args);
  if (const auto* exit = std::get_if<EarlyExit>(&result)) {
    ADD_FAILURE() << exit->err;
    return {};
  }
  return std::get<Options>(result);
}

EarlyExit Exits(const std::vector<std::string>& args) {
  const auto result = ParseFlags(args);
  if (!std::holds_alternative<EarlyExit>(result)) {
    ADD_FAILURE() << "accepted " << testing::PrintToString(args);
    return {};
  }
  return std::get<EarlyExit>(result);
}

bool MayMigrateTo(const Options& options, const std::string& target) {
  return options.migration_targets.Check(*PeerAddress::Parse(target)).ok();
}

TEST(ServerFlagsTest, NoFlagIsNeeded) {
  const Options options = Parsed({});
  EXPECT_TRUE(options.listen.empty());
  EXPECT_FALSE(options.max_connections.has_value());
  EXPECT_EQ(options.calls.max_calls, 4096u);
  EXPECT_EQ(options.calls.message_bytes, uint64_t{256} << 20);
  EXPECT_EQ(options.handshake_timeout, absl::Seconds(5));
  EXPECT_EQ(options.idle_timeout, absl::Minutes(1));
  EXPECT_EQ(options.host_memory, PageCount(64 * kPagesPerGiB));
  EXPECT_EQ(options.host_e820_file, "");
  EXPECT_FALSE(options.dom0_memory.has_value());
  EXPECT_FALSE(options.dom0_max_memory.has_value());
  EXPECT_FALSE(options.dom0_ibft.has_value());
  EXPECT_EQ(options.cpus, 64u);
  EXPECT_FALSE(options.max_guest_memory.has_value());
  EXPECT_EQ(options.seed, 1u);
  EXPECT_FALSE(options.seed_given);
  EXPECT_EQ(options.placement, Placement::kLowest);
  EXPECT_FALSE(options.fault_injection);
  EXPECT_EQ(options.log_level, spdlog::level::info);
  EXPECT_EQ(options.calls.stall_timeout, std::chrono::seconds(60));
  EXPECT_EQ(options.mmu_grace, absl::Milliseconds(5));
  EXPECT_TRUE(MayMigrateTo(options, "unix:/x"));
  EXPECT_TRUE(MayMigrateTo(options, "127.0.0.1:1"));
  EXPECT_FALSE(MayMigrateTo(options, "10.0.0.1:1"));
  EXPECT_EQ(options.max_image_memory, PageCount(256 * kPagesPerMiB));
}

TEST(ServerFlagsTest, EveryFlag) {
  const Options options = Parsed({"--listen",
                                  "unix:/run/a.sock",
                                  "--listen=127.0.0.1:0",
                                  "--max-connections=5000",
                                  "--max-calls=100",
                                  "--max-message-memory=1g",
                                  "--handshake-timeout=7",
                                  "--idle-timeout",
                                  "604800",
                                  "--host-memory",
                                  "1t",
                                  "--dom0-memory=2g",
                                  "--dom0-max-memory",
                                  "4096",
                                  "--dom0-hotplug-limit",
                                  "512",
                                  "--dom0-ibft=off",
                                  "--dom0-tools-view",
                                  "linear",
                                  "--seed",
                                  "18446744073709551615",
                                  "--placement",
                                  "scatter",
                                  "--cpus=8192",
                                  "--stall-timeout",
                                  "1m30s",
                                  "--migration-targets=10.0.0.0/8",
                                  "--max-image-memory=1g",
                                  "--max-guest-memory=3g",
                                  "--mmu-grace-ms=0",
                                  "--enable-fault-injection",
                                  "--log-level",
                                  "debug"});
  ASSERT_EQ(options.listen.size(), 2u);
  EXPECT_EQ(options.listen[0].ToString(), "unix:/run/a.sock");
  EXPECT_EQ(options.listen[1].ToString(), "127.0.0.1:0");
  EXPECT_EQ(options.max_connections, 5000u);
  EXPECT_EQ(options.calls.max_calls, 100u);
  EXPECT_EQ(options.calls.message_bytes, uint64_t{1} << 30);
  EXPECT_EQ(options.handshake_timeout, absl::Seconds(7));
  EXPECT_EQ(options.idle_timeout, absl::Hours(7 * 24));
  EXPECT_EQ(options.host_memory, PageCount(1024 * kPagesPerGiB));
  EXPECT_EQ(options.dom0_memory, PageCount(2 * kPagesPerGiB));
  EXPECT_EQ(options.dom0_max_memory, PageCount(4 * kPagesPerGiB));
  EXPECT_EQ(options.dom0_hotplug_limit_gib, 512u);
  EXPECT_EQ(options.dom0_ibft, false);
  EXPECT_EQ(options.dom0_tools_view, ToolsView::kLinear);
  EXPECT_EQ(options.cpus, 8192u);
  EXPECT_EQ(options.max_image_memory, PageCount(kPagesPerGiB));
  EXPECT_EQ(options.max_guest_memory, PageCount(3 * kPagesPerGiB));
  EXPECT_EQ(options.seed, ~uint64_t{0});
  EXPECT_TRUE(options.seed_given);
  EXPECT_EQ(options.placement, Placement::kScatter);
  EXPECT_TRUE(options.fault_injection);
  EXPECT_EQ(options.log_level, spdlog::level::debug);
  EXPECT_EQ(options.calls.stall_timeout, std::chrono::seconds(90));
  EXPECT_EQ(options.mmu_grace, absl::ZeroDuration());
  EXPECT_TRUE(MayMigrateTo(options, "10.0.0.1:1"));
  EXPECT_FALSE(MayMigrateTo(options, "unix:/x"));
}

TEST(ServerFlagsTest, AddressGivenTwiceIsListenedToOnce) {
  EXPECT_EQ(Parsed({"--listen", "unix:/run/a", "--listen", "unix:///run/a"})
                .listen.size(),
            1u);
}

TEST(ServerFlagsTest, HelpAndVersionGoToStdout) {
  const EarlyExit help = Exits({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* flag : {"--listen",
                           "--max-connections",
                           "--max-calls",
                           "--max-message-memory",
                           "--handshake-timeout",
                           "--idle-timeout",
                           "SIGHUP",
                           "--host-memory",
                           "--host-e820",
                           "--dom0-memory",
                           "--dom0-max-memory",
                           "--dom0-hotplug-limit",
                           "--dom0-ibft",
                           "--dom0-tools-view",
                           "--cpus",
                           "--seed",
                           "--placement",
                           "--enable-fault-injection",
                           "--log-level",
                           "--version",
                           "--stall-timeout",
                           "--migration-targets",
                           "--max-image-memory",
                           "--max-guest-memory",
                           "--mmu-grace-ms"}) {
    EXPECT_THAT(help.out, HasSubstr(flag));
  }
  EXPECT_EQ(help.err, "");
  const EarlyExit version = Exits({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_EQ(version.out, "simvisord 0.1.0\n");
}

struct BadCase {
  std::vector<std::string> args;
  std::string named;
};

TEST(ServerFlagsTest, MistakesAreNamedAndExitWithTwo) {
  const std::vector<BadCase> cases = {
      {{"--listen", "nowhere"}, "--listen: address \"nowhere\""},
      {{"--listen"}, "--listen"},
      {{"--max-calls", "15"},
       "--max-calls: \"15\": must be a number from 16 to"},
      {{"--max-calls", "1000001"}, "--max-calls"},
      {{"--max-message-memory", "15m"}, "\"15m\" is not from 16m to 1048576m"},
      {{"--max-message-memory", "x"}, "--max-message-memory: size \"x\""},
      {{"--max-connections", "0"},
       "--max-connections: \"0\": must be a number from 1 to 2^32 - 1"},
      {{"--max-connections", "4294967296"}, "--max-connections"},
      {{"--handshake-timeout", "0"},
       "--handshake-timeout: \"0\": must be a number from 1 to 604800"},
      {{"--idle-timeout", "604801"}, "--idle-timeout: \"604801\""},
      {{"--idle-timeout", "1m"}, "--idle-timeout: \"1m\""},
      {{"--host-memory", "12x"}, "--host-memory: size \"12x\""},
      {{"--host-memory", "1b"}, "whole number of 4 KiB pages"},
      {{"--dom0-memory", "99999999t"}, "--dom0-memory: size"},
      {{"--dom0-max-memory", "-1"}, "--dom0-max-memory"},
      {{"--dom0-max-memory", "0"}, "--dom0-max-memory: 0 leaves dom0 no"},
      {{"--max-guest-memory", "half"}, "--max-guest-memory: size"},
      {{"--host-memory", "1g", "--host-e820", "file"}, "--host-e820"},
      {{"--dom0-hotplug-limit", "4294967296"}, "from 0 to 2^32 - 1"},
      {{"--dom0-hotplug-limit", "8g"}, "--dom0-hotplug-limit: \"8g\""},
      {{"--dom0-ibft", "yes"}, "--dom0-ibft: \"yes\""},
      {{"--dom0-tools-view", "list"},
       "--dom0-tools-view: \"list\": must be one of"},
      {{"--seed", "x"}, "--seed: \"x\": must be a number from 0 to 2^64 - 1"},
      {{"--cpus", "0"}, "--cpus: \"0\": must be a number from 1 to 8192"},
      {{"--cpus", "8193"}, "--cpus"},
      {{"--cpus", "many"}, "--cpus"},
      {{"--seed", "-1"}, "--seed"},
      {{"--placement", "random"}, "--placement"},
      {{"--max-image-memory", "1b"}, "--max-image-memory"},
      {{"--max-image-memory", "512k"}, "--max-image-memory: \"512k\" is too"},
      {{"--log-level", "loud"}, "--log-level"},
      {{"--stall-timeout", "60"},
       "--stall-timeout: \"60\": must be a duration"},
      {{"--stall-timeout", "99ms"}, "--stall-timeout"},
      {{"--stall-timeout", "25h"}, "--stall-timeout"},
      {{"--stall-timeout", "inf"}, "--stall-timeout"},
      {{"--mmu-grace-ms", "1001"},
       "--mmu-grace-ms: \"1001\": must be a number from 0 to 1000"},
      {{"--mmu-grace-ms", "5ms"}, "--mmu-grace-ms"},
      {{"--migration-targets", "host:80"}, "--migration-targets: migration"},
      {{"--migration-targets", ""}, "--migration-targets"},
      {{"--no-such-flag"}, "--no-such-flag"},
      {{"serve"}, "serve"},
      {{"--listen", "unix:/a", "serve"}, "serve"},
      {{"--host-memory", ""}, "--host-memory: size \"\""},
      {{"--host-memory", "1g", "--host-memory", "2g"}, "--host-memory"},
  };
  for (const BadCase& c : cases) {
    const EarlyExit exit = Exits(c.args);
    EXPECT_EQ(exit.code, 2);
    EXPECT_EQ(exit.out, "");
    EXPECT_THAT(exit.err, HasSubstr(c.named));
    EXPECT_THAT(exit.err, testing::StartsWith("simvisord: "));
    EXPECT_EQ(exit.err.find('\n'), exit.err.size() - 1) << exit.err;
  }
}

}  // namespace
}  // namespace simvisor::server
