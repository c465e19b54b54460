// Where the daemon is: the grammar of addresses and the default one.
//
// An address is unix:PATH or HOST:PORT; an IPv6 host stands in brackets.
//
// Thread safety: pure functions, except DefaultAddress(), which reads the
// environment.

#ifndef SIMVISOR_CLIENT_API_ADDRESS_H_
#define SIMVISOR_CLIENT_API_ADDRESS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace simvisor::client {

// INVALID_ARGUMENT, with the grammar in the message, unless `address` is one.
absl::Status CheckAddress(absl::string_view address);

// What the default address depends on; empty strings stand for unset.
struct AddressSources {
  std::string simvisor_address;  // $SIMVISOR_ADDRESS
  std::string runtime_dir;       // $XDG_RUNTIME_DIR
  unsigned uid = 0;
};

// $SIMVISOR_ADDRESS, or else $XDG_RUNTIME_DIR/simvisor.sock, or else
// /run/simvisor.sock for root and /tmp/simvisor-UID/simvisor.sock for others:
// where simvisord of the same user listens if it is not told.
std::string ChooseAddress(const AddressSources& sources);

// ChooseAddress() for this process.
std::string DefaultAddress();

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_API_ADDRESS_H_
