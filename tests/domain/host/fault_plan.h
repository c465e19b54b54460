// Lets allocations fail by number, and shows what a machine looks like.
//
// A test runs an operation once to count its allocations, then once for each
// allocation on a fresh machine, with that one failing.
//
// Thread safety: FaultPlan as AllocationFaults asks; Machine, as a host.

#ifndef SIMVISOR_TESTS_DOMAIN_HOST_FAULT_PLAN_H_
#define SIMVISOR_TESTS_DOMAIN_HOST_FAULT_PLAN_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/allocation_faults.h"
#include "domain/host/host.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/e820_testing.h"
#include "tests/support/host_testing.h"

namespace simvisor {

class FaultPlan : public AllocationFaults {
 public:
  // Starts counting from 1 again; no allocation fails.
  void Count() { Start(0, false); }
  // Starts counting from 1 again; allocation `number` fails, and with
  // `for_good` all after it.
  void FailAt(uint64_t number, bool for_good) { Start(number, for_good); }

  bool FailNow(AllocationSite site) override {
    const uint64_t number = ++asked_;
    const uint64_t at = fail_at_;
    if (at == 0 || number < at || (number > at && !for_good_)) return false;
    if (number == at) site_ = site;
    return true;
  }

  // Allocations since the last call of Count() or FailAt().
  uint64_t asked() const { return asked_; }
  // The reason that the planned failure must be reported with.
  Reason reason() const {
    switch (site_) {
      case AllocationSite::kGuestPage:
        return Reason::kGuestMemoryExhausted;
      case AllocationSite::kFrame:
        return Reason::kHostMemoryExhausted;
      case AllocationSite::kAddressSpace:
        return Reason::kHostAddressSpaceExhausted;
      case AllocationSite::kSecondaryMmu:
        return Reason::kSecondaryMmusExhausted;
      case AllocationSite::kContents:
        break;
    }
    return Reason::kDaemonMemoryExhausted;
  }

 private:
  void Start(uint64_t number, bool for_good) {
    asked_ = 0;
    fail_at_ = number;
    for_good_ = for_good;
  }

  std::atomic<uint64_t> asked_ = 0;
  std::atomic<uint64_t> fail_at_ = 0;
  std::atomic<bool> for_good_ = false;
  std::atomic<AllocationSite> site_ = AllocationSite::kGuestPage;
};

// Everything about a domain that must not change when a call fails.
struct DomainPicture {
  DomainState state;
  std::vector<P2mRun> words;
  uint64_t current, max, static_max, target, balloon;
  // Free pages and pages of the list: a failed set may move some from the
  // former to the latter.
  uint64_t available, p2m_pages;
  uint64_t private_leaves, pte_frames, tree_mid_frames;

  // Compares everything except the pages of the list.
  bool SameExceptListPages(const DomainPicture& other) const {
    return state == other.state && words == other.words &&
           current == other.current && max == other.max &&
           static_max == other.static_max && target == other.target &&
           balloon == other.balloon &&
           available + p2m_pages == other.available + other.p2m_pages;
  }
  friend bool operator==(const DomainPicture&, const DomainPicture&) = default;
};

inline std::ostream& operator<<(std::ostream& out,
                                const DomainPicture& picture) {
  out << "state " << static_cast<int>(picture.state) << ", current "
      << picture.current << ", max " << picture.max << ", static max "
      << picture.static_max << ", target " << picture.target << ", balloon "
      << picture.balloon << ", available " << picture.available
      << ", p2m pages " << picture.p2m_pages << ", private leaves "
      << picture.private_leaves << ", pte " << picture.pte_frames
      << ", tree mids " << picture.tree_mid_frames << "\n";
  for (const P2mRun& run : picture.words) {
    out << std::hex << "[0x" << run.pfns.first.value() << ", 0x"
        << run.pfns.end().value() << ") " << std::dec << run.word.ToString()
        << "\n";
  }
  return out;
}

// A word of the same class as `word`, and the same for all of them.
inline P2mWord OnlyClass(P2mWord word) {
  switch (word.Class()) {
    case P2mClass::kRam:
      return P2mWord::Ram(Mfn(0));
    case P2mClass::kIdentity:
      return P2mWord::Identity(Pfn(0));
    case P2mClass::kForeign:
      return P2mWord::Foreign(Mfn(0));
    case P2mClass::kMissing:
      break;
  }
  return P2mWord::Invalid();
}

// With kByClass the words have no numbers, since frames may come in any order.
inline DomainPicture PictureOf(Domain& domain,
                               RunMerge merge = RunMerge::kByFrame) {
  DomainPicture picture;
  const DomainInfo info = domain.Info();
  picture.state = info.state;
  picture.current = info.memory.current.value();
  picture.max = info.memory.max.value();
  picture.static_max = info.memory.static_max.value();
  picture.target = info.memory.target.value();
  picture.balloon = info.memory.balloon.value();
  picture.available = info.memory.available.value();
  picture.p2m_pages = info.memory.p2m_pages.value();
  uint64_t generation = 0;
  EXPECT_THAT(
      domain.p2m().ListRuns(Pfn(0), Pfn::None(), P2mView::kResolved, merge,
                            ~size_t{0}, picture.words, &generation),
      IsOk());
  for (P2mRun& run : picture.words) {
    if (merge == RunMerge::kByClass) run.word = OnlyClass(run.word);
  }
  const auto report = domain.p2m().Summary();
  EXPECT_THAT(report, IsOk());
  picture.private_leaves = report->summary.private_leaves;
  picture.pte_frames = report->summary.pte_frames;
  picture.tree_mid_frames = report->summary.tree_mid_frames;
  return picture;
}

// All frames of the machine, run by run.
inline std::vector<FrameRun> FramesOf(const Host& host) {
  std::vector<FrameRun> runs;
  EXPECT_THAT(
      host.LookupFrames({Mfn(0), host.max_mfn() - Mfn(0)}, ~size_t{0}, runs),
      IsOk());
  return runs;
}

// A host whose allocations can be made to fail, and the domain that a test is
// about.
struct Machine {
  std::unique_ptr<FaultPlan> faults = std::make_unique<FaultPlan>();
  std::unique_ptr<Host> host;
  std::shared_ptr<Domain> domain;
  Mfn kept;  // frames of the domain that are in no word, if any
};

inline constexpr uint64_t kGuestPages = 3000;

inline HostConfig FaultyConfig(FaultPlan& faults) {
  HostConfig config;
  config.e820 =
      MakeMap({Ram(0, 640 * 1024), Ram(kMiB, 20 * kMiB),
               Reserved(20 * kMiB, 24 * kMiB), Ram(24 * kMiB, 80 * kMiB)});
  config.dom0_memory = PageCount(6000);
  config.dom0_max_memory = PageCount(8000);
  config.faults = &faults;
  return config;
}

inline Machine MakeMachine() {
  Machine machine;
  auto host = Host::Create(FaultyConfig(*machine.faults));
  EXPECT_THAT(host, IsOk());
  machine.host = *std::move(host);
  return machine;
}

// A guest with a hole in its map, frames to move, and room to balloon.
inline DomainSpec GuestSpec(Arch arch) {
  DomainSpec spec = MakeSpec("guest", kGuestPages, 5000);
  spec.arch = arch;
  spec.hotplug_limit_gib = 12;
  spec.e820 = MakeMap({Ram(0, 8 * kMiB), Reserved(8 * kMiB, 9 * kMiB),
                       Ram(9 * kMiB, 20 * kMiB)});
  return spec;
}

inline Machine MachineWith(const DomainSpec& spec, bool start_paused = false) {
  Machine machine = MakeMachine();
  machine.domain = MustCreate(*machine.host, spec, start_paused);
  EXPECT_THAT(machine.domain->balloon().SetMaximum({"set maximum memory"},
                                                   PageCount(5000)),
              IsOk());
  return machine;
}
inline Machine MachineWithGuest(Arch arch, bool start_paused = false) {
  return MachineWith(GuestSpec(arch), start_paused);
}

inline std::string ArchName(const testing::TestParamInfo<Arch>& arch) {
  return arch.param == Arch::kX86_64 ? "X86_64" : "Pae";
}

// An operation that fails, or leaves less done, when an allocation fails.
struct FaultCase {
  std::function<Machine()> machine;
  std::function<absl::Status(Machine&)> operate;
  // Checks a machine on which allocation `number` has failed.  `before` is the
  // domain before the operation.
  std::function<void(Machine&, const absl::Status&, uint64_t number,
                     const DomainPicture& before)>
      after;
};

inline void FailOne(const FaultCase& test, uint64_t number, bool for_good,
                    const DomainPicture& wanted) {
  SCOPED_TRACE(absl::StrCat("allocation ", number, for_good ? " and on" : ""));
  Machine machine = test.machine();
  const DomainPicture before = PictureOf(*machine.domain);
  machine.faults->FailAt(number, for_good);
  const absl::Status status = test.operate(machine);
  EXPECT_GE(machine.faults->asked(), number) << "nothing has failed";
  machine.faults->Count();
  EXPECT_THAT(machine.host->Audit().findings, testing::IsEmpty());
  test.after(machine, status, number, before);
  EXPECT_THAT(test.operate(machine), IsOk());
  EXPECT_THAT(machine.host->Audit().findings, testing::IsEmpty());
  EXPECT_EQ(PictureOf(*machine.domain, RunMerge::kByClass), wanted)
      << "a retry leaves something else";
}

// Returns how many allocations the operation makes.
inline uint64_t FailEach(const FaultCase& test) {
  Machine machine = test.machine();
  machine.faults->Count();
  EXPECT_THAT(test.operate(machine), IsOk());
  const uint64_t allocations = machine.faults->asked();
  const DomainPicture wanted = PictureOf(*machine.domain, RunMerge::kByClass);
  for (uint64_t number = 1; number <= allocations; ++number) {
    for (const bool for_good : {false, true}) {
      FailOne(test, number, for_good, wanted);
      if (testing::Test::HasFailure()) return allocations;
    }
  }
  return allocations;
}

inline auto Exhausted(Reason reason) {
  return IsError(absl::StatusCode::kResourceExhausted, reason, testing::_);
}

// The operation fails and changes nothing at all.
inline void ExpectUnchanged(Machine& machine, const absl::Status& status,
                            const DomainPicture& before) {
  EXPECT_THAT(status, Exhausted(machine.faults->reason()));
  EXPECT_EQ(PictureOf(*machine.domain), before) << "something changed";
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_HOST_FAULT_PLAN_H_
