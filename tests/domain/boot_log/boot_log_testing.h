// Boot logs for tests.

#ifndef SIMVISOR_TESTS_DOMAIN_BOOT_LOG_BOOT_LOG_TESTING_H_
#define SIMVISOR_TESTS_DOMAIN_BOOT_LOG_BOOT_LOG_TESTING_H_

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "domain/boot_log/boot_log.h"
#include "domain/e820/e820.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/e820_testing.h"
#include "tests/support/status_matchers.h"

namespace simvisor {

inline std::string TestLog(const std::string& name) {
  std::ifstream file("tests/testdata/e820/" + name);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return text.str();
}

inline BootLog Read(const std::string& text) {
  absl::StatusOr<BootLog> log = ReadBootLog(text);
  EXPECT_THAT(log, IsOk()) << text;
  return log.value_or(BootLog());
}

inline std::vector<E820Entry> Entries(const std::string& text) {
  return Read(text).map.entries();
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_BOOT_LOG_BOOT_LOG_TESTING_H_
