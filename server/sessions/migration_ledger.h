// The migrations of a daemon in one direction, as far as it remembers them.
//
// A row holds a state from one of the tables in domain/migration/handover.h and
// an entry of its owner's.  Rows are listed by place: first those that need a
// decision, then those under way, then those that have ended; within these
// outgoing before incoming, in the order in which they began.  A place stays
// valid while other rows begin or end.
//
// Thread safety: thread-compatible; its owner guards it with a mutex.

#ifndef SIMVISOR_SERVER_SESSIONS_MIGRATION_LEDGER_H_
#define SIMVISOR_SERVER_SESSIONS_MIGRATION_LEDGER_H_

#include <algorithm>
#include <cassert>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/strings/string_view.h"
#include "domain/migration/handover.h"
#include "server/sessions/migration_record.h"

namespace simvisor::server {

struct MigrationPlace {
  uint64_t urgency = 0;
  uint64_t direction = 0;
  uint64_t number = 0;

  friend auto operator<=>(const MigrationPlace&,
                          const MigrationPlace&) = default;
};

// The parts of a place that follow from a state.
inline uint64_t UrgencyOf(SourceState state) {
  if (state == SourceState::kUnknown) return 0;
  return state == SourceState::kCopying || state == SourceState::kCommitting
             ? 1
             : 2;
}
inline uint64_t UrgencyOf(TargetState state) {
  if (state == TargetState::kPrepared) return 0;
  return state == TargetState::kReceiving ? 1 : 2;
}
inline uint64_t DirectionOf(SourceState) { return 1; }
inline uint64_t DirectionOf(TargetState) { return 2; }

// The records of a list with their places.
template <typename State>
using PlacedRecords =
    std::vector<std::pair<MigrationPlace, MigrationRecord<State>>>;

// `State` is SourceState or TargetState, whose table is Next().
template <typename State, typename Entry>
class MigrationLedger {
 public:
  struct Row {
    State state{};
    // While the owner does to the domain what `state` says: the state before,
    // which List() gives until that is done.
    std::optional<State> shown;
    uint64_t number = 0;      // in the order of beginning, from 1
    uint64_t end_number = 0;  // in the order of ending; 0 until End()
    Entry entry{};
  };

  // Adds a row and returns it; null if `id` is known.  Pointers to rows stay
  // valid until the next Begin() or Forget().
  Row* Begin(absl::string_view id, State first) {
    const auto [at, is_new] = rows_.try_emplace(std::string(id));
    if (!is_new) return nullptr;
    at->second.state = first;
    at->second.number = next_number_++;
    return &at->second;
  }

  // Null if `id` is unknown.
  Row* Find(absl::string_view id) {
    const auto at = rows_.find(id);
    return at == rows_.end() ? nullptr : &at->second;
  }
  const Row* Find(absl::string_view id) const {
    const auto at = rows_.find(id);
    return at == rows_.end() ? nullptr : &at->second;
  }

  // Moves the row as the table says and returns its new state.  Returns nullopt
  // and changes nothing if the table has no line for `event`.
  template <typename Event>
  static std::optional<State> Move(Row& row, Event event) {
    const std::optional<State> next = Next(row.state, event);
    row.state = next.value_or(row.state);
    return next;
  }

  // Marks the row as ended: Forget() may remove it from now on.
  // REQUIRES: the row has not ended.
  void End(Row& row) {
    assert(row.end_number == 0);
    row.end_number = next_number_++;
  }
  // From now on List() gives the row's own state.  Nothing if `id` is unknown.
  void Show(absl::string_view id) {
    if (Row* const row = Find(id); row != nullptr) row->shown.reset();
  }
  static bool HasEnded(const Row& row) { return row.end_number != 0; }

  // Looks at the rows that have ended and for which `is_kind(row)` holds, and
  // removes those that ended first until `most` are left.  Returns how many it
  // removed.
  template <typename IsKind>
  size_t Forget(size_t most, IsKind is_kind) {
    absl::btree_map<uint64_t, std::string> ended;
    for (const auto& [id, row] : rows_) {
      if (HasEnded(row) && is_kind(row)) ended[row.end_number] = id;
    }
    size_t forgotten = 0;
    for (; ended.size() > most; ended.erase(ended.begin())) {
      rows_.erase(ended.begin()->second);
      ++forgotten;
    }
    return forgotten;
  }

  size_t CountIn(State state) const {
    return static_cast<size_t>(std::count_if(
        rows_.begin(), rows_.end(),
        [state](const auto& row) { return row.second.state == state; }));
  }

  // The row's record, except for `peer` and `why`.  For an Entry that has the
  // domain's `domid` and `name`.
  static MigrationRecord<State> BeginRecord(absl::string_view id,
                                            const Row& row) {
    MigrationRecord<State> record;
    record.id = std::string(id);
    record.state = row.state;
    record.domid = row.entry.domid;
    record.name = row.entry.name;
    return record;
  }

  // By id.
  absl::btree_map<std::string, Row>& rows() { return rows_; }

  // The first `limit` rows, starting at place `from`, each as a record made by
  // `describe(id, row)`, in the state that is shown.
  template <typename Describe>
  PlacedRecords<State> List(const MigrationPlace& from, size_t limit,
                            Describe describe) const {
    std::vector<std::pair<MigrationPlace, const std::string*>> found;
    for (const auto& [id, row] : rows_) {
      const State state = ShownState(row);
      const MigrationPlace here = {UrgencyOf(state), DirectionOf(state),
                                   row.number};
      if (here >= from) found.emplace_back(here, &id);
    }
    const size_t count = std::min(limit, found.size());
    std::partial_sort(
        found.begin(), found.begin() + static_cast<ptrdiff_t>(count),
        found.end(),
        [](const auto& a, const auto& b) { return a.first < b.first; });
    PlacedRecords<State> out;
    out.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      const auto& [here, id] = found[i];
      const Row& row = rows_.at(*id);
      out.emplace_back(here, describe(*id, row));
      out.back().second.state = ShownState(row);
    }
    return out;
  }

 private:
  static State ShownState(const Row& row) {
    return row.shown.value_or(row.state);
  }

  absl::btree_map<std::string, Row> rows_;
  uint64_t next_number_ = 1;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_SESSIONS_MIGRATION_LEDGER_H_
