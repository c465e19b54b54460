#include "domain/guest/config_notes.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "domain/e820/e820.h"
#include "domain/units/abi.h"
#include "domain/units/units.h"

namespace simvisor {
namespace {

E820Map DecodeMap(StateReader& in) {
  std::vector<E820Entry> entries;
  uint64_t n = in.GetCount("config.e820", 3);
  if (n > kMaxE820Entries) {
    in.Fail(absl::StrFormat("%d entries; at most %d", n, kMaxE820Entries));
  }
  for (; n > 0 && in.ok(); --n) {
    E820Entry entry;
    entry.start = in.Get("config.e820.start", kMaxE820Address);
    entry.size = in.Get("config.e820.size", 1, kMaxE820Address);
    entry.type = static_cast<E820Type>(
        in.Get("config.e820.type", static_cast<uint64_t>(E820Type::kRam),
               static_cast<uint64_t>(E820Type::kUnusable)));
    entries.push_back(entry);
  }
  if (!in.ok()) return {};
  absl::StatusOr<E820Map> map = E820Map::Create(std::move(entries));
  if (map.ok()) return *std::move(map);
  in.Fail(map.status().message());
  return {};
}

}  // namespace

void EncodeConfig(const GuestConfig& config, StateWriter& out) {
  out.Put(config.hotplug_limit_gib);
  out.Put(config.p2m.tools_view == ToolsView::kLinear ? 1 : 0);
  out.Put(config.p2m.balloon_room == BalloonRoom::kCompact ? 1 : 0);
  out.Put(config.balloon_max_retry);
  out.Put(config.pae_kernel.shared_kernel_pmd ? 1 : 0);
  out.Put(static_cast<uint64_t>(config.pae_kernel.user_pgds));
  out.Put(config.e820_host ? 1 : 0);
  out.Put(config.e820.entries().size());
  for (const E820Entry& entry : config.e820.entries()) {
    out.Put(entry.start);
    out.Put(entry.size);
    out.Put(static_cast<uint64_t>(entry.type));
  }
}

GuestConfig DecodeConfig(StateReader& in, const Abi& abi) {
  GuestConfig config;
  config.hotplug_limit_gib = static_cast<uint32_t>(
      in.Get("config.hotplug_limit_gib", abi.pfn_limit / kPagesPerGiB));
  config.p2m.tools_view =
      in.GetFlag("config.tools_view") ? ToolsView::kLinear : ToolsView::kTree;
  config.p2m.balloon_room = in.GetFlag("config.balloon_room")
                                ? BalloonRoom::kCompact
                                : BalloonRoom::kFaithful;
  config.balloon_max_retry =
      static_cast<uint32_t>(in.Get("config.balloon_max_retry", ~uint32_t{0}));
  config.pae_kernel.shared_kernel_pmd = in.GetFlag("config.shared_kernel_pmd");
  config.pae_kernel.user_pgds =
      static_cast<int>(in.Get("config.user_pgds", 1, kPaeTopEntries - 1));
  config.e820_host = in.GetFlag("config.e820_host");
  config.e820 = DecodeMap(in);
  if (!in.ok() || abi.arch != Arch::kX86_32Pae) return config;
  const Pfn ram_end = config.e820.RamPages().back().end();
  if (ram_end > Pfn(abi.pfn_limit)) {
    in.Fail(
        absl::StrFormat("RAM ends at pfn 0x%x; a guest of %s has it below "
                        "0x%x",
                        ram_end.value(), abi.name, abi.pfn_limit));
  }
  return config;
}

}  // namespace simvisor
