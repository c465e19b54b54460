// What a source of stream chunks returns for each chunk.
//
// A source has a method `absl::StatusOr<Progress> Next(Response* chunk)` that
// fills an empty chunk within the bounds of the API.
//
// Thread safety: plain values.

#ifndef SIMVISOR_SERVER_CALLS_PROGRESS_H_
#define SIMVISOR_SERVER_CALLS_PROGRESS_H_

namespace simvisor::server {

// Whether more chunks follow the one just filled.
enum class Progress { kMore, kLast };

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_CALLS_PROGRESS_H_
