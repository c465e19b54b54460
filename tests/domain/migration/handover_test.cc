// Explores the handover protocol completely: every order in which messages
// arrive or are lost, links break and machines die.

#include "domain/migration/handover.h"

#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace simvisor {
namespace {

// Messages on their way, at most one of each kind.
enum Message : unsigned {
  kPreparedSaid = 1,
  kCommitSaid = 2,
  kCommittedSaid = 4,
  kQuestion = 8,
  kAnswerCommitted = 16,
  kAnswerDropped = 32,
  kAnswerNever = 64,
};

// Both daemons and the messages between them.  A machine that died and was
// started again knows nothing, and its domains are gone.
struct World {
  SourceState source = SourceState::kCopying;
  TargetState target = TargetState::kReceiving;
  bool source_died = false;
  bool target_died = false;
  bool linked = true;
  unsigned messages = 0;

  auto Key() const {
    return std::make_tuple(source, target, source_died, target_died, linked,
                           messages);
  }
  friend bool operator<(const World& a, const World& b) {
    return a.Key() < b.Key();
  }

  bool SourceRuns() const {
    return !source_died &&
           (source == SourceState::kCopying || source == SourceState::kKept);
  }
  bool TargetRuns() const {
    return !target_died && target == TargetState::kCommitted;
  }
  // The number of copies that run or can be resumed.
  int Copies() const {
    const bool at_source = !source_died && source != SourceState::kMoved;
    const bool at_target = !target_died && (target == TargetState::kPrepared ||
                                            target == TargetState::kCommitted);
    return at_source + at_target;
  }
  std::string ToString() const {
    return absl::StrCat("source ", static_cast<int>(source),
                        source_died ? " (dead)" : "", ", target ",
                        static_cast<int>(target), target_died ? " (dead)" : "",
                        ", linked ", linked, ", messages ", messages);
  }
};

World After(World world, SourceEvent event) {
  const auto next = Next(world.source, event);
  if (!next.has_value()) return world;
  if (world.source == SourceState::kCopying &&
      *next == SourceState::kCommitting) {
    world.messages |= kCommitSaid;
  }
  world.source = *next;
  return world;
}

World After(World world, TargetEvent event) {
  const auto next = Next(world.target, event);
  if (next.has_value()) world.target = *next;
  return world;
}

using Worlds = std::vector<World>;

World Without(World world, Message message) {
  world.messages &= ~message;
  return world;
}

World With(World world, unsigned messages) {
  world.messages |= messages;
  return world;
}

bool SourceUp(const World& world) { return !world.source_died; }
bool TargetUp(const World& world) { return !world.target_died; }
bool Says(const World& world, Message message) {
  return (world.messages & message) != 0;
}

// The stream ends, and each of its messages arrives or is lost with the link.
void AddStreamSteps(const World& world, Worlds& next) {
  if (SourceUp(world) && TargetUp(world) && world.linked &&
      world.source == SourceState::kCopying &&
      world.target == TargetState::kReceiving) {
    next.push_back(With(After(world, TargetEvent::kArrived), kPreparedSaid));
  }
  if (Says(world, kPreparedSaid) && SourceUp(world) && world.linked) {
    next.push_back(
        After(Without(world, kPreparedSaid), SourceEvent::kPrepared));
  }
  // COMMIT may still be on its way when the source has given up the link.
  if (Says(world, kCommitSaid)) next.push_back(Without(world, kCommitSaid));
  if (Says(world, kCommitSaid) && TargetUp(world)) {
    const World made = After(Without(world, kCommitSaid), TargetEvent::kCommit);
    next.push_back(made.target == TargetState::kCommitted
                       ? With(made, kCommittedSaid)
                       : made);
  }
  if (Says(world, kCommittedSaid) && SourceUp(world) && world.linked) {
    next.push_back(
        After(Without(world, kCommittedSaid), SourceEvent::kCommitted));
  }
}

// The link breaks; each side notices at a different time.
void AddLinkSteps(const World& world, Worlds& next) {
  if (world.linked) {
    World made = Without(Without(world, kPreparedSaid), kCommittedSaid);
    made.linked = false;
    next.push_back(made);
  }
  if (!world.linked && SourceUp(world)) {
    next.push_back(After(world, SourceEvent::kFailed));
  }
  if (!world.linked && TargetUp(world)) {
    next.push_back(After(world, TargetEvent::kBroken));
  }
  // A client cancels at the source.
  if (SourceUp(world) && world.source == SourceState::kCopying) {
    World made = After(world, SourceEvent::kFailed);
    made.linked = false;
    made.messages &= ~(kPreparedSaid | kCommitSaid | kCommittedSaid);
    next.push_back(made);
  }
}

// The source asks, on a separate link.
void AddQuestionSteps(const World& world, Worlds& next) {
  if (SourceUp(world) && (world.source == SourceState::kUnknown ||
                          world.source == SourceState::kKept)) {
    next.push_back(With(world, kQuestion));
  }
  if (Says(world, kQuestion)) {
    const World asked = Without(world, kQuestion);
    if (world.target_died) {
      next.push_back(With(asked, kAnswerNever));
    } else {
      const World made = After(asked, TargetEvent::kAsked);
      next.push_back(With(made, made.target == TargetState::kCommitted
                                    ? kAnswerCommitted
                                    : kAnswerDropped));
    }
    next.push_back(asked);
  }
  for (const auto& [message, event] :
       {std::pair(kAnswerCommitted, SourceEvent::kCommitted),
        std::pair(kAnswerDropped, SourceEvent::kDropped),
        std::pair(kAnswerNever, SourceEvent::kNeverHeardOf)}) {
    if (!Says(world, message)) continue;
    if (SourceUp(world)) next.push_back(After(Without(world, message), event));
    next.push_back(Without(world, message));
  }
}

// Machines die, and are started again without any state.
void AddDeaths(const World& world, Worlds& next) {
  World made = world;
  made.linked = false;
  if (SourceUp(world)) {
    made.source_died = true;
    next.push_back(made);
  }
  made.source_died = world.source_died;
  if (TargetUp(world)) {
    made.target_died = true;
    next.push_back(made);
  }
}

// Every world that is one step away; operators decide nothing.
Worlds Steps(const World& world) {
  Worlds next;
  AddStreamSteps(world, next);
  AddLinkSteps(world, next);
  AddQuestionSteps(world, next);
  AddDeaths(world, next);
  return next;
}

std::set<World> Reachable(bool machines_may_die) {
  std::set<World> seen = {World()};
  std::vector<World> todo = {World()};
  while (!todo.empty()) {
    const World world = todo.back();
    todo.pop_back();
    for (const World& next : Steps(world)) {
      if (!machines_may_die && (next.source_died || next.target_died)) continue;
      if (seen.insert(next).second) todo.push_back(next);
    }
  }
  return seen;
}

TEST(HandoverTest, NoOrderOfEventsMakesTwoDaemonsRunIt) {
  const std::set<World> worlds = Reachable(true);
  EXPECT_GT(worlds.size(), 100u);
  for (const World& world : worlds) {
    EXPECT_FALSE(world.SourceRuns() && world.TargetRuns()) << world.ToString();
  }
}

TEST(HandoverTest, WhileBothMachinesLiveTheDomainIsNeverLost) {
  for (const World& world : Reachable(false)) {
    EXPECT_GE(world.Copies(), 1) << world.ToString();
  }
}

TEST(HandoverTest, MachineThatDiesTakesOnlyTheCopyThatItHeld) {
  for (const World& world : Reachable(true)) {
    // If the target died, only a source that handed the domain over has no
    // copy.  If the source died, the target has no copy only if it was not
    // prepared or has dropped its copy.
    if (world.target_died && !world.source_died && world.Copies() == 0) {
      EXPECT_EQ(world.source, SourceState::kMoved) << world.ToString();
    }
    if (world.source_died && !world.target_died && world.Copies() == 0) {
      EXPECT_TRUE(world.target == TargetState::kReceiving ||
                  world.target == TargetState::kDropped)
          << world.ToString();
    }
  }
}

TEST(HandoverTest, SourceInUnknownSettlesWithTheNextAnswer) {
  for (const World& world : Reachable(true)) {
    if (world.source_died || world.source != SourceState::kUnknown) continue;
    // The source asks, the target answers, the source receives the answer.
    const auto answered = world.target_died
                              ? SourceEvent::kNeverHeardOf
                              : (After(world, TargetEvent::kAsked).target ==
                                         TargetState::kCommitted
                                     ? SourceEvent::kCommitted
                                     : SourceEvent::kDropped);
    const SourceState settled = After(world, answered).source;
    EXPECT_TRUE(settled == SourceState::kMoved || settled == SourceState::kKept)
        << world.ToString();
    EXPECT_EQ(settled == SourceState::kMoved, world.TargetRuns())
        << world.ToString();
  }
}

TEST(HandoverTest, FinalStatesNeverChange) {
  for (const SourceState state : {SourceState::kMoved, SourceState::kKept}) {
    for (int event = 0; event <= static_cast<int>(SourceEvent::kDrop);
         ++event) {
      EXPECT_EQ(Next(state, static_cast<SourceEvent>(event)), std::nullopt);
    }
  }
  for (const TargetState state :
       {TargetState::kCommitted, TargetState::kDropped}) {
    for (int event = 0; event <= static_cast<int>(TargetEvent::kDrop);
         ++event) {
      const auto next = Next(state, static_cast<TargetEvent>(event));
      EXPECT_EQ(next.value_or(state), state);
    }
  }
}

TEST(HandoverTest, OperatorDecidesOnlyOpenStates) {
  EXPECT_EQ(Next(SourceState::kUnknown, SourceEvent::kKeep),
            SourceState::kKept);
  EXPECT_EQ(Next(SourceState::kUnknown, SourceEvent::kDrop),
            SourceState::kMoved);
  EXPECT_EQ(Next(SourceState::kCommitting, SourceEvent::kKeep), std::nullopt);
  EXPECT_EQ(Next(TargetState::kPrepared, TargetEvent::kKeep),
            TargetState::kCommitted);
  EXPECT_EQ(Next(TargetState::kPrepared, TargetEvent::kDrop),
            TargetState::kDropped);
  EXPECT_EQ(Next(TargetState::kReceiving, TargetEvent::kKeep), std::nullopt);
  EXPECT_EQ(Next(TargetState::kCommitted, TargetEvent::kDrop), std::nullopt);
}

}  // namespace
}  // namespace simvisor
