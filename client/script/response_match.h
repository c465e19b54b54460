// Compares a response with what a script expects of it, in part.
//
// A field that the script names must be equal in the response, one that it does
// not name may be anything, and a repeated field must have the same elements in
// number and, each compared in part, in order.  proto3 does not tell an
// explicit default from no field at all; the locations that the text parser
// recorded do.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_SCRIPT_RESPONSE_MATCH_H_
#define SIMVISOR_CLIENT_SCRIPT_RESPONSE_MATCH_H_

#include <string>
#include <vector>

#include "google/protobuf/message.h"
#include "google/protobuf/text_format.h"

namespace simvisor::client {

// One line for each difference, such as "modified: domain.domid: 1 -> 2", where
// the expected value stands first; empty if `actual` matches.  `locations` may
// be null.  REQUIRES: both messages are of one type.
std::vector<std::string> FindMismatches(
    const google::protobuf::Message& expected,
    const google::protobuf::Message& actual,
    google::protobuf::TextFormat::ParseInfoTree* locations);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_SCRIPT_RESPONSE_MATCH_H_
