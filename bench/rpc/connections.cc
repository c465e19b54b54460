#include "bench/rpc/connections.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "client/api/address.h"

namespace simvisor::bench {
namespace {

constexpr absl::Duration kConnectLimit = absl::Seconds(5);

}  // namespace

absl::StatusOr<Connections> Connect(const std::string& address, int count) {
  SIMVISOR_RETURN_IF_ERROR(client::CheckAddress(address));
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // Otherwise channels to the same address share one connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  Connections connections;
  for (int i = 0; i < count; ++i) {
    connections.push_back(grpc::CreateCustomChannel(
        address, grpc::InsecureChannelCredentials(), arguments));
    const auto deadline = absl::ToChronoTime(absl::Now() + kConnectLimit);
    if (!connections.back()->WaitForConnected(deadline)) {
      return absl::UnavailableError(
          absl::StrCat("cannot reach ", address, "; is simvisord running?"));
    }
  }
  return connections;
}

}  // namespace simvisor::bench
