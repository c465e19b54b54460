#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "bench/rpc/crowd.h"
#include "bench/rpc/crowd_parts.h"
#include "bench/rpc/empty_calls.h"
#include "bench/rpc/resident_memory.h"
#include "bench/rpc/scenario.h"

namespace simvisor::bench {
namespace {

constexpr int kInFlight = 8;
constexpr double kMib = 1 << 20;

// Resident memory of the daemon; nullopt unless the bench started it.
absl::StatusOr<std::optional<double>> Resident(const Site& site) {
  if (!site.pid) return std::nullopt;
  SIMVISOR_ASSIGN_OR_RETURN(const double bytes, ResidentBytes(*site.pid));
  return bytes;
}

// Adds the memory that is left after the crowd, compared with that before it.
void AddLeft(const std::string& name, std::optional<double> before,
             std::optional<double> after, Report& report) {
  if (!before || !after) return;
  report.Add(name, {*after / kMib}, "MiB", "rss/before", {*after / *before});
}

absl::Status Come(const Connections& connections, const std::string& cycle,
                  Crowd& crowd, Report& report) {
  SIMVISOR_ASSIGN_OR_RETURN(
      const Outcome empty, RunEmptyCalls(connections, crowd.size(), kInFlight));
  SIMVISOR_ASSIGN_OR_RETURN(const Outcome created,
                            crowd.Create(connections, kInFlight));
  const std::string name = absl::StrCat("create", cycle);
  report.Add(absl::StrCat(name, "/empty"), empty.rate(), "calls/s");
  report.Add(absl::StrCat(name, "/all"), created.seconds, "s");
  report.Add(absl::StrCat(name, "/8_in_flight"), {created.rate()}, "creates/s",
             absl::StrCat(name, "/empty"), {created.rate() / empty.rate()});
  report.Add(absl::StrCat(name, "/p50"), Percentile(created.micros, 0.5), "us");
  report.Add(absl::StrCat(name, "/p99"), Percentile(created.micros, 0.99),
             "us");
  return absl::OkStatus();
}

absl::Status Go(const Connections& connections, const std::string& cycle,
                Crowd& crowd, Report& report) {
  SIMVISOR_ASSIGN_OR_RETURN(const Outcome destroyed,
                            crowd.Destroy(connections, kInFlight));
  report.Add(absl::StrCat("destroy", cycle, "/8_in_flight"), destroyed.rate(),
             "destroys/s");
  return absl::OkStatus();
}

absl::Status Within(const Site& site, const Options& options, CrowdParts within,
                    const Crowd& crowd, Report& report) {
  if (within.list) {
    SIMVISOR_RETURN_IF_ERROR(MeasureList(site, crowd, report));
  }
  if (within.target) {
    SIMVISOR_RETURN_IF_ERROR(
        MeasureTarget(site, crowd, options.rounds, report));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status MeasureCrowd(const Site& site, const Options& options,
                          CrowdParts within, Report& report) {
  SIMVISOR_ASSIGN_OR_RETURN(const Connections connections,
                            Connect(site.address, 1));
  Crowd crowd(options.domains);
  SIMVISOR_ASSIGN_OR_RETURN(const std::optional<double> before, Resident(site));
  if (before) report.Add("rss/before", *before / kMib, "MiB");

  SIMVISOR_RETURN_IF_ERROR(Come(connections, "", crowd, report));
  SIMVISOR_ASSIGN_OR_RETURN(const std::optional<double> full, Resident(site));
  if (before && full) {
    report.Add("rss/domain",
               (*full - *before) / static_cast<double>(crowd.size()), "bytes");
  }
  SIMVISOR_RETURN_IF_ERROR(Within(site, options, within, crowd, report));
  SIMVISOR_RETURN_IF_ERROR(Go(connections, "", crowd, report));
  SIMVISOR_ASSIGN_OR_RETURN(const std::optional<double> after, Resident(site));
  AddLeft("rss/after", before, after, report);

  SIMVISOR_RETURN_IF_ERROR(Come(connections, "_again", crowd, report));
  SIMVISOR_RETURN_IF_ERROR(Go(connections, "_again", crowd, report));
  SIMVISOR_ASSIGN_OR_RETURN(const std::optional<double> again, Resident(site));
  AddLeft("rss/after_again", before, again, report);
  return absl::OkStatus();
}

}  // namespace simvisor::bench
