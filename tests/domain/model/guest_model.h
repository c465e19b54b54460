// One domain's memory as plain maps and sets, page by page.
//
// A second implementation of the rules that Domain and P2mList follow, written
// for tests: no runs and no descriptors, and batches only where they determine
// the order of the balloon.  It handles every pfn by itself, so that it can be
// checked by reading it next to the rules (p2m.md A3, A6, A7, A8, B2, B3).  It
// never asks the code under test; Learn() tells it the mfns of new RAM words.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_DOMAIN_MODEL_GUEST_MODEL_H_
#define SIMVISOR_TESTS_DOMAIN_MODEL_GUEST_MODEL_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "domain/e820/e820.h"
#include "domain/p2m/p2m_options.h"
#include "domain/p2m/p2m_summary.h"
#include "domain/units/abi.h"
#include "domain/units/p2m_word.h"
#include "domain/units/units.h"
#include "domain/vm/domain_types.h"
#include "tests/domain/model/space_model.h"

namespace simvisor {

class GuestModel {
 public:
  // Values of words() besides mfns; a pfn without an entry is identity.
  static constexpr uint64_t kMissing = ~uint64_t{0};
  static constexpr uint64_t kNewFrame =
      kMissing - 1;  // RAM, mfn not learnt yet

  struct Spec {
    const Abi* abi = nullptr;
    E820Map map;
    uint64_t memory = 0;
    uint64_t max_memory = 0;
    bool initial = false;
    uint64_t ceiling = 0;  // of the initial domain
    P2mOptions p2m = {};
    PaeKernel pae_kernel = {};
  };

  // What the toolstack sets.
  struct Limits {
    uint64_t max = 0;
    uint64_t static_max = 0;
    uint64_t target = 0;
  };

  explicit GuestModel(const Spec& spec)
      : spec_(spec),
        abi_(*spec.abi),
        spaces_(spec.pae_kernel),
        limits_{.max = spec.initial ? spec.ceiling : spec.memory + kPagesPerMiB,
                .static_max = spec.max_memory,
                .target = spec.memory} {
    for (const PfnExtent& extent : spec_.map.RamPages()) {
      ram_.push_back({extent.first.value(), extent.end().value()});
    }
    BuildList();
  }

  // Pages that the guest needs for itself until it has booted.
  static uint64_t BootPages(const Spec& spec);

  const Abi& abi() const { return abi_; }
  uint64_t memory() const { return spec_.memory; }
  uint64_t size() const { return size_; }
  bool booted() const { return booted_; }
  const std::map<uint64_t, uint64_t>& words() const { return words_; }
  const std::set<uint64_t>& free() const { return free_; }
  const std::set<uint64_t>& structure() const { return structure_; }
  const std::vector<uint64_t>& balloon() const { return balloon_; }
  const std::set<uint64_t>& unmapped() const { return unmapped_; }
  const std::set<uint64_t>& private_leaves() const { return private_leaves_; }
  uint64_t current() const { return current_; }
  const Limits& limits() const { return limits_; }
  Limits& limits() { return limits_; }
  // How many pages of high memory the balloon has.
  uint64_t balloon_high() const {
    return std::count_if(balloon_.begin(), balloon_.end(),
                         [this](uint64_t pfn) { return IsHigh(pfn); });
  }

  // Foreign pfns and their mfns; words() has these as missing.
  const std::map<uint64_t, uint64_t>& foreign() const { return foreign_; }

  P2mWord Word(uint64_t pfn) const {
    auto mapped = foreign_.find(pfn);
    if (mapped != foreign_.end()) return P2mWord::Foreign(Mfn(mapped->second));
    auto at = words_.find(pfn);
    if (at == words_.end()) return P2mWord::Identity(Pfn(pfn));
    if (at->second == kMissing) return P2mWord::Invalid();
    return P2mWord::Ram(Mfn(at->second));
  }
  bool HoldsRam(uint64_t pfn) const {
    auto at = words_.find(pfn);
    return at != words_.end() && at->second != kMissing;
  }
  bool HoldsForeign(uint64_t first, uint64_t end) const {
    auto at = foreign_.lower_bound(first);
    return at != foreign_.end() && at->first < end;
  }
  uint64_t CountRam(uint64_t first, uint64_t end) const {
    uint64_t count = 0;
    auto at = words_.lower_bound(first);
    for (; at != words_.end() && at->first < end; ++at) {
      count += at->second != kMissing ? 1 : 0;
    }
    return count;
  }
  // Whether the kernel has its list or a page table in the range.
  bool HoldsKernel(uint64_t first, uint64_t end) const {
    const auto at = structure_.lower_bound(first);
    const bool list = at != structure_.end() && *at < end;
    return list || spaces_.Holds(first, end);
  }

  const SpaceModel& spaces() const { return spaces_; }
  // Returns the pages taken.  There must be spaces().PagesFor(count).
  std::vector<uint64_t> CreateSpaces(uint64_t count) {
    return spaces_.Create(count, free_);
  }
  void DestroySpace(uint64_t id) { spaces_.Destroy(id, free_); }

  // pfns of RAM words whose frames have not been learnt yet.
  std::vector<uint64_t> Unlearnt() const {
    std::vector<uint64_t> pfns;
    for (const auto& [pfn, word] : words_) {
      if (word == kNewFrame) pfns.push_back(pfn);
    }
    return pfns;
  }
  void Learn(uint64_t pfn, uint64_t mfn) { words_.at(pfn) = mfn; }

  // p2m.md A3.  Returns the frames that the guest gave back.
  std::vector<uint64_t> Boot() {
    const std::map<uint64_t, uint64_t> targets = PlanMoves();
    std::set<uint64_t> extra = PlanExtra(targets);
    std::map<uint64_t, uint64_t> moved;  // target -> mfn
    std::vector<uint64_t> released;
    for (const auto& [pfn, target] : targets) {
      if (!HoldsRam(pfn)) continue;
      if (target == kMissing) {
        released.push_back(words_.at(pfn));
      } else {
        moved[target] = words_.at(pfn);
      }
    }
    for (uint64_t pfn = 0; pfn < size_; ++pfn) {
      if (!IsRam(pfn)) words_.erase(pfn);
    }
    const std::set<uint64_t> builder = structure_;
    Relocate(extra);
    if (&abi_ == &kAbiX86_64 && !counting_) {
      for (const uint64_t pfn : builder) structure_.erase(pfn);
      free_.insert(builder.begin(), builder.end());
    }
    BuildTree();
    for (const auto& [target, mfn] : moved) {
      SetWord(target, mfn);
      extra.erase(target);
      free_.insert(target);
    }
    for (const uint64_t pfn : extra) AppendToBalloon(pfn);
    Lose(released.size());
    driver_target_ = current_;
    booted_ = true;
    return released;
  }

  // Takes the highest free pages, batch by batch; returns their frames.
  std::vector<uint64_t> Down(uint64_t pages) {
    std::vector<uint64_t> frames;
    std::vector<uint64_t> batch;  // in the order of allocation
    while (pages > 0) {
      const uint64_t pfn = *free_.rbegin();
      free_.erase(pfn);
      frames.push_back(words_.at(pfn));
      SetWord(pfn, kMissing);
      batch.push_back(pfn);
      if (--pages > 0 && batch.size() < abi_.words_per_page) continue;
      for (; !batch.empty(); batch.pop_back()) AppendToBalloon(batch.back());
    }
    current_ -= frames.size();
    return frames;
  }
  // Takes extents off the balloon in the order in which they come back, each
  // from its lowest pfn up as far as there are pages for leaves; returns how
  // many pages came.
  uint64_t Up(uint64_t pages) {
    uint64_t done = 0;
    while (done < pages && !balloon_.empty()) {
      const Range next = NextStretch(balloon_.size(), pages - done);
      uint64_t ready = next.first;
      while (ready < next.end && TakeLeafFor(ready)) ++ready;
      balloon_.resize(balloon_.size() - (next.end - next.first));
      for (uint64_t pfn = next.first; pfn < ready; ++pfn) {
        SetWord(pfn, kNewFrame);
        free_.insert(pfn);
      }
      PutBack({ready, next.end});
      current_ += ready - next.first;
      done += ready - next.first;
      if (ready == next.first) break;
    }
    return done;
  }
  // Free pages that ballooning up requires before it begins.
  uint64_t LeafPagesUp(uint64_t pages) const {
    if (spec_.p2m.balloon_room == BalloonRoom::kFaithful) return 0;
    uint64_t needed = 0;
    for (uint64_t top = balloon_.size(); pages > 0 && top > 0;) {
      const Range next = NextStretch(top, pages);
      needed += std::min(2 * (abi_.pmds_per_mid + 2),
                         PagesToSet(next.first, next.end, P2mClass::kRam));
      pages -= next.end - next.first;
      top -= next.end - next.first;
    }
    return needed;
  }
  // `held`: frames given back that the hypervisor still counts.
  uint64_t RoomBelowMax(uint64_t held) const {
    const auto below = [](uint64_t limit, uint64_t pages) {
      return limit > pages ? limit - pages : 0;
    };
    return std::min(below(limits_.max, current_ + held),
                    below(limits_.static_max, current_));
  }
  // p2m.md B1.
  void MapForeign(uint64_t pfn, uint64_t mfn) {
    MakePrivate(pfn, P2mClass::kForeign);
    foreign_[pfn] = mfn;
    if (std::erase(balloon_, pfn) > 0) foreign_from_balloon_.insert(pfn);
  }
  void UnmapForeign(uint64_t pfn) {
    foreign_.erase(pfn);
    if (foreign_from_balloon_.erase(pfn) == 0) return;
    AppendToBalloon(pfn);
  }
  // p2m.md B2: what the driver works towards, once the guest runs.
  uint64_t driver_target() const { return driver_target_; }
  void ReadTarget() { driver_target_ = limits_.target; }
  void GiveUpTarget() {
    driver_target_ = current_ + foreign_from_balloon_.size();
  }

  // Pages that setting every pfn of a range to `wanted`, or to RAM, would take.
  uint64_t PagesToSet(uint64_t first, uint64_t end, P2mClass wanted) const {
    std::set<uint64_t> leaves, mids;
    for (uint64_t pfn = first; pfn < end; ++pfn) {
      if (SharedLeafDiffers(pfn, wanted)) {
        leaves.insert(pfn / abi_.leaf_span());
        mids.insert(pfn / abi_.mid_span());
      }
    }
    uint64_t pages = leaves.size();
    for (const uint64_t mid : mids) {
      pages += private_mids_.contains(mid) ? 0 : abi_.pmds_per_mid;
      pages += HasTreePage(mid) ? 0 : 1;
    }
    return pages;
  }
  uint64_t FreeOutside(uint64_t first, uint64_t end) const {
    return free_.size() -
           std::distance(free_.lower_bound(first), free_.lower_bound(end));
  }
  // Overwrites a range; RAM words get frames first_mfn, first_mfn + 1, ...
  // Returns the frames that went back with `release`; others stay, unmapped.
  std::vector<uint64_t> Overwrite(uint64_t first, uint64_t end, P2mClass wanted,
                                  uint64_t first_mfn, bool release) {
    std::vector<uint64_t> freed;
    free_.erase(free_.lower_bound(first), free_.lower_bound(end));
    for (uint64_t pfn = first; pfn < end; ++pfn) {
      if (HoldsRam(pfn)) freed.push_back(words_.at(pfn));
    }
    for (uint64_t pfn = first; pfn < end; ++pfn) {
      if (wanted == P2mClass::kIdentity) {
        SetIdentity(pfn);
      } else {
        SetWord(pfn, wanted == P2mClass::kRam ? first_mfn + (pfn - first)
                                              : kMissing);
      }
      if (wanted == P2mClass::kRam) unmapped_.erase(words_.at(pfn));
      if (wanted == P2mClass::kRam && pfn >= 256) free_.insert(pfn);
    }
    if (wanted != P2mClass::kMissing) {
      std::erase_if(balloon_,
                    [&](uint64_t pfn) { return pfn >= first && pfn < end; });
    }
    if (release) {
      Lose(freed.size());
      return freed;
    }
    unmapped_.insert(freed.begin(), freed.end());
    return {};
  }

 private:
  // Frames are freed without the driver: a target that included them goes down
  // with them, a lower one stays.
  void Lose(uint64_t pages) {
    const uint64_t before = current_;
    current_ -= pages;
    for (uint64_t* target : {&limits_.target, &driver_target_}) {
      *target =
          *target >= before ? *target - pages : std::min(*target, current_);
    }
  }

  bool IsHigh(uint64_t pfn) const { return pfn >= abi_.low_memory_pages; }
  // p2m.md B2: low memory goes to the head of the kernel's list, high to its
  // tail.
  void AppendToBalloon(uint64_t pfn) {
    balloon_.insert(IsHigh(pfn) ? balloon_.begin() : balloon_.end(), pfn);
  }

  struct Range {
    uint64_t first, end;
  };

  static uint64_t RoundUp(uint64_t n, uint64_t to) {
    return (n + to - 1) / to * to;
  }
  bool IsRam(uint64_t pfn) const {
    return std::any_of(ram_.begin(), ram_.end(), [pfn](const Range& range) {
      return pfn >= range.first && pfn < range.end;
    });
  }
  // The lowest RAM pfn of the map at or above `pfn`; kMissing if there is none.
  uint64_t NextRam(uint64_t pfn) const {
    for (const Range& range : ram_) {
      if (range.end > pfn) return std::max(range.first, pfn);
    }
    return kMissing;
  }

  bool TakePage() {
    ++structure_taken_;
    if (counting_) return true;
    if (free_.empty()) return false;
    structure_.insert(*free_.begin());
    free_.erase(free_.begin());
    return true;
  }

  void BuildList();

  // p2m.md B3: where the frame of each pfn under a hole goes; kMissing:
  // nowhere.
  std::map<uint64_t, uint64_t> PlanMoves() const;
  std::set<uint64_t> PlanExtra(
      const std::map<uint64_t, uint64_t>& targets) const;

  // p2m.md A7.
  void Relocate(const std::set<uint64_t>& extra);

  // p2m.md A8, or the tables above the PTE pages: a page of entries each.
  void BuildTree();
  bool HasTreePage(uint64_t mid) const {
    return !tree_built_ || mid >= abi_.words_per_page ||
           tree_mids_.contains(mid);
  }

  // p2m.md A6.
  bool SharedLeafDiffers(uint64_t pfn, P2mClass wanted) const {
    const uint64_t leaf = pfn / abi_.leaf_span();
    if (!relocated_ || private_leaves_.contains(leaf)) return false;
    return wanted != (missing_leaves_.contains(leaf) ? P2mClass::kMissing
                                                     : P2mClass::kIdentity);
  }
  void MakePrivate(uint64_t pfn, P2mClass wanted);
  // The consecutive pfns, at most `most`, that come back next if the balloon
  // ended at `top`: low memory from its upper end, high from its lower.
  Range NextStretch(uint64_t top, uint64_t most) const;
  // Puts the upper part of an extent back, to come back next.
  void PutBack(const Range& rest);
  // Does what MakePrivate() does for RAM, as far as pages last; returns whether
  // they sufficed.
  bool TakeLeafFor(uint64_t pfn);
  void SetWord(uint64_t pfn, uint64_t word) {
    MakePrivate(pfn, word == kMissing ? P2mClass::kMissing : P2mClass::kRam);
    words_[pfn] = word;
  }
  void SetIdentity(uint64_t pfn) {
    MakePrivate(pfn, P2mClass::kIdentity);
    words_.erase(pfn);
  }

  Spec spec_;
  const Abi& abi_;
  std::vector<Range> ram_;  // pfns that are RAM in the map
  std::map<uint64_t, uint64_t> words_;
  uint64_t size_ = 0;
  bool relocated_ = false, tree_built_ = false, booted_ = false;
  bool counting_ = false;  // pages are counted and never run out
  uint64_t structure_taken_ = 0;
  std::set<uint64_t> private_mids_, private_leaves_, missing_leaves_,
      tree_mids_;
  std::set<uint64_t> free_, structure_, unmapped_;
  SpaceModel spaces_;
  std::map<uint64_t, uint64_t> foreign_;
  std::set<uint64_t> foreign_from_balloon_;
  std::vector<uint64_t> balloon_;  // the next one to come back is last
  Limits limits_;
  uint64_t current_ = 0;
  uint64_t driver_target_ = 0;
};

// Pages that the kernel may use before anything is taken.
uint64_t UsablePages(const GuestModel::Spec& spec);

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_MODEL_GUEST_MODEL_H_
