// Guests whose saved state is recorded: each has something else in the notes of
// its kernel.
//
// Thread safety: one thread.

#ifndef SIMVISOR_TESTS_DOMAIN_GOLDENS_GOLDEN_GUESTS_H_
#define SIMVISOR_TESTS_DOMAIN_GOLDENS_GOLDEN_GUESTS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "domain/host/dom0_memory.h"
#include "domain/host/host.h"
#include "gtest/gtest.h"
#include "tests/domain/goldens/golden_calls.h"
#include "tests/support/e820_testing.h"
#include "tests/support/host_testing.h"
#include "tests/support/status_matchers.h"

namespace simvisor {

inline constexpr Arch k64 = Arch::kX86_64;
inline constexpr Arch kPae = Arch::kX86_32Pae;
inline constexpr ToolsView kTree = ToolsView::kTree;
inline constexpr ToolsView kLinear = ToolsView::kLinear;
inline constexpr BalloonRoom kFaithful = BalloonRoom::kFaithful;
inline constexpr BalloonRoom kCompact = BalloonRoom::kCompact;

// A machine with a guest, and a domain whose frames it can map.
struct GuestScene {
  std::unique_ptr<Host> host;
  std::shared_ptr<Domain> other;
  std::shared_ptr<Domain> guest;
};

struct GoldenGuest {
  std::string name;
  DomainSpec spec;
  std::function<void(GuestScene&)> live;  // what happens to it
};

inline DomainSpec GuestSpec(Arch arch, ToolsView view, BalloonRoom room,
                            uint64_t memory, uint64_t maximum) {
  DomainSpec spec = MakeSpec("guest", memory, maximum);
  spec.arch = arch;
  spec.p2m = {view, room};
  return spec;
}

// The machine of a guest.
struct MachineOptions {
  uint64_t free = 3000;  // frames left once the guest is there
  Placement placement = Placement::kLowest;
  E820Map map = {};     // if it has entries, the machine has its RAM instead
  bool paused = false;  // the guest has not run yet
};

inline GuestScene MakeGuestScene(const DomainSpec& spec,
                                 const MachineOptions& options = {}) {
  HostConfig config;
  config.e820 = options.map;
  if (options.map.entries().empty()) {
    config.e820 =
        E820Map::SingleRam(PageCount(kReservedBelow.value() + kDom0Pages + 500 +
                                     spec.memory.value() + options.free));
  }
  config.placement = options.placement;
  config.dom0_memory = PageCount(kDom0Pages);
  auto host = Host::Create(config);
  EXPECT_THAT(host, IsOk());
  GuestScene scene;
  scene.host = *std::move(host);
  scene.other = MustCreate(*scene.host, MakeSpec("other", 500));
  auto guest = calls::Create(*scene.host, spec, options.paused);
  EXPECT_THAT(guest, IsOk());
  scene.guest = *std::move(guest);
  return scene;
}

// What happens to guests; every call must succeed.
namespace lives {

inline void Limit(GuestScene& s, uint64_t pages) {
  EXPECT_THAT(calls::SetMaxMemory(*s.guest, pages), IsOk());
}
inline void Down(GuestScene& s, uint64_t pages) {
  EXPECT_THAT(calls::BalloonDown(*s.guest, pages, false), IsOk());
}
inline void Up(GuestScene& s, uint64_t pages) {
  EXPECT_THAT(calls::BalloonUp(*s.guest, pages, false), IsOk());
}
inline void Target(GuestScene& s, uint64_t pages) {
  EXPECT_THAT(calls::SetTarget(*s.guest, pages), IsOk());
}
inline void Write(GuestScene& s, uint64_t pfn) {
  EXPECT_THAT(calls::WriteMemory(*s.guest, Pfn(pfn), 8, "lives"), IsOk());
}
inline void Set(GuestScene& s, PfnExtent pfns, P2mClass to,
                RamPolicy policy = RamPolicy::kRelease) {
  EXPECT_THAT(calls::SetRange(*s.guest, pfns, to, Mfn(), policy), IsOk());
}
inline void Identity(GuestScene& s, uint64_t first, uint64_t end) {
  EXPECT_THAT(calls::MarkIdentity(*s.guest, Pfn(first), Pfn(end), true),
              IsOk());
}
inline void Spaces(GuestScene& s, uint32_t count) {
  EXPECT_THAT(calls::CreateSpaces(*s.guest, count), IsOk());
}
inline void EndSpaces(GuestScene& s, const calls::Ids& ids) {
  EXPECT_THAT(calls::DestroySpaces(*s.guest, ids), IsOk());
}
inline void Load(GuestScene& s, LoadPattern pattern, uint64_t pages,
                 uint64_t writes) {
  LoadSpec load;
  load.pages_per_second = 700;
  load.working_set = PageCount(pages);
  load.pattern = pattern;
  load.seed = 42;
  EXPECT_THAT(calls::StartLoad(*s.guest, load), IsOk());
  EXPECT_THAT(calls::RunLoad(*s.guest, writes), IsOk());
}
inline void EndLoad(GuestScene& s) {
  EXPECT_THAT(calls::StopLoad(*s.guest), IsOk());
}

inline Mfn FrameAt(Domain& domain, uint64_t pfn) {
  std::vector<P2mWord> words;
  EXPECT_THAT(calls::Translate(domain, {pfn}, words), IsOk());
  return Mfn(words.at(0).Number());
}
// Maps pages of the other domain at `pfns`, and unmaps them in this order.
inline void UseForeign(GuestScene& s, const std::vector<uint64_t>& pfns) {
  std::vector<ForeignSlot> slots;
  slots.reserve(pfns.size());
  for (const uint64_t pfn : pfns) {
    slots.push_back({Pfn(pfn), FrameAt(*s.other, 300 + slots.size())});
  }
  ForeignReport mapped;
  EXPECT_THAT(calls::MapForeign(*s.guest, slots, mapped), IsOk());
  EXPECT_EQ(mapped.done, pfns.size());
  ForeignReport unmapped;
  EXPECT_THAT(calls::UnmapForeign(*s.host, s.guest, pfns, unmapped), IsOk());
  EXPECT_EQ(unmapped.done, pfns.size());
}
// Puts the frame of page `from` into the word of `to`.
inline void MoveFrame(GuestScene& s, uint64_t from, uint64_t to) {
  const Mfn mfn = FrameAt(*s.guest, from);
  Set(s, {Pfn(from), PageCount(1)}, P2mClass::kMissing, RamPolicy::kKeep);
  EXPECT_THAT(calls::SetRange(*s.guest, {Pfn(to), PageCount(1)}, P2mClass::kRam,
                              mfn, RamPolicy::kRefuse),
              IsOk());
}
// Runs out the driver's timer until its state is `state`.
inline void WakeUntil(GuestScene& s, BalloonState state) {
  for (int i = 0; i < 40; ++i) {
    if (calls::Info(*s.guest).memory.balloon_state == state) return;
    EXPECT_THAT(calls::WakeBalloon(*s.guest, calls::TimerOf(*s.guest)), IsOk());
  }
  ADD_FAILURE() << "the driver does not come to that";
}

}  // namespace lives

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_GOLDENS_GOLDEN_GUESTS_H_
