#include "domain/migration/handover.h"

#include <cstddef>

namespace simvisor {
namespace {

template <typename State, typename Event>
struct Line {
  State state;
  Event event;
  State next;
};

using S = SourceState;
using SE = SourceEvent;
constexpr Line<S, SE> kSourceLines[] = {
    {S::kCopying, SE::kPrepared, S::kCommitting},
    {S::kCopying, SE::kFailed, S::kKept},
    {S::kCommitting, SE::kCommitted, S::kMoved},
    {S::kCommitting, SE::kFailed, S::kUnknown},
    {S::kUnknown, SE::kCommitted, S::kMoved},
    {S::kUnknown, SE::kDropped, S::kKept},
    {S::kUnknown, SE::kNeverHeardOf, S::kKept},
    {S::kUnknown, SE::kFailed, S::kUnknown},
    {S::kUnknown, SE::kKeep, S::kKept},
    {S::kUnknown, SE::kDrop, S::kMoved},
};

using T = TargetState;
using TE = TargetEvent;
constexpr Line<T, TE> kTargetLines[] = {
    {T::kReceiving, TE::kArrived, T::kPrepared},
    {T::kReceiving, TE::kBroken, T::kDropped},
    {T::kReceiving, TE::kAsked, T::kDropped},
    {T::kReceiving, TE::kDrop, T::kDropped},
    {T::kPrepared, TE::kCommit, T::kCommitted},
    {T::kPrepared, TE::kBroken, T::kPrepared},
    {T::kPrepared, TE::kAsked, T::kDropped},
    {T::kPrepared, TE::kKeep, T::kCommitted},
    {T::kPrepared, TE::kDrop, T::kDropped},
    {T::kCommitted, TE::kAsked, T::kCommitted},
    {T::kCommitted, TE::kBroken, T::kCommitted},
    {T::kDropped, TE::kAsked, T::kDropped},
    {T::kDropped, TE::kBroken, T::kDropped},
};

template <typename State, typename Event, size_t n>
std::optional<State> Find(const Line<State, Event> (&lines)[n], State state,
                          Event event) {
  for (const Line<State, Event>& line : lines) {
    if (line.state == state && line.event == event) return line.next;
  }
  return std::nullopt;
}

}  // namespace

std::optional<SourceState> Next(SourceState state, SourceEvent event) {
  return Find(kSourceLines, state, event);
}

std::optional<TargetState> Next(TargetState state, TargetEvent event) {
  return Find(kTargetLines, state, event);
}

}  // namespace simvisor
