// Replays the p2m rules as executable cases: one JSON file each, out of
// tests/testdata/vectors, or out of the folder named in SIMVISOR_VECTORS, and
// its folder balloon.  An operation that is not known here fails the test.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "domain/guest/address_spaces.h"
#include "domain/guest/balloon_driver.h"
#include "domain/guest/balloon_list.h"
#include "domain/guest/e820.h"
#include "domain/guest/free_pages.h"
#include "domain/guest/guest_boot.h"
#include "domain/guest/memory_setup.h"
#include "domain/p2m/m2p.h"
#include "domain/p2m/p2m_list.h"
#include "domain/p2m/page_source.h"
#include "domain/units/abi.h"
#include "domain/units/cpu_mask_table.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/balloon_guest.h"
#include "tests/p2m_pages.h"

namespace simvisor {
namespace {

using Json = nlohmann::json;

// Any list of these cases fits; only what is written takes memory.
constexpr Pfn kCapacity(uint64_t{1} << 28);
constexpr uint64_t kDefaultMfnBase = 0x1000000;

// Pages without end, or as many as a case leaves.
class LimitedSource : public PageSource {
 public:
  PfnExtent Take(PageCount count) override {
    if (left_.has_value()) {
      count = std::min(count, *left_);
      *left_ -= count;
    }
    const PfnExtent pages = {next_, count};
    next_ += count;
    taken_ += count;
    return pages;
  }
  void Return(PfnExtent pages) override {
    returned_ += pages.count;
    if (left_.has_value()) *left_ += pages.count;
  }

  void Limit(PageCount left) { left_ = left; }
  // Pages taken so far, those given back since included, and without them.
  uint64_t taken() const { return taken_.value(); }
  uint64_t kept() const { return taken_.value() - returned_.value(); }

 private:
  Pfn next_{uint64_t{1} << 40};
  PageCount taken_;
  PageCount returned_;
  std::optional<PageCount> left_;
};

// The lowest free pages from pfn 1000 on; notes what is asked for and what
// comes back.
class NotingSource : public PageSource {
 public:
  explicit NotingSource(uint64_t free) {
    free_.Add({Pfn(1000), PageCount(free)});
  }
  PfnExtent Take(PageCount count) override {
    calls_ += count.value();
    return free_.TakeLowest(count);
  }
  void Return(PfnExtent pages) override {
    for (Pfn pfn = pages.first; pfn < pages.end(); pfn += PageCount(1)) {
      freed_.push_back(pfn.value());
    }
    free_.Add(pages);
  }

  uint64_t calls() const { return calls_; }
  const std::vector<uint64_t>& freed() const { return freed_; }
  uint64_t free() const { return free_.size().value(); }

 private:
  PfnSet free_;
  uint64_t calls_ = 0;
  std::vector<uint64_t> freed_;
};

// A list with nothing in it, and a process's tables in `kernel`.
struct PaeGuest {
  explicit PaeGuest(const PaeKernel& kernel)
      : pages(0, uint64_t{1} << 20),
        list(BuiltList(kAbiX86_32Pae, 1000, 0, pages)) {
    EXPECT_TRUE(list->Relocate(Pfn(0), pages).ok());
    spaces = std::make_unique<AddressSpaces>("guest", kernel, *list);
  }
  PagesFrom pages;
  std::unique_ptr<P2mList> list;
  std::unique_ptr<AddressSpaces> spaces;
};

class Replay {
 public:
  explicit Replay(const Json& file)
      : abi_(file["arch"] == "x86_64" ? kAbiX86_64 : kAbiX86_32Pae) {}

  Json Run(const Json& step) {
    static const auto* const kOps =
        new std::map<std::string, Json (Replay::*)(const Json&)>{
            {"constants", &Replay::Constants},
            {"boot", &Replay::Boot},
            {"add_extra", &Replay::AddExtra},
            {"set_range_identity", &Replay::SetRangeIdentity},
            {"relocate", &Replay::Relocate},
            {"boot_pv", &Replay::BootPv},
            {"build_frame_tree", &Replay::BuildFrameTree},
            {"lookup", &Replay::Lookup},
            {"raw", &Replay::Raw},
            {"set", &Replay::Set},
            {"try_set", &Replay::TrySet},
            {"assign", &Replay::Assign},
            {"alloc_entry", &Replay::AllocEntry},
            {"limit_frames", &Replay::LimitFrames},
            {"leaf", &Replay::Leaf},
            {"mid", &Replay::Mid},
            {"leaf_runs", &Replay::LeafRuns},
            {"top_runs", &Replay::TopRuns},
            {"tree_slots", &Replay::TreeSlots},
            {"tree_fresh", &Replay::TreeFresh},
            {"migrate", &Replay::Migrate},
            {"dump_raw", &Replay::DumpRaw},
            {"dump_resolved", &Replay::DumpResolved},
            {"summary", &Replay::Summary},
            {"tools_max_pfn", &Replay::ToolsMaxPfn},
            {"balloon", &Replay::Balloon},
            {"target", &Replay::Target},
            {"wake", &Replay::Wake},
            {"domain", &Replay::DomainOp},
            {"host_free", &Replay::HostFree},
            {"set_target", &Replay::SetTargetOp},
            {"timer", &Replay::Timer},
            {"pause", &Replay::Pause},
            {"unpause", &Replay::Unpause},
            {"map_ballooned", &Replay::MapBallooned},
            {"unmap_ballooned", &Replay::UnmapBallooned},
            {"balloon_list", &Replay::BalloonListOp},
            {"balloon_to", &Replay::BalloonTo},
            {"pgd_alloc", &Replay::PgdAlloc},
            {"pmd_entry_flags", &Replay::PmdEntryFlags},
            {"pgd_entry_flags", &Replay::PgdEntryFlags},
            {"cpumask", &Replay::CpuMask},
            {"cpumask_window", &Replay::CpuMaskWindow},
            {"pae_frames", &Replay::PaeFrames},
            {"m2p_set", &Replay::M2pSet},
            {"mfn_to_pfn", &Replay::MfnToPfnOp},
        };
    const auto op = kOps->find(step["op"].get<std::string>());
    if (op == kOps->end()) {
      ADD_FAILURE() << "unknown op " << step["op"];
      return nullptr;
    }
    return (this->*op->second)(step);
  }

  absl::Status Check() const {
    return list_ ? list_->CheckInvariants() : absl::OkStatus();
  }

 private:
  static std::string Hex(uint64_t n) { return absl::StrFormat("0x%x", n); }
  static Pfn PfnAt(const Json& step, const char* key) {
    return step[key] == "max" ? Pfn::None() : Pfn(step[key].get<uint64_t>());
  }

  P2mWord ParseWord(const std::string& text, Pfn pfn) const {
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

  void NewList() {
    list_ = *P2mList::Create(abi_, kCapacity);
    source_ = LimitedSource();
    m2p_.clear();
    epoch_ = 0;
  }

  Json Constants(const Json&) {
    return {{"P2M_PER_PAGE", abi_.words_per_page},
            {"P2M_MID_PER_PAGE", abi_.words_per_page},
            {"P2M_TOP_PER_PAGE", abi_.words_per_page},
            {"MAX_P2M_PFN", abi_.max_p2m_pfn()},
            {"MAX_P2M_GiB", abi_.max_p2m_pfn() / kPagesPerGiB},
            {"PTRS_PER_PTE", abi_.ptrs_per_pte},
            {"PMDS_PER_MID_PAGE", abi_.pmds_per_mid},
            {"pfns_per_leaf", abi_.leaf_span()},
            {"pfns_per_pmd", abi_.pte_page_span()},
            {"pfns_per_mid", abi_.mid_span()},
            {"INVALID_P2M_ENTRY", Hex(abi_.invalid_word)},
            {"IDENTITY_FRAME_BIT", Hex(abi_.identity_bit)},
            {"FOREIGN_FRAME_BIT", Hex(abi_.foreign_bit)},
            {"area_align_bytes", abi_.area_align_bytes()},
            {"remap_chunk", abi_.remap_chunk()},
            {"frame_list_batch", abi_.balloon_batch()}};
  }

  Json Boot(const Json& step) {
    NewList();
    const PageCount nr_pages(step["nr_pages"].get<uint64_t>());
    EXPECT_TRUE(list_->Build(nr_pages, source_).ok());
    const Mfn base(step.value("mfn_base", kDefaultMfnBase));
    list_->StoreFrames(Pfn(0), {base, nr_pages});
    for (const Json& hole : step.value("holes", Json::array())) {
      list_->ClearFrames(ExtentBetween(Pfn(hole[0].get<uint64_t>()),
                                       Pfn(hole[1].get<uint64_t>())));
    }
    return {{"p2m_size", list_->p2m_size().value()},
            {"max_p2m_pfn", list_->max_pfn().value()}};
  }

  Json AddExtra(const Json& step) {
    list_->AddExtraRegion(
        ExtentBetween(PfnAt(step, "start"), PfnAt(step, "end")));
    return {{"max_p2m_pfn", list_->max_pfn().value()}};
  }

  Json SetRangeIdentity(const Json& step) {
    const auto marked =
        list_->SetRangeIdentity(PfnAt(step, "start"), PfnAt(step, "end"));
    if (!marked.ok()) return Refusal(marked.status());
    return marked->value();
  }

  Json Relocate(const Json& step) {
    const uint64_t before = source_.taken();
    const Pfn limit(step.value("limit_pfns", uint64_t{0}));
    const uint64_t expected = list_->PagesToBoot(limit).value();
    EXPECT_TRUE(list_->Relocate(limit, source_).ok());
    // What a first build of the tree will take was counted as well.
    const uint64_t tree =
        3 + std::min(list_->Summary().private_mids, abi_.words_per_page);
    EXPECT_LE(source_.taken() - before, expected);
    if (list_->Summary().private_mids < abi_.words_per_page) {
      EXPECT_EQ(source_.taken() - before + tree, expected);
    }
    return {{"p2m_size", list_->p2m_size().value()},
            {"va_bytes", list_->Summary().area_bytes},
            {"frames_used", source_.taken() - before}};
  }

  Json BootPv(const Json& step) {
    NewList();
    std::vector<E820Entry> entries;
    for (const Json& e : step["e820"]) {
      const uint64_t start = e[0].get<uint64_t>() * kPageSize;
      const uint64_t end = e[1].get<uint64_t>() * kPageSize;
      entries.push_back(
          {start, end - start,
           e[2].get<bool>() ? E820Type::kRam : E820Type::kReserved});
    }
    const E820Map map = *E820Map::Create(std::move(entries));
    const PageCount nr_pages(step["nr_pages"].get<uint64_t>());
    const Pfn limit(step.value("limit_gib", uint64_t{0}) * kPagesPerGiB);
    const absl::StatusOr<MemorySetup> planned = PlanMemorySetup(
        {.abi = &abi_,
         .e820 = &map,
         .nr_pages = nr_pages,
         .ceiling = PageCount(step["max_pages"].get<uint64_t>()),
         .initial = step.value("initial", true),
         .area_limit = limit});
    if (!planned.ok()) {
      EXPECT_EQ(planned.status().code(), absl::StatusCode::kFailedPrecondition);
      return "crash: remap target larger than its ballooning room";
    }
    const MemorySetup& setup = *planned;
    const uint64_t needed = PagesToBoot(abi_, nr_pages, setup, limit)->value();
    EXPECT_TRUE(list_->Build(nr_pages, source_).ok());
    list_->StoreFrames(Pfn(0), {Mfn(kDefaultMfnBase), nr_pages});
    EXPECT_TRUE(BootGuest(*list_, setup, limit, source_).ok());
    EXPECT_EQ(source_.taken(), needed);
    PageCount left;
    for (const auto& [first, end] : list_->extra_regions().extents()) {
      left += end - first;
    }
    EXPECT_EQ(left, setup.extra_left.size());
    return {{"remapped", setup.moved_pages.value()},
            {"released", setup.released_pages.value()},
            {"remap_chunks", setup.note_pages.value()},
            {"extra_left", left.value()}};
  }

  Json BuildFrameTree(const Json&) {
    const uint64_t before = source_.taken();
    EXPECT_TRUE(list_->BuildTree(source_).ok());
    return {{"frames_taken", source_.taken() - before}};
  }

  Json Lookup(const Json& step) {
    const P2mWord word = list_->Lookup(PfnAt(step, "pfn"));
    return {{"flagged", Hex(word.ToAbi(abi_))},
            {"word", word.ToString()},
            {"pfn_to_mfn", word.is_invalid() ? "INVALID" : Hex(word.Number())}};
  }

  Json Raw(const Json& step) {
    return list_->Raw(PfnAt(step, "pfn")).ToString();
  }

  Json Taking(const std::function<bool()>& change) {
    const uint64_t before = source_.kept();
    const uint64_t generation = list_->generation();
    const bool ok = change();
    return {{"ok", ok},
            {"frames_taken", source_.kept() - before},
            {"generation_step", list_->generation() - generation}};
  }

  Json Set(const Json& step) {
    const Pfn pfn = PfnAt(step, "pfn");
    const P2mWord word = ParseWord(step["value"], pfn);
    absl::Status status;
    const Json result = Taking([&] {
      status = list_->Set(pfn, word, source_);
      return status.ok();
    });
    if (status.code() == absl::StatusCode::kOutOfRange) return Refusal(status);
    return result;
  }

  Json TrySet(const Json& step) {
    const Pfn pfn = PfnAt(step, "pfn");
    return Taking(
        [&] { return list_->TrySet(pfn, ParseWord(step["value"], pfn)); });
  }

  Json AllocEntry(const Json& step) {
    return Taking(
        [&] { return list_->AllocEntry(PfnAt(step, "pfn"), source_).ok(); });
  }

  Json Assign(const Json& step) {
    const uint64_t before = source_.taken();
    const std::string value = step["value"];
    P2mList::RangeFill fill = P2mList::RangeFill::Missing();
    if (value == "ram") {
      fill = P2mList::RangeFill::Ram(Mfn(step["mfn"].get<uint64_t>()));
    } else if (value == "identity") {
      fill = P2mList::RangeFill::Identity();
    } else {
      EXPECT_EQ(value, "INVALID");
    }
    const PfnExtent pfns =
        ExtentBetween(PfnAt(step, "start"), PfnAt(step, "end"));
    const uint64_t expected = list_->PagesToSet(pfns, fill).value();
    EXPECT_TRUE(list_->SetRange(pfns, fill, source_).ok());
    EXPECT_EQ(source_.taken() - before, expected);
    return {{"frames_taken", source_.taken() - before}};
  }

  Json LimitFrames(const Json& step) {
    source_.Limit(PageCount(step["left"].get<uint64_t>()));
    return nullptr;
  }

  static std::string Name(Backing backing) {
    switch (backing) {
      case Backing::kMissing:
        return "missing";
      case Backing::kIdentity:
        return "identity";
      case Backing::kPrivate:
        break;
    }
    return "private";
  }

  Json Leaf(const Json& step) {
    return Name(list_->LeafBacking(step["leaf"].get<uint64_t>()));
  }
  Json Mid(const Json& step) {
    return Name(list_->MidBacking(step["mid"].get<uint64_t>()));
  }

  static void Count(Json& runs, const std::string& kind) {
    if (!runs.empty() && runs.back()[0] == kind) {
      runs.back()[1] = runs.back()[1].get<uint64_t>() + 1;
    } else {
      runs.push_back({kind, 1});
    }
  }

  Json LeafRuns(const Json& step) {
    const uint64_t mid = step["mid"];
    const bool whole = list_->MidBacking(mid) != Backing::kPrivate;
    Json runs = Json::array();
    for (uint64_t i = 0; i < abi_.words_per_page; ++i) {
      const Backing leaf = list_->LeafBacking(mid * abi_.words_per_page + i);
      Count(runs, Name(leaf) + (whole ? "(whole mid)" : ""));
    }
    return runs;
  }

  Json TopRuns(const Json& step) {
    Json runs = Json::array();
    for (uint64_t i = 0; i < step["count"].get<uint64_t>(); ++i) {
      const P2mList::TopSlot slot = list_->TopSlotAt(i);
      Count(runs, slot == P2mList::TopSlot::kOwn          ? "own"
                  : slot == P2mList::TopSlot::kMidMissing ? "mid_missing"
                                                          : "stale");
    }
    return runs;
  }

  Json TreeSlots(const Json& step) {
    const uint64_t top = step["top"];
    if (list_->TopSlotAt(top) != P2mList::TopSlot::kOwn) {
      return Json::array({Json::array({"p2m_missing", abi_.words_per_page})});
    }
    Json runs = Json::array();
    for (uint64_t i = 0; i < abi_.words_per_page; ++i) {
      const P2mList::MidSlot slot = list_->MidSlotAt(top, i);
      Count(runs, slot == P2mList::MidSlot::kLeaf      ? "leaf"
                  : slot == P2mList::MidSlot::kMissing ? "p2m_missing"
                                                       : "p2m_identity");
    }
    return runs;
  }

  Json TreeFresh(const Json&) { return list_->tools_fresh(); }

  Json Migrate(const Json& step) {
    const Mfn base(step["mfn_base"].get<uint64_t>());
    const absl::Status status =
        list_->ReplaceFrames([base](PfnExtent pfns) -> MfnExtent {
          return {base + PageCount(pfns.first.value()), pfns.count};
        });
    if (!status.ok()) return Refusal(status);
    return {{"epoch", ++epoch_}};
  }

  // The kernel's dump shows foreign words as pfns, so runs join over them.
  Json Dump(P2mView view) {
    Json lines = Json::array();
    std::string last_class;
    Pfn start;
    for (Pfn at(0); at < list_->p2m_size();) {
      const P2mRun run =
          list_->RunAt(at, list_->p2m_size(), view, RunMerge::kByClass);
      const bool foreign = run.word.Class() == P2mClass::kForeign;
      const std::string name(
          P2mClassName(foreign ? P2mClass::kRam : run.word.Class()));
      if (!lines.empty() && name == last_class) {
        lines.erase(lines.size() - 1);
      } else {
        start = at;
      }
      at = run.pfns.end();
      last_class = name;
      lines.push_back(
          absl::StrFormat(" [0x%x->0x%x] %s", start.value(), at.value(), name));
    }
    return lines;
  }
  Json DumpRaw(const Json&) { return Dump(P2mView::kRaw); }
  Json DumpResolved(const Json&) { return Dump(P2mView::kResolved); }

  Json Summary(const Json&) {
    const P2mSummary s = list_->Summary();
    return {
        {"p2m_size", s.p2m_size},
        {"va_bytes", s.area_bytes},
        {"pfns",
         {{"ram", s.ram},
          {"identity", s.identity},
          {"missing", s.missing},
          {"foreign", s.foreign}}},
        {"leaves",
         {{"private", s.private_leaves},
          {"missing", s.missing_leaves},
          {"identity", s.identity_leaves},
          {"total", s.private_leaves + s.missing_leaves + s.identity_leaves}}},
        {"mids",
         {{"private", s.private_mids},
          {"missing", s.missing_mids},
          {"identity", s.identity_mids},
          {"total", s.private_mids + s.missing_mids + s.identity_mids}}},
        {"frames",
         {{"fixed", s.fixed_frames},
          {"pte", s.pte_frames},
          {"tree_mid", s.tree_mid_frames},
          {"metadata", s.metadata_frames()},
          {"leaf", s.leaf_frames}}},
        {"tools_max_pfn", s.tools_max_pfn}};
  }

  Json ToolsMaxPfn(const Json&) { return list_->last_pfn().value(); }

  Json Balloon(const Json& step) {
    driver_ = BalloonDriver(
        abi_, step.value("max_retry", BalloonPolicy::kDefaultMaxRetry));
    const PageCount current(step["current"].get<uint64_t>());
    driver_->Start(current);
    driver_->SetBalloon(PageCount(step.value("low", uint64_t{0})),
                        PageCount(step.value("high", uint64_t{0})));
    return nullptr;
  }

  Json Target(const Json& step) {
    driver_->SetTarget(PageCount(step["pages"].get<uint64_t>()));
    return nullptr;
  }

  Json Wake(const Json& step) {
    const BalloonDriver::Round round = driver_->NextRound();
    const bool up = round.direction == BalloonDriver::Direction::kUp;
    const PageCount limit(
        step.value(up ? "granted" : "available", round.pages.value()));
    // Without a reserve, whatever there is counts as less than it.
    constexpr uint64_t kAll = ~uint64_t{0};
    const BalloonDriver::Spare spare = {
        .available = PageCount(step.value("available", kAll)),
        .reserve = PageCount(step.value("reserve", kAll))};
    const BalloonState state =
        driver_->EndRound(round, std::min(round.pages, limit), spare);
    return {{"state", StateName(state)},
            {"current", driver_->current().value()},
            {"target", driver_->target().value()},
            {"low", driver_->low().value()},
            {"high", driver_->high().value()},
            {"delay", driver_->policy().delay_seconds()},
            {"retry", driver_->policy().retry_count()}};
  }

  static std::string StateName(BalloonState state) {
    return state == BalloonState::kDone    ? "DONE"
           : state == BalloonState::kAgain ? "EAGAIN"
                                           : "ECANCELED";
  }

  Json Figures() const {
    const BalloonFigures f = guest_->Figures();
    EXPECT_THAT(guest_->Audit(), testing::IsEmpty());
    return {{"state", StateName(f.state)},
            {"current", f.current},
            {"target", f.target},
            {"low", f.low},
            {"high", f.high},
            {"delay", f.delay},
            {"retry", f.retry},
            {"sleep", f.sleep}};
  }
  Json DomainOp(const Json& step) {
    const uint64_t memory = step["memory"];
    const uint64_t room = step.value("room", uint64_t{0});
    const uint64_t leaves = (memory + room) / abi_.leaf_span();
    guest_ = std::make_unique<BalloonGuest>(
        abi_.arch, memory, room,
        step.value("max_retry", BalloonPolicy::kDefaultMaxRetry), 64 + leaves);
    if (step.contains("guest_keeps")) guest_->Keep(step["guest_keeps"]);
    return Figures();
  }
  Json HostFree(const Json& step) {
    guest_->SetHostFree(step["frames"]);
    return Figures();
  }
  Json SetTargetOp(const Json& step) {
    guest_->SetTarget(step["pages"]);
    return Figures();
  }
  Json Timer(const Json&) {
    guest_->RunOutTimer();
    return Figures();
  }
  Json Pause(const Json&) {
    guest_->Pause();
    return Figures();
  }
  Json Unpause(const Json&) {
    guest_->Unpause();
    return Figures();
  }
  Json MapBallooned(const Json& step) {
    const std::set<uint64_t> missing = guest_->Missing();
    const uint64_t count = step["count"];
    EXPECT_LE(count, missing.size());
    const std::vector<uint64_t> pfns(missing.begin(),
                                     std::next(missing.begin(), count));
    guest_->MapBallooned(pfns);
    lent_.insert(lent_.end(), pfns.begin(), pfns.end());
    return Figures();
  }
  Json UnmapBallooned(const Json& step) {
    const uint64_t count = step["count"];
    EXPECT_LE(count, lent_.size());
    guest_->UnmapBallooned({lent_.end() - count, lent_.end()});
    lent_.resize(lent_.size() - count);
    return Figures();
  }

  Json BalloonListOp(const Json& step) {
    const Pfn memory(step["memory"].get<uint64_t>());
    const PageCount room_low(step.value("room_low", uint64_t{0}));
    const PageCount room_high(step.value("room_high", uint64_t{0}));
    balloon_ = BalloonList(memory + room_low);
    balloon_.Push({memory, room_low + room_high});
    free_.emplace();
    free_->Return({Pfn(0), memory - Pfn(0)});
    return BalloonRuns();
  }
  Json BalloonTo(const Json& step) {
    const PageCount pages(step["pages"].get<uint64_t>());
    if (pages < free_->count()) {
      std::vector<PfnExtent> taken;
      while (free_->count() > pages) {
        taken.push_back(free_->TakeForBalloon(free_->count() - pages));
      }
      balloon_.PushTaken(taken, PageCount(abi_.balloon_batch()));
    }
    while (free_->count() < pages && balloon_.size() > PageCount(0)) {
      free_->Return(balloon_.Pop(pages - free_->count()));
    }
    return BalloonRuns();
  }
  // The list from its head on: [first, last] of what goes on up or down.
  Json BalloonRuns() const {
    std::vector<std::vector<uint64_t>> runs;
    int64_t step = 0;
    BalloonList rest = balloon_;
    while (rest.size() > PageCount(0)) {
      const uint64_t pfn = rest.Pop(PageCount(1)).first.value();
      const int64_t next =
          runs.empty() ? 0 : static_cast<int64_t>(pfn - runs.back()[1]);
      if ((next == 1 || next == -1) && (step == 0 || step == next)) {
        runs.back()[1] = pfn;
        step = next;
      } else {
        runs.push_back({pfn, pfn});
        step = 0;
      }
    }
    return runs;
  }

  static PaeKernel KernelOf(const Json& step) {
    return {.shared_kernel_pmd = step.value("shared", false),
            .user_pgds = step.value("user_pgds", 3)};
  }
  Json PgdAlloc(const Json& step) {
    PaeGuest guest(KernelOf(step));
    NotingSource source(step["free"]);
    const bool ok =
        guest.spaces->Create(1, source, [] { return absl::OkStatus(); }).ok();
    EXPECT_TRUE(guest.spaces->CheckInvariants().ok());
    return {{"ok", ok},
            {"allocator_calls", source.calls()},
            {"freed", source.freed()},
            {"free_after", source.free()},
            {"on_pgd_list", guest.spaces->totals().listed}};
  }
  // The flags of an entry of a process's page, which `page` picks.
  template <typename PickPage>
  static Json EntryFlags(const Json& step, PickPage page) {
    PaeGuest guest(KernelOf(step));
    EXPECT_TRUE(
        guest.spaces->Create(1, guest.pages, [] { return absl::OkStatus(); })
            .ok());
    std::vector<AddressSpaceInfo> spaces;
    guest.spaces->List(0, 1, spaces);
    std::string bytes(kPageSize, '\0');
    // Frames of this guest have the numbers of their pfns.
    EXPECT_TRUE(guest.spaces->RenderPage(Pfn(page(spaces.at(0)).value()),
                                         absl::MakeSpan(bytes)));
    const size_t at = 8 * step["entry"].get<size_t>();
    return static_cast<uint8_t>(bytes[at]) |
           (static_cast<uint8_t>(bytes[at + 1]) & 0xf) << 8;
  }
  Json PmdEntryFlags(const Json& step) {
    return EntryFlags(step,
                      [](const AddressSpaceInfo& s) { return s.pmds[3]; });
  }
  Json PgdEntryFlags(const Json& step) {
    return EntryFlags(step, [](const AddressSpaceInfo& s) { return s.pgd; });
  }

  // Makes the processes and says what they took.
  Json PaeFrames(const Json& step) {
    EXPECT_EQ(abi_.arch, Arch::kX86_32Pae);
    PaeGuest guest(KernelOf(step));
    PagesFrom& source = guest.pages;
    AddressSpaces& spaces = *guest.spaces;
    const uint64_t processes = step["processes"];
    const PageCount expected = spaces.PagesToCreate(processes);
    const Pfn before = source.next();
    EXPECT_TRUE(
        spaces.Create(processes, source, [] { return absl::OkStatus(); }).ok());
    EXPECT_EQ(source.next() - before, expected);
    EXPECT_EQ(spaces.pages(), expected);
    EXPECT_TRUE(spaces.CheckInvariants().ok());
    const AddressSpaceTotals totals = spaces.totals();
    EXPECT_EQ(totals.spaces, processes);
    return {{"pgd_bytes", totals.pgd_bytes},
            {"pgd_frames", totals.pgd_frames.value()},
            {"pmd_frames", totals.pmd_frames.value()},
            {"kernel_pmd_copies", totals.kernel_pmd_copies.value()},
            {"on_pgd_list", totals.listed}};
  }

  Json M2pSet(const Json& step) {
    m2p_[step["mfn"].get<uint64_t>()] = PfnAt(step, "pfn");
    return nullptr;
  }

  Json MfnToPfnOp(const Json& step) {
    const uint64_t mfn = step["mfn"];
    const uint64_t nr_m2p = step.value("nr_m2p", uint64_t{1} << 26);
    const auto entry = m2p_.find(mfn);
    const Pfn candidate =
        mfn < nr_m2p && entry != m2p_.end() ? entry->second : Pfn::None();
    const MfnTranslation found = MfnToPfn(*list_, Mfn(mfn), candidate);
    const auto number = [](Pfn pfn) {
      return pfn.is_none() ? Json("none") : Json(Hex(pfn.value()));
    };
    return {{"pfn", number(found.pfn)}, {"local", number(found.local)}};
  }

  template <typename Word>
  static Json TableSize(uint32_t cpus) {
    const CpuMaskTableSize size = CpuMaskTable<Word>(cpus).Size();
    return {{"naive", size.naive_bytes},
            {"rows", size.rows},
            {"row_bytes", size.row_bytes},
            {"compact", size.table_bytes}};
  }

  Json CpuMask(const Json& step) {
    const uint32_t cpus = step["cpus"];
    return step["bits"] == 64 ? TableSize<uint64_t>(cpus)
                              : TableSize<uint32_t>(cpus);
  }

  // Where the window begins and where its bit is, in words of the table.
  template <typename Word>
  static Json Window(uint32_t cpus, uint32_t cpu) {
    const CpuMaskTable<Word> table(cpus);
    const absl::Span<const Word> mask = table.Mask(cpu);
    const auto first = static_cast<size_t>(mask.data() - table.Empty().data());
    const auto bit = std::find_if(mask.begin(), mask.end(),
                                  [](Word word) { return word != 0; });
    return {first, first + static_cast<size_t>(bit - mask.begin())};
  }

  Json CpuMaskWindow(const Json& step) {
    return step["bits"] == 64 ? Window<uint64_t>(step["cpus"], step["cpu"])
                              : Window<uint32_t>(step["cpus"], step["cpu"]);
  }

  // What a refusal stands for in the cases' words: the guest would stop.
  static Json Refusal(const absl::Status& status) {
    switch (status.code()) {
      case absl::StatusCode::kOutOfRange:
        return "crash: alloc-entry past the end of the area";
      case absl::StatusCode::kFailedPrecondition:
        return status.message().find("foreign") != absl::string_view::npos
                   ? "crash: foreign mapping at migration"
                   : "crash: identity ranges can only be marked before "
                     "relocation";
      default:
        return std::string(status.ToString());
    }
  }

  const Abi& abi_;
  std::unique_ptr<P2mList> list_;
  LimitedSource source_;
  std::optional<BalloonDriver> driver_;
  std::unique_ptr<BalloonGuest> guest_;
  std::vector<uint64_t> lent_;
  BalloonList balloon_;
  std::optional<FreePages> free_;
  std::map<uint64_t, Pfn> m2p_;  // of the machine, by mfn
  int epoch_ = 0;
};

std::vector<std::filesystem::path> VectorFiles() {
  const char* const given = std::getenv("SIMVISOR_VECTORS");
  const std::filesystem::path folder =
      given != nullptr ? given : "tests/testdata/vectors";
  std::vector<std::filesystem::path> files;
  for (const std::filesystem::path& at : {folder, folder / "balloon"}) {
    if (!std::filesystem::is_directory(at)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(at)) {
      if (entry.path().extension() == ".json") files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

TEST(P2mConformanceTest, EveryVectorHolds) {
  const std::vector<std::filesystem::path> files = VectorFiles();
  ASSERT_FALSE(files.empty());
  for (const std::filesystem::path& path : files) {
    SCOPED_TRACE(path.filename());
    std::ifstream in(path);
    const Json file = Json::parse(in);
    ASSERT_EQ(file["variant"], "mainline");
    Replay replay(file);
    int number = 0;
    for (const Json& step : file["steps"]) {
      SCOPED_TRACE(absl::StrFormat("step %d: %s", ++number, step.dump()));
      const Json got = replay.Run(step);
      if (step.contains("expect")) {
        EXPECT_EQ(got, step["expect"]);
      }
      EXPECT_TRUE(replay.Check().ok()) << replay.Check();
    }
  }
  std::cout << files.size() << " vector files replayed\n";
}

}  // namespace
}  // namespace simvisor
