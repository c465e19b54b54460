#include "tests/fuzz/image_comparison.h"

#include <cstdint>
#include <set>
#include <vector>

#include "absl/strings/str_format.h"
#include "tests/fuzz/guest_runs.h"
#include "tests/fuzz/plain_image.h"

namespace simvisor {
namespace {

using Difference = std::optional<std::string>;

constexpr uint64_t kPresent = 1;
constexpr uint64_t kFrameBits = 0x000ffffffffff000;

// All pfns of a class, of a domain that fits a small host.
std::set<uint64_t> PfnsOf(Domain& domain, P2mClass wanted) {
  std::set<uint64_t> pfns;
  for (const P2mRun& run : RunsOf(domain)) {
    if (run.word.Class() != wanted) continue;
    for (Pfn at = run.pfns.first; at < run.pfns.end(); at += PageCount(1)) {
      pfns.insert(at.value());
    }
  }
  return pfns;
}

std::set<uint64_t> Flat(const PlainNotes::Extents& extents) {
  std::set<uint64_t> pfns;
  for (const auto& [first, count] : extents) {
    for (uint64_t i = 0; i < count; ++i) pfns.insert(first + i);
  }
  return pfns;
}

uint64_t SumOf(const PlainNotes::Extents& extents) {
  uint64_t sum = 0;
  for (const auto& [first, count] : extents) sum += count;
  return sum;
}

uint64_t MfnOf(Domain& domain, uint64_t pfn) {
  std::vector<P2mWord> words;
  if (!domain.p2m().Translate({&pfn, 1}, words).ok()) return ~uint64_t{0};
  return words[0].Class() == P2mClass::kRam ? words[0].Number() : ~uint64_t{0};
}

uint64_t EntryAt(const std::string& page, size_t i) {
  uint64_t entry = 0;
  for (size_t byte = 8; byte > 0; --byte) {
    entry = entry << 8 | static_cast<unsigned char>(page[8 * i + byte - 1]);
  }
  return entry;
}

Difference SameNumbers(absl::string_view what, uint64_t is, uint64_t wanted) {
  if (is == wanted) return std::nullopt;
  return absl::StrFormat("%s: %d, where the image has %d", what, is, wanted);
}

Difference SameBytes(Domain& domain, uint64_t pfn, const std::string& wanted) {
  std::string page(kPageSize, '\1');
  const absl::Status read =
      domain.contents().Read(Pfn(pfn), 0, absl::MakeSpan(&page[0], kPageSize));
  if (!read.ok()) return std::string(read.message());
  if (page == wanted) return std::nullopt;
  return absl::StrFormat("pfn 0x%x holds other bytes than in the image", pfn);
}

// Entries of a page table of a kernel that is not simulated: the image's, with
// frames for pfns.
Difference SameTable(Domain& domain, uint64_t pfn, int level, bool is64,
                     const std::string& wanted) {
  std::string table = wanted;
  for (size_t i = 0; i < 512; ++i) {
    uint64_t entry = EntryAt(wanted, i);
    if (is64 && level == 4 && i >= 256 && i <= 271) {
      entry = 0;
    } else if ((entry & kPresent) != 0) {
      const uint64_t mfn = MfnOf(domain, (entry & kFrameBits) >> 12);
      entry = (entry & ~kFrameBits) | (mfn << 12 & kFrameBits);
    }
    for (int byte = 0; byte < 8; ++byte) {
      table[8 * i + byte] = static_cast<char>(entry >> (8 * byte));
    }
  }
  return SameBytes(domain, pfn, table);
}

// Pfns that a kernel which is not simulated has frames for: pages that were
// sent, and those that the page tables among them name.
std::set<uint64_t> FramesOf(const PlainImage& image) {
  std::set<uint64_t> pfns;
  for (const auto& [pfn, page] : image.pages) {
    pfns.insert(pfn);
    const uint32_t level = page.type < 0xd ? page.type & 7 : 0;
    if (level == 0) continue;
    const std::string bytes = image.BytesOf(pfn);
    for (size_t i = 0; i < 512; ++i) {
      const bool xens = image.is64 && level == 4 && i >= 256 && i <= 271;
      const uint64_t entry = EntryAt(bytes, i);
      if (!xens && (entry & kPresent) != 0) {
        pfns.insert((entry & kFrameBits) >> 12);
      }
    }
  }
  return pfns;
}

Difference CompareForeign(Domain& domain, const PlainImage& image) {
  const std::set<uint64_t> frames = FramesOf(image);
  if (PfnsOf(domain, P2mClass::kRam) != frames) return "other words are RAM";
  if (!PfnsOf(domain, P2mClass::kForeign).empty()) return "a word is foreign";
  const DomainInfo info = domain.Info();
  if (auto d =
          SameNumbers("pages", info.memory.current.value(), frames.size())) {
    return d;
  }
  if (auto d = SameNumbers("vcpus", info.vcpus, image.vcpus)) return d;
  const std::set<uint64_t> leaves(image.leaves.begin(), image.leaves.end());
  for (const uint64_t pfn : frames) {
    if (leaves.contains(pfn)) continue;
    const auto sent = image.pages.find(pfn);
    const uint32_t type = sent == image.pages.end() ? 0 : sent->second.type;
    const int level = type < 0xd ? static_cast<int>(type & 7) : 0;
    const std::string bytes = image.BytesOf(pfn);
    const Difference d = level > 0
                             ? SameTable(domain, pfn, level, image.is64, bytes)
                             : SameBytes(domain, pfn, bytes);
    if (d.has_value()) return d;
  }
  return std::nullopt;
}

Difference CompareGuest(Domain& domain, const PlainImage& image,
                        const PlainNotes& notes) {
  const std::set<uint64_t> ram = Flat(notes.ram);
  if (PfnsOf(domain, P2mClass::kRam) != ram) return "other words are RAM";
  uint64_t identity = 0;
  for (const P2mRun& run : RunsOf(domain)) {
    if (run.word.Class() == P2mClass::kIdentity) {
      identity += run.pfns.count.value();
    }
  }
  const DomainInfo info = domain.Info();
  const auto spaces = [&] {
    std::vector<AddressSpaceInfo> none;
    const auto totals = domain.processes().List(0, 0, none);
    return totals.ok() ? totals->spaces : 0;
  };
  const auto load = domain.load().Find();
  for (const auto& [what, is, wanted] :
       std::initializer_list<std::tuple<const char*, uint64_t, uint64_t>>{
           {"identity words", identity, SumOf(notes.identity)},
           {"pages", info.memory.current.value(), ram.size()},
           {"pages in the balloon", info.memory.balloon.value(),
            SumOf(notes.balloon)},
           {"free pages", info.memory.available.value(), SumOf(notes.free)},
           {"target", info.memory.target.value(), notes.target},
           {"static_max", info.memory.static_max.value(), notes.static_max},
           {"max_pages", info.memory.max.value(), notes.max_pages},
           {"vcpus", info.vcpus, notes.vcpus},
           {"size of the list", domain.p2m().Summary()->summary.p2m_size,
            notes.list_size},
           {"address spaces", spaces(), notes.spaces},
           {"pages of the load", load.ok() ? load->spec.working_set.value() : 0,
            notes.load_pages},
           {"writes of the load", load.ok() ? load->writes : 0,
            notes.load_writes},
           {"vcpus with a context", image.vcpus, notes.vcpus}}) {
    if (auto d = SameNumbers(what, is, wanted)) return d;
  }
  for (const uint64_t pfn : ram) {
    if (notes.kernel_pages.contains(pfn)) continue;
    if (auto d = SameBytes(domain, pfn, image.BytesOf(pfn))) return d;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> CompareWithImage(Domain& domain,
                                            absl::string_view image) {
  const std::optional<PlainImage> plain = ReadPlainImage(image);
  if (!plain.has_value()) return "the image has no end, and was restored";
  const std::optional<PlainNotes> notes = ReadPlainNotes(*plain);
  const bool foreign = domain.Info().state == DomainState::kBuilt;
  if (foreign == notes.has_value()) {
    return "a kernel was taken for another one";
  }
  return foreign ? CompareForeign(domain, *plain)
                 : CompareGuest(domain, *plain, *notes);
}

}  // namespace simvisor
