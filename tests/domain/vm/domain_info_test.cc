// What a domain shows while an operation is at work on it.

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"

namespace simvisor {
namespace {

constexpr uint64_t kInfoPages = 20000;

class DomainInfoTest : public testing::Test {
 protected:
  // Runs `operation` with a StopCheck that calls `look` once, on another
  // thread, while the operation holds the domain's lock.
  static void During(absl::FunctionRef<void(StopCheck)> operation,
                     absl::FunctionRef<void()> look) {
    bool looked = false;
    const auto check = [&] {
      if (!looked) std::thread([&] { look(); }).join();
      looked = true;
      return absl::OkStatus();
    };
    operation(check);
    EXPECT_TRUE(looked);
  }

  const std::unique_ptr<Host> host_ = MakeHost(60000, Placement::kScatter);
  const std::shared_ptr<Domain> domain_ =
      MustCreate(*host_, MakeSpec("a", kInfoPages));
};

TEST_F(DomainInfoTest, TargetShowsBeforeThePagesHaveMoved) {
  During(
      [&](StopCheck stop) {
        EXPECT_THAT(domain_->balloon().SetTarget({"set memory target", stop},
                                                 PageCount(10000)),
                    IsOk());
      },
      [&] {
        EXPECT_FALSE(domain_->TryPages().has_value());
        EXPECT_EQ(domain_->TryPages(), std::nullopt);
        const DomainInfo info = domain_->Info();
        EXPECT_EQ(info.memory.target, PageCount(10000));
        EXPECT_EQ(info.memory.current, PageCount(kInfoPages));
        EXPECT_EQ(domain_->Memory().current, PageCount(kInfoPages));
        EXPECT_EQ(info.state, DomainState::kRunning);
        EXPECT_TRUE(info.balloon_driver.has_value());
      });
  EXPECT_TRUE(domain_->TryPages().has_value());
  EXPECT_EQ(domain_->Info().memory.current, PageCount(10000));
  EXPECT_EQ(domain_->Memory().current, PageCount(10000));
}

TEST_F(DomainInfoTest, PagesThatHaveMovedShowWhileOthersMove) {
  PageCount seen(kInfoPages);
  const auto check = [&] {
    const DomainInfo info = domain_->Info();
    EXPECT_LE(info.memory.current, seen);
    EXPECT_EQ(info.memory.current + info.memory.balloon, PageCount(kInfoPages));
    seen = info.memory.current;
    return absl::OkStatus();
  };
  EXPECT_THAT(domain_->balloon().SetTarget({"set memory target", check},
                                           PageCount(2000)),
              IsOk());
  EXPECT_LT(seen, PageCount(kInfoPages));
  EXPECT_GT(seen, PageCount(2000));
}

TEST_F(DomainInfoTest, DomainIsListedWhileItIsAtWork) {
  During(
      [&](StopCheck stop) {
        EXPECT_THAT(domain_->balloon().Down({"balloon down", stop},
                                            PageCount(5000), false),
                    IsOk());
      },
      [&] {
        EXPECT_EQ(host_->List(kDom0Id, 10).size(), 2u);
        EXPECT_EQ((*host_->Find(std::string("a")))->Info().memory.current,
                  PageCount(kInfoPages));
        EXPECT_THAT(host_->RenameDomain(domain_->id(), "b"), IsOk());
        EXPECT_EQ(domain_->Info().name, "b");
      });
}

TEST_F(DomainInfoTest, DomainThatBootsShowsTheStateBefore) {
  DomainSpec spec = MakeSpec("c", 3000);
  const auto built = MustCreate(*host_, spec, /*start_paused=*/true);
  EXPECT_EQ(built->published(), nullptr);
  EXPECT_FALSE(built->Info().balloon_driver.has_value());
  During(
      [&](StopCheck stop) {
        EXPECT_THAT(built->Unpause({"unpause", stop}), IsOk());
      },
      [&] {
        EXPECT_EQ(built->Info().state, DomainState::kBuilt);
        EXPECT_EQ(built->Info().memory.current, PageCount(3000));
      });
  EXPECT_NE(built->published(), nullptr);
  EXPECT_EQ(built->Info().state, DomainState::kRunning);
}

TEST_F(DomainInfoTest, AuditLeavesThoseWhoOnlyLookAlone) {
  bool looked = false;
  const auto check = [&] {
    if (domain_->TryPages().has_value() || looked) return absl::OkStatus();
    looked = true;
    std::thread([&] {
      EXPECT_EQ(domain_->Info().memory.current, PageCount(kInfoPages));
      EXPECT_EQ(host_->List(kDom0Id, 10).size(), 2u);
      std::string data(8, '\0');
      EXPECT_THAT(domain_->contents().Read(Pfn(300), 0, absl::MakeSpan(data)),
                  IsOk());
      EXPECT_FALSE(RunsByClass(*domain_, Pfn(0), Pfn(kInfoPages)).empty());
      EXPECT_THAT(domain_->p2m().Summary(), IsOk());
      EXPECT_EQ(host_->FindOwner(Mfn(1)), nullptr);
    }).join();
    return absl::OkStatus();
  };
  AuditReport report;
  EXPECT_THAT(host_->Audit(check, report), IsOk());
  EXPECT_TRUE(looked);
  EXPECT_TRUE(report.findings.empty());
}

}  // namespace
}  // namespace simvisor
