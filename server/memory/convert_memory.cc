#include "server/memory/convert_memory.h"

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "server/calls/rpc_status.h"
#include "server/convert/argument.h"
#include "server/convert/common.h"
#include "server/convert/domain.h"

namespace simvisor::server {
namespace {

// Adds `errors` to a response; each of them has a reason.
template <typename Response>
void AddErrors(const std::vector<SlotError>& errors, Response* out) {
  for (const SlotError& error : errors) {
    v1::SlotError* const slot = out->add_errors();
    slot->set_slot(error.slot);
    slot->set_code(absl::StatusCodeToString(error.status.code()));
    slot->set_reason(ToldReason(error.status));
    slot->set_message(ToldMessage(error.status));
    TellFacts(error.status, slot->mutable_metadata());
  }
}

}  // namespace

absl::StatusOr<RamPolicy> FromProto(absl::string_view field,
                                    v1::RamPolicy policy) {
  switch (policy) {
    case v1::RAM_POLICY_UNSPECIFIED:
    case v1::RAM_POLICY_REFUSE:
      return RamPolicy::kRefuse;
    case v1::RAM_POLICY_RELEASE:
      return RamPolicy::kRelease;
    case v1::RAM_POLICY_KEEP:
      return RamPolicy::kKeep;
    default:
      return UnknownValue(field, policy, "REFUSE, RELEASE or KEEP");
  }
}

absl::StatusOr<P2mView> FromProto(absl::string_view field, v1::P2mView view) {
  switch (view) {
    case v1::P2M_VIEW_UNSPECIFIED:
    case v1::P2M_VIEW_RESOLVED:
      return P2mView::kResolved;
    case v1::P2M_VIEW_RAW:
      return P2mView::kRaw;
    default:
      return UnknownValue(field, view, "RESOLVED or RAW");
  }
}

absl::StatusOr<RunMerge> FromProto(absl::string_view field,
                                   v1::RunMerge merge) {
  switch (merge) {
    case v1::RUN_MERGE_UNSPECIFIED:
    case v1::RUN_MERGE_BY_FRAME:
      return RunMerge::kByFrame;
    case v1::RUN_MERGE_BY_CLASS:
      return RunMerge::kByClass;
    default:
      return UnknownValue(field, merge, "BY_FRAME or BY_CLASS");
  }
}

void ToProto(const P2mRun& run, v1::P2mRun* out) {
  out->set_first_pfn(run.pfns.first.value());
  out->set_count(run.pfns.count.value());
  out->set_p2m_class(ToProto(run.word.Class()));
  out->set_first_frame(run.word.is_invalid() ? 0 : run.word.Number());
}

void ToProto(const P2mReport& report, v1::P2mSummary* out) {
  const P2mSummary& summary = report.summary;
  out->set_p2m_size(summary.p2m_size);
  out->set_area_bytes(summary.area_bytes);
  out->set_ram_pfns(summary.ram);
  out->set_identity_pfns(summary.identity);
  out->set_foreign_pfns(summary.foreign);
  out->set_missing_pfns(summary.missing);
  out->set_private_leaves(summary.private_leaves);
  out->set_missing_leaves(summary.missing_leaves);
  out->set_identity_leaves(summary.identity_leaves);
  out->set_private_mids(summary.private_mids);
  out->set_missing_mids(summary.missing_mids);
  out->set_identity_mids(summary.identity_mids);
  out->set_fixed_frames(summary.fixed_frames);
  out->set_pte_frames(summary.pte_frames);
  out->set_tree_mid_frames(summary.tree_mid_frames);
  out->set_leaf_frames(summary.leaf_frames);
  out->set_page_table_frames(summary.page_table_frames);
  out->set_tools_max_pfn(summary.tools_max_pfn);
  out->set_remapped_frames(report.remapped.value());
  out->set_released_frames(report.released.value());
}

void ToProto(const ForeignReport& report, v1::MapForeignFramesResponse* out) {
  out->set_mapped_slots(report.done);
  AddErrors(report.errors, out);
  out->set_failed_slots(report.failed);
  out->set_p2m_pages_taken(report.p2m_pages.value());
}

void ToProto(const ForeignReport& report, v1::UnmapForeignFramesResponse* out) {
  out->set_unmapped_slots(report.done);
  AddErrors(report.errors, out);
  out->set_failed_slots(report.failed);
  out->set_freed_pages(report.freed.value());
}

void ToProto(const std::vector<MfnTranslation>& answers,
             v1::TranslateMfnsResponse* out) {
  out->mutable_pfns()->Reserve(static_cast<int>(answers.size()));
  out->mutable_local_pfns()->Reserve(static_cast<int>(answers.size()));
  for (const MfnTranslation& answer : answers) {
    out->add_pfns(answer.pfn.value());
    out->add_local_pfns(answer.local.value());
  }
}

void ToProto(const MfnListList& list, Mfn max_mfn,
             v1::GetMfnListListResponse* out) {
  out->set_root_mfn(list.root.root.value());
  out->set_tools_view(ToProto(list.root.view));
  out->set_p2m_cr3(list.root.p2m_cr3);
  out->set_p2m_vaddr(list.root.p2m_vaddr);
  out->set_max_pfn(list.max_pfn.value());
  out->set_words_per_page(static_cast<uint32_t>(list.abi->words_per_page));
  out->set_word_bytes(static_cast<uint32_t>(list.abi->word_bytes));
  out->set_generation(list.generation);
  out->set_max_mfn(max_mfn.value());
}

}  // namespace simvisor::server
