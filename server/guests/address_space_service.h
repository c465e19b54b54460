// AddressSpaceService of the API.  See its .proto for the contract of each
// method.
//
// Thread safety: thread-safe; gRPC calls the methods from its own threads.

#ifndef SIMVISOR_SERVER_GUESTS_ADDRESS_SPACE_SERVICE_H_
#define SIMVISOR_SERVER_GUESTS_ADDRESS_SPACE_SERVICE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "server/calls/call_runner.h"
#include "server/calls/raw_service.h"
#include "simvisor/v1/address_space_service.grpc.pb.h"

namespace simvisor::server {

using AddressSpaceServiceBase = RawService<
    v1::AddressSpaceService,
    v1::AddressSpaceService::WithRawCallbackMethod_CreateAddressSpaces,
    v1::AddressSpaceService::WithRawCallbackMethod_DestroyAddressSpaces,
    v1::AddressSpaceService::WithRawCallbackMethod_ListAddressSpaces,
    v1::AddressSpaceService::WithRawCallbackMethod_TranslateInAddressSpace,
    v1::AddressSpaceService::WithRawCallbackMethod_SyncAddressSpaces>;

class AddressSpaceServiceImpl final : public AddressSpaceServiceBase {
 public:
  // `runner` outlives the server that this service is registered with.
  explicit AddressSpaceServiceImpl(CallRunner* runner) : runner_(runner) {}

  grpc::ServerUnaryReactor* CreateAddressSpaces(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
      grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* DestroyAddressSpaces(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
      grpc::ByteBuffer* out) override;
  RawWriteReactor* ListAddressSpaces(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* in) override;
  grpc::ServerUnaryReactor* TranslateInAddressSpace(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
      grpc::ByteBuffer* out) override;
  grpc::ServerUnaryReactor* SyncAddressSpaces(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
      grpc::ByteBuffer* out) override;

 private:
  CallRunner* const runner_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_GUESTS_ADDRESS_SPACE_SERVICE_H_
