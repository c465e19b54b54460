// The methods of MemoryService as gRPC is to hand them over: those of messages
// as CallbackService does, and StreamMemoryOps with its messages as they come
// from the wire.  For gRPC would take a message that it cannot parse for the
// end of the stream, and it would parse on its own threads.
//
// Thread safety: as gRPC's service classes.

#ifndef SIMVISOR_SERVER_MEMORY_SERVICE_BASE_H_
#define SIMVISOR_SERVER_MEMORY_SERVICE_BASE_H_

#include "simvisor/v1/memory_service.grpc.pb.h"

namespace simvisor::server {
namespace memory_service_internal {

template <template <typename> class... Methods>
struct Wrap {
  using Type = v1::MemoryService::Service;
};
template <template <typename> class First, template <typename> class... Rest>
struct Wrap<First, Rest...> {
  using Type = First<typename Wrap<Rest...>::Type>;
};

using Memory = v1::MemoryService;
using Base = Wrap<Memory::WithCallbackMethod_BalloonDown,
                  Memory::WithCallbackMethod_BalloonUp,
                  Memory::WithCallbackMethod_SetMemoryTarget,
                  Memory::WithCallbackMethod_SetMaxMemory,
                  Memory::WithCallbackMethod_MarkIdentityRange,
                  Memory::WithCallbackMethod_SetP2mRange,
                  Memory::WithCallbackMethod_TranslatePfns,
                  Memory::WithCallbackMethod_TranslateMfns,
                  Memory::WithCallbackMethod_MapForeignFrames,
                  Memory::WithCallbackMethod_UnmapForeignFrames,
                  Memory::WithCallbackMethod_ListP2mRuns,
                  Memory::WithCallbackMethod_GetP2mSummary,
                  Memory::WithCallbackMethod_GetMfnListList,
                  Memory::WithCallbackMethod_ReadGuestMemory,
                  Memory::WithCallbackMethod_WriteGuestMemory,
                  Memory::WithRawCallbackMethod_StreamMemoryOps>::Type;

}  // namespace memory_service_internal

using MemoryServiceBase = memory_service_internal::Base;

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_MEMORY_SERVICE_BASE_H_
