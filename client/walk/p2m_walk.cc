#include "client/walk/p2m_walk.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "client/api/own_reason.h"
#include "client/walk/distinct_mfns.h"
#include "client/walk/leaf_list.h"
#include "client/walk/walk_fault.h"
#include "client/walk/word_page.h"

namespace simvisor::client {
namespace {

// Leaves read at a time: 4 MiB of page contents.
constexpr size_t kLeavesPerBatch = 1024;

// A word that must name a leaf: word `slot` of distinct leaf `holder`.
struct Probe {
  size_t holder;
  size_t slot;
  size_t leaf;  // index in the list of leaves
  uint64_t pfn;
};

class Walker {
 public:
  Walker(const P2mRoot& root, FrameReader& reader, WalkProgress progress)
      : root_(root),
        format_(WordFormat(root.word_bytes, root.max_mfn)),
        fpp_(root.words_per_page),
        reader_(reader),
        progress_(progress) {}

  absl::StatusOr<P2mWalk> Run() {
    for (const auto step :
         {&Walker::FindLeaves, &Walker::LookUpLeaves, &Walker::ReadLeaves}) {
      SIMVISOR_RETURN_IF_ERROR((this->*step)());
    }
    return walk_;
  }

 private:
  // Steps of Run(); each relies on the ones before it.
  absl::Status FindLeaves();
  absl::Status LookUpLeaves();
  absl::Status ReadLeaves();

  absl::Status TakeLeaf(size_t leaf, absl::string_view content);
  absl::Status CheckProbes(size_t leaf, absl::string_view content);

  const P2mRoot root_;
  const WordFormat format_;
  const uint64_t fpp_;
  FrameReader& reader_;
  const WalkProgress progress_;

  P2mWalk walk_;
  std::vector<uint64_t> list_;  // mfns of leaves, by leaf index
  DistinctMfns leaves_;
  std::vector<uint64_t> whole_uses_;  // per distinct leaf
  std::vector<Probe> probes_;         // per holder
  size_t next_probe_ = 0;
};

absl::Status Walker::FindLeaves() {
  if (root_.max_pfn == 0) {
    return WalkFault("max_pfn is 0: the guest has not published its p2m list");
  }
  walk_.max_pfn = root_.max_pfn - 1;
  walk_.trimmed_max_pfn = walk_.max_pfn;
  // As in Xen, p2m_cr3 takes precedence over the tree.
  auto list = root_.p2m_cr3 != 0 ? LeavesByPageTables(root_, reader_, walk_)
                                 : LeavesByTree(root_, reader_, walk_);
  if (!list.ok()) return list.status();
  list_ = *std::move(list);
  return absl::OkStatus();
}

absl::Status Walker::LookUpLeaves() {
  std::vector<size_t> leaf_of;
  for (const uint64_t mfn : list_) leaf_of.push_back(leaves_.Add(mfn));
  walk_.leaf_pages = leaves_.mfns().size();
  whole_uses_.assign(walk_.leaf_pages, 0);
  for (const size_t leaf : leaf_of) ++whole_uses_[leaf];
  // The last entry may extend past max_pfn and is counted separately.
  --whole_uses_[leaf_of.back()];

  SIMVISOR_ASSIGN_OR_RETURN(const auto pfns,
                            reader_.LookupPfns(leaves_.mfns()));
  for (size_t i = 0; i < list_.size(); ++i) {
    const std::optional<uint64_t> pfn = pfns[leaf_of[i]];
    if (!pfn || *pfn > walk_.trimmed_max_pfn) {
      return WalkFault(
          "bad mfn 0x%x in p2m_frame_list[%d]: its m2p entry is %s, "
          "max_pfn is 0x%x",
          list_[i], i, pfn ? absl::StrFormat("0x%x", *pfn) : "invalid",
          walk_.trimmed_max_pfn);
    }
    ++walk_.checks;
    probes_.push_back({leaf_of[*pfn / fpp_], *pfn % fpp_, i, *pfn});
  }
  std::sort(probes_.begin(), probes_.end(), [](const Probe& a, const Probe& b) {
    return std::pair(a.holder, a.leaf) < std::pair(b.holder, b.leaf);
  });
  return absl::OkStatus();
}

absl::Status Walker::ReadLeaves() {
  const absl::Span<const uint64_t> all = leaves_.mfns();
  for (size_t at = 0; at < all.size(); at += kLeavesPerBatch) {
    progress_(at, all.size());
    SIMVISOR_ASSIGN_OR_RETURN(
        const auto pages, reader_.ReadFrames(all.subspan(at, kLeavesPerBatch)));
    walk_.frames_read += pages.size();
    for (size_t i = 0; i < pages.size(); ++i) {
      SIMVISOR_RETURN_IF_ERROR(TakeLeaf(at + i, pages[i]));
    }
  }
  progress_(all.size(), all.size());
  return absl::OkStatus();
}

absl::Status Walker::TakeLeaf(size_t leaf, absl::string_view content) {
  if (whole_uses_[leaf] > 0) {
    format_.Count(content, fpp_, whole_uses_[leaf], walk_.words);
  }
  if (leaves_.mfns()[leaf] == list_.back()) {
    format_.Count(content, walk_.trimmed_max_pfn % fpp_ + 1, 1, walk_.words);
  }
  return CheckProbes(leaf, content);
}

absl::Status Walker::CheckProbes(size_t leaf, absl::string_view content) {
  for (; next_probe_ < probes_.size() && probes_[next_probe_].holder == leaf;
       ++next_probe_) {
    const Probe& probe = probes_[next_probe_];
    const uint64_t word = format_.Entry(content, probe.slot);
    if (word != list_[probe.leaf]) {
      return WalkFault(
          "bad mfn 0x%x in p2m_frame_list[%d]: its m2p entry is pfn "
          "0x%x, but p2m[0x%x] is 0x%x",
          list_[probe.leaf], probe.leaf, probe.pfn, probe.pfn, word);
    }
    ++walk_.checks;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<P2mWalk> WalkP2m(const P2mRoot& root, FrameReader& reader,
                                WalkProgress progress) {
  const bool width_known = root.word_bytes == 4 || root.word_bytes == 8;
  if (!width_known ||
      uint64_t{root.words_per_page} * root.word_bytes != kFrameBytes) {
    return WithReason(
        absl::InvalidArgumentError(absl::StrFormat(
            "%d words of %d bytes in a page: p2m words have 4 or 8 bytes, and "
            "fill their page",
            root.words_per_page, root.word_bytes)),
        OwnReason::kResponseInvalid);
  }
  return Walker(root, reader, progress).Run();
}

}  // namespace simvisor::client
