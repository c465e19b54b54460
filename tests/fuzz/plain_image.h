// A second reader of save images, to compare the first one with.
//
// Walks the records of a whole image in memory, written from the description of
// the format with its own constants; does not use domain/image.  It trusts its
// input: it is for images that the first reader has accepted.
//
// Thread safety: plain values, pure functions.

#ifndef SIMVISOR_TESTS_FUZZ_PLAIN_IMAGE_H_
#define SIMVISOR_TESTS_FUZZ_PLAIN_IMAGE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace simvisor {

struct PlainImage {
  struct Page {
    uint32_t type = 0;  // as last sent
    std::string data;   // as last sent with data; empty for zeros
  };

  bool is64 = true;
  uint64_t end = 0;                // of the pfns
  std::vector<uint64_t> leaves;    // pages of the p2m list
  std::map<uint64_t, Page> pages;  // that have a frame
  uint32_t vcpus = 0;
  uint64_t start_info = 0;

  // The bytes of a page that has a frame.
  std::string BytesOf(uint64_t pfn) const;
};

// nullopt if the image ends early.
std::optional<PlainImage> ReadPlainImage(absl::string_view image);

// The notes of a simulated guest's kernel.
struct PlainNotes {
  using Extents = std::vector<std::pair<uint64_t, uint64_t>>;  // first, count

  uint64_t vcpus = 0, target = 0, static_max = 0, max_pages = 0;
  uint64_t list_size = 0;
  Extents ram, identity, free, balloon;
  // Pages whose content belongs to the kernel: of the list, of page tables, and
  // of the record.
  std::set<uint64_t> kernel_pages;
  uint64_t spaces = 0;
  uint64_t next_space = 0;
  uint64_t load_pages = 0, load_writes = 0;
};

// nullopt if the image's start_info names no notes.
std::optional<PlainNotes> ReadPlainNotes(const PlainImage& image);

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_FUZZ_PLAIN_IMAGE_H_
