#include "tests/vectors/guest_replay.h"

#include <iterator>
#include <set>

#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/vectors/balloon_replay.h"

namespace simvisor {
namespace {

// A kernel allows this many pages of room for each page of memory.
constexpr uint64_t kRoomPerPage = 10;

// Extra pages for a guest of `memory` pages and `room`: enough for its list and
// everything else it needs, and enough to allow that room.
uint64_t PagesBeside(const Abi& abi, uint64_t memory, uint64_t room) {
  const uint64_t needed = room / kRoomPerPage + 1;
  const uint64_t for_room = needed > memory ? needed - memory : 0;
  const uint64_t pfns = memory + room + for_room + 1024;
  // Leaves exist twice at boot; a third share covers the levels above them, and
  // the leaves of these extra pages.
  return for_room + 512 + 3 * (pfns / abi.leaf_span());
}

}  // namespace

void GuestReplay::AddTo(Operations& operations) {
  operations.Add("domain", "memory room? guest_keeps? max_retry?", this,
                 &GuestReplay::DomainOp);
  operations.Add("host_free", "frames", this, &GuestReplay::HostFree);
  operations.Add("set_target", "pages", this, &GuestReplay::SetTarget);
  operations.Add("timer", "", this, &GuestReplay::Timer);
  operations.Add("pause", "", this, &GuestReplay::Pause);
  operations.Add("unpause", "", this, &GuestReplay::Unpause);
  operations.Add("map_ballooned", "count", this, &GuestReplay::MapBallooned);
  operations.Add("unmap_ballooned", "count", this,
                 &GuestReplay::UnmapBallooned);
}

// The extra pages move the room up.  If that would push it past the end of low
// memory, it would matter, so such a guest has no extra pages: it is as the
// file says, except that it may keep more pages than it is told to.
Json GuestReplay::DomainOp(const Json& step) {
  const uint64_t memory = step["memory"];
  const uint64_t room = step.value("room", uint64_t{0});
  const uint64_t keeps = step.value("guest_keeps", uint64_t{0});
  const uint64_t beside = PagesBeside(abi_, memory, room);
  const bool exact = memory + room + beside > abi_.low_memory_pages;
  if (keeps > memory || (exact && room > kRoomPerPage * memory)) {
    return CannotReplay(absl::StrFormat(
        "a guest keeps at most its memory, and one that reaches to the end of "
        "low memory can have at most %d pages of room here",
        kRoomPerPage * memory));
  }
  lent_.clear();
  guest_ = std::make_unique<BalloonGuest>(
      abi_.arch, memory, room,
      step.value("max_retry", BalloonPolicy::kDefaultMaxRetry),
      exact ? 0 : beside);
  const BalloonFigures booted = guest_->Figures();
  EXPECT_EQ(booted.low + booted.high, room);
  const bool keeps_more = exact && guest_->keeps() > keeps;
  least_target_ = keeps_more ? guest_->keeps() : 0;
  const absl::Status kept = keeps_more ? absl::OkStatus() : guest_->Keep(keeps);
  return kept.ok() ? Do([](BalloonGuest&) {}) : CannotReplay(kept.message());
}

Json GuestReplay::HostFree(const Json& step) {
  return Do([&](BalloonGuest& guest) { guest.SetHostFree(step["frames"]); });
}

Json GuestReplay::SetTarget(const Json& step) {
  const uint64_t pages = step["pages"];
  if (pages < least_target_) {
    return CannotReplay(absl::StrFormat(
        "a target of %d pages: this guest reaches to the end of low memory, so "
        "its list and kernel are in its own %d pages, more than the file has "
        "it keep",
        pages, least_target_));
  }
  return Do([&](BalloonGuest& guest) { guest.SetTarget(pages); });
}

Json GuestReplay::Timer(const Json&) {
  return Do([](BalloonGuest& guest) { guest.RunOutTimer(); });
}
Json GuestReplay::Pause(const Json&) {
  return Do([](BalloonGuest& guest) { guest.Pause(); });
}
Json GuestReplay::Unpause(const Json&) {
  return Do([](BalloonGuest& guest) { guest.Unpause(); });
}

// Mappings need low memory, which is the lower part of the balloon.
Json GuestReplay::MapBallooned(const Json& step) {
  const uint64_t count = step["count"];
  const uint64_t low = guest_ != nullptr ? guest_->Figures().low : 0;
  if (count > low) {
    return CannotReplay(absl::StrFormat(
        "%d pages to map, with %d of low memory in the balloon; a guest that "
        "balloons down for the rest is not simulated",
        count, low));
  }
  return Do([&](BalloonGuest& guest) {
    const std::set<uint64_t> missing = guest.Missing();
    const std::vector<uint64_t> pfns(
        missing.begin(),
        std::next(missing.begin(), static_cast<int64_t>(count)));
    guest.MapBallooned(pfns);
    lent_.insert(lent_.end(), pfns.begin(), pfns.end());
  });
}

Json GuestReplay::UnmapBallooned(const Json& step) {
  const uint64_t count = step["count"];
  if (count > lent_.size()) {
    return CannotReplay(
        absl::StrFormat("%d pages to give back, of %d that are "
                        "mapped",
                        count, lent_.size()));
  }
  return Do([&](BalloonGuest& guest) {
    guest.UnmapBallooned(
        {lent_.end() - static_cast<int64_t>(count), lent_.end()});
    lent_.resize(lent_.size() - count);
  });
}

Json GuestReplay::Do(absl::FunctionRef<void(BalloonGuest&)> call) {
  if (guest_ == nullptr) return CannotReplay("there is no domain");
  call(*guest_);
  const BalloonFigures f = guest_->Figures();
  EXPECT_THAT(guest_->Audit(), testing::IsEmpty());
  return {{"state", StateName(f.state)},
          {"current", f.current},
          {"target", f.target},
          {"low", f.low},
          {"high", f.high},
          {"delay", f.delay},
          {"retry", f.retry},
          {"sleep", f.sleep}};
}

}  // namespace simvisor
