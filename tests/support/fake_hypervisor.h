// A hypervisor for one guest: frames, m2p and mapping counts, and nothing else.
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

namespace simvisor {

class FakeHypervisor : public Hypercalls {
 public:
  // Frames [first, first + count) are free.
  explicit FakeHypervisor(MfnExtent frames)
      : first_(frames.first), m2p_(frames.count.value(), Pfn::None()) {
    free_.Add(frames);
  }

  // The pfn that the m2p has for a frame; None() if it has no entry.
  Pfn m2p(Mfn mfn) const { return m2p_.at((mfn - first_).value()); }
  PageCount m2p_entries() const {
    return PageCount(m2p_.size() -
                     std::count(m2p_.begin(), m2p_.end(), Pfn::None()));
  }

  PageCount PopulatePhysmap(PfnExtent pfns, Placed placed) override {
    PageCount done;
    while (done < pfns.count && claimed > PageCount(0)) {
      const MfnExtent frames =
          free_.TakeLowest(std::min({pfns.count - done, claimed, longest}));
      if (frames.empty()) break;
      const Pfn first = pfns.first + done;
      owned_.Add(frames);
      MachphysUpdate(frames, first);
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
      MachphysUpdate(extent, Pfn::None());
      owned_.Remove(extent);
      free_.Add(extent);
      gone += extent.count;
    }
    current -= gone;
    return gone;
  }
  void MachphysUpdate(MfnExtent frames, Pfn first) override {
    EXPECT_EQ(owned_.CountIn(frames), frames.count)
        << "mfns from " << frames.first.value() << " are not the guest's";
    for (PageCount i; i < frames.count; i += PageCount(1)) {
      m2p_.at((frames.first + i - first_).value()) =
          first.is_none() ? first : first + i;
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

 private:
  const Mfn first_;
  std::vector<Pfn> m2p_;  // from first_ on
  MfnSet free_;
  MfnSet owned_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_FAKE_HYPERVISOR_H_
