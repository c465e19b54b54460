#include <unistd.h>

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "bench/rpc/empty_calls.h"
#include "bench/rpc/scenario.h"
#include "simvisor/v1/domain_service.grpc.pb.h"
#include "simvisor/v1/memory_service.grpc.pb.h"

namespace simvisor::bench {
namespace {

constexpr uint64_t kPages = uint64_t{1} << 24;  // 64 GiB
constexpr uint64_t kLookups = 1000;
constexpr unsigned kLookupSeed = 1;

absl::StatusOr<uint32_t> CreateGuest(const Connections& connections) {
  using Stub = v1::DomainService::Stub;
  uint32_t domid = 0;
  const auto fill = [](uint64_t /*i*/, v1::CreateDomainRequest& request) {
    request.mutable_spec()->set_name(absl::StrCat("bench-", getpid()));
    request.mutable_spec()->set_memory_pages(kPages);
  };
  const auto take = [&domid](uint64_t /*i*/,
                             const v1::CreateDomainResponse& response) {
    domid = response.domain().domid();
    return absl::OkStatus();
  };
  SIMVISOR_RETURN_IF_ERROR(
      Run(connections,
          Load<Stub, v1::CreateDomainRequest, v1::CreateDomainResponse>{
              .name = "CreateDomain",
              .start = &Stub::AsyncCreateDomain,
              .calls = 1,
              .in_flight = 1,
              .fill = fill,
              .take = take})
          .status());
  return domid;
}

absl::Status DestroyGuest(const Connections& connections, uint32_t domid) {
  using Stub = v1::DomainService::Stub;
  const auto fill = [domid](uint64_t /*i*/, v1::DestroyDomainRequest& request) {
    request.mutable_domain()->set_domid(domid);
  };
  return Run(connections,
             Load<Stub, v1::DestroyDomainRequest, v1::DestroyDomainResponse>{
                 .name = "DestroyDomain",
                 .start = &Stub::AsyncDestroyDomain,
                 .calls = 1,
                 .in_flight = 1,
                 .fill = fill,
                 .take = nullptr})
      .status();
}

// Looks up `pfns` repeatedly.
absl::StatusOr<Outcome> LookUp(const Connections& connections, uint32_t domid,
                               const std::vector<uint64_t>& pfns,
                               uint64_t calls) {
  using Stub = v1::MemoryService::Stub;
  const auto fill = [&](uint64_t /*i*/, v1::TranslatePfnsRequest& request) {
    if (request.pfns_size() > 0) return;
    request.mutable_domain()->set_domid(domid);
    request.mutable_pfns()->Add(pfns.begin(), pfns.end());
  };
  const auto take = [&](uint64_t /*i*/,
                        const v1::TranslatePfnsResponse& response) {
    const auto got = static_cast<size_t>(response.frames_size());
    if (got == pfns.size()) return absl::OkStatus();
    return absl::InternalError(
        absl::StrCat(got, " frames for ", pfns.size(), " pfns"));
  };
  return Run(connections,
             Load<Stub, v1::TranslatePfnsRequest, v1::TranslatePfnsResponse>{
                 .name = "TranslatePfns",
                 .start = &Stub::AsyncTranslatePfns,
                 .calls = calls,
                 .in_flight = 1,
                 .fill = fill,
                 .take = take});
}

std::vector<uint64_t> RandomPfns(size_t count) {
  std::mt19937_64 random(kLookupSeed);
  std::vector<uint64_t> pfns(count);
  for (uint64_t& pfn : pfns) pfn = random() % kPages;
  return pfns;
}

absl::Status MeasureSize(const Connections& connections, uint32_t domid,
                         size_t size, uint64_t calls, int rounds,
                         Report& report) {
  const std::vector<uint64_t> pfns = RandomPfns(size);
  std::vector<double> empty_rates;
  std::vector<double> rates;
  std::vector<double> call_ratios;
  for (int round = 0; round < rounds; ++round) {
    SIMVISOR_ASSIGN_OR_RETURN(const Outcome empty,
                              RunEmptyCalls(connections, kLookups, 1));
    SIMVISOR_ASSIGN_OR_RETURN(const Outcome looked,
                              LookUp(connections, domid, pfns, calls));
    empty_rates.push_back(empty.rate());
    rates.push_back(looked.rate());
    call_ratios.push_back(looked.rate() / empty.rate());
  }
  const std::string name = absl::StrCat("lookup/", size, "_pfns");
  report.Add(absl::StrCat(name, "/empty"), empty_rates, "calls/s");
  report.Add(absl::StrCat(name, "/calls"), rates, "calls/s",
             absl::StrCat(name, "/empty"), call_ratios);
  for (double& rate : rates) rate *= static_cast<double>(size);
  report.Add(name, rates, "lookups/s");
  return absl::OkStatus();
}

}  // namespace

absl::Status MeasureLookup(const Site& site, const Options& options,
                           Report& report) {
  SIMVISOR_ASSIGN_OR_RETURN(const Connections connections,
                            Connect(site.address, 1));
  SIMVISOR_ASSIGN_OR_RETURN(const uint32_t domid, CreateGuest(connections));
  SIMVISOR_RETURN_IF_ERROR(
      MeasureSize(connections, domid, 1, kLookups, options.rounds, report));
  SIMVISOR_RETURN_IF_ERROR(
      MeasureSize(connections, domid, 65536, 20, options.rounds, report));
  return DestroyGuest(connections, domid);
}

}  // namespace simvisor::bench
