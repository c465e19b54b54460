// P2mOperations: compares the list with the model.

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/fuzz/p2m_operations.h"

namespace simvisor {

void P2mOperations::Differ(absl::string_view what, uint64_t at,
                           absl::string_view list, absl::string_view model) {
  if (difference_.has_value()) return;  // the first one says most
  difference_ = absl::StrFormat(
      "%s, operation %d: %s (at 0x%x): the list says %s, the "
      "model %s",
      abi_.name, operation_, what, at, list, model);
}

void P2mOperations::Compare(absl::string_view what, uint64_t list,
                            uint64_t model) {
  if (list != model) Differ(what, 0, absl::StrCat(list), absl::StrCat(model));
}

void P2mOperations::CompareWord(uint64_t pfn) {
  const P2mWord list = list_.Lookup(Pfn(pfn));
  const P2mWord model = model_->Lookup(pfn);
  if (list != model) Differ("word", pfn, list.ToString(), model.ToString());
  if (!model_->relocated() || pfn >= model_->size()) return;
  CompareLeaf(pfn / abi_.leaf_span());
  CompareLeaf((pfn / abi_.leaf_span()) ^ 1);  // a neighbour in its mid
}

void P2mOperations::CompareTaking(absl::string_view what,
                                  const absl::Status& status, bool model) {
  if (model) {
    Compare(what, status.ok(), true);
  } else {
    ExpectError(what, status, absl::StatusCode::kResourceExhausted);
  }
}

void P2mOperations::ExpectError(absl::string_view what,
                                const absl::Status& status,
                                absl::StatusCode code) {
  if (status.code() == code) return;
  Differ(what, 0, status.ToString(), absl::StatusCodeToString(code));
}

void P2mOperations::CompareStructure() {
  Compare("relocated", list_.list != nullptr, model_->relocated());
  Compare("pages left", source_.left, left_);
  Compare("pages of the list", list_.structure().size().value(),
          model_->Pages());
  Compare("p2m_size", list_.words->size().value(), model_->size());
  Compare("max_pfn", list_.max_pfn().value(), model_->max_pfn());
  Compare("last_pfn", list_.last_pfn().value(), model_->last_pfn());
  Compare("generation", list_.words->generation(), model_->generation());
  if (!model_->relocated()) return;
  const absl::Status status = list_->CheckInvariants();
  if (!status.ok()) Differ("invariants", 0, status.ToString(), "OK");
  Compare("fresh for tools", list_->fresh(), model_->tools_fresh());
}

void P2mOperations::CompareEverything() {
  const Pfn end = list_.words->size();
  for (Pfn at(0); at < end && !difference_.has_value();) {
    const P2mRun run =
        list_.RunAt(at, end, P2mView::kResolved, RunMerge::kByFrame);
    CompareRun(run);
    at = run.pfns.end();
  }
  CompareSummary();
  const uint64_t leaves =
      model_->relocated() ? model_->size() / abi_.leaf_span() : 0;
  for (uint64_t leaf = 0; leaf < leaves; ++leaf) CompareLeaf(leaf);
}

void P2mOperations::CompareRun(const P2mRun& run) {
  const uint64_t span = abi_.leaf_span();
  for (uint64_t i = 0; i < run.pfns.count.value();) {
    const uint64_t pfn = run.pfns.first.value() + i;
    const P2mWord list =
        run.word.is_invalid() ? run.word : P2mWord::FromRaw(run.word.raw() + i);
    const P2mWord model = model_->Lookup(pfn);
    if (list != model) {
      Differ("word in the end", pfn, list.ToString(), model.ToString());
      return;
    }
    // All words of a shared leaf follow from one.
    const bool shared = model_->relocated() && pfn % span == 0 &&
                        model_->LeafBacking(pfn / span) != Backing::kPrivate;
    i += shared ? span : 1;
  }
}

void P2mOperations::CompareSummary() {
  const P2mSummary list = list_.Summary();
  const P2mSummary model = model_->Summary();
  Compare("RAM words", list.ram, model.ram);
  Compare("identity words", list.identity, model.identity);
  Compare("foreign words", list.foreign, model.foreign);
  Compare("missing words", list.missing, model.missing);
  if (!model_->relocated()) return;
  Compare("private leaves", list.private_leaves, model.private_leaves);
  Compare("missing leaves", list.missing_leaves, model.missing_leaves);
  Compare("identity leaves", list.identity_leaves, model.identity_leaves);
  Compare("private mids", list.private_mids, model.private_mids);
  Compare("PTE pages", list.pte_frames, model.pte_frames);
  Compare("tree pages", list.tree_mid_frames, model.tree_mid_frames);
}

void P2mOperations::CompareLeaf(uint64_t leaf) {
  const uint64_t mid = leaf / abi_.words_per_page;
  Compare("backing of a leaf",
          static_cast<uint64_t>(list_->shape().LeafBacking(leaf)),
          static_cast<uint64_t>(model_->LeafBacking(leaf)));
  Compare("private mid",
          list_->shape().map.MidBacking(mid) == Backing::kPrivate,
          model_->MidIsPrivate(mid));
  if (!model_->tree_built()) return;
  const bool own = TreeOf(*list_).TopSlotAt(mid) == P2mTree::TopSlot::kOwn;
  Compare("page in the tree", own, model_->HasTreePage(mid));
  if (!own) return;
  Compare("slot of the tree",
          static_cast<uint64_t>(
              TreeOf(*list_).MidSlotAt(mid, leaf % abi_.words_per_page)),
          static_cast<uint64_t>(model_->SlotOf(leaf)));
}

}  // namespace simvisor
