// HostModel: the calls that move pages between guests and the host.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/domain/model/host_model.h"

namespace simvisor {

void HostModel::BalloonDown() {
  Guest& guest = PickGuest();
  GuestModel& model = guest.model;
  const uint64_t pages = Pick(Chance(30) ? 5 : model.current() / 2 + 10);
  const bool partial = Chance(40);
  const auto moved =
      guest.domain->balloon().Down({"balloon down"}, PageCount(pages), partial);
  if (guest.state != DomainState::kRunning) {
    EXPECT_THAT(moved,
                Fails(Code::kFailedPrecondition, Reason::kDomainNotRunning));
  } else if (pages == 0) {
    EXPECT_THAT(moved, Fails(Code::kInvalidArgument, Reason::kRangeInvalid));
  } else if (IsDom0(guest) && !partial) {
    EXPECT_THAT(moved,
                Fails(Code::kInvalidArgument, Reason::kMemorySizeInvalid));
  } else if (pages > model.free().size() && !partial) {
    EXPECT_THAT(moved,
                Fails(Code::kResourceExhausted, Reason::kGuestMemoryExhausted));
  } else {
    ASSERT_THAT(moved, IsOk());
    const uint64_t count =
        IsDom0(guest) ? 0 : std::min<uint64_t>(pages, model.free().size());
    EXPECT_EQ(moved->value(), count);
    Release(model.Down(count));
    guest.overdue = false;
    model.limits().target = model.current();
    model.ReadTarget();
  }
}

void HostModel::BalloonUp() {
  Guest& guest = PickGuest();
  GuestModel& model = guest.model;
  const uint64_t pages = Pick(Chance(30) ? 5 : model.balloon().size() + 50);
  const bool partial = Chance(40);
  const auto moved =
      guest.domain->balloon().Up({"balloon up"}, PageCount(pages), partial);
  const uint64_t in_balloon = model.balloon().size();
  const uint64_t room = model.RoomBelowMax(HeldBy(guest.domain->id().value()));
  if (guest.state != DomainState::kRunning) {
    EXPECT_THAT(moved,
                Fails(Code::kFailedPrecondition, Reason::kDomainNotRunning));
  } else if (pages == 0) {
    EXPECT_THAT(moved, Fails(Code::kInvalidArgument, Reason::kRangeInvalid));
  } else if (!partial && pages > room) {
    EXPECT_THAT(moved,
                Fails(Code::kResourceExhausted, Reason::kMaxMemExceeded));
  } else if (!partial && pages > in_balloon) {
    EXPECT_THAT(moved,
                Fails(Code::kResourceExhausted, Reason::kPfnNotBalloonable));
  } else if (!partial && model.LeafPagesUp(pages) > model.free().size()) {
    EXPECT_THAT(moved,
                Fails(Code::kResourceExhausted, Reason::kGuestMemoryExhausted));
  } else if (!partial && pages > free_) {
    EXPECT_THAT(moved,
                Fails(Code::kResourceExhausted, Reason::kHostMemoryExhausted));
  } else {
    ASSERT_THAT(moved, IsOk());
    const uint64_t count = std::min({pages, in_balloon, room, free_});
    EXPECT_EQ(moved->value(), model.Up(count));
    guest.overdue = false;
    model.limits().target = model.current();
    model.ReadTarget();
    LearnFrames(guest);
  }
}

void HostModel::SetTarget() {
  Guest& guest = PickGuest();
  GuestModel& model = guest.model;
  uint64_t target = Pick(model.limits().static_max);
  if (Chance(50)) target = model.current() - model.current() / 8 + Pick(800);
  if (Chance(10)) target = model.limits().static_max + 1 + Pick(20);
  const uint64_t target_before = model.limits().target;
  model.limits().target = target;
  const bool wakes = Wakes(guest);
  model.limits().target = target_before;
  const absl::Status status = guest.domain->balloon().SetTarget(
      {"set memory target"}, PageCount(target));
  // This dom0 has less than the minimum of any dom0.
  if (target == 0 || IsDom0(guest)) {
    EXPECT_THAT(status,
                Fails(Code::kInvalidArgument, Reason::kMemorySizeInvalid));
    return;
  }
  if (target > model.limits().static_max) {
    EXPECT_THAT(status,
                Fails(Code::kInvalidArgument, Reason::kStaticMaxExceeded));
    return;
  }
  EXPECT_THAT(status, IsOk());
  model.limits().max = target + kPagesPerMiB;
  model.limits().target = target;
  guest.unread = true;
  if (guest.state != DomainState::kRunning) return;
  ReadTarget(guest);
  if (wakes) WorkTowardsTarget(guest);
}

void HostModel::SetMaxMemory() {
  Guest& guest = PickGuest();
  GuestModel& model = guest.model;
  uint64_t most = model.limits().target - 10 + Pick(3000);
  if (Chance(20)) most = model.limits().target - 1 - Pick(100);
  if (Chance(5)) most = uint64_t{1} << 32;
  const absl::Status status = guest.domain->balloon().SetMaximum(
      {"set maximum memory"}, PageCount(most));
  if (most >> 32 != 0) {
    EXPECT_THAT(status,
                Fails(Code::kInvalidArgument, Reason::kMemorySizeInvalid));
  } else if (most < model.limits().target) {
    EXPECT_THAT(status,
                Fails(Code::kInvalidArgument, Reason::kMaxMemBelowTarget));
  } else {
    EXPECT_THAT(status, IsOk());
    model.limits().max = most + kPagesPerMiB;
    model.limits().static_max = most;
  }
}

void HostModel::WakeBalloon() {
  Guest& guest = PickGuest();
  const BalloonTimer timer = guest.domain->balloon().timer();
  EXPECT_THAT(guest.domain->balloon().Wake({"balloon timer"}, timer), IsOk());
  const uint64_t woken =
      guest.domain->balloon().timer().wakeups - timer.wakeups;
  if (!timer.seconds.has_value()) {
    EXPECT_EQ(woken, 0u);
    // Waiting would not help.
    if (guest.state != DomainState::kRunning) return;
    EXPECT_EQ(guest.model.driver_target(), guest.model.current());
  } else if (guest.state == DomainState::kRunning) {
    EXPECT_EQ(woken, 1u);
    WorkTowardsTarget(guest);
  } else {
    EXPECT_EQ(guest.state, DomainState::kPaused);
    EXPECT_EQ(woken, 0u);
    guest.overdue = true;
  }
}

}  // namespace simvisor
