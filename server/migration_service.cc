#include "server/migration_service.h"

#include "server/restore_call.h"
#include "server/save_call.h"

namespace simvisor::server {

grpc::ServerBidiReactor<v1::SaveDomainRequest, v1::SaveDomainResponse>*
MigrationServiceImpl::SaveDomain(grpc::CallbackServerContext* context) {
  auto* const call = new SaveCall(host_, runner_, context);
  call->Start();
  return call;
}

grpc::ServerReadReactor<v1::RestoreDomainRequest>*
MigrationServiceImpl::RestoreDomain(grpc::CallbackServerContext* context,
                                    v1::RestoreDomainResponse* response) {
  auto* const call = new RestoreCall(host_, runner_, context, response);
  call->Start();
  return call;
}

}  // namespace simvisor::server
