// p2m foreign map, p2m foreign unmap, p2m mfn.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "client/api/error.h"
#include "client/api/error_lines.h"
#include "client/api/own_reason.h"
#include "client/ui/exit_code.h"
#include "client/ui/quantities.h"
#include "client/verbs/commands.h"
#include "client/verbs/op_arguments.h"

namespace simvisor::client {
namespace {

constexpr FieldName kForeignFields[] = {
    {"slots", "MFN"}, {"pfns", "PFN"}, {"mfns", "MFN"}};

// The most slots in one call.
constexpr uint64_t kMaxSlots = 65536;

struct ForeignArgs {
  std::string domain;
  std::string pfn;
  std::vector<std::string> numbers;
  bool no_wait = false;
};

absl::Status CheckSlots(uint64_t before, uint64_t more) {
  if (more == 0) {
    return UsageError("a count of 0 names no page");
  }
  if (more <= kMaxSlots - before) return absl::OkStatus();
  return UsageError(
      absl::StrCat("more than ", kMaxSlots, " pages; use several commands"));
}

// Says why each slot failed; the messages name the pfns.
template <typename Response>
void PrintErrors(Session& session, const Response& response) {
  const auto shown = static_cast<uint32_t>(std::min<size_t>(
      static_cast<size_t>(response.errors_size()), kMaxErrorLines));
  for (uint32_t i = 0; i < shown; ++i) {
    const v1::SlotError& error = response.errors(static_cast<int>(i));
    session.PrintAside(
        DescribeError(error.message(), error.code(), error.reason()));
  }
  if (shown < response.failed_slots()) {
    session.PrintAside(
        absl::StrCat("... and ", response.failed_slots() - shown, " more"));
  }
}

absl::Status SlotsFailed(absl::string_view command, uint32_t failed,
                         int slots) {
  if (failed == 0) return absl::OkStatus();
  return WithReason(absl::FailedPreconditionError(absl::StrCat(
                        command, ": ", failed, " of ", slots, " pages failed")),
                    OwnReason::kPartlyFailed);
}

absl::Status MapForeign(Session& session, const ForeignArgs& args) {
  session.NameFields(kForeignFields);
  v1::MapForeignFramesRequest request;
  SIMVISOR_ASSIGN_OR_RETURN(uint64_t pfn, ParseNumber("pfn", args.pfn));
  for (const std::string& text : args.numbers) {
    SIMVISOR_ASSIGN_OR_RETURN(const auto frames, ParseFrames(text));
    SIMVISOR_RETURN_IF_ERROR(CheckSlots(request.slots_size(), frames.count()));
    for (uint64_t i = 0; i < frames.count(); ++i) {
      v1::ForeignSlot* const slot = request.add_slots();
      slot->set_pfn(pfn++);
      slot->set_mfn(frames.first_mfn() + i);
    }
  }
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  *request.mutable_domain() = target.ref;
  const auto response = target.client.Call(request);
  const absl::Status shown =
      session.Show(response, [&](const v1::MapForeignFramesResponse& mapped) {
        session.out() << args.domain << ": " << mapped.mapped_slots() << " of "
                      << request.slots_size() << " pages mapped, "
                      << mapped.p2m_pages_taken()
                      << " pages taken for the p2m list\n";
        PrintErrors(session, mapped);
      });
  if (!shown.ok()) return shown;
  return SlotsFailed("p2m foreign map", response->failed_slots(),
                     request.slots_size());
}

absl::Status UnmapForeign(Session& session, const ForeignArgs& args) {
  session.NameFields(kForeignFields);
  v1::UnmapForeignFramesRequest request;
  request.set_secondary_mmus(WaitOf(args));
  for (const std::string& text : args.numbers) {
    SIMVISOR_ASSIGN_OR_RETURN(const auto pfns, ParsePfns(text));
    SIMVISOR_RETURN_IF_ERROR(CheckSlots(request.pfns_size(), pfns.count()));
    for (uint64_t i = 0; i < pfns.count(); ++i) {
      request.add_pfns(pfns.first_pfn() + i);
    }
  }
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  *request.mutable_domain() = target.ref;
  const auto response = target.client.Call(request);
  const absl::Status shown = session.Show(
      response, [&](const v1::UnmapForeignFramesResponse& unmapped) {
        session.out() << args.domain << ": " << unmapped.unmapped_slots()
                      << " of " << request.pfns_size() << " pages unmapped, "
                      << unmapped.freed_pages()
                      << " frames went back to the pool\n";
        PrintErrors(session, unmapped);
      });
  if (!shown.ok()) return shown;
  return SlotsFailed("p2m foreign unmap", response->failed_slots(),
                     request.pfns_size());
}

std::string DescribeMfn(uint64_t pfn, uint64_t local) {
  if (pfn == UINT64_MAX) return "none";
  if (pfn == local) return absl::StrFormat("pfn 0x%x", pfn);
  return absl::StrFormat("pfn 0x%x, not the domain's own", pfn);
}

absl::Status TranslateMfns(Session& session, const ForeignArgs& args) {
  session.NameFields(kForeignFields);
  v1::TranslateMfnsRequest request;
  for (const std::string& text : args.numbers) {
    SIMVISOR_ASSIGN_OR_RETURN(const uint64_t mfn, ParseNumber("mfn", text));
    request.add_mfns(mfn);
  }
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  *request.mutable_domain() = target.ref;
  return session.Show(
      target.client.Call(request),
      [&](const v1::TranslateMfnsResponse& response) {
        for (int i = 0; i < response.pfns_size(); ++i) {
          session.out() << absl::StrFormat(
              "0x%x  %s\n", request.mfns(i),
              DescribeMfn(response.pfns(i), response.local_pfns(i)));
        }
      });
}

}  // namespace

void AddP2mForeignCommands(Commands& commands, Verb p2m) {
  Verb group = commands.AddGroup(p2m, "foreign",
                                 "Frames of other domains in a domain's list");
  auto map_args = std::make_shared<ForeignArgs>();
  Verb map = commands.Add(
      group, "map", "Map frames of other domains at missing pfns",
      [map_args](Session& session) { return MapForeign(session, *map_args); });
  map.AddPositional(kDomainName, map_args->domain, kDomainHelp).Required();
  map.AddPositional("PFN", map_args->pfn,
                    "Pfn of the first frame; the others follow in order")
      .Required();
  map.AddPositional("MFN", map_args->numbers, "Frames, as MFN or MFN+COUNT")
      .Required();
  map.SetFooter(
      "Pages that cannot be mapped are skipped, each with its reason on "
      "standard\n"
      "error; the exit code is then 1.");
  auto unmap_args = std::make_shared<ForeignArgs>();
  Verb unmap = commands.Add(group, "unmap", "Unmap frames of other domains",
                            [unmap_args](Session& session) {
                              return UnmapForeign(session, *unmap_args);
                            });
  unmap.AddPositional(kDomainName, unmap_args->domain, kDomainHelp).Required();
  unmap
      .AddPositional("PFN", unmap_args->numbers,
                     "Foreign pfns, as PFN or PFN+COUNT")
      .Required();
  AddNoWait(unmap, unmap_args->no_wait);

  auto mfn_args = std::make_shared<ForeignArgs>();
  Verb mfn = commands.Add(
      p2m, "mfn", "Show the pfns that a guest finds for frames (mfn_to_pfn)",
      [mfn_args](Session& session) {
        return TranslateMfns(session, *mfn_args);
      });
  mfn.AddPositional(kDomainName, mfn_args->domain, kDomainHelp).Required();
  mfn.AddPositional("MFN", mfn_args->numbers, "Frame number, decimal or 0x...")
      .Required();
}

}  // namespace simvisor::client
