// p2m dump, lookup, stat; p2m map is in p2m_map_command.cc, p2m walk in
// walk_command.cc, commands that change words in p2m_change_commands.cc and
// p2m_foreign_commands.cc.

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "client/ui/progress_bar.h"
#include "client/ui/run_printer.h"
#include "client/ui/word_text.h"
#include "client/ui/xl_output.h"
#include "client/verbs/commands.h"
#include "client/verbs/op_arguments.h"

namespace simvisor::client {
namespace {

constexpr FieldName kLookupFields[] = {{"pfns", "PFN"}};

struct DumpArgs {
  std::string domain;
  bool raw = false;
  bool by_frame = false;
};

// The number of pfns of the list; 0, which hides a bar, if the call fails.
uint64_t ListSize(const Target& target) {
  auto summary =
      target.client.Call(target.MakeRequest<v1::GetP2mSummaryRequest>());
  return summary.ok() ? summary->summary().p2m_size() : 0;
}

absl::Status DumpText(Session& session, const Target& target,
                      const v1::ListP2mRunsRequest& request, bool by_frame) {
  ProgressBar bar(session.BarStream(true), "p2m dump");
  const uint64_t size = session.BarStream(true) ? ListSize(target) : 0;
  RunPrinter printer(session.out(), by_frame);
  const absl::Status status = target.client.ListP2mRuns(
      request, [&](const v1::ListP2mRunsResponse& response) {
        for (const v1::P2mRun& run : response.runs()) {
          printer.Add(run);
          bar.Update(run.first_pfn() + run.count(), size);
        }
        return absl::OkStatus();
      });
  printer.Flush();
  return status;
}

absl::Status Dump(Session& session, const DumpArgs& args) {
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  auto request = target.MakeRequest<v1::ListP2mRunsRequest>();
  request.set_view(args.raw ? v1::P2M_VIEW_RAW : v1::P2M_VIEW_RESOLVED);
  request.set_merge(args.by_frame ? v1::RUN_MERGE_BY_FRAME
                                  : v1::RUN_MERGE_BY_CLASS);
  if (!session.json()) {
    return DumpText(session, target, request, args.by_frame);
  }
  v1::ListP2mRunsResponse all;
  const absl::Status status = target.client.ListP2mRuns(
      request, [&](const v1::ListP2mRunsResponse& response) {
        all.MergeFrom(response);
        return absl::OkStatus();
      });
  return status.ok() ? session.PrintJson(all) : status;
}

absl::Status LookupPfns(Session& session, const LookupArgs& args) {
  session.NameFields(kLookupFields);
  v1::TranslatePfnsRequest request;
  SIMVISOR_RETURN_IF_ERROR(Fill(args, request));
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  *request.mutable_domain() = target.ref;
  return session.Show(
      target.client.Call(request),
      [&](const v1::TranslatePfnsResponse& response) {
        for (int i = 0; i < response.classes_size(); ++i) {
          session.out() << absl::StrFormat(
              "0x%x  %s\n", request.pfns(i),
              DescribeWord(response.classes(i), response.frames(i)));
        }
      });
}

// All fields of P2mSummary are numbers, so reflection names them.
absl::Status Stat(Session& session, const std::string& domain) {
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(domain));
  return session.Show(
      target.client.Call(target.MakeRequest<v1::GetP2mSummaryRequest>()),
      [&](const v1::GetP2mSummaryResponse& response) {
        const v1::P2mSummary& summary = response.summary();
        const auto* type = v1::P2mSummary::descriptor();
        for (int i = 0; i < type->field_count(); ++i) {
          session.out() << InfoLine(
              type->field(i)->name(),
              absl::StrCat(
                  summary.GetReflection()->GetUInt64(summary, type->field(i))));
        }
      });
}

void AddLookup(Commands& commands, Verb group) {
  auto args = std::make_shared<LookupArgs>();
  AddArguments(commands.Add(group, "lookup", "Show what pfns map to",
                            [args](Session& session) {
                              return LookupPfns(session, *args);
                            }),
               *args);
}

}  // namespace

void AddP2mCommands(Commands& commands) {
  Verb group =
      commands.AddGroup("p2m", "Look at and change a domain's p2m list");
  auto dump_args = std::make_shared<DumpArgs>();
  Verb dump = commands.Add(
      group, "dump", "Print the list as runs, as the kernel's p2m dump does",
      [dump_args](Session& session) { return Dump(session, *dump_args); });
  dump.AddPositional(kDomainName, dump_args->domain, kDomainHelp).Required();
  dump.AddFlag("--raw", dump_args->raw,
               "Print stored words: shared identity leaves are missing");
  dump.AddFlag(
      "--by-frame", dump_args->by_frame,
      "Show where runs map to; split them where frames are not in a row");
  AddLookup(commands, group);
  auto domain = std::make_shared<std::string>();
  commands
      .Add(group, "stat", "Count words, leaves and frames of the list",
           [domain](Session& session) { return Stat(session, *domain); })
      .AddPositional(kDomainName, *domain, kDomainHelp)
      .Required();
  AddP2mMapCommand(commands, group);
  AddWalkCommand(commands, group);
  AddP2mSetCommand(commands, group);
  AddP2mForeignCommands(commands, group);
}

}  // namespace simvisor::client
