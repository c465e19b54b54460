#include "tests/vectors/list_replay.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "domain/p2m/m2p.h"
#include "gtest/gtest.h"
#include "tests/support/change_permit.h"

namespace simvisor {
namespace {

P2mWord ParseWord(const std::string& text, Pfn pfn) {
  if (text == "INVALID") return P2mWord::Invalid();
  if (text == "identity") return P2mWord::Identity(pfn);
  absl::string_view rest(text);
  uint64_t n = 0;
  const bool ram = absl::ConsumePrefix(&rest, "ram:");
  const bool foreign = !ram && absl::ConsumePrefix(&rest, "foreign:");
  const bool identity =
      !ram && !foreign && absl::ConsumePrefix(&rest, "identity:");
  EXPECT_TRUE((ram || foreign || identity) && absl::SimpleHexAtoi(rest, &n))
      << "bad word " << text;
  if (ram) return P2mWord::Ram(Mfn(n));
  return foreign ? P2mWord::Foreign(Mfn(n)) : P2mWord::Identity(Pfn(n));
}

}  // namespace

Pfn PfnAt(const Json& step, const char* key) {
  return step[key] == "max" ? Pfn::None() : Pfn(step[key].get<uint64_t>());
}

Json Refusal(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOutOfRange:
      return "crash: alloc-entry past the end of the area";
    case absl::StatusCode::kFailedPrecondition:
      return "crash: foreign mapping at migration";
    default:
      return std::string(status.ToString());
  }
}

void ListReplay::AddTo(Operations& operations) {
  AddBootTo(operations);
  AddWordsTo(operations);
  AddReadsTo(operations);
}

void ListReplay::AddWordsTo(Operations& operations) {
  operations.Add("lookup", "pfn", this, &ListReplay::Lookup);
  operations.Add("raw", "pfn", this, &ListReplay::Raw);
  operations.Add("set", "pfn value", this, &ListReplay::Set);
  operations.Add("try_set", "pfn value", this, &ListReplay::TrySet);
  operations.Add("assign", "start end value mfn?", this, &ListReplay::Assign);
  operations.Add("alloc_entry", "pfn", this, &ListReplay::AllocEntry);
  operations.Add("limit_frames", "left", this, &ListReplay::LimitFrames);
  operations.Add("m2p_set", "mfn pfn", this, &ListReplay::M2pSet);
  operations.Add("mfn_to_pfn", "mfn nr_m2p?", this, &ListReplay::MfnToPfnOp);
}

Json ListReplay::Lookup(const Json& step) {
  const P2mWord word = list_.Lookup(PfnAt(step, "pfn"));
  return {{"flagged", Hex(word.ToAbi(abi_))},
          {"word", word.ToString()},
          {"pfn_to_mfn", word.is_invalid() ? "INVALID" : Hex(word.Number())}};
}

Json ListReplay::Raw(const Json& step) {
  return list_->Raw(PfnAt(step, "pfn")).ToString();
}

Json ListReplay::Taking(absl::FunctionRef<absl::Status()> change) {
  const uint64_t before = source_.kept();
  const uint64_t generation = list_->generation();
  const absl::Status status = change();
  if (status.code() == absl::StatusCode::kOutOfRange) return Refusal(status);
  return {{"ok", status.ok()},
          {"frames_taken", source_.kept() - before},
          {"generation_step", list_->generation() - generation}};
}

Json ListReplay::Set(const Json& step) {
  const Pfn pfn = PfnAt(step, "pfn");
  const P2mWord word = ParseWord(step["value"], pfn);
  return Taking([&] { return list_->Set(kPermit, pfn, word, source_); });
}

Json ListReplay::TrySet(const Json& step) {
  const Pfn pfn = PfnAt(step, "pfn");
  const P2mWord word = ParseWord(step["value"], pfn);
  return Taking([&] {
    return list_->TrySet(kPermit, pfn, word) ? absl::OkStatus()
                                             : absl::UnknownError("");
  });
}

Json ListReplay::AllocEntry(const Json& step) {
  return Taking([&] { return list_->AllocEntry(PfnAt(step, "pfn"), source_); });
}

Json ListReplay::Assign(const Json& step) {
  const std::string value = step["value"];
  PfnExtent pfns = ExtentBetween(PfnAt(step, "start"), PfnAt(step, "end"));
  P2mList::RangeFill fill = P2mList::RangeFill::Missing();
  if (value == "ram") {
    if (!step.contains("mfn")) return CannotReplay("value ram without its mfn");
    fill = P2mList::RangeFill::Ram(Mfn(step["mfn"].get<uint64_t>()));
  } else if (value == "identity") {
    fill = P2mList::RangeFill::Identity();
  } else if (value == "INVALID") {
    // Past the end every word already reads like that.
    pfns = ExtentBetween(pfns.first, std::min(pfns.end(), list_->p2m_size()));
  } else {
    return CannotReplay("value is none of ram, identity and INVALID");
  }
  const uint64_t before = source_.kept();
  if (pfns.empty()) return {{"frames_taken", 0}};
  const bool within = pfns.end() <= list_->p2m_size();
  const PageCount expected =
      within ? list_->PagesToSet(pfns, fill) : PageCount(0);
  if (!source_.Has(expected)) {
    SetOneByOne(pfns, fill);
    return {{"frames_taken", source_.kept() - before}};
  }
  const absl::Status status = list_->SetRange(kPermit, pfns, fill, source_);
  if (status.code() == absl::StatusCode::kOutOfRange) return Refusal(status);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(source_.kept() - before, expected.value());
  return {{"frames_taken", source_.kept() - before}};
}

// The list's own range call stops at the first pfn that fails.
void ListReplay::SetOneByOne(PfnExtent pfns, const P2mList::RangeFill& fill) {
  for (Pfn pfn = pfns.first; pfn < pfns.end(); pfn += PageCount(1)) {
    P2mList::RangeFill one = fill;
    one.first_mfn += pfn - pfns.first;
    const absl::Status status =
        list_->SetRange(kPermit, {pfn, PageCount(1)}, one, source_);
    if (status.ok()) continue;
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  }
}

Json ListReplay::LimitFrames(const Json& step) {
  source_.Limit(PageCount(step["left"].get<uint64_t>()));
  return nullptr;
}

Json ListReplay::M2pSet(const Json& step) {
  m2p_[step["mfn"].get<uint64_t>()] = PfnAt(step, "pfn");
  return nullptr;
}

Json ListReplay::MfnToPfnOp(const Json& step) {
  const uint64_t mfn = step["mfn"];
  const uint64_t nr_m2p = step.value("nr_m2p", uint64_t{1} << 26);
  const auto entry = m2p_.find(mfn);
  const Pfn candidate =
      mfn < nr_m2p && entry != m2p_.end() ? entry->second : Pfn::None();
  const MfnTranslation found = MfnToPfn(*list_.words, Mfn(mfn), candidate);
  const auto number = [](Pfn pfn) {
    return pfn.is_none() ? Json("none") : Json(Hex(pfn.value()));
  };
  return {{"pfn", number(found.pfn)}, {"local", number(found.local)}};
}

}  // namespace simvisor
