// The unary methods that Client::Call() knows, and the response to each
// request.
//
// Every method has its own request type, so the type of the request selects the
// method.  To call a new method, add its line here; a new service also needs a
// stub in client.cc.

#ifndef SIMVISOR_CLIENT_API_UNARY_METHODS_H_
#define SIMVISOR_CLIENT_API_UNARY_METHODS_H_

#include "simvisor/v1/address_space_service.pb.h"
#include "simvisor/v1/domain_service.pb.h"
#include "simvisor/v1/fault_service.pb.h"
#include "simvisor/v1/guest_load_service.pb.h"
#include "simvisor/v1/host_service.pb.h"
#include "simvisor/v1/memory_service.pb.h"
#include "simvisor/v1/migration_service.pb.h"
#include "simvisor/v1/secondary_mmu_service.pb.h"

// Expands METHOD(service, name) for each method.
#define SIMVISOR_UNARY_METHODS(METHOD)                 \
  METHOD(HostService, GetHost)                         \
  METHOD(HostService, AuditHost)                       \
  METHOD(DomainService, CreateDomain)                  \
  METHOD(DomainService, GetDomain)                     \
  METHOD(DomainService, ListDomains)                   \
  METHOD(DomainService, DestroyDomain)                 \
  METHOD(DomainService, PauseDomain)                   \
  METHOD(DomainService, UnpauseDomain)                 \
  METHOD(DomainService, RenameDomain)                  \
  METHOD(DomainService, SetVcpuAffinity)               \
  METHOD(DomainService, ListVcpus)                     \
  METHOD(MemoryService, BalloonDown)                   \
  METHOD(MemoryService, BalloonUp)                     \
  METHOD(MemoryService, SetMemoryTarget)               \
  METHOD(MemoryService, SetMaxMemory)                  \
  METHOD(MemoryService, MarkIdentityRange)             \
  METHOD(MemoryService, SetP2mRange)                   \
  METHOD(MemoryService, TranslatePfns)                 \
  METHOD(MemoryService, TranslateMfns)                 \
  METHOD(MemoryService, MapForeignFrames)              \
  METHOD(MemoryService, UnmapForeignFrames)            \
  METHOD(MemoryService, GetP2mSummary)                 \
  METHOD(MemoryService, GetMfnListList)                \
  METHOD(MemoryService, ReadGuestMemory)               \
  METHOD(MemoryService, WriteGuestMemory)              \
  METHOD(AddressSpaceService, CreateAddressSpaces)     \
  METHOD(AddressSpaceService, DestroyAddressSpaces)    \
  METHOD(AddressSpaceService, TranslateInAddressSpace) \
  METHOD(AddressSpaceService, SyncAddressSpaces)       \
  METHOD(GuestLoadService, StartGuestLoad)             \
  METHOD(GuestLoadService, GetGuestLoad)               \
  METHOD(GuestLoadService, StopGuestLoad)              \
  METHOD(GuestLoadService, CheckGuestLoad)             \
  METHOD(MigrationService, ListMigrations)             \
  METHOD(MigrationService, ResolveMigration)           \
  METHOD(FaultService, AddFault)                       \
  METHOD(FaultService, ListFaults)                     \
  METHOD(FaultService, RemoveFaults)                   \
  METHOD(FaultService, SetFaultInjection)              \
  METHOD(SecondaryMmuService, ListSecondaryMmus)       \
  METHOD(SecondaryMmuService, SampleAccessed)          \
  METHOD(SecondaryMmuService, FenceSecondaryMmu)

namespace simvisor::client {

// The unary method that takes a Request.  Not defined for other types.
template <typename Request>
struct UnaryMethod;

#define SIMVISOR_UNARY_METHOD(service, name) \
  template <>                                \
  struct UnaryMethod<v1::name##Request> {    \
    using Response = v1::name##Response;     \
  };
SIMVISOR_UNARY_METHODS(SIMVISOR_UNARY_METHOD)
#undef SIMVISOR_UNARY_METHOD

template <typename Request>
using ResponseTo = typename UnaryMethod<Request>::Response;

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_UNARY_METHODS_H_
