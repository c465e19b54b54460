// Sets of CPUs in xl's words: "all", "0-3,5,^1", "nodes:0".
//
// Thread safety: pure functions.

#ifndef SIMVISOR_CLIENT_XL_CPU_SET_H_
#define SIMVISOR_CLIENT_XL_CPU_SET_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "simvisor/v1/common.pb.h"

namespace simvisor::client {

// Pieces between commas, each acting on what those before it have left: N and
// N-M add CPUs, ^ before one takes them away, "all" adds all of them.  After
// node: or nodes: the numbers are those of NUMA nodes; there is one, node 0,
// with all CPUs.
//
// "all" needs no knowledge of the host: what reaches its last CPU comes out as
// a range with count 0, and the full set as no range.  Whether the host has a
// CPU that is named is left to the daemon.
//
// INVALID_ARGUMENT with xl's message for a piece that is none, and for a set
// without any CPU.  Source: xl's cpurange_parse().
absl::StatusOr<v1::CpuSet> ParseCpuSet(absl::string_view text);

// "all" or "0,2-3,5", as xl prints a bitmap of `host_cpus` bits.
std::string FormatCpuSet(const v1::CpuSet& set, uint32_t host_cpus);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_XL_CPU_SET_H_
