// The source of AddressSpaceService's stream: the address spaces of a domain.
//
// Thread safety: one thread at a time per object.

#ifndef SIMVISOR_SERVER_GUESTS_ADDRESS_SPACE_SOURCE_H_
#define SIMVISOR_SERVER_GUESTS_ADDRESS_SPACE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "domain/host/host.h"
#include "domain/processes/address_space_types.h"
#include "domain/vm/domain.h"
#include "server/calls/progress.h"
#include "simvisor/v1/address_space_service.pb.h"

namespace simvisor::server {

class AddressSpaceSource {
 public:
  // Most address spaces in one response, as the API states.
  static constexpr size_t kMaxSpaces = 4096;

  // DOMAIN_NOT_FOUND, or errors about the fields of the request.
  static absl::StatusOr<AddressSpaceSource> Create(
      const Host& host, const v1::ListAddressSpacesRequest& request);

  // At most kMaxSpaces by ascending id, with totals; for a domain without
  // address spaces, one response with only totals.  Errors: as
  // DomainProcesses::List().
  absl::StatusOr<Progress> Next(v1::ListAddressSpacesResponse* response);

 private:
  AddressSpaceSource() = default;

  std::shared_ptr<Domain> domain_;
  uint64_t next_id_ = 0;
  std::vector<AddressSpaceInfo> spaces_;
};

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_GUESTS_ADDRESS_SPACE_SOURCE_H_
