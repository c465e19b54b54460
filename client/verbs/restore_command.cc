// restore.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/api/error.h"
#include "client/api/own_reason.h"
#include "client/api/text_check.h"
#include "client/session/domain_fate.h"
#include "client/ui/domain_text.h"
#include "client/ui/exit_code.h"
#include "client/ui/exit_signals.h"
#include "client/ui/image_file.h"
#include "client/ui/input_file.h"
#include "client/ui/progress_bar.h"
#include "client/verbs/commands.h"
#include "client/xl/domain_config.h"

namespace simvisor::client {
namespace {

constexpr size_t kImagePieceBytes = 1 << 20;

constexpr FieldName kRestoreFields[] = {
    {"options.spec", "--name"},
    {"spec.pci_devices", "pci"},
    {"spec.vcpu_affinities", "cpus and cpus_soft"},
};

struct RestoreArgs {
  std::vector<std::string> files;  // [CONFIG] FILE
  std::string name;
  bool paused = false;
};

// The domain's spec, if the command line has one.
absl::Status FillSpec(Session& session, const RestoreArgs& args,
                      v1::RestoreOptions& options) {
  if (args.files.size() == 2) {
    SIMVISOR_ASSIGN_OR_RETURN(const std::string text,
                              ReadTextFile(args.files[0], kMaxConfigBytes,
                                           "CONFIG comes before FILE"));
    std::vector<std::string> warnings;
    auto spec = ParseDomainConfig(args.files[0], text, {}, warnings);
    for (const std::string& warning : warnings) {
      session.PrintRemark("warning", warning);
    }
    if (!spec.ok()) {
      return WithReason(spec.status(), OwnReason::kConfigInvalid);
    }
    *options.mutable_spec() = *std::move(spec);
  }
  SIMVISOR_RETURN_IF_ERROR(AsUsageError(CheckUtf8("--name", args.name)));
  if (!args.name.empty()) options.mutable_spec()->set_name(args.name);
  return absl::OkStatus();
}

// Opens the image; refuses a terminal.
absl::StatusOr<InputFile> OpenImage(const std::string& path) {
  auto file = InputFile::Open(path);
  if (file.ok() && file->IsTerminal()) {
    return UsageError(absl::StrCat(
        "cannot read an image from ", path,
        ": it is a terminal; name a file, or send one to standard input"));
  }
  return file;
}

// The next piece: the bytes that are available, but at first at least a header.
// CANCELLED if a signal comes while it waits for them.
absl::Status ReadPiece(InputFile& file, const Interruption& interruption,
                       bool first, std::string& piece) {
  const size_t enough = first ? kImageHeaderBytes : 1;
  piece.clear();
  size_t before;
  do {
    before = piece.size();
    if (!interruption.AwaitReadable(file.fd())) {
      return InterruptedError();
    }
    SIMVISOR_RETURN_IF_ERROR(file.Read(kImagePieceBytes - before, piece));
  } while (piece.size() > before && piece.size() < enough);
  return absl::OkStatus();
}

// One image on its way from the file to the daemon.
class Restoring {
 public:
  // All must outlive this object.
  Restoring(Session& session, const std::string& path, InputFile& file,
            const Interruption& interruption)
      : session_(session),
        path_(path),
        file_(file),
        interruption_(interruption),
        bar_(session.BarStream(false), "restore") {}

  // The next piece of the image; false at its end.
  absl::StatusOr<bool> Give(std::string& piece) {
    SIMVISOR_RETURN_IF_ERROR(
        ReadPiece(file_, interruption_, sent_bytes_ == 0, piece));
    if (sent_bytes_ == 0) {
      SIMVISOR_RETURN_IF_ERROR(CheckImage(path_, piece));
      if (const std::string info = XlInfo(piece); !info.empty()) {
        session_.PrintAside(absl::StrCat("Loading new save file ", path_,
                                         " (new xl fmt info ", info, ")"));
      }
    }
    sent_bytes_ += piece.size();
    bar_.Update(sent_bytes_, file_.size());
    sent_ = piece.empty();
    return !sent_;
  }

  // Whether a signal ends the call.  Once all is sent, the daemon soon says
  // whether it has the domain.
  bool MustEnd() const {
    return interruption_.signal() != 0 &&
           (!sent_ || interruption_.age() >= kCallGrace);
  }

  // Prints the response, and what became of the domain if a signal has come.
  absl::Status End(const absl::StatusOr<v1::RestoreDomainResponse>& response) {
    bar_.Clear();
    const absl::Status status = response.ok()
                                    ? session_.Show(response)
                                    : NameImage(path_, response.status());
    if (interruption_.signal() != 0) {
      EndInterrupted(session_, status, Fate(response));
    }
    return status;
  }

 private:
  std::string Fate(
      const absl::StatusOr<v1::RestoreDomainResponse>& response) const {
    if (response.ok()) {
      return absl::StrCat(DomainText(response->domain()), " was restored");
    }
    // The daemon gives a reason with an error of its own.
    if (!sent_ || !ReasonOf(response.status()).empty()) {
      return "nothing was restored; the daemon drops what it has received";
    }
    return absl::StrCat("all of ", FileText(path_),
                        " was sent, and the daemon has not answered; list ",
                        "shows whether the domain is here");
  }

  Session& session_;
  const std::string& path_;
  InputFile& file_;
  const Interruption& interruption_;
  ProgressBar bar_;
  uint64_t sent_bytes_ = 0;
  std::atomic<bool> sent_ = false;  // MustEnd() is asked on another thread
};

absl::Status Restore(Session& session, const RestoreArgs& args) {
  session.NameFields(kRestoreFields);
  v1::RestoreOptions options;
  options.set_start_paused(args.paused);
  const std::string& path = args.files.back();
  if (args.files.size() == 2 && args.files[0] == "-" && path == "-") {
    return UsageError(
        "CONFIG and FILE cannot both be standard input; name a file");
  }
  SIMVISOR_ASSIGN_OR_RETURN(InputFile file, OpenImage(path));
  SIMVISOR_RETURN_IF_ERROR(FillSpec(session, args, options));
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  // Ends the program when it goes, if a signal has come.
  const Interruption interruption;
  Restoring restoring(session, path, file, interruption);
  const auto response = client->RestoreDomain(
      options, [&](std::string* piece) { return restoring.Give(*piece); },
      {.must_end = [&] { return restoring.MustEnd(); }});
  return restoring.End(response);
}

}  // namespace

void AddRestoreCommand(Commands& commands) {
  auto args = std::make_shared<RestoreArgs>();
  Verb verb = commands.Add(
      "restore", "Restore a domain from a file",
      [args](Session& session) { return Restore(session, *args); });
  verb.AddPositional(
          "[CONFIG] FILE", args->files,
          "File or pipe with the image, - for standard input; CONFIG is an "
          "xl.cfg file that replaces the configuration in the image")
      .Required()
      .Values(1, 2);
  verb.AddFlag("-p,--paused", args->paused, "Leave the domain paused");
  verb.AddIgnored("-c,-d,-e,-F,-V,--vncviewer,-A,--vncviewer-autopass",
                  kNoEffectHelp);
  verb.AddOption("--name", args->name,
                 "Name; needed for an image that names no domain, unless "
                 "CONFIG does");
  verb.SetFooter(
      "An image is restored completely or not at all.  After Ctrl-C or "
      "another\n"
      "signal a note says which.");
}

}  // namespace simvisor::client
