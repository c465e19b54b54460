#include "server/host/convert_host.h"

#include <algorithm>

#include "base/printable.h"
#include "base/quote.h"
#include "base/version.h"
#include "server/convert/common.h"

namespace simvisor::server {
namespace {

// Keeps a response with every finding far below the 4 MiB of a message.
constexpr size_t kMaxFindingBytes = 1024;

}  // namespace

v1::FramePlacement ToProto(Placement placement) {
  switch (placement) {
    case Placement::kLowest:
      return v1::FRAME_PLACEMENT_LOWEST;
    case Placement::kScatter:
      return v1::FRAME_PLACEMENT_SCATTER;
  }
  return v1::FRAME_PLACEMENT_UNSPECIFIED;
}

v1::FrameState ToProto(FrameState state) {
  switch (state) {
    case FrameState::kFree:
      return v1::FRAME_STATE_FREE;
    case FrameState::kOwned:
      return v1::FRAME_STATE_OWNED;
    case FrameState::kReserved:
      return v1::FRAME_STATE_RESERVED;
    case FrameState::kNotRam:
      return v1::FRAME_STATE_NOT_RAM;
  }
  return v1::FRAME_STATE_UNSPECIFIED;
}

void ToProto(const HostInfo& info, v1::Host* out) {
  out->set_total_pages(info.total.value());
  out->set_free_pages(info.free.value());
  out->set_owned_pages(info.owned.value());
  out->set_reserved_pages(info.reserved.value());
  out->set_max_mfn(info.max_mfn.value());
  out->set_domain_count(info.domains);
  out->set_seed(info.seed);
  out->set_placement(ToProto(info.placement));
  ToProto(info.e820, out->mutable_e820());
  out->set_version(kVersion);
  out->set_claimed_pages(info.claimed.value());
  out->set_incoming_domain_count(info.incoming);
  out->set_contents_pages(info.contents.value());
  out->set_contents_limit_pages(info.contents_limit.value());
  v1::CpuMaskTable* const masks = out->mutable_cpu_masks();
  masks->set_cpus(info.cpu_masks.cpus);
  masks->set_rows(info.cpu_masks.rows);
  masks->set_row_bytes(info.cpu_masks.row_bytes);
  masks->set_table_bytes(info.cpu_masks.table_bytes);
  masks->set_naive_bytes(info.cpu_masks.naive_bytes);
}

void ToProto(const FrameRun& run, v1::FrameRun* out) {
  out->set_first_mfn(run.frames.first.value());
  out->set_count(run.frames.count.value());
  out->set_state(ToProto(run.state));
  if (run.state != FrameState::kOwned) return;
  out->set_domid(run.owner.value());
  if (!run.first_pfn.is_none()) out->set_first_pfn(run.first_pfn.value());
}

void ToProto(const AuditReport& report, v1::AuditHostResponse* out) {
  out->set_clean(report.findings.empty());
  const size_t count = std::min(report.findings.size(), kMaxFindings);
  for (size_t i = 0; i < count; ++i) {
    out->add_findings(
        Shortened(Printable(report.findings[i]), kMaxFindingBytes));
  }
  out->set_frames_checked(report.frames);
  out->set_words_checked(report.words);
  out->set_domains_checked(report.domains);
}

}  // namespace simvisor::server
