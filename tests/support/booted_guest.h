// A guest on a hypervisor of its own, without a domain.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_SUPPORT_BOOTED_GUEST_H_
#define SIMVISOR_TESTS_SUPPORT_BOOTED_GUEST_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "domain/frames/page_store.h"
#include "domain/guest/built_image.h"
#include "domain/guest/guest.h"
#include "domain/guest/guest_memory.h"
#include "domain/p2m/p2m_words.h"
#include "domain/units/domain_identity.h"
#include "domain/units/findings.h"
#include "domain/units/units.h"
#include "gtest/gtest.h"
#include "tests/support/change_permit.h"
#include "tests/support/fake_hypervisor.h"
#include "tests/support/status_matchers.h"

namespace simvisor {

class BootedGuest {
 public:
  // Builds a guest as `plan` says, which takes Populate().
  using MakeImage = std::function<std::unique_ptr<BuiltImage>(BuildPlan plan,
                                                              BootedGuest& on)>;

  explicit BootedGuest(const BuildInput& input, const MakeImage& make = Ours)
      : faults(input.faults),
        hypervisor({Mfn(0x10000), PageCount(uint64_t{1} << 21)}),
        store(std::make_shared<PageStore>()) {
    auto plan = PlanBuild(input);
    EXPECT_THAT(plan, IsOk());
    auto words = P2mWords::Create(*input.abi, plan->setup.area_end);
    EXPECT_THAT(words, IsOk());
    memory = std::make_unique<GuestMemory>(*std::move(words), store);
    image = make(*std::move(plan), *this);
    memory->SetKernelPages(image.get());
  }

  // What our builder leaves.
  static std::unique_ptr<BuiltImage> Ours(BuildPlan plan, BootedGuest& on) {
    const PageCount pages = plan.memory;
    auto built =
        BuiltImage::Build(std::move(plan), on.memory->words(), on.faults);
    EXPECT_THAT(built, IsOk());
    on.Populate(pages);
    return *std::move(built);
  }

  // Gives pfns from 0 on frames.
  void Populate(PageCount pages) {
    hypervisor.claimed = pages;
    P2mWords& list = memory->words();
    hypervisor.PopulatePhysmap(
        {Pfn(0), pages}, [&list](Pfn pfn, absl::Span<const MfnExtent> frames) {
          list.StoreFrames(kPermit, pfn, frames);
        });
  }

  void Boot() {
    auto booted = Guest::Boot({domain, "boot"}, *image, *memory, hypervisor);
    ASSERT_THAT(booted, IsOk());
    guest = *std::move(booted);
    image = nullptr;
  }

  // Moves up to `pages` pages out of the guest.
  absl::Status MoveDown(PageCount pages, PageCount* moved) {
    DownPlan plan = guest->PlanDown(pages);
    const absl::Status status = guest->CommitDown(plan, hypervisor, moved);
    guest->AbandonDown(plan);
    return status;
  }

  // What is wrong: with the guest or its image, or between words, m2p and the
  // count.
  std::vector<std::string> Findings() const {
    std::vector<std::string> found;
    simvisor::Findings findings(DomainId(1), found);
    uint64_t ram = 0;
    const P2mWords& words = memory->words();
    for (Pfn at(0); at < words.size();) {
      const P2mRun run = words.RunAt(at, words.size(), RunMerge::kByFrame);
      if (run.word.Class() == P2mClass::kRam) {
        ram += run.pfns.count.value();
        if (!hypervisor.HasM2p({Mfn(run.word.Number()), run.pfns.count}, at)) {
          findings.Add("the m2p does not point back to a RAM word");
        }
      }
      at = run.pfns.end();
    }
    if (guest != nullptr) {
      guest->Check(PageCount(ram), findings);
    } else {
      image->Check(findings);
    }
    if (PageCount(ram) + hypervisor.unplaced.size() != hypervisor.current) {
      findings.Add("RAM words are not what is counted");
    }
    if (hypervisor.m2p_entries() != PageCount(ram)) {
      findings.Add("the m2p has entries for frames in no word");
    }
    return found;
  }

  AllocationFaults* const faults;
  DomainIdentity domain{DomainId(1), ""};
  FakeHypervisor hypervisor;
  std::shared_ptr<PageStore> store;
  std::unique_ptr<GuestMemory> memory;
  std::unique_ptr<BuiltImage> image;  // until it boots
  std::unique_ptr<Guest> guest;       // afterwards
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_BOOTED_GUEST_H_
