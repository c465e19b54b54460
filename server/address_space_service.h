// AddressSpaceService of the API.  See its .proto for the contract of each
// method.
//
// Thread safety: thread-safe; gRPC calls the methods from its own threads.

#ifndef SIMVISOR_SERVER_ADDRESS_SPACE_SERVICE_H_
#define SIMVISOR_SERVER_ADDRESS_SPACE_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "domain/host/host.h"
#include "server/call_runner.h"
#include "simvisor/v1/address_space_service.grpc.pb.h"

namespace simvisor::server {

class AddressSpaceServiceImpl final
    : public v1::AddressSpaceService::CallbackService {
 public:
  // Both outlive the server that this service is registered with.
  AddressSpaceServiceImpl(Host* host, CallRunner* runner)
      : host_(host), runner_(runner) {}

  grpc::ServerUnaryReactor* CreateAddressSpaces(
      grpc::CallbackServerContext* context,
      const v1::CreateAddressSpacesRequest* request,
      v1::CreateAddressSpacesResponse* response) override;
  grpc::ServerUnaryReactor* DestroyAddressSpaces(
      grpc::CallbackServerContext* context,
      const v1::DestroyAddressSpacesRequest* request,
      v1::DestroyAddressSpacesResponse* response) override;
  grpc::ServerWriteReactor<v1::ListAddressSpacesResponse>* ListAddressSpaces(
      grpc::CallbackServerContext* context,
      const v1::ListAddressSpacesRequest* request) override;
  grpc::ServerUnaryReactor* TranslateInAddressSpace(
      grpc::CallbackServerContext* context,
      const v1::TranslateInAddressSpaceRequest* request,
      v1::TranslateInAddressSpaceResponse* response) override;
  grpc::ServerUnaryReactor* SyncAddressSpaces(
      grpc::CallbackServerContext* context,
      const v1::SyncAddressSpacesRequest* request,
      v1::SyncAddressSpacesResponse* response) override;

 private:
  Host* const host_;
  CallRunner* const runner_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_ADDRESS_SPACE_SERVICE_H_
