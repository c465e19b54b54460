// A host and a model of it, driven together by random calls.
//
// Each step makes one call, derives only from the model what it must answer
// (values, or code and reason), and updates the model.  Only frames are learnt
// from the host, once, when they appear: from then on they must stay where they
// are and belong to no other domain.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_DOMAIN_MODEL_HOST_MODEL_H_
#define SIMVISOR_TESTS_DOMAIN_MODEL_HOST_MODEL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "domain/host/host.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/model/guest_model.h"
#include "tests/support/e820_testing.h"
#include "tests/support/status_matchers.h"

namespace simvisor {

class HostModel {
 public:
  struct Guest {
    struct Vcpu {
      std::set<uint32_t> hard = CpusOf({});
      std::set<uint32_t> soft = CpusOf({});
    };

    std::shared_ptr<Domain> domain;
    std::string name;
    DomainState state;
    GuestModel model;
    uint64_t boot_pages;
    std::vector<Vcpu> vcpus;
    bool overdue = false;  // the driver's sleep ran out while it was paused
    bool unread = true;    // its target was written, and it has not read it
  };

  HostModel(uint64_t seed, Placement placement);

  // One random call.
  void Step();
  // Audit and sums; cheap enough for every step.
  void CheckSums();
  // Every word, frame and written page.
  void CheckEverything();
  // Destroys all domains except dom0, and checks that every frame is free
  // again.
  void DestroyAll();
  // Reasons of all expected failures, and how often each occurred.
  const std::map<Reason, int>& failures() const { return failures_; }

 private:
  using Code = absl::StatusCode;
  using Refusal = std::pair<Code, Reason>;
  // What SetRange() is called with.
  struct RangeCall {
    uint64_t first = 0;
    uint64_t count = 0;
    P2mClass wanted = P2mClass::kMissing;
    uint64_t first_mfn = 0;
    RamPolicy policy = RamPolicy::kRefuse;
  };

  static constexpr uint32_t kCpus = 70;  // two words to a mask
  static E820Map Machine();
  uint64_t Pick(uint64_t below) { return random_() % below; }
  bool Chance(uint64_t percent) { return Pick(100) < percent; }
  Guest& PickGuest();
  // Whether it is dom0, which is already smaller here than libxl's minimum for
  // dom0, so it never gets smaller.
  static bool IsDom0(const Guest& guest) {
    return guest.domain->id() == kDom0Id;
  }
  // Matches a failure, and counts it.
  auto Fails(absl::StatusCode code, Reason reason) {
    ++failures_[reason];
    return IsError(code, reason, testing::_);
  }
  // A range of pfns, often across an interesting boundary; may be invalid.
  std::pair<uint64_t, uint64_t> PickRange(const GuestModel& model);
  DomainSpec PickSpec();

  void Create();
  void Destroy();
  void Rename();
  void PauseOrUnpause();
  void BalloonDown();
  void BalloonUp();
  void SetTarget();
  void SetMaxMemory();
  void WakeBalloon();
  void MarkIdentity();
  void SetRange();
  void ReadOrWrite();
  void Translate();
  static std::set<uint32_t> CpusOf(const CpuRanges& ranges);
  CpuRanges PickCpus();
  void SetAffinity();
  void CheckVcpus(const Guest& guest);
  void CreateSpaces();
  void DestroySpaces();
  void TranslateInSpace();
  // Whether the guest cannot have processes; then `result` must say so.
  template <typename Result>
  bool FailsForItsKind(const Guest& guest, const Result& result);
  void TranslateMfns();
  void MapForeign();
  void UnmapForeign();

  void Adopt(std::shared_ptr<Domain> domain, const GuestModel::Spec& spec,
             uint64_t boot_pages, bool start_paused);
  void RunGuest(Guest& guest);
  void WorkTowardsTarget(Guest& guest);
  bool Wakes(const Guest& guest) const;
  static void ReadTarget(Guest& guest);
  // Asks for the frames of new RAM words, which must have no owner.
  void LearnFrames(Guest& guest);
  // Frees frames; those that others map are held.  Returns how many are held.
  uint64_t Release(const std::vector<uint64_t>& frames);
  // Destroys a guest that is not dom0.
  void DestroyGuest(uint16_t id, bool by_name);
  uint64_t HeldBy(uint16_t id) const;
  // Removes one mapping of `mfn`; returns whether the frame is free now.
  bool Unref(uint64_t mfn);
  // What a call must fail with: one of SetRange(), one that gives these frames
  // to the guest, one that maps `mfn` at `pfn`.
  std::optional<Refusal> SetRangeRefusal(const Guest& guest,
                                         const RangeCall& call) const;
  std::optional<Refusal> FramesRefusal(const Guest& guest, uint64_t first,
                                       uint64_t count) const;
  std::optional<Refusal> MapRefusal(const Guest& guest, uint64_t pfn,
                                    uint64_t mfn) const;
  uint64_t PickFrames(const GuestModel& model, uint64_t* count);
  void CheckInfo(const Guest& guest);
  void CheckWords(const Guest& guest);
  void CheckSpaces(const Guest& guest);
  void CheckFrames();
  void CheckContents();
  // Whether the guest's kernel keeps its list or a page table in the frame.
  static bool IsKernelFrame(const GuestModel& model, uint64_t mfn);
  // The same for the frame's owner, unless the frame is held.
  bool IsKernelFrame(uint64_t mfn) const;
  std::string ExpectedBytes(const GuestModel& model, uint64_t pfn,
                            uint64_t offset, uint64_t size) const;

  std::mt19937_64 random_;
  std::unique_ptr<Host> host_;
  std::map<uint16_t, Guest> guests_;
  std::map<uint64_t, uint16_t> owners_;       // mfn -> domain
  std::map<uint64_t, std::string> contents_;  // mfn -> page, if ever written
  std::set<uint64_t> freed_contents_;         // mfns written before
  std::map<uint64_t, uint64_t> refs_;         // mfn -> foreign mappings
  std::map<uint64_t, uint16_t> held_;         // of owners_: given back
  std::set<uint16_t> dying_;                  // destroyed, with held frames
  std::vector<uint16_t> gone_;                // ids of destroyed domains
  std::map<Reason, int> failures_;
  uint64_t free_ = 0;
  uint16_t last_id_ = 0;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_MODEL_HOST_MODEL_H_
