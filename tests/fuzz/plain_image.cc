#include "tests/fuzz/plain_image.h"

#include <algorithm>

namespace simvisor {
namespace {

constexpr uint64_t kPageBytes = 4096;

// 0 past the end.
uint64_t Little(absl::string_view bytes, size_t at, size_t size) {
  uint64_t number = 0;
  for (size_t i = 0; i < size && at + i < bytes.size(); ++i) {
    number |= uint64_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  }
  return number;
}

// Where the libxc stream begins.
size_t SkipLayers(absl::string_view image) {
  size_t at = 0;
  if (image.substr(0, 3) == "Xen") at = 48 + Little(image, 44, 4);
  if (image.substr(at, 8) == "LibxlFmt") at += 16 + 8;
  return at;
}

void ReadPages(absl::string_view body, PlainImage& image) {
  const uint64_t count = std::min(Little(body, 0, 4), body.size() / 8);
  size_t data = 8 + 8 * count;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t word = Little(body, 8 + 8 * i, 8);
    const uint64_t pfn = word & ((uint64_t{1} << 52) - 1);
    const auto type = static_cast<uint32_t>(word >> 60);
    if (type == 0xd || type == 0xf) {
      // Once a pfn has a frame, it keeps it.
      const auto at = image.pages.find(pfn);
      if (at != image.pages.end()) at->second.type = type;
      continue;
    }
    PlainImage::Page& page = image.pages[pfn];
    page.type = type;
    if (type == 0xe) continue;
    if (data + kPageBytes > body.size()) return;
    page.data = std::string(body.substr(data, kPageBytes));
    data += kPageBytes;
  }
}

void ReadVcpu(absl::string_view body, PlainImage& image) {
  const auto vcpu = static_cast<uint32_t>(Little(body, 0, 4));
  image.vcpus = std::max(image.vcpus, vcpu + 1);
  if (vcpu > 0) return;
  image.start_info =
      image.is64 ? Little(body, 8 + 616, 8) : Little(body, 8 + 524, 4);
}

// LEB128 numbers, one after the other; 0 past the end.
class Numbers {
 public:
  explicit Numbers(absl::string_view bytes) : bytes_(bytes) {}

  bool done() const { return at_ >= bytes_.size(); }
  uint64_t Next() {
    uint64_t number = 0;
    for (int shift = 0; !done(); shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes_[at_++]);
      number |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) break;
    }
    return number;
  }
  void Skip(uint64_t count) {
    while (count-- > 0 && !done()) Next();
  }
  // Extents, each with `more` numbers after it.
  PlainNotes::Extents Extents(uint64_t more = 0) {
    PlainNotes::Extents extents;
    for (uint64_t n = Next(); n > 0 && !done(); --n) {
      const uint64_t first = Next();
      extents.emplace_back(first, Next());
      Skip(more);
    }
    return extents;
  }

 private:
  absl::string_view bytes_;
  size_t at_ = 0;
};

// Size, mids and pages of the list, and the rest of its notes.
void ReadList(Numbers& in, bool is64, PlainNotes& notes) {
  notes.list_size = in.Next();
  in.Skip(2);
  const uint64_t mid_span = is64 ? 512 * 512 : 1024 * 1024;
  for (uint64_t mids = 0; mids < notes.list_size / mid_span && !in.done();) {
    mids += in.Next();
    in.Skip(1);
  }
  for (uint64_t n = in.Next(); n > 0 && !in.done(); --n) {
    const uint64_t first = in.Next();
    const uint64_t count = in.Next();
    in.Skip(2);
    for (uint64_t i = 0; i < count; ++i) notes.kernel_pages.insert(first + i);
  }
  in.Extents();  // leaves in the builder's pages
  for (uint64_t n = in.Next(); n > 0 && !in.done(); --n) {
    const uint64_t first = in.Next();
    notes.identity.emplace_back(first, in.Next());
    in.Skip(1);
  }
  in.Extents();  // room
}

void ReadSpaces(Numbers& in, bool shared, uint64_t user_pgds,
                PlainNotes& notes) {
  notes.next_space = in.Next();
  in.Skip(1);
  notes.spaces = in.Next();
  for (uint64_t n = notes.spaces; n > 0 && !in.done(); --n) {
    in.Skip(1);
    notes.kernel_pages.insert(in.Next());
    in.Skip(1);
    for (uint64_t i = 0; i < (shared ? user_pgds : 4); ++i) {
      notes.kernel_pages.insert(in.Next());
    }
  }
}

PlainNotes ReadNumbers(Numbers in, bool is64) {
  PlainNotes notes;
  const uint64_t version = in.Next();
  in.Skip(4);  // hotplug limit, view, room, retries
  const bool shared = in.Next() == 1;
  const uint64_t user_pgds = in.Next();
  in.Skip(1);
  in.Skip(3 * in.Next());  // the map
  notes.vcpus = in.Next();
  notes.target = in.Next();
  notes.static_max = in.Next();
  notes.max_pages = in.Next();
  notes.ram = in.Extents();
  ReadList(in, is64, notes);
  notes.free = in.Extents();
  in.Skip(2);
  in.Extents();
  for (const bool low : {true, false}) {
    // From version 2 on, a run of low memory says whether it is of batches.
    const auto pfns = in.Extents(low && version >= 2 ? 1 : 0);
    notes.balloon.insert(notes.balloon.end(), pfns.begin(), pfns.end());
  }
  in.Skip(5);  // the driver
  if (!is64) ReadSpaces(in, shared, user_pgds, notes);
  // Before version 3, notes end with the load, or without one.
  if (version >= 3 ? in.Next() == 0 : in.done()) return notes;
  in.Skip(3);
  notes.load_writes = in.Next();
  for (const auto& [first, count] : in.Extents()) notes.load_pages += count;
  return notes;
}

}  // namespace

std::string PlainImage::BytesOf(uint64_t pfn) const {
  const auto at = pages.find(pfn);
  if (at == pages.end() || at->second.data.empty()) {
    return std::string(kPageBytes, '\0');
  }
  return at->second.data;
}

std::optional<PlainImage> ReadPlainImage(absl::string_view image) {
  PlainImage plain;
  bool verifying = false;
  for (size_t at = SkipLayers(image) + 40; at + 8 <= image.size();) {
    const auto type = static_cast<uint32_t>(Little(image, at, 4));
    const uint64_t length = Little(image, at + 4, 4);
    const absl::string_view body = image.substr(at + 8, length);
    at += 8 + (length + 7) / 8 * 8;
    if (type == 0) return plain;
    if (body.size() < length) return std::nullopt;
    if (type == 1 && !verifying) ReadPages(body, plain);
    if (type == 2) plain.is64 = body[0] == 8;
    if (type == 3) {
      plain.end = Little(body, 4, 4) + 1;
      for (size_t i = 8; i < length; i += 8) {
        plain.leaves.push_back(Little(body, i, 8));
      }
    }
    if (type == 4) ReadVcpu(body, plain);
    if (type == 0xd) verifying = true;
  }
  return std::nullopt;
}

std::optional<PlainNotes> ReadPlainNotes(const PlainImage& image) {
  const std::string start_info = image.BytesOf(image.start_info);
  const auto word = [&](size_t i) {
    return Little(start_info, 2048 + 8 * i, 8);
  };
  if (word(0) != 0x4e4b525653494d31) return std::nullopt;
  std::string bytes;
  // start_info itself, and the pages of the store and the console.
  std::set<uint64_t> record = {image.start_info};
  for (const size_t at : {image.is64 ? 56 : 44, image.is64 ? 72 : 52}) {
    record.insert(Little(start_info, at, image.is64 ? 8 : 4));
  }
  for (uint64_t page = word(2); bytes.size() < word(1);) {
    record.insert(page);
    const std::string data = image.BytesOf(page);
    bytes += data.substr(8, std::min(kPageBytes - 8, word(1) - bytes.size()));
    page = Little(data, 0, 8);
  }
  for (uint64_t i = 0; i < word(3); ++i) record.insert(word(4 + i));
  PlainNotes notes = ReadNumbers(Numbers(bytes), image.is64);
  notes.kernel_pages.merge(record);
  return notes;
}

}  // namespace simvisor
