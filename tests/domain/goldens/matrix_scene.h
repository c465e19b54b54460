// A small machine for each case of the matrix of operations: a domain in one of
// its states, and another domain.
//
// The machine has few free frames, so that a balloon can run out of them.
//
// Thread safety: one thread.

#ifndef SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_SCENE_H_
#define SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_SCENE_H_

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
#include "tests/support/golden_file.h"
#include "tests/support/host_testing.h"
#include "tests/support/status_matchers.h"

namespace simvisor {

struct Scene {
  std::unique_ptr<Host> host;
  std::shared_ptr<Domain> other;
  std::shared_ptr<Domain> guest;  // the one that is operated on
  uint64_t suspension = 0;        // the guest's, or 0
};

// The guest: pages it is created with, and may have at most; the first pages of
// its room to balloon that nothing has touched.
inline constexpr uint64_t kMatrixMemory = 3000;
inline constexpr uint64_t kMatrixMaximum = 4000;
inline constexpr uint64_t kMatrixGiven = 200;  // ballooned out before a case
inline constexpr uint64_t kMatrixFree = 600;   // frames the machine has left
inline constexpr uint64_t kMatrixOther = 600;
inline constexpr uint64_t kMatrixDom0 = 2000;
inline constexpr uint64_t kMatrixLargeDom0 = 34000;  // more than its minimum

inline constexpr uint64_t kWritten = 1000;  // a page with "written" in it
inline constexpr uint64_t kPlain = 1100;    // pages like any other
inline constexpr uint64_t kKept = 1200;     // busy: its frame is in no word
inline constexpr uint64_t kRoom = 3700;     // pfns without a page
inline constexpr uint64_t kMapped = 650;    // where the other maps its frames
inline constexpr uint64_t kForeign = 3600;  // busy: two pages of the other's

namespace scenes {

inline Scene Machine(uint64_t dom0_pages = kMatrixDom0) {
  HostConfig config;
  config.e820 = E820Map::SingleRam(
      PageCount(kReservedBelow.value() + dom0_pages + kMatrixOther +
                kMatrixMemory - kMatrixGiven + kMatrixFree));
  config.dom0_memory = PageCount(dom0_pages);
  auto host = Host::Create(config);
  EXPECT_THAT(host, IsOk());
  Scene scene;
  scene.host = *std::move(host);
  scene.other = MustCreate(*scene.host, MakeSpec("other", kMatrixOther, 700));
  return scene;
}

inline DomainSpec SpecOf(Arch arch) {
  DomainSpec spec = MakeSpec("guest", kMatrixMemory, kMatrixMaximum);
  spec.arch = arch;
  spec.vcpus = 2;
  return spec;
}

inline Scene WithGuest(const DomainSpec& spec) {
  Scene scene = Machine();
  auto guest = calls::Create(*scene.host, spec, /*paused=*/true);
  EXPECT_THAT(guest, IsOk());
  scene.guest = *std::move(guest);
  return scene;
}

inline Scene Built(Arch arch) { return WithGuest(SpecOf(arch)); }

// What happens to a guest before it gets into the state of the case.
inline void Live(Domain& guest) {
  EXPECT_THAT(calls::Unpause(guest), IsOk());
  EXPECT_THAT(calls::SetMaxMemory(guest, kMatrixMaximum), IsOk());
  EXPECT_THAT(calls::BalloonDown(guest, kMatrixGiven, false), IsOk());
  EXPECT_THAT(calls::WriteMemory(guest, Pfn(kWritten), 4, "written"), IsOk());
  if (guest.abi().arch == Arch::kX86_32Pae) {
    EXPECT_THAT(calls::CreateSpaces(guest, 3), IsOk());
  }
}

inline Scene Running(Arch arch) {
  Scene scene = Built(arch);
  Live(*scene.guest);
  return scene;
}

inline Scene WithPci(Arch arch) {
  DomainSpec spec = SpecOf(arch);
  spec.e820_host = true;
  spec.pci_devices = {*PciAddress::Parse("0000:01:00.0")};
  Scene scene = WithGuest(spec);
  Live(*scene.guest);
  return scene;
}

inline void Load(Domain& guest) {
  LoadSpec load;
  load.pages_per_second = 100;
  load.working_set = PageCount(40);
  EXPECT_THAT(calls::StartLoad(guest, load), IsOk());
  EXPECT_THAT(calls::RunLoad(guest, 100), IsOk());
}

inline Mfn FrameAt(Domain& domain, uint64_t pfn) {
  std::vector<P2mWord> words;
  if (!calls::Translate(domain, {pfn}, words).ok()) return Mfn(0);
  return words.at(0).is_ram() ? Mfn(words.at(0).Number()) : Mfn(0);
}

inline void MapFrames(Domain& mapper, uint64_t pfn, Domain& owner,
                      uint64_t owner_pfn, uint64_t count) {
  std::vector<ForeignSlot> slots;
  for (uint64_t i = 0; i < count; ++i) {
    slots.push_back({Pfn(pfn + i), FrameAt(owner, owner_pfn + i)});
  }
  ForeignReport report;
  EXPECT_THAT(calls::MapForeign(mapper, slots, report), IsOk());
  EXPECT_EQ(report.done, count);
}

// Runs a load, maps frames of the other domain, and has a frame in no word.
inline Scene Busy(Arch arch) {
  Scene scene = Running(arch);
  Load(*scene.guest);
  MapFrames(*scene.guest, kForeign, *scene.other, 300, 2);
  EXPECT_THAT(calls::SetRange(*scene.guest, {Pfn(kKept), PageCount(1)},
                              P2mClass::kMissing, Mfn(), RamPolicy::kKeep),
              IsOk());
  return scene;
}

inline Scene Paused(Scene scene) {
  EXPECT_THAT(calls::Pause(*scene.guest), IsOk());
  return scene;
}

// Its driver has used up the machine's frames.
inline Scene Again(Arch arch) {
  Scene scene = Running(arch);
  EXPECT_THAT(calls::SetTarget(*scene.guest, kMatrixMaximum), IsOk());
  EXPECT_EQ(calls::Info(*scene.guest).memory.balloon_state,
            BalloonState::kAgain);
  return scene;
}

inline Scene Cancelled(Arch arch) {
  Scene scene = Again(arch);
  for (int i = 0; i < 10 && calls::Info(*scene.guest).memory.balloon_state !=
                                BalloonState::kCancelled;
       ++i) {
    EXPECT_THAT(calls::WakeBalloon(*scene.guest, calls::TimerOf(*scene.guest)),
                IsOk());
  }
  EXPECT_EQ(calls::Info(*scene.guest).memory.balloon_state,
            BalloonState::kCancelled);
  return scene;
}

inline Scene TargetUnread(Arch arch) {
  Scene scene = Paused(Running(arch));
  EXPECT_THAT(calls::SetTarget(*scene.guest, 2500), IsOk());
  return scene;
}

inline Scene Overdue(Arch arch) {
  Scene scene = Paused(Again(arch));
  EXPECT_THAT(calls::WakeBalloon(*scene.guest, calls::TimerOf(*scene.guest)),
              IsOk());
  return scene;
}

inline Scene LogDirty(Arch arch) {
  Scene scene = Running(arch);
  EXPECT_THAT(calls::StartLogDirty(*scene.guest), IsOk());
  EXPECT_THAT(calls::WriteMemory(*scene.guest, Pfn(kWritten), 0, "more"),
              IsOk());
  return scene;
}

inline Scene Suspended(Scene scene, SuspendFor purpose = SuspendFor::kSave) {
  const auto record = calls::Suspend(*scene.guest, purpose);
  EXPECT_THAT(record, IsOk());
  if (record.ok()) scene.suspension = record->suspension;
  return scene;
}

inline Scene Loaded(Arch arch) {
  Scene scene = Running(arch);
  Load(*scene.guest);
  return scene;
}

inline Scene HandedOver(Arch arch) {
  Scene scene = Suspended(LogDirty(arch), SuspendFor::kMigration);
  EXPECT_THAT(calls::BeginHandover(*scene.guest), IsOk());
  return scene;
}

inline std::string MakeImage(Arch arch) {
  const Scene source = Loaded(arch);
  auto record = calls::Suspend(*source.guest, SuspendFor::kSave);
  EXPECT_THAT(record, IsOk());
  const auto image = calls::SaveImage(source.guest, *std::move(record));
  EXPECT_THAT(image, IsOk());
  return image.value_or("");
}

// The image of a guest that was saved on another machine; made once.
inline const std::string& SavedImage(Arch arch) {
  static const auto* const k64 = new std::string(MakeImage(Arch::kX86_64));
  static const auto* const kPae = new std::string(MakeImage(Arch::kX86_32Pae));
  return arch == Arch::kX86_64 ? *k64 : *kPae;
}

// The image of a guest whose kernel is not simulated.
inline const std::string& ForeignImage(Arch arch) {
  const auto read = [](const std::string& name) {
    const auto image = ReadFile("tests/testdata/streams/" + name);
    EXPECT_TRUE(image.has_value()) << name;
    return new std::string(image.value_or(""));
  };
  static const auto* const k64 = read("valid-pv64.libxc");
  static const auto* const kPae = read("valid-pv32.libxc");
  return arch == Arch::kX86_64 ? *k64 : *kPae;
}

inline Scene FromImage(const std::string& image, Arrival arrival) {
  Scene scene = Machine();
  auto guest = calls::RestoreImage(*scene.host, image, {"guest", arrival});
  EXPECT_THAT(guest, IsOk());
  scene.guest = *std::move(guest);
  scene.suspension = calls::Info(*scene.guest).suspension;
  return scene;
}

inline Scene Restored(Arch arch, Arrival arrival) {
  return FromImage(SavedImage(arch), arrival);
}

inline Scene ForeignKernel(Arch arch) {
  return FromImage(ForeignImage(arch), Arrival::kPaused);
}

inline Scene Doomed(Arch arch) {
  Scene scene = Running(arch);
  EXPECT_THAT(calls::BeginDestroy(*scene.guest), IsOk());
  return scene;
}

// The other domain maps some of its frames.
inline Scene Mapped(Arch arch, uint64_t frames) {
  Scene scene = Running(arch);
  EXPECT_THAT(calls::WriteMemory(*scene.guest, Pfn(kPlain), 0, "mapped"),
              IsOk());
  MapFrames(*scene.other, kMapped, *scene.guest, kPlain, frames);
  return scene;
}

inline Scene Gone(Arch arch, uint64_t held) {
  Scene scene = Mapped(arch, held);
  EXPECT_THAT(calls::Destroy(*scene.host, scene.guest), IsOk());
  return scene;
}

inline Scene Dom0(uint64_t pages) {
  Scene scene = Machine(pages);
  scene.guest = *calls::Find(*scene.host, kDom0Id);
  return scene;
}

}  // namespace scenes

// A state of the matrix.  Cases that are the same in the state it is like are
// not written.
struct MatrixState {
  std::string name;
  std::string like;  // a state before it; empty: all of it is written down
  std::function<Scene()> make;
};

// States of a guest of either ABI.
inline std::vector<MatrixState> CommonStates(Arch arch) {
  using namespace scenes;  // NOLINT(google-build-using-namespace)
  return {
      {"built", "", [=] { return Built(arch); }},
      {"running", "", [=] { return Running(arch); }},
      {"running, busy", "running", [=] { return Busy(arch); }},
      {"running, log-dirty", "running", [=] { return LogDirty(arch); }},
      {"paused", "", [=] { return Paused(Running(arch)); }},
      {"restored", "paused", [=] { return Restored(arch, Arrival::kPaused); }},
      {"suspended", "", [=] { return Suspended(Running(arch)); }},
      {"handed over", "suspended", [=] { return HandedOver(arch); }},
      {"arrived", "suspended",
       [=] { return Restored(arch, Arrival::kSuspended); }},
      {"foreign kernel", "", [=] { return ForeignKernel(arch); }},
      {"dying, frames held", "", [=] { return Gone(arch, 3); }},
      {"gone", "dying, frames held", [=] { return Gone(arch, 0); }},
  };
}

// States in which the ABI makes no difference.
inline std::vector<MatrixState> MoreStates() {
  using namespace scenes;  // NOLINT(google-build-using-namespace)
  const Arch arch = Arch::kX86_64;
  return {
      {"paused, busy", "paused", [=] { return Paused(Busy(arch)); }},
      {"running, to try again", "running", [=] { return Again(arch); }},
      {"running, given up", "running", [=] { return Cancelled(arch); }},
      {"paused, target unread", "paused", [=] { return TargetUnread(arch); }},
      {"paused, driver overdue", "paused", [=] { return Overdue(arch); }},
      {"suspended, with a load", "suspended",
       [=] { return Suspended(Loaded(arch)); }},
      {"suspended, log-dirty", "suspended",
       [=] { return Suspended(LogDirty(arch), SuspendFor::kMigration); }},
      {"running, mapped by the other", "running",
       [=] { return Mapped(arch, 3); }},
      {"running, PCI device", "running", [=] { return WithPci(arch); }},
      {"doomed", "running", [=] { return Doomed(arch); }},
      {"dom0", "", [] { return Dom0(kMatrixLargeDom0); }},
      {"dom0 below its minimum", "dom0", [] { return Dom0(kMatrixDom0); }},
  };
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_GOLDENS_MATRIX_SCENE_H_
