// Memory that incoming images hold, not counting the pages of their guests.
//
// Each image charges what it keeps to one budget of the host
// (HostConfig::max_image_memory) before it allocates: lists and sets of pfns,
// incomplete records, the kernel's notes.
//
// Thread safety: constants and pure functions.

#ifndef SIMVISOR_DOMAIN_IMAGE_IMAGE_MEMORY_H_
#define SIMVISOR_DOMAIN_IMAGE_IMAGE_MEMORY_H_

#include <cstdint>

#include "absl/status/status.h"
#include "base/byte_budget.h"

namespace simvisor {

// One extent of a PfnSet, in a tree whose nodes are half full.
inline constexpr uint64_t kBytesPerStretch = 40;
// The most memory that a byte of the kernel's notes takes while it is read,
// including the byte: an extent takes three bytes or more.
inline constexpr uint64_t kBytesPerNotesByte = 10;
// Memory that a byte of a JSON configuration takes while it is read.
inline constexpr uint64_t kBytesPerConfigByte = 48;

// RESOURCE_EXHAUSTED IMAGE_MEMORY_EXHAUSTED for an image that would hold
// `wanted` bytes, more than the budget of `charge` allows.
absl::Status ImageMemoryExhausted(uint64_t wanted, const ByteCharge& charge);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_IMAGE_IMAGE_MEMORY_H_
