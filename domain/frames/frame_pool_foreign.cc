// The pool's side of foreign mappings.

#include <algorithm>

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "domain/frames/frame_pool.h"

namespace simvisor {
namespace {

absl::Status NotForeign(Mfn mfn, absl::string_view why) {
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   Reason::kFrameNotForeign,
                   absl::StrFormat("mfn 0x%x %s", mfn.value(), why),
                   {{fact::kValue, Hex(mfn.value())}});
}

absl::Status Difference(absl::string_view what, Mfn mfn) {
  return MakeError(absl::StatusCode::kInternal, Reason::kInternal,
                   absl::StrFormat("mfn 0x%x %s", mfn.value(), what));
}

}  // namespace

absl::Status FramePool::CheckForeign(Mfn mfn, DomainId mapper) const {
  absl::ReaderMutexLock lock(&mu_);
  return CheckForeignLocked(mfn, mapper);
}

absl::Status FramePool::MapForeign(Mfn mfn, DomainId mapper) {
  absl::MutexLock lock(&mu_);
  absl::Status status = CheckForeignLocked(mfn, mapper);
  if (status.ok()) foreign_.Add(mfn);
  return status;
}

absl::Status FramePool::CheckForeignLocked(Mfn mfn, DomainId mapper) const {
  if (mfn >= max_mfn_) {
    return MakeError(absl::StatusCode::kOutOfRange, Reason::kMfnOutOfRange,
                     absl::StrFormat("mfn 0x%x: the machine ends at mfn 0x%x",
                                     mfn.value(), max_mfn_.value()),
                     {{fact::kValue, Hex(mfn.value())},
                      {fact::kLimit, Hex(max_mfn_.value())}});
  }
  const FrameRun run = table_.RunAt(mfn, mfn + PageCount(1));
  if (run.state != FrameState::kOwned) {
    return NotForeign(mfn, "belongs to no domain; see frames lookup");
  }
  if (run.owner == mapper) {
    return NotForeign(
        mfn, "is the domain's own; p2m set puts own frames into words");
  }
  if (foreign_.IsHeld(mfn)) {
    return NotForeign(mfn,
                      "has been given back by its owner and stays only for its "
                      "other mappings; name a frame in use");
  }
  return absl::OkStatus();
}

PageCount FramePool::UnmapForeign(absl::Span<const Mfn> mfns,
                                  std::vector<DomainId>* drained) {
  absl::MutexLock lock(&mu_);
  PageCount freed;
  for (const Mfn mfn : mfns) {
    const MfnExtent frame = {mfn, PageCount(1)};
    const DomainId owner = table_.RunAt(mfn, frame.end()).owner;
    if (!foreign_.Drop(mfn, owner)) continue;
    table_.Free(frame);
    PublishHeld(owner);
    freed += PageCount(1);
    if (foreign_.HeldBy(owner) == PageCount(0)) drained->push_back(owner);
  }
  PublishCounts();
  return freed;
}

PageCount FramePool::HeldBy(DomainId owner) const {
  if (visible_held_.load(std::memory_order_acquire) == 0) return PageCount(0);
  absl::MutexLock lock(&held_mu_);
  const auto at = visible_held_by_.find(owner);
  return at == visible_held_by_.end() ? PageCount(0) : at->second;
}

void FramePool::PublishHeld(DomainId owner) {
  const PageCount held = foreign_.HeldBy(owner);
  absl::MutexLock lock(&held_mu_);
  if (held == PageCount(0)) {
    visible_held_by_.erase(owner);
  } else {
    visible_held_by_[owner] = held;
  }
}

bool FramePool::ReadHeld(Mfn mfn, DomainId owner, absl::Span<char> page,
                         bool* zero) const {
  if (visible_held_.load(std::memory_order_acquire) == 0) return false;
  absl::ReaderMutexLock lock(&mu_);
  if (!foreign_.IsHeld(mfn)) return false;
  if (table_.RunAt(mfn, mfn + PageCount(1)).owner != owner) return false;
  const Page* const content = foreign_.contents().Find(mfn);
  *zero = content == nullptr;
  if (content != nullptr) {
    std::copy(content->begin(), content->end(), page.begin());
  }
  return true;
}

absl::Status FramePool::CheckHeld() const {
  PageCount held;
  absl::btree_map<DomainId, PageCount> held_by;
  for (const auto& [mfn, ref] : foreign_.refs()) {
    const FrameRun run = table_.RunAt(mfn, mfn + PageCount(1));
    if (ref.mappings == 0 || run.state != FrameState::kOwned) {
      return Difference(
          "is kept for foreign mappings, but has no mapping or no owner", mfn);
    }
    if (!ref.held) continue;
    if (!run.first_pfn.is_none()) {
      return Difference("has been given back, but has an m2p entry", mfn);
    }
    held += PageCount(1);
    held_by[run.owner] += PageCount(1);
  }
  for (const auto& [owner, count] : held_by) {
    if (foreign_.HeldBy(owner) == count) continue;
    return MakeError(
        absl::StatusCode::kInternal, Reason::kInternal,
        absl::StrFormat("%d frames of domain %d are held, %d are counted",
                        count.value(), owner.value(),
                        foreign_.HeldBy(owner).value()));
  }
  if (foreign_.held() == held && foreign_.owners() == held_by.size()) {
    return absl::OkStatus();
  }
  return MakeError(
      absl::StatusCode::kInternal, Reason::kInternal,
      absl::StrFormat("%d frames of %d domains are held, %d of %d are counted",
                      held.value(), held_by.size(), foreign_.held().value(),
                      foreign_.owners()));
}

absl::Status FramePool::CheckMappings(
    const absl::btree_map<Mfn, uint64_t>& mapped) const {
  absl::ReaderMutexLock lock(&mu_);
  auto counted = foreign_.refs().begin();
  for (const auto& [mfn, words] : mapped) {
    if (counted == foreign_.refs().end() || counted->first > mfn) {
      return Difference("is in a foreign word, but not counted", mfn);
    }
    if (counted->first < mfn) break;
    if (counted->second.mappings != words) {
      return Difference(
          absl::StrFormat("is in %d foreign words, but %d are counted", words,
                          counted->second.mappings),
          mfn);
    }
    ++counted;
  }
  if (counted == foreign_.refs().end()) return absl::OkStatus();
  return Difference("is counted as mapped, but in no foreign word",
                    counted->first);
}

}  // namespace simvisor
