// Compares a response with what a script expects, field by field.
//
// A field that the script names must be equal in the response; a field that it
// does not name may have any value.  A repeated field must have the same number
// of elements, and they are compared in order in the same way.  proto3 cannot
// tell an explicit default from a missing field; the locations that the text
// parser recorded can.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_SCRIPT_RESPONSE_MATCH_H_
#define SIMVISOR_CLIENT_SCRIPT_RESPONSE_MATCH_H_

#include <string>
#include <vector>

#include "google/protobuf/message.h"
#include "google/protobuf/text_format.h"

namespace simvisor::client {

// One line per difference, such as "modified: domain.domid: 1 -> 2", with the
// expected value first; empty if `actual` matches.  `locations` may be null.
// REQUIRES: both messages have the same type.
std::vector<std::string> FindMismatches(
    const google::protobuf::Message& expected,
    const google::protobuf::Message& actual,
    google::protobuf::TextFormat::ParseInfoTree* locations);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SCRIPT_RESPONSE_MATCH_H_
