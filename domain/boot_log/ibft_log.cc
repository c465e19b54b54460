#include "domain/boot_log/ibft_log.h"

#include <algorithm>
#include <array>
#include <optional>

#include "absl/strings/match.h"
#include "domain/boot_log/dom0_map.h"
#include "domain/boot_log/log_text.h"
#include "domain/boot_log/map_line.h"

namespace simvisor {
namespace {

// Kernels before Linux 3.5 print their maps in another form.
constexpr absl::string_view kNewForm = "[mem ";
constexpr absl::string_view kMapHeading = "BIOS-provided physical RAM map";

// Words that a kernel prints around its map, and about the frames it moves.
constexpr std::array<absl::string_view, 5> kKernelWords = {
    "Linux version ", kMapHeading, "Released ", "Remapped ", "1-1 mapping"};

bool HasKernelWords(absl::string_view line) {
  return std::any_of(kKernelWords.begin(), kKernelWords.end(),
                     [line](absl::string_view words) {
                       return absl::StrContains(line, words);
                     });
}

// Whether `line` is RAM inside the area of the iBFT.
bool IsRamInIbftArea(const MapLine& line) {
  const absl::StatusOr<E820Entry> entry = ParseMapLine(line);
  return entry.ok() && entry->type == E820Type::kRam &&
         entry->start < kIbftEnd && entry->end() > kIbftStart;
}

}  // namespace

void IbftLog::Add(absl::string_view line) {
  const std::optional<MapLine> of_map = FindMapLine(0, line);
  if (absl::StrContains(line, kXenPrefix) || IsXenBanner(line)) {
    hypervisor_ = true;
  } else if (of_map.has_value() && of_map->tag == MapTag::kXen) {
    dom0_map_ = true;
    dom0_ram_ = dom0_ram_ || IsRamInIbftArea(*of_map);
    old_form_ = old_form_ || (of_map->has_range() &&
                              !absl::StartsWith(of_map->text, kNewForm));
  } else if (of_map.has_value() && of_map->tag == MapTag::kBios) {
    firmware_map_ = true;
  } else if (HasKernelWords(line)) {
    kernel_ = true;
    if (absl::StrContains(line, kMapHeading)) {
      dom0_map_ = dom0_ram_ = old_form_ = false;
    }
  }
}

bool IbftLog::Reserves() const {
  if (old_form_) return false;
  if (dom0_map_) return !(kernel_ && dom0_ram_);
  return hypervisor_ || !firmware_map_;
}

}  // namespace simvisor
