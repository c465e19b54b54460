// Why protobuf does not parse a message: it does not say that text is not
// UTF-8, nor where.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_CALLS_TEXT_FIELDS_H_
#define SIMVISOR_SERVER_CALLS_TEXT_FIELDS_H_

#include <optional>
#include <string>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/coded_stream.h"

namespace simvisor::server {

// "spec.name: byte 0xef at offset 5 is not UTF-8", of the first string of a
// message of `type` that is not UTF-8; nullopt if there is none before the
// stream ends or stops being such a message.
std::optional<std::string> FindNonUtf8Field(
    google::protobuf::io::CodedInputStream& stream,
    const google::protobuf::Descriptor& type);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_TEXT_FIELDS_H_
