// Converts between FaultService's messages and rules.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_FAULTS_CONVERT_FAULT_H_
#define SIMVISOR_SERVER_FAULTS_CONVERT_FAULT_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/machine/fault_injector.h"
#include "server/machine/fault_points.h"
#include "simvisor/v1/fault_service.pb.h"

namespace simvisor::server {

// A rule within all bounds, as FaultInjector::Add() requires.  `field` is the
// path of `rule` in the request.  INVALID_ARGUMENT ARGUMENT_MISSING,
// ARGUMENT_MALFORMED, ARGUMENT_TOO_LARGE.
absl::StatusOr<FaultRule> FromProto(absl::string_view field,
                                    const v1::FaultRule& rule);

void ToProto(const FaultRuleState& state, v1::Fault* out);
void ToProto(const FaultPointInfo& point, v1::FaultPoint* out);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_FAULTS_CONVERT_FAULT_H_
