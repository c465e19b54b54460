// Two domains, one of which maps frames of the other.

#ifndef SIMVISOR_TESTS_SUPPORT_FOREIGN_TESTING_H_
#define SIMVISOR_TESTS_SUPPORT_FOREIGN_TESTING_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"

namespace simvisor {

inline constexpr uint64_t kMapper =
    2000;  // pages of the mapper, 1000 in its balloon
inline constexpr uint64_t kOwner = 1500;
inline constexpr uint64_t kHole = 2500;  // a ballooned pfn of the mapper

class ForeignTest : public testing::Test {
 protected:
  ForeignTest()
      : host_(MakeHost(20000)),
        mapper_(MustCreate(*host_, MakeSpec("mapper", kMapper, 3000))),
        owner_(MustCreate(*host_, MakeSpec("owner", kOwner))) {}

  ~ForeignTest() override {
    EXPECT_THAT(host_->Audit().findings, testing::IsEmpty());
    const HostInfo info = host_->Info();
    EXPECT_EQ(info.free + info.owned + info.reserved, info.total);
  }

  static uint64_t FrameAt(Domain& domain, uint64_t pfn) {
    return WordOf(domain, pfn).Number();
  }

  // Maps pages of `owner` at pfns of `mapper`; all must succeed.
  static void Map(Domain& mapper, uint64_t pfn, Domain& owner,
                  uint64_t owner_pfn, uint64_t count = 1) {
    std::vector<ForeignSlot> slots;
    for (uint64_t i = 0; i < count; ++i) {
      slots.push_back({Pfn(pfn + i), Mfn(FrameAt(owner, owner_pfn + i))});
    }
    ForeignReport report;
    ASSERT_THAT(mapper.p2m().MapForeign({"map foreign"}, slots, report),
                IsOk());
    for (const SlotError& error : report.errors) {
      ADD_FAILURE() << error.status;
    }
    EXPECT_EQ(report.done, count);
  }
  // Unmaps one pfn; returns how many frames that freed.
  uint64_t Unmap(Domain& mapper, uint64_t pfn) {
    ForeignReport report;
    EXPECT_THAT(
        host_->UnmapForeign({"unmap foreign"}, mapper.id(), {pfn}, report),
        IsOk());
    EXPECT_EQ(report.done, 1u);
    return report.freed.value();
  }
  absl::Status MapOne(uint64_t pfn, uint64_t mfn) {
    ForeignReport report;
    const absl::Status status = mapper_->p2m().MapForeign(
        {"map foreign"}, {ForeignSlot{Pfn(pfn), Mfn(mfn)}}, report);
    if (!status.ok() || report.errors.empty()) return status;
    return report.errors[0].status;
  }
  void BalloonDown(Domain& domain, uint64_t pages) {
    EXPECT_THAT(
        domain.balloon().Down({"balloon down"}, PageCount(pages), false),
        IsOk());
  }
  std::string ReadFrame(uint64_t mfn) {
    std::string page(kPageSize, '\0');
    bool zero = false;
    EXPECT_THAT(host_->ReadFrame(Mfn(mfn), absl::MakeSpan(page), &zero),
                IsOk());
    return zero ? std::string(kPageSize, '\0') : page;
  }

  const std::unique_ptr<Host> host_;
  const std::shared_ptr<Domain> mapper_;
  const std::shared_ptr<Domain> owner_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_FOREIGN_TESTING_H_
