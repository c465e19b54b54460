#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "client/walk/distinct_mfns.h"
#include "client/walk/leaf_list.h"
#include "client/walk/walk_fault.h"
#include "client/walk/word_page.h"

namespace simvisor::client {
namespace {

class TreeWalker {
 public:
  TreeWalker(const P2mRoot& root, FrameReader& reader, P2mWalk& walk)
      : root_(root),
        format_(root.word_bytes, root.max_mfn),
        fpp_(root.words_per_page),
        reader_(reader),
        walk_(walk) {}

  absl::StatusOr<std::vector<uint64_t>> Run() {
    for (const auto step : {&TreeWalker::CheckRoot, &TreeWalker::ReadTop,
                            &TreeWalker::ReadMids}) {
      SIMVISOR_RETURN_IF_ERROR((this->*step)());
    }
    return std::move(list_);
  }

 private:
  // Steps of Run(); each relies on the ones before it.
  absl::Status CheckRoot();
  absl::Status ReadTop();
  absl::Status ReadMids();

  void TrimTrailingDuplicates();
  absl::Status CheckMfn(absl::string_view list, uint64_t index, uint64_t mfn);

  const P2mRoot& root_;
  const WordFormat format_;
  const uint64_t fpp_;
  FrameReader& reader_;
  P2mWalk& walk_;

  std::vector<uint64_t> top_;   // mfns of mids
  std::vector<uint64_t> list_;  // mfns of leaves, by leaf index
};

absl::Status TreeWalker::CheckMfn(absl::string_view list, uint64_t index,
                                  uint64_t mfn) {
  if (mfn == 0 || mfn > root_.max_mfn) {
    return WalkFault("bad mfn 0x%x at %s[%d]: frames are 0x1 to 0x%x", mfn,
                     list, index, root_.max_mfn);
  }
  ++walk_.checks;
  return absl::OkStatus();
}

absl::Status TreeWalker::CheckRoot() {
  walk_.top_entries = walk_.max_pfn / (fpp_ * fpp_) + 1;
  if (walk_.top_entries > fpp_) {
    return WalkFault(
        "max_pfn 0x%x is too large for a p2m tree: it needs %d entries of the "
        "top page, which has %d",
        walk_.max_pfn, walk_.top_entries, fpp_);
  }
  ++walk_.checks;
  return CheckMfn("pfn_to_mfn_frame_list_list, root", 0, root_.root_mfn);
}

absl::Status TreeWalker::ReadTop() {
  auto pages = reader_.ReadFrames({root_.root_mfn});
  if (!pages.ok()) return pages.status();
  ++walk_.frames_read;
  for (uint64_t i = 0; i < walk_.top_entries; ++i) {
    top_.push_back(format_.Entry(pages->front(), i));
    SIMVISOR_RETURN_IF_ERROR(CheckMfn("p2m_frame_list_list", i, top_.back()));
  }
  TrimTrailingDuplicates();
  return absl::OkStatus();
}

// A run of equal mids at the end can only be the shared all-missing one.
void TreeWalker::TrimTrailingDuplicates() {
  size_t last_change = top_.size() - 1;
  while (last_change > 0 && top_[last_change] == top_[last_change - 1]) {
    --last_change;
  }
  walk_.trimmed_max_pfn =
      std::min(walk_.max_pfn, (last_change + 1) * fpp_ * fpp_ - 1);
  top_.resize(walk_.trimmed_max_pfn / (fpp_ * fpp_) + 1);
}

absl::Status TreeWalker::ReadMids() {
  DistinctMfns mids;
  std::vector<size_t> mid_of;
  for (const uint64_t mfn : top_) mid_of.push_back(mids.Add(mfn));
  SIMVISOR_ASSIGN_OR_RETURN(const auto pages, reader_.ReadFrames(mids.mfns()));
  walk_.mid_pages = mids.mfns().size();
  walk_.frames_read += walk_.mid_pages;
  walk_.leaf_entries = walk_.trimmed_max_pfn / fpp_ + 1;
  for (uint64_t i = 0; i < walk_.leaf_entries; ++i) {
    list_.push_back(format_.Entry(pages[mid_of[i / fpp_]], i % fpp_));
    SIMVISOR_RETURN_IF_ERROR(CheckMfn("p2m_frame_list", i, list_.back()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<uint64_t>> LeavesByTree(const P2mRoot& root,
                                                   FrameReader& reader,
                                                   P2mWalk& walk) {
  return TreeWalker(root, reader, walk).Run();
}

}  // namespace simvisor::client
