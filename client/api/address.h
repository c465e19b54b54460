// The daemon's address: the grammar of addresses, and the default address.
//
// An address is unix:PATH or HOST:PORT; an IPv6 host is written in brackets.
//
// Thread safety: pure functions, except DefaultAddress(), which reads the
// environment.

#ifndef SIMVISOR_CLIENT_API_ADDRESS_H_
#define SIMVISOR_CLIENT_API_ADDRESS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace simvisor::client {

// INVALID_ARGUMENT, with the grammar in the message, if `address` is malformed.
absl::Status CheckAddress(absl::string_view address);

// `address` as gRPC's name for what to call.
// REQUIRES: CheckAddress(address) is OK.
std::string GrpcTarget(absl::string_view address);

// What the default address depends on; an empty string means unset.
struct AddressSources {
  std::string simvisor_address;  // $SIMVISOR_ADDRESS
  std::string runtime_dir;       // $XDG_RUNTIME_DIR
  unsigned uid = 0;
};

// $SIMVISOR_ADDRESS, else $XDG_RUNTIME_DIR/simvisor.sock, else
// /run/simvisor.sock for root and /tmp/simvisor-UID/simvisor.sock for others:
// the default address of a simvisord of the same user.
std::string ChooseAddress(const AddressSources& sources);

// ChooseAddress() for this process.
std::string DefaultAddress();

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_ADDRESS_H_
