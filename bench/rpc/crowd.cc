#include "bench/rpc/crowd.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "simvisor/v1/domain_service.grpc.pb.h"

namespace simvisor::bench {

absl::StatusOr<Outcome> Crowd::Create(const Connections& connections,
                                      int in_flight) {
  using Stub = v1::DomainService::Stub;
  return Run(
      connections,
      Load<Stub, v1::CreateDomainRequest, v1::CreateDomainResponse>{
          .name = "CreateDomain",
          .start = &Stub::AsyncCreateDomain,
          .calls = size(),
          .in_flight = in_flight,
          .fill =
              [](uint64_t i, v1::CreateDomainRequest& request) {
                v1::DomainSpec& spec = *request.mutable_spec();
                spec.set_name(absl::StrCat("bench-", getpid(), "-", i));
                spec.set_memory_pages(kPages);
              },
          .take =
              [this](uint64_t i, const v1::CreateDomainResponse& response) {
                domids_[i] = response.domain().domid();
                return absl::OkStatus();
              }});
}

absl::StatusOr<Outcome> Crowd::Destroy(const Connections& connections,
                                       int in_flight) {
  using Stub = v1::DomainService::Stub;
  return Run(connections,
             Load<Stub, v1::DestroyDomainRequest, v1::DestroyDomainResponse>{
                 .name = "DestroyDomain",
                 .start = &Stub::AsyncDestroyDomain,
                 .calls = size(),
                 .in_flight = in_flight,
                 .fill =
                     [this](uint64_t i, v1::DestroyDomainRequest& request) {
                       request.mutable_domain()->set_domid(domid(i));
                     },
                 .take = nullptr});
}

}  // namespace simvisor::bench
