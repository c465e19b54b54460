// Messages of secondary MMUs as lines, so that two queues can be compared and
// printed: "4 begin 2 [0-8) reason 0".
//
// What only the library makes is left out: tokens and the texts of errors.

#ifndef SIMVISOR_TESTS_DOMAIN_SMMU_MMU_TEXT_H_
#define SIMVISOR_TESTS_DOMAIN_SMMU_MMU_TEXT_H_

#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/error.h"
#include "domain/smmu/mmu_messages.h"
#include "domain/smmu/mmu_types.h"

namespace simvisor {

inline std::string ExtentsText(const std::vector<PfnExtent>& pfns) {
  std::string text;
  for (const PfnExtent extent : pfns) {
    absl::StrAppend(&text, "[", extent.first.value(), "-", extent.end().value(),
                    ")");
  }
  return text;
}

inline std::string FaultText(const FaultRequest& request) {
  return absl::StrCat(request.req, " pfn ", request.pfn.value(), " ahead ",
                      request.ahead, request.write ? " write" : "",
                      request.two_step ? " two_step" : "",
                      request.wait ? " wait" : "");
}

struct MmuBodyText {
  std::string operator()(const mmu::Registered& m) const {
    return absl::StrCat("registered ", static_cast<uint64_t>(m.subscription),
                        " epoch ", m.epoch, " seq ", m.seq, " lease ",
                        absl::ToInt64Milliseconds(m.lease));
  }
  std::string operator()(const mmu::Resumed&) const { return "resumed"; }
  std::string operator()(const mmu::RangeBegin& m) const {
    return absl::StrCat(
        "begin ", static_cast<uint64_t>(m.range), " ", ExtentsText(m.pfns),
        " reason ", static_cast<int>(m.reason),
        m.blockable ? "" : " not blockable", m.more ? " more" : "");
  }
  std::string operator()(const mmu::RangeEnd& m) const {
    return absl::StrCat("end ", static_cast<uint64_t>(m.range), " seq ", m.seq);
  }
  std::string operator()(const mmu::RangeAbort& m) const {
    return absl::StrCat("abort ", static_cast<uint64_t>(m.range), " seq ",
                        m.seq);
  }
  std::string operator()(const mmu::PageInvalidate& m) const {
    return absl::StrCat("page ", static_cast<uint64_t>(m.range), " pfn ",
                        m.pfn.value(), " reason ", static_cast<int>(m.reason));
  }
  std::string operator()(const mmu::Young& m) const {
    return absl::StrCat("young ", ExtentsText({m.pfns}),
                        m.clear ? " clear" : "");
  }
  std::string operator()(const mmu::Release& m) const {
    return absl::StrCat("release ", static_cast<int>(m.reason), " '", m.target,
                        "'");
  }
  std::string operator()(const mmu::Resolved& m) const {
    return absl::StrCat("resolved ", m.req, " mfn ", m.mfn.value(), " seq ",
                        m.seq);
  }
  std::string operator()(const mmu::Installed& m) const {
    return absl::StrCat("installed ", m.req, " pfn ", m.pfn.value(), " mfn ",
                        m.mfn.value(), " count ", m.count,
                        m.writable ? " writable" : "");
  }
  std::string operator()(const mmu::NotMapped& m) const {
    return absl::StrCat("not mapped ", m.req, " ", P2mClassName(m.p2m_class));
  }
  std::string operator()(const mmu::Retry& m) const {
    return absl::StrCat("retry ", m.req, " cause ", static_cast<int>(m.cause));
  }
  std::string operator()(const mmu::FaultError& m) const {
    return absl::StrCat("error ", m.req, " ",
                        absl::StatusCodeToString(m.status.code()), " ",
                        ReasonOf(m.status).value_or("?"));
  }
  std::string operator()(const mmu::Renewed& m) const {
    return absl::StrCat("renewed ", m.nonce, m.extended ? " extended" : "");
  }
  std::string operator()(const mmu::Watched& m) const {
    return absl::StrCat("watched ", m.req, m.deferred ? " deferred" : "");
  }
  std::string operator()(const mmu::Unwatched& m) const {
    return absl::StrCat("unwatched ", m.req);
  }
  std::string operator()(const mmu::Unregistered&) const {
    return "unregistered";
  }
  std::string operator()(const mmu::Fenced& m) const {
    return absl::StrCat("fenced ", static_cast<int>(m.cause));
  }
  std::string operator()(const mmu::Accessed& m) const {
    return absl::StrCat("accessed ", m.req, " '", m.data, "'");
  }
};

inline std::string MessageText(const mmu::Message& message) {
  const std::string body = std::visit(MmuBodyText(), message.body);
  // Which number `resumed` has does not matter.
  if (std::holds_alternative<mmu::Resumed>(message.body)) return body;
  return absl::StrCat(message.ev, " ", body);
}

inline std::vector<std::string> MessageTexts(
    const std::vector<mmu::Message>& messages) {
  std::vector<std::string> texts;
  texts.reserve(messages.size());
  for (const mmu::Message& message : messages) {
    texts.push_back(MessageText(message));
  }
  return texts;
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_DOMAIN_SMMU_MMU_TEXT_H_
