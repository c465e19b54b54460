#include "tests/domain/smmu/explorer/scenarios.h"

#include <memory>
#include <utility>

#include "tests/domain/smmu/explorer/change_actor.h"
#include "tests/domain/smmu/explorer/client_actor.h"
#include "tests/domain/smmu/explorer/object_actor.h"

namespace simvisor {
namespace {

using Move = ClientPlan::Move;
using Manners = ChangeActor::Manners;

constexpr PfnExtent Pages(uint64_t first, uint64_t count) {
  return {Pfn(first), PageCount(count)};
}

Move Fault(uint64_t req, uint64_t pfn, bool write = false) {
  Move move = {.kind = Move::Kind::kFault};
  move.fault = {.req = req, .pfn = Pfn(pfn), .write = write};
  return move;
}
Move Parked(uint64_t req, uint64_t pfn) {
  Move move = Fault(req, pfn);
  move.fault.wait = true;
  return move;
}
Move TwoSteps(uint64_t req, uint64_t pfn) {
  Move move = Fault(req, pfn);
  move.fault.two_step = true;
  return move;
}
Move Commit(uint64_t req) {
  Move move = {.kind = Move::Kind::kCommit};
  move.fault.req = req;
  return move;
}
Move Watch(PfnExtent pfns) {
  return {.kind = Move::Kind::kWatch, .fault = {}, .pfns = pfns};
}
Move Unwatch(PfnExtent pfns) {
  return {.kind = Move::Kind::kUnwatch, .fault = {}, .pfns = pfns};
}
Move Unregister() {
  return {.kind = Move::Kind::kUnregister, .fault = {}, .pfns = {}};
}

ClientPlan Client(std::string name, std::vector<Move> moves) {
  ClientPlan plan = {.spec = {}, .moves = std::move(moves)};
  plan.spec.name = std::move(name);
  plan.spec.lease = kExplorerLease;
  return plan;
}

// Adds actors to a world and owns it until it is made.
class Maker {
 public:
  Maker(uint64_t pages, uint64_t spare, int ticks = 0)
      : world_(std::make_unique<World>(pages, spare, ticks)) {}

  ClientActor& Add(ClientPlan plan) {
    auto client = std::make_unique<ClientActor>(*world_, std::move(plan));
    ClientActor& added = *client;
    world_->AddActor(std::move(client));
    return added;
  }
  template <typename Change, typename... Arguments>
  Change& Add(Arguments&&... arguments) {
    auto change = std::make_unique<Change>(
        *world_, std::forward<Arguments>(arguments)...);
    Change& added = *change;
    world_->AddActor(std::move(change));
    return added;
  }
  std::unique_ptr<World> Done() { return std::move(world_); }

 private:
  std::unique_ptr<World> world_;
};

// A frame that leaves is used again at once.
std::unique_ptr<World> BalloonDownAndUp() {
  Maker maker(3, 1);
  ClientPlan late =
      Client("late", {Fault(1, 1, /*write=*/true), Fault(2, 2), Fault(3, 2)});
  late.late_answers = true;
  maker.Add(late);
  maker.Add(Client("parks", {Parked(1, 1), Fault(2, 2)}));
  auto& down = maker.Add<UnmapActor>("balloon down", Pages(1, 2), Manners{});
  maker.Add<FillActor>("balloon up", Pages(0, 3), Manners{.after = &down});
  return maker.Done();
}

// Changes that overlap, and a client that hears only of what it maps.
std::unique_ptr<World> TwoChangesOfTheSamePages() {
  Maker maker(3, 1);
  ClientPlan mapped = Client("mapped", {Fault(1, 1), Fault(2, 2)});
  mapped.spec.events = EventFilter::kMapped;
  maker.Add(mapped);
  maker.Add(Client("all", {Parked(1, 1)}));
  maker.Add<UnmapActor>("set 0-2", Pages(0, 2), Manners{});
  maker.Add<ReplaceActor>("replace 1-3", Pages(1, 2), Manners{});
  return maker.Done();
}

// A client that handles nothing is fenced, though it renews its lease.
std::unique_ptr<World> StuckClientThatRenews() {
  Maker maker(3, 1, /*ticks=*/3);
  ClientPlan stuck = Client("stuck", {Fault(1, 1, /*write=*/true)});
  stuck.stuck = true;
  stuck.renewals = 3;
  maker.Add(stuck);
  maker.Add(Client("prompt", {Fault(1, 1)}));
  maker.Add<UnmapActor>("balloon down", Pages(1, 1), Manners{});
  return maker.Done();
}

// Leases end while a client answers slowly and renews.
std::unique_ptr<World> SlowClientOnItsLease() {
  Maker maker(2, 1, /*ticks=*/3);
  ClientPlan slow = Client("slow", {Fault(1, 1)});
  slow.late_answers = true;
  slow.renewals = 2;
  maker.Add(slow);
  maker.Add<ReplaceActor>("replace", Pages(1, 1), Manners{});
  return maker.Done();
}

// A stream breaks at any time; what it had goes, and the change goes on.
std::unique_ptr<World> BrokenStream() {
  Maker maker(3, 1, /*ticks=*/1);
  ClientPlan breaks = Client("breaks", {Fault(1, 1), Fault(2, 2)});
  breaks.breaks = true;
  maker.Add(breaks);
  maker.Add<UnmapActor>("balloon down", Pages(2, 1), Manners{});
  maker.Add<ReplaceActor>("replace", Pages(1, 1), Manners{});
  return maker.Done();
}

// A stream breaks and resumes, or does not come back before its lease ends.
std::unique_ptr<World> ResumedStream() {
  Maker maker(2, 1, /*ticks=*/1);
  ClientPlan resumes = Client("resumes", {Fault(1, 1), Parked(2, 1)});
  resumes.spec.resumable = true;
  resumes.breaks = true;
  resumes.resumes = 1;
  resumes.late_answers = true;
  maker.Add(resumes);
  auto& replace = maker.Add<ReplaceActor>("replace", Pages(1, 1), Manners{});
  maker.Add<UnmapActor>("balloon down", Pages(1, 1),
                        Manners{.after = &replace});
  return maker.Done();
}

// A registration waits for what runs, holds off what comes, and may be given
// up.
std::unique_ptr<World> RegistrationAmongChanges() {
  Maker maker(4, 1);
  maker.Add(Client("early", {Fault(1, 1)}));
  ClientPlan late = Client("late", {Fault(1, 1)});
  late.registered = false;
  ClientActor& client = maker.Add(late);
  maker.Add<RegisterActor>(client, Manners{.may_cancel = true});
  maker.Add<UnmapActor>("balloon down", Pages(1, 1), Manners{});
  maker.Add<UnmapActor>("set 2-4", Pages(2, 2), Manners{});
  return maker.Done();
}

// A client leaves with answers owing and faults on their way.
std::unique_ptr<World> LeavingClient() {
  Maker maker(3, 1);
  ClientPlan leaves =
      Client("leaves", {Fault(1, 1), Fault(2, 2), Unregister()});
  leaves.late_answers = true;
  maker.Add(leaves);
  maker.Add<UnmapActor>("balloon down", Pages(1, 1), Manners{});
  maker.Add<UnmapActor>("set 2", Pages(2, 1), Manners{.may_cancel = true});
  return maker.Done();
}

// The domain is destroyed under a change, and a registration that waits for it.
std::unique_ptr<World> DestroyedDomain() {
  Maker maker(3, 1, /*ticks=*/1);
  maker.Add(Client("prompt", {Fault(1, 1), Parked(2, 2)}));
  ClientPlan late = Client("late", {});
  late.registered = false;
  ClientActor& client = maker.Add(late);
  maker.Add<RegisterActor>(client, Manners{});
  maker.Add<UnmapActor>("balloon down", Pages(1, 1), Manners{});
  maker.Add<DestroyActor>();
  return maker.Done();
}

// A caller that will not wait, and a client that refuses it.
std::unique_ptr<World> ChangeThatDoesNotWait() {
  Maker maker(3, 1);
  ClientPlan refuses = Client("refuses", {Fault(1, 1)});
  refuses.may_refuse = true;
  maker.Add(refuses);
  maker.Add(Client("prompt", {Fault(1, 1)}));
  auto& first = maker.Add<UnmapActor>("impatient", Pages(1, 1),
                                      Manners{.blockable = false});
  maker.Add<UnmapActor>("patient", Pages(1, 2), Manners{.after = &first});
  return maker.Done();
}

// No write is lost while the log is on.
std::unique_ptr<World> LoggedWrites() {
  Maker maker(3, 0);
  ClientPlan writes = Client("writes", {Fault(1, 1, /*write=*/true),
                                        Fault(2, 2, true), Fault(3, 1, true)});
  writes.late_answers = true;
  maker.Add(writes);
  auto& start = maker.Add<StartLogActor>("start log", Manners{});
  auto& clean = maker.Add<CleanLogActor>(
      "clean", Manners{.may_cancel = true, .after = &start});
  maker.Add<CleanLogActor>("clean again", Manners{.after = &clean});
  return maker.Done();
}

// The range of a suspension stays open until the domain resumes.
std::unique_ptr<World> SuspendedDomain() {
  Maker maker(3, 1);
  maker.Add(Client("prompt", {Fault(1, 1), Parked(2, 2)}));
  maker.Add<SuspendActor>("suspend", Manners{.may_cancel = true});
  maker.Add<ResumeActor>();
  maker.Add<UnmapActor>("balloon down", Pages(1, 2), Manners{});
  return maker.Done();
}

// A client prepares mappings between two steps of a fault, and hears only of
// what it maps.
std::unique_ptr<World> FaultsInTwoSteps() {
  Maker maker(3, 2);
  ClientPlan prepares = Client(
      "prepares", {TwoSteps(1, 1), Commit(1), TwoSteps(2, 2), Commit(2)});
  prepares.spec.events = EventFilter::kMapped;
  maker.Add(prepares);
  maker.Add<ReplaceActor>("replace 1", Pages(1, 1), Manners{});
  maker.Add<UnmapActor>("set 2", Pages(2, 1), Manners{});
  return maker.Done();
}

// Intervals that come and go while ranges are open.
std::unique_ptr<World> EditedIntervals() {
  Maker maker(4, 1);
  ClientPlan watches =
      Client("watches", {TwoSteps(1, 1), Unwatch(Pages(2, 2)),
                         Watch(Pages(2, 1)), Parked(2, 2), Commit(1)});
  watches.spec.rule = RetryRule::kInterval;
  watches.spec.intervals = {Pages(0, 2), Pages(2, 2)};
  maker.Add(watches);
  maker.Add<UnmapActor>("set 2", Pages(2, 1), Manners{});
  maker.Add<ReplaceActor>("replace 1", Pages(1, 1),
                          Manners{.may_cancel = true});
  return maker.Done();
}

// An object of the same process is called on the threads of changes.
std::unique_ptr<World> CalledObject() {
  Maker maker(3, 1);
  maker.Add<ObjectActor>(
      std::vector<FaultRequest>{Fault(1, 1).fault, Fault(2, 2).fault});
  maker.Add(Client("prompt", {Fault(1, 1)}));
  maker.Add<UnmapActor>("balloon down", Pages(1, 1),
                        Manners{.may_cancel = true});
  maker.Add<ReplaceActor>("replace", Pages(1, 2), Manners{});
  return maker.Done();
}

// The same, in a domain that is destroyed.
std::unique_ptr<World> ObjectOfDestroyedDomain() {
  Maker maker(2, 1, /*ticks=*/1);
  maker.Add<ObjectActor>(
      std::vector<FaultRequest>{Fault(1, 1).fault, Parked(2, 1).fault});
  ClientPlan stuck = Client("stuck", {Fault(1, 1)});
  stuck.stuck = true;
  maker.Add(stuck);
  maker.Add<UnmapActor>("balloon down", Pages(1, 1), Manners{});
  maker.Add<DestroyActor>();
  return maker.Done();
}

// Single pages, whose begin is also their end, next to a range.
std::unique_ptr<World> SinglePages() {
  Maker maker(3, 1);
  ClientPlan faults =
      Client("faults", {TwoSteps(1, 1), Commit(1), Fault(2, 2)});
  faults.spec.events = EventFilter::kMapped;
  faults.late_answers = true;
  maker.Add(faults);
  maker.Add(Client("all", {Parked(1, 1)}));
  maker.Add<PageActor>("page 1", Pages(1, 1), Manners{});
  maker.Add<UnmapActor>("set 2", Pages(2, 1), Manners{});
  return maker.Done();
}

}  // namespace

const std::vector<Scenario>& AllScenarios() {
  static const auto& scenarios = *new std::vector<Scenario>{
      {"BalloonDownAndUp", BalloonDownAndUp},
      {"TwoChangesOfTheSamePages", TwoChangesOfTheSamePages},
      {"StuckClientThatRenews", StuckClientThatRenews},
      {"SlowClientOnItsLease", SlowClientOnItsLease},
      {"BrokenStream", BrokenStream},
      {"ResumedStream", ResumedStream},
      {"RegistrationAmongChanges", RegistrationAmongChanges},
      {"LeavingClient", LeavingClient},
      {"DestroyedDomain", DestroyedDomain},
      {"ChangeThatDoesNotWait", ChangeThatDoesNotWait},
      {"LoggedWrites", LoggedWrites},
      {"SuspendedDomain", SuspendedDomain},
      {"FaultsInTwoSteps", FaultsInTwoSteps},
      {"EditedIntervals", EditedIntervals},
      {"CalledObject", CalledObject},
      {"ObjectOfDestroyedDomain", ObjectOfDestroyedDomain},
      {"SinglePages", SinglePages},
  };
  return scenarios;
}

}  // namespace simvisor
