#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "client/walk/distinct_mfns.h"
#include "client/walk/leaf_list.h"
#include "client/walk/walk_fault.h"
#include "client/walk/word_page.h"

namespace simvisor::client {
namespace {

constexpr int kEntryBits = 9;  // a table's entries have 8 bytes on both ABIs
constexpr uint64_t kEntries = uint64_t{1} << kEntryBits;
constexpr int kPageShift = 12;
// Bits 51 to 12 of an entry are the frame's address.
constexpr uint64_t kAddressMask = ((uint64_t{1} << 52) - 1) & ~uint64_t{0xfff};

// Addresses that Xen keeps for itself.
constexpr uint64_t kXenStart64 = 0xffff800000000000;
constexpr uint64_t kXenLast64 = 0xffff87ffffffffff;
constexpr uint64_t kXenStart32 = 0xf5800000;
constexpr uint64_t kLast32 = 0xffffffff;

bool IsCanonical(uint64_t address) {
  const uint64_t sign = address >> 47;
  return sign == 0 || sign == (uint64_t{1} << 17) - 1;
}

class TableWalker {
 public:
  TableWalker(const P2mRoot& root, FrameReader& reader, P2mWalk& walk)
      : root_(root),
        wide_(root.word_bytes == 8),
        entry_format_(8, root.max_mfn),
        reader_(reader),
        walk_(walk) {}

  absl::StatusOr<std::vector<uint64_t>> Run() {
    absl::Status status = CheckRange();
    frames_ = {Cr3Frame()};
    if (status.ok()) status = CheckRoot();
    for (int level = wide_ ? 4 : 3; status.ok() && level > 0; --level) {
      status = ReadLevel(level);
      if (status.ok() && level == 2) TrimTrailingDuplicates();
    }
    if (!status.ok()) return status;
    walk_.leaf_entries = frames_.size();
    return std::move(frames_);
  }

 private:
  uint64_t LeafCount() const {
    return walk_.trimmed_max_pfn / root_.words_per_page + 1;
  }
  uint64_t LastByte() const {
    return root_.p2m_vaddr + LeafCount() * kFrameBytes - 1;
  }
  uint64_t Cr3Frame() const {
    const uint64_t frame = root_.p2m_cr3 >> kPageShift;
    return wide_ ? frame : (frame | root_.p2m_cr3 << 20) & kLast32;
  }
  // The index of the entry for `address` among all entries of `level`.
  uint64_t EntryOf(uint64_t address, int level) const {
    const uint64_t space = wide_ ? (uint64_t{1} << 48) - 1 : kLast32;
    return (address & space) >> (kPageShift + kEntryBits * (level - 1));
  }

  absl::Status CheckRange() const;
  absl::Status CheckRoot();
  // Replaces frames_, the tables of `level`, with the frames that their entries
  // name.
  absl::Status ReadLevel(int level);
  absl::Status CheckEntry(int level, uint64_t address, uint64_t mfn);
  void TrimTrailingDuplicates();

  const P2mRoot& root_;
  const bool wide_;
  const WordFormat entry_format_;
  FrameReader& reader_;
  P2mWalk& walk_;
  std::vector<uint64_t> frames_;
};

absl::Status TableWalker::CheckRange() const {
  const uint64_t first = root_.p2m_vaddr;
  const uint64_t last = LastByte();
  const bool outside =
      wide_ ? !IsCanonical(first) || !IsCanonical(last) ||
                  (first <= kXenLast64 && last >= kXenStart64)
            : first > kLast32 || last > kLast32 || last >= kXenStart32;
  if (last >= first && !outside) return absl::OkStatus();
  return WalkFault(
      "bad virtual p2m address range 0x%x-0x%x: it must be canonical and "
      "outside of the hypervisor's addresses",
      first, last);
}

absl::Status TableWalker::CheckRoot() {
  const uint64_t frame = frames_.front();
  if (frame == 0 || frame > root_.max_mfn) {
    return WalkFault("bad p2m_cr3 0x%x: frames are 0x1 to 0x%x", root_.p2m_cr3,
                     root_.max_mfn);
  }
  ++walk_.checks;
  return absl::OkStatus();
}

absl::Status TableWalker::CheckEntry(int level, uint64_t address,
                                     uint64_t mfn) {
  if (mfn == 0 || mfn > root_.max_mfn) {
    return WalkFault(
        "bad mfn 0x%x during page table walk for vaddr 0x%x at level %d: "
        "frames are 0x1 to 0x%x",
        mfn, address, level, root_.max_mfn);
  }
  ++walk_.checks;
  ++walk_.table_entries;
  return absl::OkStatus();
}

absl::Status TableWalker::ReadLevel(int level) {
  DistinctMfns tables;
  std::vector<size_t> table_of;
  for (const uint64_t mfn : frames_) table_of.push_back(tables.Add(mfn));
  SIMVISOR_ASSIGN_OR_RETURN(const auto pages,
                            reader_.ReadFrames(tables.mfns()));
  walk_.table_pages += pages.size();
  walk_.frames_read += pages.size();

  frames_.clear();
  const uint64_t first = EntryOf(root_.p2m_vaddr, level);
  const uint64_t last = EntryOf(LastByte(), level);
  const int shift = kPageShift + kEntryBits * (level - 1);
  for (uint64_t entry = first; entry <= last; ++entry) {
    const size_t table = table_of[entry / kEntries - first / kEntries];
    const uint64_t pte = entry_format_.Entry(pages[table], entry % kEntries);
    frames_.push_back((pte & kAddressMask) >> kPageShift);
    const uint64_t address = root_.p2m_vaddr + ((entry - first) << shift);
    SIMVISOR_RETURN_IF_ERROR(CheckEntry(level, address, frames_.back()));
  }
  return absl::OkStatus();
}

// A run of equal entries at the end of level 2 can only be a shared table of
// constant leaves, so the whole run is dropped.  Xen compares an index that
// counts from the first entry with an index that counts from the table's start,
// so a list that does not start at the beginning of a table loses its tail.
// This function does the same.
void TableWalker::TrimTrailingDuplicates() {
  size_t run_start = frames_.size() - 1;
  while (run_start > 0 && frames_[run_start] == frames_[run_start - 1]) {
    --run_start;
  }
  const uint64_t last_index =
      EntryOf(root_.p2m_vaddr, 2) % kEntries + frames_.size() - 1;
  const uint64_t kept = run_start == last_index ? run_start + 1 : run_start;
  // If all entries are one run, Xen wraps to the largest pfn and trims nothing.
  if (kept == 0) return;
  walk_.trimmed_max_pfn =
      std::min(walk_.max_pfn, kept * kEntries * root_.words_per_page - 1);
  frames_.resize(std::min<size_t>(kept, frames_.size()));
}

}  // namespace

absl::StatusOr<std::vector<uint64_t>> LeavesByPageTables(const P2mRoot& root,
                                                         FrameReader& reader,
                                                         P2mWalk& walk) {
  return TableWalker(root, reader, walk).Run();
}

}  // namespace simvisor::client
