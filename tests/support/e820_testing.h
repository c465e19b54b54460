// Helpers for tests of E820 maps.

#ifndef SIMVISOR_TESTS_SUPPORT_E820_TESTING_H_
#define SIMVISOR_TESTS_SUPPORT_E820_TESTING_H_

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "domain/e820/e820.h"
#include "domain/units/units.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace simvisor {

inline constexpr uint64_t kMiB = uint64_t{1} << 20;
inline constexpr uint64_t kGiB = uint64_t{1} << 30;

inline E820Entry Ram(uint64_t start, uint64_t end) {
  return {start, end - start, E820Type::kRam};
}
inline E820Entry Reserved(uint64_t start, uint64_t end) {
  return {start, end - start, E820Type::kReserved};
}
inline E820Entry Unusable(uint64_t start, uint64_t end) {
  return {start, end - start, E820Type::kUnusable};
}
inline PageCount GiBs(uint64_t n) { return PageCount(n * kPagesPerGiB); }

inline auto IsMalformed(const std::string& part) {
  return IsError(absl::StatusCode::kInvalidArgument, Reason::kE820Malformed,
                 testing::HasSubstr(part));
}

inline E820Map MakeMap(std::vector<E820Entry> entries) {
  auto map = E820Map::Create(std::move(entries));
  EXPECT_THAT(map, IsOk());
  return *std::move(map);
}

inline E820Map RealMap() {
  std::ifstream file("tests/testdata/e820/msi-h61m-8g-dom0.dmesg");
  std::stringstream text;
  text << file.rdbuf();
  auto map = E820Map::ParseBootLog(text.str());
  EXPECT_THAT(map, IsOk());
  return *std::move(map);
}

// The gaps between the RAM of `map`, from 0 to its last page.
inline std::vector<PfnExtent> Holes(const E820Map& map) {
  std::vector<PfnExtent> holes;
  Pfn next(0);
  for (const PfnExtent& ram : map.RamPages()) {
    if (ram.first > next) holes.push_back(ExtentBetween(next, ram.first));
    next = ram.end();
  }
  return holes;
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_E820_TESTING_H_
