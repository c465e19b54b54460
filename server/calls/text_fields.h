// Finds the text that makes protobuf refuse a message: protobuf does not say
// that, or where, text is not UTF-8.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_CALLS_TEXT_FIELDS_H_
#define SIMVISOR_SERVER_CALLS_TEXT_FIELDS_H_

#include <optional>
#include <string>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/coded_stream.h"

namespace simvisor::server {

// "spec.name: byte 0xef at offset 5 is not UTF-8", for the first string in a
// message of `type` that is not UTF-8; nullopt if all strings are UTF-8 up to
// the end of the stream or the first byte that cannot be parsed.
std::optional<std::string> FindNonUtf8Field(
    google::protobuf::io::CodedInputStream& stream,
    const google::protobuf::Descriptor& type);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_TEXT_FIELDS_H_
