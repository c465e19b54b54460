// Helpers for tests of hosts and domains.

#ifndef SIMVISOR_TESTS_SUPPORT_HOST_TESTING_H_
#define SIMVISOR_TESTS_SUPPORT_HOST_TESTING_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "domain/host/host.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/e820_testing.h"
#include "tests/support/status_matchers.h"

namespace simvisor {

inline constexpr uint64_t kDom0Pages = 2000;

// A machine with one extent of RAM.
inline std::unique_ptr<Host> MakeHost(
    uint64_t pages, Placement placement = Placement::kLowest) {
  HostConfig config;
  config.e820 = E820Map::SingleRam(PageCount(pages));
  config.placement = placement;
  config.dom0_memory = PageCount(kDom0Pages);
  auto host = Host::Create(config);
  EXPECT_THAT(host, IsOk());
  return *std::move(host);
}

inline DomainSpec MakeSpec(absl::string_view name, uint64_t memory,
                           uint64_t max_memory = 0) {
  DomainSpec spec;
  spec.name = std::string(name);
  spec.memory = PageCount(memory);
  spec.max_memory = PageCount(max_memory);
  return spec;
}

inline std::shared_ptr<Domain> MustCreate(Host& host, const DomainSpec& spec,
                                          bool start_paused = false) {
  auto domain = host.CreateDomain(spec, start_paused, NeverStop);
  EXPECT_THAT(domain, IsOk());
  return *std::move(domain);
}

inline P2mWord WordOf(Domain& domain, uint64_t pfn) {
  std::vector<P2mWord> words;
  EXPECT_THAT(domain.p2m().Translate({pfn}, words), IsOk());
  return words.at(0);
}

// The words [first, end) as runs by class.
inline std::vector<P2mRun> RunsByClass(Domain& domain, Pfn first, Pfn end) {
  std::vector<P2mRun> runs;
  uint64_t generation = 0;
  EXPECT_THAT(
      domain.p2m().ListRuns(first, end, P2mView::kResolved, RunMerge::kByClass,
                            100000, runs, &generation),
      IsOk());
  return runs;
}

// Expects no findings of an audit, and `owned` owned frames.
inline void ExpectClean(const Host& host, uint64_t owned) {
  EXPECT_THAT(host.Audit().findings, testing::IsEmpty());
  EXPECT_EQ(host.Info().owned.value(), owned);
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_HOST_TESTING_H_
