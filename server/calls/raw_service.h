// A service whose methods get their messages as bytes (raw_message.h).
//
// Thread safety: as gRPC's service classes.

#ifndef SIMVISOR_SERVER_CALLS_RAW_SERVICE_H_
#define SIMVISOR_SERVER_CALLS_RAW_SERVICE_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

namespace simvisor::server {

using RawReadReactor = grpc::ServerReadReactor<grpc::ByteBuffer>;
using RawWriteReactor = grpc::ServerWriteReactor<grpc::ByteBuffer>;
using RawBidiReactor =
    grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

namespace raw_service_internal {

template <typename Service, template <typename> class... Methods>
struct Wrap {
  using Type = typename Service::Service;
};
template <typename Service, template <typename> class First,
          template <typename> class... Rest>
struct Wrap<Service, First, Rest...> {
  using Type = First<typename Wrap<Service, Rest...>::Type>;
};

}  // namespace raw_service_internal

// `Methods` are all of the service's WithRawCallbackMethod_...; one that is
// left out answers UNIMPLEMENTED.
template <typename Service, template <typename> class... Methods>
using RawService =
    typename raw_service_internal::Wrap<Service, Methods...>::Type;

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_RAW_SERVICE_H_
