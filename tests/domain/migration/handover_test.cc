// The handover protocol, explored whole: every order in which messages arrive
// or are lost, links break and machines die.

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

// Messages that may be under way, at most one of a kind.
enum Message : unsigned {
  kPreparedSaid = 1,
  kCommitSaid = 2,
  kCommittedSaid = 4,
  kQuestion = 8,
  kAnswerCommitted = 16,
  kAnswerDropped = 32,
  kAnswerNever = 64,
};

// Both daemons and what is between them.  A machine that died and was started
// again knows nothing, and its domains are gone.
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
  // Copies that run or could be made to.
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

// Every world that one step can make of this one; operators decide nothing.
std::vector<World> Steps(const World& world) {
  std::vector<World> next;
  const auto add = [&next](World made) { next.push_back(made); };
  const auto without = [&world](Message message) {
    World made = world;
    made.messages &= ~message;
    return made;
  };
  const bool source_up = !world.source_died;
  const bool target_up = !world.target_died;
  // The stream ends.
  if (source_up && target_up && world.linked &&
      world.source == SourceState::kCopying &&
      world.target == TargetState::kReceiving) {
    World made = After(world, TargetEvent::kArrived);
    made.messages |= kPreparedSaid;
    add(made);
  }
  // Each message arrives, or is lost with the link.
  if (world.messages & kPreparedSaid && source_up && world.linked) {
    add(After(without(kPreparedSaid), SourceEvent::kPrepared));
  }
  // COMMIT may be on its way still when the source has given the link up.
  if (world.messages & kCommitSaid) add(without(kCommitSaid));
  if (world.messages & kCommitSaid && target_up) {
    World made = After(without(kCommitSaid), TargetEvent::kCommit);
    if (made.target == TargetState::kCommitted) made.messages |= kCommittedSaid;
    add(made);
  }
  if (world.messages & kCommittedSaid && source_up && world.linked) {
    add(After(without(kCommittedSaid), SourceEvent::kCommitted));
  }
  // The link breaks: each side sees it at a moment of its own.
  if (world.linked) {
    World made = world;
    made.linked = false;
    made.messages &= ~(kPreparedSaid | kCommittedSaid);
    add(made);
  }
  if (!world.linked && source_up) add(After(world, SourceEvent::kFailed));
  if (!world.linked && target_up) add(After(world, TargetEvent::kBroken));
  // Somebody cancels at the source.
  if (source_up && world.source == SourceState::kCopying) {
    World made = After(world, SourceEvent::kFailed);
    made.linked = false;
    made.messages &= ~(kPreparedSaid | kCommitSaid | kCommittedSaid);
    add(made);
  }
  // The source asks on a link of its own.
  if (source_up && (world.source == SourceState::kUnknown ||
                    world.source == SourceState::kKept)) {
    World made = world;
    made.messages |= kQuestion;
    add(made);
  }
  if (world.messages & kQuestion) {
    if (world.target_died) {
      World made = without(kQuestion);
      made.messages |= kAnswerNever;
      add(made);
    } else {
      World made = After(without(kQuestion), TargetEvent::kAsked);
      made.messages |= made.target == TargetState::kCommitted ? kAnswerCommitted
                                                              : kAnswerDropped;
      add(made);
    }
    add(without(kQuestion));
  }
  for (const auto& [message, event] :
       {std::pair(kAnswerCommitted, SourceEvent::kCommitted),
        std::pair(kAnswerDropped, SourceEvent::kDropped),
        std::pair(kAnswerNever, SourceEvent::kNeverHeardOf)}) {
    if (!(world.messages & message)) continue;
    if (source_up) add(After(without(message), event));
    add(without(message));
  }
  // Machines die, and are started again with nothing.
  if (source_up) {
    World made = world;
    made.source_died = true;
    made.linked = false;
    add(made);
  }
  if (target_up) {
    World made = world;
    made.target_died = true;
    made.linked = false;
    add(made);
  }
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

TEST(HandoverTest, OneMachineThatDiesTakesNoMoreThanWhatWasItsOwn) {
  for (const World& world : Reachable(true)) {
    // A source that knows of a copy elsewhere is the only one to give its own
    // away; one that died while it alone ran the domain took it along.
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

TEST(HandoverTest, SourceThatDoesNotKnowLearnsItFromTheNextAnswer) {
  for (const World& world : Reachable(true)) {
    if (world.source_died || world.source != SourceState::kUnknown) continue;
    // Ask, let the target answer, hear it.
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

TEST(HandoverTest, WhatHasEndedStaysAsItIs) {
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

TEST(HandoverTest, OperatorDecidesWhatIsOpenAndNothingElse) {
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
