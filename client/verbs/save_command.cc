// save.

#include <atomic>
#include <csignal>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/api/error.h"
#include "client/session/domain_fate.h"
#include "client/ui/exit_code.h"
#include "client/ui/exit_signals.h"
#include "client/ui/image_file.h"
#include "client/ui/output_file.h"
#include "client/ui/progress_bar.h"
#include "client/verbs/commands.h"

namespace simvisor::client {
namespace {

struct SaveArgs {
  std::string domain;
  std::string file;
  std::string layer = "xl";
  bool keep_running = false;
  bool keep_paused = false;
  std::string config;
  bool keep_domid = false;
};

v1::ImageLayer LayerOf(const std::string& name) {
  if (name == "libxc") return v1::IMAGE_LAYER_LIBXC;
  return name == "libxl" ? v1::IMAGE_LAYER_LIBXL : v1::IMAGE_LAYER_XL;
}

v1::AfterSave AfterOf(const SaveArgs& args) {
  if (args.keep_paused) return v1::AFTER_SAVE_PAUSE;
  return args.keep_running ? v1::AFTER_SAVE_CONTINUE : v1::AFTER_SAVE_DESTROY;
}

// "Saving to web.img new xl format (info 0x3/0x0/1234)"
std::string Beginning(const SaveArgs& args, absl::string_view first_piece) {
  const std::string info = XlInfo(first_piece);
  return absl::StrCat("Saving to ", args.file,
                      info.empty()
                          ? absl::StrCat(" as a ", args.layer, " stream")
                          : absl::StrCat(" new xl format (info ", info, ")"));
}

// Whether the daemon has not said how the call ended.
bool IsLost(const absl::Status& status) {
  return (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) &&
         ReasonOf(status).empty();
}

// One image on its way from the daemon to the file.
class Saving {
 public:
  // All must outlive this object.
  Saving(Session& session, const SaveArgs& args, OutputFile& file,
         const Interruption& interruption)
      : session_(session),
        args_(args),
        file_(file),
        interruption_(interruption),
        bar_(session.BarStream(args.file == "-"), "save") {}

  absl::Status Take(const v1::SaveDomainResponse& piece) {
    if (!begun_) {
      session_.PrintAside(Beginning(args_, piece.data()));
      begun_ = true;
    }
    absl::Status written = file_.Append(piece.data(), interruption_);
    bar_.Update(piece.pfns_done(), piece.pfns_total());
    if (written.ok() && piece.last()) {
      written = file_.Commit();
      stored_ = written.ok();
    }
    return written;
  }

  // Whether a signal ends the call.  Once the image is stored, the daemon soon
  // says what it has done with the domain.
  bool MustEnd() const {
    return interruption_.signal() != 0 &&
           (!stored_ || interruption_.age() >= kCallGrace);
  }

  // Says what became of the domain and the file when the call has ended with
  // `status`.
  void End(const Target& target, const absl::Status& status) {
    bar_.Clear();
    if (interruption_.signal() == SIGPIPE) {
      session_.PrintRemark(
          "note",
          absl::StrCat("the reader of ", File(), " has gone: ",
                       FindDomainFate(target.client, target.ref, "is gone"),
                       "; ", FileFate()));
    } else if (interruption_.signal() != 0) {
      AnnounceAsking(session_);
      EndInterrupted(
          session_, status,
          absl::StrCat(FindDomainFate(target.client, target.ref, "is gone"),
                       "; ", FileFate()));
    } else if (!status.ok() && stored_) {
      session_.PrintRemark(
          "note",
          "the image is complete; list shows whether the domain still runs");
    } else if (begun_ && IsLost(status)) {
      session_.PrintRemark(
          "note",
          absl::StrCat(FileFate(), "; list shows whether the domain runs"));
    } else if (!status.ok() && begun_) {
      session_.PrintAside("Failed to save domain, resuming domain");
    }
  }

 private:
  std::string File() const {
    return args_.file == "-" ? "standard output" : args_.file;
  }

  std::string FileFate() const {
    if (stored_) return absl::StrCat(File(), " has its complete image");
    return absl::StrCat(File(), begun_ && file_.in_place()
                                    ? " got only a part of its image"
                                    : " was not written");
  }

  Session& session_;
  const SaveArgs& args_;
  OutputFile& file_;
  const Interruption& interruption_;
  ProgressBar bar_;
  bool begun_ = false;
  std::atomic<bool> stored_ = false;  // MustEnd() is asked on another thread
};

// Of xl's arguments, those that would change the image.
absl::Status CheckAbsent(const SaveArgs& args) {
  if (!args.config.empty()) {
    return UsageError(
        absl::StrCat(args.config,
                     ": an image holds the configuration that the domain has; "
                     "give another one to restore"));
  }
  if (args.keep_domid) {
    return UsageError("-D: a restored domain always gets the next free domid");
  }
  return absl::OkStatus();
}

absl::Status Save(Session& session, const SaveArgs& args) {
  SIMVISOR_RETURN_IF_ERROR(CheckAbsent(args));
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  v1::SaveDomainRequest::Start start;
  *start.mutable_domain() = target.ref;
  start.set_layer(LayerOf(args.layer));
  start.set_after(AfterOf(args));
  SIMVISOR_ASSIGN_OR_RETURN(OutputFile file, OutputFile::Create(args.file));
  // Ends the program when it goes, if a signal has come.
  const Interruption interruption;
  Saving saving(session, args, file, interruption);
  const absl::Status status = target.client.SaveDomain(
      start,
      [&](const v1::SaveDomainResponse& piece) { return saving.Take(piece); },
      {.must_end = [&] { return saving.MustEnd(); }});
  saving.End(target, status);
  return status;
}

}  // namespace

void AddSaveCommand(Commands& commands) {
  auto args = std::make_shared<SaveArgs>();
  Verb verb =
      commands.Add("save", "Save a domain to a file and destroy it",
                   [args](Session& session) { return Save(session, *args); });
  verb.AddPositional(kDomainName, args->domain, kDomainHelp).Required();
  verb.AddPositional("FILE", args->file,
                     "File, replaced once the image is complete and on disk; - "
                     "is standard output")
      .Required();
  verb.AddPositional("CONFIG", args->config,
                     "xl's argument; refused here, give it to restore");
  const Argument running = verb.AddFlag("-c,--checkpoint", args->keep_running,
                                        "Leave the domain running");
  verb.AddFlag("-p,--paused", args->keep_paused, "Leave the domain paused")
      .Excludes(running);
  verb.AddFlag("-D", args->keep_domid,
               "xl's option; refused here, restore chooses the domid");
  verb.AddOption("--layer", args->layer,
                 "How much of Xen's layers to write: xl, libxl or libxc")
      .OneOf({"xl", "libxl", "libxc"})
      .ShowDefault();
  verb.SetFooter(
      "The image is written to a new file in the folder of FILE, which "
      "replaces\n"
      "FILE when it is complete and on disk; only then is the domain "
      "destroyed.\n"
      "Only its owner can read the new FILE.  If FILE is a symbolic link, the\n"
      "link stays and its target is replaced.  If another program has written\n"
      "FILE meanwhile, such as a second save, that file stays, the domain "
      "keeps\n"
      "running and the exit code is 1.  A pipe or a device is written to\n"
      "directly; a terminal is refused.\n"
      "After Ctrl-C or another signal a note says what became of the domain "
      "and\n"
      "of FILE.");
}

}  // namespace simvisor::client
