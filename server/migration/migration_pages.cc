#include "server/migration/migration_pages.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/quote.h"
#include "base/status_macros.h"
#include "server/convert/argument.h"
#include "server/migration/convert_migration.h"
#include "server/sessions/migration_ledger.h"

namespace simvisor::server {
namespace {

absl::StatusOr<MigrationPlace> FirstOfPage(const std::string& token) {
  MigrationPlace place;
  if (token.empty()) return place;
  const std::vector<std::string> parts = absl::StrSplit(token, '-');
  if (parts.size() == 3 && absl::SimpleAtoi(parts[0], &place.urgency) &&
      absl::SimpleAtoi(parts[1], &place.direction) &&
      absl::SimpleAtoi(parts[2], &place.number)) {
    return place;
  }
  return BadPageToken(token);
}

}  // namespace

absl::Status FillMigrationPage(const OutgoingMigrations& outgoing,
                               const IncomingMigrations& incoming,
                               const v1::ListMigrationsRequest& request,
                               v1::ListMigrationsResponse* response) {
  SIMVISOR_RETURN_IF_ERROR(
      CheckAtMost("page_size", request.page_size(), kMaxMigrationsInPage));
  SIMVISOR_ASSIGN_OR_RETURN(const MigrationPlace first,
                            FirstOfPage(request.page_token()));
  const size_t page_size =
      request.page_size() == 0 ? kMaxMigrationsInPage : request.page_size();
  // List one more than the page holds: the next page begins there.
  std::vector<std::pair<MigrationPlace, v1::Migration>> listed;
  for (const auto& [place, record] : outgoing.List(first, page_size + 1)) {
    listed.emplace_back(place, ToProto(record));
  }
  const size_t middle = listed.size();
  for (const auto& [place, record] : incoming.List(first, page_size + 1)) {
    listed.emplace_back(place, ToProto(record));
  }
  const auto earlier = [](const auto& a, const auto& b) {
    return a.first < b.first;
  };
  std::inplace_merge(listed.begin(),
                     listed.begin() + static_cast<ptrdiff_t>(middle),
                     listed.end(), earlier);
  size_t bytes = 0;
  for (size_t i = 0; i < listed.size(); ++i) {
    auto& [place, migration] = listed[i];
    if (i == page_size || bytes >= kMaxMigrationPageBytes) {
      response->set_next_page_token(
          absl::StrCat(place.urgency, "-", place.direction, "-", place.number));
      return absl::OkStatus();
    }
    bytes += migration.ByteSizeLong();
    *response->add_migrations() = std::move(migration);
  }
  return absl::OkStatus();
}

}  // namespace simvisor::server
