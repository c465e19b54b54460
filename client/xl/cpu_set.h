// Sets of CPUs in xl's syntax: "all", "0-3,5,^1", "nodes:0".
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

// Parses pieces between commas; each changes the result of the pieces before
// it: N and N-M add CPUs, ^ before one removes them, "all" adds all of them.
// After node: or nodes: the numbers are NUMA nodes; there is one node, node 0,
// with all CPUs.
//
// The size of the host is not needed: a part that reaches its last CPU becomes
// a range with count 0, and the full set has no range.  The daemon checks
// whether the host has the CPUs named.
//
// INVALID_ARGUMENT with xl's message for a malformed piece, and for an empty
// set.  Source: xl's cpurange_parse().
absl::StatusOr<v1::CpuSet> ParseCpuSet(absl::string_view text);

// "all" or "0,2-3,5", as xl prints a bitmap of `host_cpus` bits.
std::string FormatCpuSet(const v1::CpuSet& set, uint32_t host_cpus);

}  // namespace simvisor::client

#endif  // SIMVISOR_CLIENT_XL_CPU_SET_H_
