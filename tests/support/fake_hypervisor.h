// A hypervisor for one guest: frames, m2p and mapping counts, and nothing else.
// A guest that names frames it does not have, or mappings that do not exist,
// fails the test.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_SUPPORT_FAKE_HYPERVISOR_H_
#define SIMVISOR_TESTS_SUPPORT_FAKE_HYPERVISOR_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <new>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/error.h"
#include "domain/collections/extent_set.h"
#include "domain/guest/hypercalls.h"
#include "domain/units/units.h"
#include "gtest/gtest.h"
#include "tests/support/change_permit.h"

namespace simvisor {

class FakeHypervisor : public Hypercalls {
 public:
  // Frames [first, first + count) are free.
  explicit FakeHypervisor(MfnExtent frames)
      : first_(frames.first), m2p_(frames.count.value()) {
    free_.Add(frames);
  }

  // The pfn that the m2p has for a frame; None() if it has no entry.
  Pfn m2p(Mfn mfn) const {
    const uint64_t entry = m2p_.at((mfn - first_).value());
    return entry == 0 ? Pfn::None() : Pfn(entry - 1);
  }
  // Whether the m2p has first, first + 1, ... for the frames.
  bool HasM2p(MfnExtent frames, Pfn first) const {
    const uint64_t* entry = &m2p_.at((frames.first - first_).value());
    const uint64_t* const end =
        &m2p_.at((frames.end() - first_).value() - 1) + 1;
    for (uint64_t next = first.value() + 1; entry != end; ++entry) {
      if (*entry != next++) return false;
    }
    return true;
  }
  PageCount m2p_entries() const { return PageCount(m2p_entries_); }

  const ChangePermit& permit() const override { return kPermit; }
  PageCount PopulatePhysmap(PfnExtent pfns, Placed placed) override {
    PageCount done;
    while (done < pfns.count && claimed > PageCount(0)) {
      const MfnExtent frames =
          free_.TakeLowest(std::min({pfns.count - done, claimed, longest}));
      if (frames.empty()) break;
      const Pfn first = pfns.first + done;
      owned_.Add(frames);
      SetM2p(frames, first);
      placed(first, {&frames, 1});
      claimed -= frames.count;
      done += frames.count;
    }
    current += done;
    return done;
  }
  PageCount DecreaseReservation(absl::Span<const MfnExtent> frames) override {
    if (throws) throw std::bad_alloc();
    PageCount gone;
    for (const MfnExtent& extent : frames) {
      SetM2p(extent, Pfn::None());
      owned_.Remove(extent);
      free_.Add(extent);
      gone += extent.count;
    }
    current -= gone;
    return gone;
  }
  void MachphysUpdate(MfnExtent frames, Pfn first) override {
    SetM2p(frames, first);
    if (first.is_none()) {
      unplaced.Add(frames);
    } else {
      unplaced.Remove(frames);
    }
  }
  absl::Status MapForeign(Mfn mfn) override {
    const absl::Status checked = CheckForeign(mfn);
    if (checked.ok()) ++mappings[mfn];
    return checked;
  }
  absl::Status CheckForeign(Mfn mfn) const override {
    if (foreign.Contains(mfn)) return absl::OkStatus();
    return MakeError(absl::StatusCode::kFailedPrecondition,
                     Reason::kFrameNotForeign, "no other domain owns it");
  }
  PageCount UnmapForeign(absl::Span<const Mfn> mfns) override {
    for (const Mfn mfn : mfns) {
      const auto mapping = mappings.find(mfn);
      if (mapping == mappings.end()) {
        ADD_FAILURE() << "mfn " << mfn.value() << " is not mapped";
      } else if (--mapping->second == 0) {
        mappings.erase(mapping);
      }
    }
    return PageCount(0);
  }
  PageCount CurrentReservation() const override { return current; }
  absl::Status Preempted() override {
    if (looks_left-- > 0) return absl::OkStatus();
    return absl::CancelledError("stopped");
  }

  PageCount current;                      // that the guest has
  PageCount claimed;                      // that PopulatePhysmap() may give
  PageCount longest{~uint64_t{0}};        // extent of frames
  int64_t looks_left = int64_t{1} << 62;  // until Preempted() says stop
  bool throws = false;                    // when frames are given back
  MfnSet foreign;                         // frames of other domains
  std::map<Mfn, uint64_t> mappings;       // that are counted
  MfnSet unplaced;                        // the guest's, without m2p entries

 private:
  void SetM2p(MfnExtent frames, Pfn first) {
    EXPECT_EQ(owned_.CountIn(frames), frames.count)
        << "mfns from " << frames.first.value() << " are not the guest's";
    if (frames.empty()) return;
    // Plain numbers, since millions of frames pass here in builds without
    // optimisation.
    uint64_t* entry = &m2p_.at((frames.first - first_).value());
    uint64_t* const end = &m2p_.at((frames.end() - first_).value() - 1) + 1;
    const uint64_t step = first.is_none() ? 0 : 1;
    for (uint64_t next = step * (first.value() + 1); entry != end; ++entry) {
      if (*entry != 0) --m2p_entries_;
      if (next != 0) ++m2p_entries_;
      *entry = next;
      next += step;
    }
  }

  const Mfn first_;
  std::vector<uint64_t> m2p_;  // pfn + 1 or 0, from first_ on
  uint64_t m2p_entries_ = 0;   // that are not 0
  MfnSet free_;
  MfnSet owned_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_FAKE_HYPERVISOR_H_
