// What images on their way in hold, beside the pages of their guests.
//
// Each image charges what it keeps to one budget of the host's
// (HostConfig::max_image_memory) before it takes it: lists and sets of pfns,
// records that are not complete, the kernel's notes.
//
// Thread safety: constants and pure functions.

#ifndef SIMVISOR_DOMAIN_IMAGE_IMAGE_MEMORY_H_
#define SIMVISOR_DOMAIN_IMAGE_IMAGE_MEMORY_H_

#include <cstdint>

#include "absl/status/status.h"
#include "base/byte_budget.h"

namespace simvisor {

// An extent of a PfnSet, in a tree whose nodes are half full.
inline constexpr uint64_t kBytesPerStretch = 40;
// What a byte of the kernel's notes becomes at most while it is read, itself
// included: an extent takes three or more.
inline constexpr uint64_t kBytesPerNotesByte = 10;
// What a byte of a configuration in JSON becomes while it is read.
inline constexpr uint64_t kBytesPerConfigByte = 48;

// RESOURCE_EXHAUSTED IMAGE_MEMORY_EXHAUSTED for an image that would hold
// `wanted` bytes, and whose `charge` could not be made as large.
absl::Status ImageMemoryExhausted(uint64_t wanted, const ByteCharge& charge);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_IMAGE_IMAGE_MEMORY_H_
