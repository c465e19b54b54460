#include "tests/fuzz/p2m_operations.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/support/change_permit.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using Fill = P2mList::RangeFill;

P2mOptions OptionsOf(uint8_t bits) {
  P2mOptions options;
  if (bits & 2) options.tools_view = ToolsView::kLinear;
  if (bits & 4) options.balloon_room = BalloonRoom::kCompact;
  return options;
}

}  // namespace

// The first byte is used twice.
P2mOperations::P2mOperations(absl::Span<const uint8_t> bytes)
    : bytes_(bytes),
      abi_(!bytes.empty() && bytes[0] & 1 ? kAbiX86_32Pae : kAbiX86_64),
      options_(OptionsOf(bytes.empty() ? 0 : bytes[0])) {}

std::optional<std::string> P2mOperations::Run() {
  BuildList();
  for (; operation_ < kMaxOperations && !bytes_.empty() && !unfit_ &&
         !difference_.has_value();
       ++operation_) {
    if (model_->relocated()) {
      OneAfterRelocation();
    } else {
      OneBeforeRelocation();
    }
    if (!unfit_) CompareStructure();
  }
  if (!unfit_) CompareEverything();
  return difference_;
}

void P2mOperations::BuildList() {
  const uint64_t mids = 1 + (bytes_.Byte() >> 3) % 3;
  capacity_ = mids * abi_.mid_span();
  list_ = TestList::Make(abi_, Pfn(capacity_), options_);
  model_ = std::make_unique<P2mListModel>(abi_, options_);
  LimitPages();
  const uint64_t pages = 1 + bytes_.Below(6 * abi_.leaf_span());
  const absl::Status built = list_.Build(PageCount(pages), source_);
  const bool wanted = model_->Build(pages, &left_);
  Compare("built", built.ok(), wanted);
  Compare("pages left", source_.left, left_);
  unfit_ = !wanted;
  if (unfit_) return;
  list_.StoreFrames(Pfn(0), {Mfn(5000), PageCount(pages)});
  model_->SetRange(0, pages, Fill::Ram(Mfn(5000)), &left_);
}

void P2mOperations::OneBeforeRelocation() {
  using Step = void (P2mOperations::*)();
  static constexpr Step kOperations[] = {
      &P2mOperations::Relocate,     &P2mOperations::StoreOrClear,
      &P2mOperations::MarkIdentity, &P2mOperations::ChangeExtra,
      &P2mOperations::TrySetOne,    &P2mOperations::LimitPages,
      &P2mOperations::LookUp,       &P2mOperations::Dump,
      &P2mOperations::Render};
  (this->*kOperations[bytes_.Below(std::size(kOperations))])();
}

void P2mOperations::OneAfterRelocation() {
  using Step = void (P2mOperations::*)();
  static constexpr Step kOperations[] = {
      &P2mOperations::Publish,       &P2mOperations::SetMany,
      &P2mOperations::SetOne,        &P2mOperations::TrySetOne,
      &P2mOperations::AllocOne,      &P2mOperations::AllocMany,
      &P2mOperations::PrepareMany,   &P2mOperations::StoreOrClear,
      &P2mOperations::ReplaceFrames, &P2mOperations::LimitPages,
      &P2mOperations::LookUp,        &P2mOperations::Dump,
      &P2mOperations::Render,        &P2mOperations::MarkIdentity};
  (this->*kOperations[bytes_.Below(std::size(kOperations))])();
}

// --- Operations --------------------------------------------------------------

void P2mOperations::LimitPages() {
  const uint8_t byte = bytes_.Byte();
  source_.left = left_ = byte < 128 ? ~uint64_t{0} >> 1 : byte % 32;
  source_.longest = byte % 4 == 0 ? 1 + bytes_.Byte() : ~uint64_t{0};
}

// Only in private leaves, as the balloon does.
void P2mOperations::StoreOrClear() {
  PfnExtent range = PickRange();
  uint64_t count = 0;
  while (count < range.count.value() &&
         (!model_->relocated() ||
          model_->LeafBacking((range.first.value() + count) /
                              abi_.leaf_span()) == Backing::kPrivate)) {
    ++count;
  }
  range.count = PageCount(count);
  Fill fill = Fill::Missing();
  if (bytes_.Byte() % 2 == 0) {
    list_.ClearFrames(range);
  } else {
    fill = Fill::Ram(Mfn(bytes_.Number(3)));
    list_.StoreFrames(range.first, {fill.first_mfn, range.count});
  }
  model_->SetRange(range.first.value(), count, fill, &left_);
}

void P2mOperations::MarkIdentity() {
  const uint64_t start = PickPfn();
  const uint64_t end =
      bytes_.Byte() % 8 == 0 ? PickPfn() : start + bytes_.Number(2);
  if (model_->relocated()) return;  // only the builder's list can be marked
  Compare("words marked",
          list_.built->MarkIdentity(kPermit, Pfn(start), Pfn(end)).value(),
          model_->SetRangeIdentity(start, end));
}

void P2mOperations::ChangeExtra() {
  const PfnExtent extra = PickExtra();
  if (bytes_.Byte() % 4 == 0) {
    list_.built->RemoveExtraRegion(extra);
    model_->RemoveExtra(extra.first.value(), extra.end().value());
  } else {
    list_.built->AddExtraRegion(extra);
    model_->AddExtra(extra.first.value(), extra.end().value());
  }
}

void P2mOperations::Relocate() {
  const uint64_t limit =
      bytes_.Byte() % 2 == 0 ? 0 : bytes_.Below(capacity_ + 1);
  const uint64_t announced = list_.PagesToBoot(Pfn(limit)).value();
  const uint64_t pages = model_->Pages();
  const uint64_t before = left_;
  const absl::Status status = list_.Relocate(Pfn(limit), source_);
  const bool wanted = model_->Relocate(limit, &left_);
  Compare("relocated", status.ok(), wanted);
  unfit_ = !wanted;
  if (unfit_) return;
  // With enough pages, a boot takes exactly what was announced.
  if (bytes_.Byte() % 2 == 0 && before > announced) {
    Publish();
    const uint64_t returned =
        abi_.arch == Arch::kX86_64 ? pages : 0;  // the builder's
    Compare("pages to boot", before - left_ + returned, announced);
  }
}

void P2mOperations::Publish() {
  const absl::Status status = list_->Publish(source_);
  const bool wanted = model_->PublishToTools(&left_);
  Compare("published", status.ok(), wanted);
  unfit_ = !wanted;
}

void P2mOperations::TrySetOne() {
  const uint64_t pfn = PickPfn();
  const P2mWord word = PickWord(pfn);
  // Words are stored unchecked, so they must fit the ABI.
  if (!word.FitsAbi(abi_)) return;
  if (model_->relocated()) {
    Compare("tried", list_->TrySet(kPermit, Pfn(pfn), word),
            model_->TrySet(pfn, word));
  } else if (model_->TrySet(pfn, word) && pfn < model_->size()) {
    list_.words->Store(kPermit, Pfn(pfn), word);
  }
  CompareWord(pfn);
}

void P2mOperations::SetOne() {
  const uint64_t pfn = PickPfn();
  const P2mWord word = PickWord(pfn);
  const absl::Status status = list_->Set(kPermit, Pfn(pfn), word, source_);
  const bool too_large = abi_.arch == Arch::kX86_32Pae && !word.is_invalid() &&
                         word.Number() >> 30 != 0;
  if (too_large) {
    ExpectError("set to a large number", status, Code::kOutOfRange);
  } else if (pfn >= model_->size() && !word.is_invalid()) {
    ExpectError("set past the end", status, Code::kOutOfRange);
  } else {
    CompareTaking("set", status, model_->Set(pfn, word, &left_));
  }
  CompareWord(pfn);
}

void P2mOperations::AllocOne() {
  const uint64_t pfn = PickPfn();
  const absl::Status status = list_->AllocEntry(Pfn(pfn), source_);
  if (pfn >= model_->size()) {
    ExpectError("entry past the end", status, Code::kOutOfRange);
  } else {
    CompareTaking("entry", status, model_->AllocEntry(pfn, &left_));
  }
  CompareWord(pfn);
}

void P2mOperations::AllocMany() {
  const PfnExtent range = PickRange();
  const Pfn end = list_->AllocEntries(range, source_);
  uint64_t pfn = range.first.value();
  while (pfn < range.end().value()) {
    const bool has =
        model_->LeafBacking(pfn / abi_.leaf_span()) == Backing::kPrivate;
    if (!has && !model_->AllocEntry(pfn, &left_)) break;
    ++pfn;
  }
  Compare("end of the entries", end.value(), pfn);
}

void P2mOperations::SetMany() {
  PfnExtent range = PickRange();
  const Fill fill = PickFill();
  if (bytes_.Byte() % 16 == 0) {
    range.count = list_->p2m_size() - range.first + PageCount(1);
    ExpectError("range past the end",
                list_->SetRange(kPermit, range, fill, source_),
                Code::kOutOfRange);
    return;
  }
  const uint64_t needed = list_->PagesToSet(range, fill).value();
  const uint64_t before = left_;
  PageCount done;
  const absl::Status status =
      list_->SetRange(kPermit, range, fill, source_, &done);
  const uint64_t wanted =
      model_->SetRange(range.first.value(), range.count.value(), fill, &left_);
  CompareTaking("range", status, wanted == range.count.value());
  Compare("words set", done.value(), wanted);
  Compare("enough pages", status.ok(), needed <= before);
  if (status.ok()) Compare("pages to set", needed, before - left_);
  CompareWord(range.first.value());
  CompareWord(range.first.value() + wanted);
  CompareWord(range.end().value());
}

void P2mOperations::PrepareMany() {
  const PfnExtent range = PickRange();
  const Fill fill = PickFill();
  const absl::Status status = list_->PrepareRange(range, fill, source_);
  CompareTaking("preparation", status,
                model_->PrepareRange(range.first.value(), range.count.value(),
                                     fill, &left_));
  if (status.ok()) {
    Compare("pages after a preparation", list_->PagesToSet(range, fill).value(),
            0);
  }
}

void P2mOperations::ReplaceFrames() {
  std::vector<std::pair<Pfn, MfnExtent>> given;
  uint64_t mfn = bytes_.Number(2);
  const uint64_t longest = 1 + bytes_.Number(2);
  const absl::Status status = list_.ReplaceFrames([&](PfnExtent pfns) {
    const MfnExtent frames = {Mfn(mfn),
                              std::min(pfns.count, PageCount(longest))};
    mfn += frames.count.value() + 1;
    given.push_back({pfns.first, frames});
    return frames;
  });
  if (model_->Summary().foreign > 0) {
    ExpectError("replacing frames", status, Code::kFailedPrecondition);
    Compare("frames asked for", given.size(), 0);
    return;
  }
  Compare("frames replaced", status.ok(), true);
  uint64_t replaced = 0;
  for (const auto& [first, frames] : given) {
    for (uint64_t i = 0; i < frames.count.value(); ++i, ++replaced) {
      const uint64_t pfn = first.value() + i;
      Compare("frame for RAM", model_->Lookup(pfn).is_ram(), true);
      model_->TrySet(pfn, P2mWord::Ram(frames.first + PageCount(i)));
    }
  }
  Compare("words with new frames", replaced, model_->Summary().ram);
  model_->FramesReplaced();
}

void P2mOperations::LookUp() {
  const uint64_t pfn = PickPfn();
  CompareWord(pfn);
  if (pfn >= model_->size()) return;
  const P2mWord stored =
      model_->relocated() ? list_->Raw(Pfn(pfn)) : list_.Lookup(Pfn(pfn));
  const std::string raw = stored.ToString();
  const std::string wanted = model_->Word(pfn, P2mView::kRaw).ToString();
  if (raw != wanted) Differ("stored word", pfn, raw, wanted);
}

void P2mOperations::Dump() {
  const PfnExtent range = PickRange();
  const uint8_t kind = bytes_.Byte();
  const P2mView view = kind & 1 ? P2mView::kRaw : P2mView::kResolved;
  const RunMerge merge = kind & 2 ? RunMerge::kByClass : RunMerge::kByFrame;
  const Pfn end = std::min(range.end(), range.first + PageCount(5000));
  for (Pfn at = range.first; at < end && !difference_.has_value();) {
    const P2mRun run = list_.RunAt(at, end, view, merge);
    const P2mRun wanted = model_->RunAt(at.value(), end.value(), view, merge);
    if (run.word != wanted.word) {
      Differ("run", at.value(), run.word.ToString(), wanted.word.ToString());
    }
    Compare("length of a run", run.pfns.count.value(),
            wanted.pfns.count.value());
    at = wanted.pfns.end();
  }
}

// The content of one page of words.
void P2mOperations::Render() {
  const uint64_t skip = bytes_.Byte();
  std::vector<Pfn> pages;
  list_.structure().ForEach([&](PfnExtent extent) {
    for (Pfn page = extent.first; page < extent.end() && pages.size() <= skip;
         page += PageCount(1)) {
      pages.push_back(page);
    }
  });
  const auto use = list_.structure().Find(pages.back());
  std::vector<char> page(kPageSize);
  Compare("rendered",
          model_->relocated()
              ? list_->Render(pages.back(), absl::MakeSpan(page))
              : list_.built->Render(pages.back(), absl::MakeSpan(page)),
          true);
  const bool words =
      use->role == PageRole::kLeaf ||
      (use->role == PageRole::kBuilderList && !model_->relocated());
  for (uint64_t i = 0; words && i < abi_.leaf_span(); ++i) {
    uint64_t word = 0;
    for (uint64_t byte = 0; byte < abi_.word_bytes; ++byte) {
      word |= uint64_t{static_cast<uint8_t>(page[i * abi_.word_bytes + byte])}
              << (8 * byte);
    }
    const uint64_t pfn = use->index * abi_.leaf_span() + i;
    Compare("rendered word", word, model_->Lookup(pfn).ToAbi(abi_));
  }
}

}  // namespace simvisor
