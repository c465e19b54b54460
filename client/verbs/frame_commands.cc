// frames lookup, frames read, audit.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "client/api/own_reason.h"
#include "client/ui/hex_dump.h"
#include "client/ui/output_file.h"
#include "client/ui/quantities.h"
#include "client/verbs/commands.h"

namespace simvisor::client {
namespace {

constexpr FieldName kFrameFields[] = {{"extents", "MFN"}};

constexpr uint64_t kFrameBytes = 4096;

struct FramesArgs {
  std::vector<std::string> frames;
  std::string file;
};

template <typename Request>
absl::StatusOr<Request> RequestFor(const FramesArgs& args) {
  Request request;
  for (const std::string& text : args.frames) {
    SIMVISOR_ASSIGN_OR_RETURN(const v1::MfnExtent extent, ParseFrames(text));
    *request.add_extents() = extent;
  }
  return request;
}

std::string FrameRunLine(const v1::FrameRun& run) {
  const std::string state = absl::AsciiStrToLower(
      absl::StripPrefix(v1::FrameState_Name(run.state()), "FRAME_STATE_"));
  std::string line = absl::StrFormat("mfn [0x%x->0x%x] %s", run.first_mfn(),
                                     run.first_mfn() + run.count(), state);
  if (run.has_domid()) absl::StrAppend(&line, " by domain ", run.domid());
  if (run.has_first_pfn()) {
    absl::StrAppendFormat(&line, ", pfn [0x%x->0x%x]", run.first_pfn(),
                          run.first_pfn() + run.count());
  }
  return absl::StrCat(line, "\n");
}

absl::Status LookupFrames(Session& session, const FramesArgs& args) {
  session.NameFields(kFrameFields);
  SIMVISOR_ASSIGN_OR_RETURN(const auto request,
                            RequestFor<v1::LookupFramesRequest>(args));
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  v1::LookupFramesResponse all;
  const absl::Status status = client->LookupFrames(
      request, [&](const v1::LookupFramesResponse& response) {
        if (session.json()) all.MergeFrom(response);
        for (const v1::FrameRun& run : response.runs()) {
          if (!session.json()) session.out() << FrameRunLine(run);
        }
        return absl::OkStatus();
      });
  if (!status.ok() || !session.json()) return status;
  return session.PrintJson(all);
}

// A frame of zeros travels empty.
std::string WholeFrame(const v1::FrameContent& frame) {
  std::string content = frame.content();
  content.resize(kFrameBytes, '\0');
  return content;
}

absl::Status SaveFrames(Session& session, const v1::ReadFramesResponse& all,
                        const std::string& name, OutputFile& file) {
  std::string data;
  for (const v1::FrameContent& frame : all.frames()) {
    data += WholeFrame(frame);
  }
  const absl::Status status = file.Finish(data);
  if (status.ok()) {
    session.PrintAside(absl::StrCat(data.size(), " bytes written to ", name));
  }
  return status;
}

absl::Status ReadFrames(Session& session, const FramesArgs& args) {
  session.NameFields(kFrameFields);
  SIMVISOR_ASSIGN_OR_RETURN(const auto request,
                            RequestFor<v1::ReadFramesRequest>(args));
  std::optional<OutputFile> file;
  if (!args.file.empty()) {
    SIMVISOR_ASSIGN_OR_RETURN(OutputFile created,
                              OutputFile::Create(args.file));
    file.emplace(std::move(created));
  }
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  const bool collects = session.json() || file.has_value();
  v1::ReadFramesResponse all;
  const absl::Status status =
      client->ReadFrames(request, [&](const v1::ReadFramesResponse& response) {
        if (collects) {
          all.MergeFrom(response);
          return absl::OkStatus();
        }
        for (const v1::FrameContent& frame : response.frames()) {
          session.out() << absl::StrFormat("mfn 0x%x\n", frame.mfn())
                        << HexDump(WholeFrame(frame), 0);
        }
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  if (file.has_value()) return SaveFrames(session, all, args.file, *file);
  return session.json() ? session.PrintJson(all) : absl::OkStatus();
}

absl::Status Audit(Session& session) {
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  auto response = client->Call(v1::AuditHostRequest());
  const absl::Status shown =
      session.Show(response, [&](const v1::AuditHostResponse& audit) {
        for (const std::string& finding : audit.findings()) {
          session.out() << finding << "\n";
        }
        session.out() << (audit.clean() ? "clean: " : "not clean: ")
                      << audit.domains_checked()
                      << (audit.domains_checked() == 1 ? " domain, "
                                                       : " domains, ")
                      << audit.frames_checked() << " frames, "
                      << audit.words_checked() << " words checked\n";
      });
  if (!shown.ok() || response->clean()) return shown;
  return WithReason(
      absl::InternalError(absl::StrCat("audit: ", response->findings_size(),
                                       " invariants do not hold")),
      OwnReason::kCheckFailed);
}

}  // namespace

void AddFrameCommands(Commands& commands) {
  constexpr char kFramesHelp[] = "Frames, as MFN or MFN+COUNT";
  Verb group = commands.AddGroup("frames", "Look at the machine's frames");
  auto args = std::make_shared<FramesArgs>();
  commands
      .Add(group, "lookup", "Show the owners and pfns of frames",
           [args](Session& session) { return LookupFrames(session, *args); })
      .AddPositional("MFN", args->frames, kFramesHelp)
      .Required();
  Verb read = commands.Add(
      group, "read", "Print the contents of frames of any owner",
      [args](Session& session) { return ReadFrames(session, *args); });
  read.AddPositional("MFN", args->frames, kFramesHelp).Required();
  read.AddOption("-f,--file", args->file,
                 "Write the bytes to this file instead; - is standard "
                 "output")
      .ValueName("FILE");
  commands.Add("audit", "Check every invariant of the machine", &Audit)
      .SetFooter("Findings go to standard output; the exit code is then 1.");
}

}  // namespace simvisor::client
