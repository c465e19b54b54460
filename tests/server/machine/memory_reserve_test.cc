#include "server/machine/memory_reserve.h"

#include <sys/resource.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/sanitized.h"
#include "tests/support/status_matchers.h"

namespace simvisor::server {
namespace {

auto IsExhausted() {
  return IsError(absl::StatusCode::kResourceExhausted,
                 Reason::kDaemonMemoryExhausted, testing::_);
}

TEST(MemoryReserveTest, AllocationThatFailsEndsTheWorkAndFreesItsLocks) {
  absl::Mutex mu;
  const absl::Status status = WithinMemory("Any", [&]() -> absl::Status {
    absl::MutexLock lock(&mu);
    throw std::bad_alloc();
  });
  EXPECT_THAT(status, IsExhausted());
  const bool was_free = mu.TryLock();
  if (was_free) mu.Unlock();
  EXPECT_TRUE(was_free);
}

TEST(MemoryReserveTest, ResultOfTheWorkIsReturned) {
  EXPECT_THAT(WithinMemory("Any", [] { return absl::OkStatus(); }), IsOk());
  const absl::StatusOr<int> three =
      WithinMemory("Any", []() -> absl::StatusOr<int> { return 3; });
  ASSERT_THAT(three, IsOk());
  EXPECT_EQ(*three, 3);
}

TEST(MemoryReserveTest, OnlyMethodsThatFreeMemoryRunWithoutIt) {
  EXPECT_TRUE(RunsWithoutReserve("DestroyDomain"));
  EXPECT_FALSE(RunsWithoutReserve("CreateDomain"));
  EXPECT_FALSE(RunsWithoutReserve(""));
}

// Runs in a separate process: takes all memory that its limit allows.
[[noreturn]] void UseUpMemory() {
  // The heap grows to the limit instead of mapping large blocks.
  MemoryReserve::Install();
  constexpr rlim_t kLimit = 512 << 20;
  const rlimit limit = {kLimit, kLimit};
  if (setrlimit(RLIMIT_AS, &limit) != 0) std::_Exit(10);
  std::vector<std::unique_ptr<char[]>> taken;
  taken.reserve(1 << 20);
  constexpr size_t kBytes = 64 << 10;
  const auto work = [] { return absl::OkStatus(); };
  // The reserve is used first, and the allocation that needed it succeeds.
  while (WithinMemory("CreateDomain", work).ok()) {
    if (taken.size() * kBytes > kLimit) std::_Exit(11);
    taken.push_back(std::make_unique<char[]>(kBytes));
  }
  if (!WithinMemory("DestroyDomain", work).ok()) std::_Exit(12);
  // Then allocations fail, and end the calls that make them.
  const absl::Status status = WithinMemory("DestroyDomain", [&] {
    while (true) {
      taken.push_back(std::make_unique<char[]>(kBytes));
    }
    return absl::OkStatus();
  });
  if (status.ok()) std::_Exit(13);
  // Once memory has been freed, new work is accepted again.
  taken.resize(taken.size() / 2);
  if (!WithinMemory("CreateDomain", work).ok()) std::_Exit(14);
  std::_Exit(0);
}

TEST(MemoryReserveDeathTest, IsUsedBeforeAllocationsFailAndComesBack) {
  if (kSanitized) {
    GTEST_SKIP() << "the sanitizer has more address space than a limit leaves";
  }
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(UseUpMemory(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace simvisor::server
