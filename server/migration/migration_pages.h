// The pages of ListMigrations.
//
// Those to decide come first, then those under way, then those that have ended;
// among these the outgoing ones before the incoming ones, each in the order in
// which they began.  A page token is the place of the migration to go on from,
// as URGENCY-DIRECTION-NUMBER: it stays good whatever begins or ends between
// two pages.
//
// Thread safety: may be called from any thread.

#ifndef SIMVISOR_SERVER_MIGRATION_MIGRATION_PAGES_H_
#define SIMVISOR_SERVER_MIGRATION_MIGRATION_PAGES_H_

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "simvisor/v1/live_migration.pb.h"

namespace simvisor::server {

class IncomingMigrations;
class OutgoingMigrations;

// Migrations in one page at most, and bytes after which a page ends early.
inline constexpr uint32_t kMaxMigrationsInPage = 1000;
inline constexpr size_t kMaxMigrationPageBytes = size_t{2} << 20;

// Of what peers and causes say in a list: a bound for its strings.
inline constexpr size_t kMaxPeerBytes = 256;
inline constexpr size_t kMaxWhyBytes = 1024;

struct MigrationPlace {
  uint64_t urgency = 0;
  uint64_t direction = 0;
  uint64_t number = 0;

  friend auto operator<=>(const MigrationPlace&,
                          const MigrationPlace&) = default;
};

MigrationPlace PlaceOf(v1::MigrationState state,
                       v1::MigrationDirection direction, uint64_t number);

// The first `limit` of `entries`, a map from ids, from `from` on by their
// places.  `place` gives that of an entry, `to_proto` what is listed.
template <typename Map, typename Place, typename ToProto>
std::vector<std::pair<MigrationPlace, v1::Migration>> ListFrom(
    const Map& entries, const MigrationPlace& from, size_t limit, Place place,
    ToProto to_proto) {
  std::vector<std::pair<MigrationPlace, typename Map::const_iterator>> found;
  for (auto at = entries.begin(); at != entries.end(); ++at) {
    const MigrationPlace here = place(at->second);
    if (here >= from) found.emplace_back(here, at);
  }
  const size_t count = std::min(limit, found.size());
  std::partial_sort(
      found.begin(), found.begin() + static_cast<ptrdiff_t>(count), found.end(),
      [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::pair<MigrationPlace, v1::Migration>> out;
  for (size_t i = 0; i < count; ++i) {
    const auto& [here, at] = found[i];
    out.emplace_back(here, to_proto(at->first, at->second));
  }
  return out;
}

// INVALID_ARGUMENT: ARGUMENT_TOO_LARGE (page_size), ARGUMENT_MALFORMED
// (page_token).
absl::Status FillMigrationPage(const OutgoingMigrations& outgoing,
                               const IncomingMigrations& incoming,
                               const v1::ListMigrationsRequest& request,
                               v1::ListMigrationsResponse* response);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MIGRATION_MIGRATION_PAGES_H_
