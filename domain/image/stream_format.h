// The constants of Xen's save images: the libxc stream (version 3; version 2 is
// read too) and the libxl and xl layers around it.
//
// Sizes and offsets are in bytes.  Source: docs/specs of Xen (libxc and libxl
// migration stream), xg_sr_stream_format.h, xl.h; offsets inside guest
// structures were found by compiling the public headers.
//
// Thread safety: constants.

#ifndef SIMVISOR_DOMAIN_IMAGE_STREAM_FORMAT_H_
#define SIMVISOR_DOMAIN_IMAGE_STREAM_FORMAT_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "domain/units/abi.h"

namespace simvisor {

// How many of Xen's layers an image has: xl wraps libxl, which wraps libxc.
enum class ImageLayer { kLibxc, kLibxl, kXl };

// --- libxc -------------------------------------------------------------------

inline constexpr size_t kImageHeaderBytes = 24;   // always big-endian
inline constexpr size_t kDomainHeaderBytes = 16;  // little-endian on x86
inline constexpr size_t kRecordHeaderBytes = 8;
inline constexpr uint64_t kImageMarker = ~uint64_t{0};
inline constexpr uint32_t kImageId = 0x58454E46;
inline constexpr uint32_t kImageVersion = 3;
inline constexpr uint32_t kOldestImageVersion = 2;
inline constexpr uint16_t kOptionBigEndian = 1;
inline constexpr uint32_t kDomainX86Pv = 1;
inline constexpr uint32_t kDomainX86Hvm = 2;
// The most bytes in a body, when saving and when restoring.
inline constexpr uint64_t kMaxRecordBytes = uint64_t{128} << 20;
inline constexpr size_t kRecordAlignment = 8;

enum class RecordType : uint32_t {
  kEnd = 0x00,
  kPageData = 0x01,
  kX86PvInfo = 0x02,
  kX86PvP2mFrames = 0x03,
  kX86PvVcpuBasic = 0x04,
  kX86PvVcpuExtended = 0x05,
  kX86PvVcpuXsave = 0x06,
  kSharedInfo = 0x07,
  kX86TscInfo = 0x08,
  kHvmContext = 0x09,
  kHvmParams = 0x0A,
  kToolstack = 0x0B,
  kX86PvVcpuMsrs = 0x0C,
  kVerify = 0x0D,
  kCheckpoint = 0x0E,
  kCheckpointDirtyPfnList = 0x0F,
  kStaticDataEnd = 0x10,
  kX86CpuidPolicy = 0x11,
  kX86MsrPolicy = 0x12,
};
// A reader may skip a record of a type with this bit.
inline constexpr uint32_t kOptionalRecord = uint32_t{1} << 31;

// "PAGE_DATA"; "unknown" for numbers without a record.
absl::string_view RecordName(uint32_t type);

// Bits 63 to 60 of a pfn word in PAGE_DATA.
enum class PageType : uint8_t {
  kNormal = 0x0,
  kL1Table = 0x1,
  kL2Table = 0x2,
  kL3Table = 0x3,
  kL4Table = 0x4,
  kPinned = 0x8,  // combined with one of the four above
  kBroken = 0xD,
  kAllocate = 0xE,  // XALLOC: a frame without content
  kAbsent = 0xF,    // XTAB: no frame
};
inline constexpr int kPageTypeShift = 60;
inline constexpr uint64_t kEntryPfnMask = (uint64_t{1} << 52) - 1;

// Whether page bytes follow, and whether the restorer allocates a frame.
bool CarriesData(PageType type);
bool WantsFrame(PageType type);
// 1 to 4; 0 for a page that is not a page table.
int TableLevel(PageType type);
// False for 5 to 8, which are not page types.
bool IsPageType(uint64_t number);

// pfns in a batch, as in Xen's saver.
inline constexpr size_t kBatchPages = 1024;

// Lengths of record bodies, and limits on their content.
inline constexpr uint64_t kPvInfoBytes = 8;
inline constexpr uint64_t kTscInfoBytes = 24;
inline constexpr uint64_t kVcpuHeaderBytes = 8;
inline constexpr uint64_t kMaxExtendedBytes = 128;
inline constexpr uint64_t kMinXsaveBytes = 16;
inline constexpr uint64_t kMsrBytes = 16;
inline constexpr uint64_t kCpuidLeafBytes = 24;
inline constexpr uint64_t kMaxGdtEntries = 7168;
inline constexpr size_t kMaxGdtFrames = 16;
inline constexpr uint64_t kGdtEntriesPerFrame = 512;

// --- libxl and xl ------------------------------------------------------------

inline constexpr size_t kLibxlHeaderBytes = 16;  // big-endian
inline constexpr uint64_t kLibxlId = 0x4C6962786C466D74;
inline constexpr uint32_t kLibxlVersion = 2;
inline constexpr uint32_t kLibxlLegacy = 2;  // with kOptionBigEndian
inline constexpr uint32_t kLibxlEnd = 0;
inline constexpr uint32_t kLibxlContext = 1;
inline constexpr uint32_t kLibxlLastKnown = 5;

inline constexpr size_t kXlHeaderBytes = 48;  // native byte order
inline constexpr absl::string_view kXlMagic{
    "Xen saved domain, xl format\n \0 \r", 32};
inline constexpr uint32_t kXlByteOrder = 0x01020304;
inline constexpr uint32_t kXlConfigIsJson = 1;
inline constexpr uint32_t kXlStreamIsV2 = 2;
// A real configuration is far smaller.
inline constexpr uint32_t kMaxConfigBytes = 1 << 20;

// --- Structures of a guest ---------------------------------------------------

// Offsets inside shared_info, vcpu_guest_context and start_info.
struct GuestLayout {
  uint8_t width;   // bytes per word
  uint8_t levels;  // of page tables

  size_t evtchn_mask, evtchn_mask_bytes;
  size_t max_pfn, frame_list_list, p2m_cr3, p2m_vaddr, p2m_generation;

  size_t context_bytes;
  size_t flags, start_info, gdt_frames, gdt_entries, cr1, cr3;

  size_t nr_pages, store_mfn, console_mfn;
};

inline constexpr GuestLayout kLayoutX86_64 = {
    .width = 8,
    .levels = 4,
    .evtchn_mask = 2560,
    .evtchn_mask_bytes = 512,
    .max_pfn = 3088,
    .frame_list_list = 3096,
    .p2m_cr3 = 3112,
    .p2m_vaddr = 3120,
    .p2m_generation = 3128,
    .context_bytes = 5168,
    .flags = 512,
    .start_info = 616,
    .gdt_frames = 4832,
    .gdt_entries = 4960,
    .cr1 = 4992,
    .cr3 = 5008,
    .nr_pages = 32,
    .store_mfn = 56,
    .console_mfn = 72,
};
inline constexpr GuestLayout kLayoutX86_32Pae = {
    .width = 4,
    .levels = 3,
    .evtchn_mask = 2176,
    .evtchn_mask_bytes = 128,
    .max_pfn = 2316,
    .frame_list_list = 2320,
    .p2m_cr3 = 2328,
    .p2m_vaddr = 2332,
    .p2m_generation = 2336,
    .context_bytes = 2800,
    .flags = 512,
    .start_info = 524,
    .gdt_frames = 2640,
    .gdt_entries = 2704,
    .cr1 = 2720,
    .cr3 = 2728,
    .nr_pages = 32,
    .store_mfn = 44,
    .console_mfn = 52,
};

// Whether the offsets follow from each other as the members of Xen's structures
// do (public/xen.h, public/arch-x86/xen.h).
constexpr bool FollowsFromWidth(const GuestLayout& at) {
  const size_t w = at.width;
  constexpr size_t kVcpus = 32;
  constexpr size_t kVcpuInfoBytes = 64;
  const size_t events_bytes = 8 * w * w;
  const size_t time_bytes = w == 8 ? 16 : 12;
  // A 32-bit member, such as an evtchn_port_t, and its padding.
  const size_t narrow = w;
  return at.evtchn_mask_bytes == events_bytes &&
         at.evtchn_mask == kVcpus * kVcpuInfoBytes + events_bytes &&
         at.max_pfn == at.evtchn_mask + events_bytes + time_bytes &&
         at.frame_list_list == at.max_pfn + w &&
         at.p2m_cr3 == at.frame_list_list + 2 * w &&
         at.p2m_vaddr == at.p2m_cr3 + w &&
         at.p2m_generation == at.p2m_vaddr + w &&
         at.gdt_entries == at.gdt_frames + kMaxGdtFrames * w &&
         at.cr1 == at.gdt_entries + 4 * w && at.cr3 == at.cr1 + 2 * w &&
         at.cr3 < at.context_bytes &&
         at.store_mfn == at.nr_pages + 2 * w + narrow &&
         at.console_mfn == at.store_mfn + w + narrow;
}
static_assert(FollowsFromWidth(kLayoutX86_64));
static_assert(FollowsFromWidth(kLayoutX86_32Pae));

constexpr const GuestLayout& LayoutOf(Arch arch) {
  return arch == Arch::kX86_64 ? kLayoutX86_64 : kLayoutX86_32Pae;
}

// --- Bytes -------------------------------------------------------------------

// Load and store numbers of `bytes` bytes, 1 to 8, in either byte order.
inline uint64_t LoadLe(const char* from, size_t bytes) {
  uint64_t number = 0;
  for (size_t i = bytes; i > 0; --i) {
    number = number << 8 | static_cast<unsigned char>(from[i - 1]);
  }
  return number;
}

inline void StoreLe(uint64_t number, size_t bytes, char* to) {
  for (size_t i = 0; i < bytes; ++i) {
    to[i] = static_cast<char>(number >> (8 * i));
  }
}

inline uint64_t LoadBe(const char* from, size_t bytes) {
  uint64_t number = 0;
  for (size_t i = 0; i < bytes; ++i) {
    number = number << 8 | static_cast<unsigned char>(from[i]);
  }
  return number;
}

inline void StoreBe(uint64_t number, size_t bytes, char* to) {
  for (size_t i = 0; i < bytes; ++i) {
    to[i] = static_cast<char>(number >> (8 * (bytes - 1 - i)));
  }
}

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_IMAGE_STREAM_FORMAT_H_
