#include "tests/vectors/mmu/mmu_client.h"

#include <algorithm>
#include <variant>

#include "tests/vectors/mmu/mmu_words.h"

namespace simvisor {
namespace {

// A message in the form of the cases, without its number; discarded if cases do
// not number it.
struct BodyJson {
  const MmuGuest& guest;
  const std::map<uint64_t, std::string>& names;

  Json operator()(const mmu::Registered& m) const {
    return {"registered", m.epoch, m.seq};
  }
  Json operator()(const mmu::Resumed&) const { return Skip(); }
  Json operator()(const mmu::RangeBegin& m) const {
    const std::string reason = m.reason == InvalidateReason::kMigrate
                                   ? guest.migration_word()
                                   : WordFor(m.reason);
    return {"begin", static_cast<uint64_t>(m.range), Extents(m.pfns), reason,
            m.blockable};
  }
  Json operator()(const mmu::RangeEnd& m) const {
    return {"end", static_cast<uint64_t>(m.range), m.seq};
  }
  Json operator()(const mmu::RangeAbort& m) const {
    return {"abort", static_cast<uint64_t>(m.range), m.seq};
  }
  Json operator()(const mmu::PageInvalidate& m) const {
    return {"page", static_cast<uint64_t>(m.range), guest.FromPfn(m.pfn)};
  }
  Json operator()(const mmu::Young& m) const {
    return {"young", Extents({m.pfns}), m.clear};
  }
  Json operator()(const mmu::Release& m) const {
    return {"release", WordFor(m.reason)};
  }
  Json operator()(const mmu::Resolved& m) const {
    return {"resolved", names.at(m.req), guest.FromMfn(m.mfn), m.seq};
  }
  Json operator()(const mmu::Installed& m) const {
    return {"installed", names.at(m.req), guest.FromPfn(m.pfn),
            guest.FromMfn(m.mfn), m.writable};
  }
  Json operator()(const mmu::NotMapped& m) const {
    return {"unmapped", names.at(m.req), WordFor(m.p2m_class)};
  }
  Json operator()(const mmu::Retry& m) const {
    return {"retry", names.at(m.req), WordFor(m.cause)};
  }
  Json operator()(const mmu::FaultError&) const { return Skip(); }
  Json operator()(const mmu::Renewed& m) const {
    return Json::array({m.extended ? "renewed" : "kept"});
  }
  Json operator()(const mmu::Watched& m) const {
    return Json::array({m.deferred ? "deferred" : "watched"});
  }
  Json operator()(const mmu::Unwatched&) const {
    return Json::array({"unwatched"});
  }
  Json operator()(const mmu::Unregistered&) const {
    return Json::array({"unregistered"});
  }
  Json operator()(const mmu::Fenced& m) const {
    return {"fenced", WordFor(m.cause)};
  }
  Json operator()(const mmu::Accessed&) const { return Skip(); }

  static Json Skip() { return Json(Json::value_t::discarded); }
  Json Extents(const std::vector<PfnExtent>& pfns) const {
    Json list = Json::array();
    for (const PfnExtent extent : pfns) {
      const bool to_end = extent.end() >= kEveryPfn.end();
      const bool from_start = extent.first == Pfn(0);
      list.push_back(Json::array(
          {from_start ? 0 : guest.FromPfn(extent.first),
           to_end ? kEveryPfn.end().value() : guest.FromPfn(extent.end())}));
    }
    return list;
  }
};

// The fault that a message answers; 0 if none.
uint64_t RequestIn(const mmu::Body& body) {
  return std::visit(
      [](const auto& m) -> uint64_t {
        using T = std::decay_t<decltype(m)>;
        if constexpr (std::is_same_v<T, mmu::Resolved> ||
                      std::is_same_v<T, mmu::Installed> ||
                      std::is_same_v<T, mmu::NotMapped> ||
                      std::is_same_v<T, mmu::Retry> ||
                      std::is_same_v<T, mmu::FaultError>) {
          return m.req;
        }
        return 0;
      },
      body);
}

}  // namespace

PfnSet MmuObject::Young(PfnExtent pfns, bool clear) {
  PfnSet young;
  for (Pfn at = pfns.first; at < pfns.end(); at += PageCount(1)) {
    if (!accessed_.Contains(at)) continue;
    young.Add({at, PageCount(1)});
    if (clear) accessed_.Remove({at, PageCount(1)});
  }
  return young;
}

void MmuClient::Take(SecondaryMmus& mmus, const MmuGuest& guest) {
  if (!registered_ || cut_) return;
  bool over = false;
  for (mmu::Message& message : mmus.TakeMessages(id_, 1000000, &over)) {
    const bool known = !told_.empty() && told_.back().ev >= message.ev;
    if (known) continue;
    Note(message);
    Json text = std::visit(BodyJson{guest, names_}, message.body);
    Told told = {message.ev, 0, std::move(message.body), Json::array()};
    if (!text.is_discarded()) {
      told.case_ev = ++last_case_ev_;
      text.insert(text.begin(), told.case_ev);
      told.text = std::move(text);
    }
    told_.push_back(std::move(told));
  }
}

void MmuClient::Note(const mmu::Message& message) {
  const mmu::Body& body = message.body;
  if (const auto* m = std::get_if<mmu::Registered>(&body)) token_ = m->token;
  if (const auto* m = std::get_if<mmu::RangeBegin>(&body)) {
    ranges_[static_cast<uint64_t>(m->range)] = message.ev;
  }
  if (const auto* m = std::get_if<mmu::PageInvalidate>(&body)) {
    ranges_[static_cast<uint64_t>(m->range)] = message.ev;
  }
  if (std::holds_alternative<mmu::Release>(body)) release_ = message.ev;
  if (std::holds_alternative<mmu::Young>(body)) young_ = message.ev;
  if (std::holds_alternative<mmu::Fenced>(body)) fenced_ = true;
}

Json MmuClient::Look() {
  Json list = Json::array();
  for (; looked_ < told_.size(); ++looked_) {
    if (told_[looked_].case_ev > 0) list.push_back(told_[looked_].text);
  }
  return list;
}

Json MmuClient::After(uint64_t ev) const {
  Json list = Json::array();
  for (const Told& told : told_) {
    if (told.case_ev > ev) list.push_back(told.text);
  }
  return list;
}

uint64_t MmuClient::LibraryEv(uint64_t ev) const {
  uint64_t found = 0;
  for (const Told& told : told_) {
    if (told.case_ev > ev) break;
    found = told.ev;
  }
  // One that was never sent stays one.
  return ev > last_case_ev_ ? found + (ev - last_case_ev_) : found;
}

uint64_t MmuClient::NewRequest(const std::string& req) {
  const uint64_t number = names_.size() + 1;
  names_[number] = req;
  requests_[req] = number;
  return number;
}

uint64_t MmuClient::RequestOf(const std::string& req) const {
  const auto found = requests_.find(req);
  return found == requests_.end() ? ~uint64_t{0} : found->second;
}

const mmu::Body* MmuClient::AnswerTo(uint64_t req) const {
  for (auto told = told_.rbegin(); told != told_.rend(); ++told) {
    if (RequestIn(told->body) == req) return &told->body;
  }
  return nullptr;
}

uint64_t MmuClient::EvOfRange(uint64_t range) const {
  const auto found = ranges_.find(range);
  return found == ranges_.end() ? 0 : found->second;
}

const mmu::Body* MmuClient::last() const {
  return told_.empty() ? nullptr : &told_.back().body;
}

}  // namespace simvisor
