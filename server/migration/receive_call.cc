#include "server/migration/receive_call.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "server/convert/argument.h"
#include "server/convert/domain.h"
#include "server/images/xl_config.h"
#include "server/machine/memory_reserve.h"
#include "server/migration/convert_migration.h"

namespace simvisor::server {
namespace {

absl::StatusOr<DomainSpec> SpecOf(const std::optional<std::string>& config) {
  if (config.has_value()) return ParseXlConfig(*config);
  return ArgumentMalformed("data",
                           "the stream must be an image of the xl layer");
}

}  // namespace

ReceiveCall::ReceiveCall(CallRunner* runner, IncomingMigrations* migrations,
                         grpc::CallbackServerContext* context)
    : PooledBidiReactor(runner, &runner->images, context, "ReceiveDomain"),
      session_(&runner->machine, migrations, SpecOf,
               [this](const absl::Status& why) { watch_.Interrupt(why); }) {}

void ReceiveCall::Take() {
  const absl::Status taken = UnlessExhausted([this] {
    return request_.Take(runner_->messages, record_.method(), read_);
  });
  if (!taken.ok()) return End(taken);
  // Every message except data is progress, whatever its size.
  if (request_->step_case() == v1::ReceiveDomainRequest::kData) {
    watch_.Moved(request_->data().size());
  } else {
    watch_.Moved();
  }
  GoOn(UnlessExhausted([this] { return Handle(); }));
}

absl::StatusOr<TargetSession::Next> ReceiveCall::Handle() {
  if (!session_.has_offer() && request_->has_offer()) {
    SIMVISOR_RETURN_IF_ERROR(limits_());
    SIMVISOR_RETURN_IF_ERROR(CheckOffer(request_->offer()));
  }
  return session_.Take(FromProto(*request_), limits_);
}

void ReceiveCall::Written() {
  GoOn(UnlessExhausted([this] { return session_.Sent(); }));
}

void ReceiveCall::GoOn(const absl::StatusOr<TargetSession::Next>& next) {
  if (!next.ok()) return End(next.status());
  request_.Clear();
  switch (*next) {
    case TargetSession::Next::kRead:
      return Read();
    case TargetSession::Next::kAnswer:
      return Answer();
    case TargetSession::Next::kEnd:
      return End(absl::OkStatus());
  }
}

void ReceiveCall::Answer() {
  const absl::Status written = UnlessExhausted([this]() -> absl::Status {
    v1::ReceiveDomainResponse response;
    switch (session_.answer()) {
      case TargetAnswer::kAdmitted:
        response.mutable_admitted();
        break;
      case TargetAnswer::kPrepared:
        response.mutable_prepared();
        break;
      case TargetAnswer::kCommitted:
        ToProto(session_.domain()->Info(),
                response.mutable_committed()->mutable_domain());
        break;
      case TargetAnswer::kNone:
        break;
    }
    WriteMessageAlways(runner_->messages, response, write_);
    return absl::OkStatus();
  });
  if (!written.ok()) return End(written);
  Write();
}

void ReceiveCall::Break() {
  const absl::Status limits = limits_();
  End(limits.ok() ? MakeError(absl::StatusCode::kInvalidArgument,
                              Reason::kImageTruncated,
                              absl::StrCat("receive: the source ended the "
                                           "stream before the migration was "
                                           "done"))
                  : limits);
}

void ReceiveCall::End(const absl::Status& status) {
  session_.End(status);
  PooledBidiReactor::End(status);
}

}  // namespace simvisor::server
