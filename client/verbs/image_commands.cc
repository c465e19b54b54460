// save, restore.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "client/api/own_reason.h"
#include "client/api/text_check.h"
#include "client/ui/exit_code.h"
#include "client/ui/files.h"
#include "client/ui/input_file.h"
#include "client/ui/output_file.h"
#include "client/ui/progress_bar.h"
#include "client/verbs/commands.h"
#include "client/xl/domain_config.h"

namespace simvisor::client {
namespace {

constexpr size_t kImagePieceBytes = 1 << 20;

constexpr absl::string_view kXlMagic = "Xen saved domain, xl format\n";
constexpr size_t kXlHeaderBytes = 48;

struct SaveArgs {
  std::string domain;
  std::string file;
  std::string layer = "xl";
  bool keep_running = false;
  bool keep_paused = false;
  std::string config;
  bool keep_domid = false;
};

struct RestoreArgs {
  std::vector<std::string> files;  // [CONFIG] FILE
  std::string name;
  bool paused = false;
};

// "0x3/0x0/1234", as xl shows the header of a file that begins with `bytes`;
// empty if the file has no xl header.
std::string XlInfo(absl::string_view bytes) {
  if (bytes.size() < kXlHeaderBytes ||
      bytes.substr(0, kXlMagic.size()) != kXlMagic) {
    return "";
  }
  const auto number = [bytes](size_t at) {
    uint32_t n = 0;
    for (size_t i = 4; i > 0; --i) {
      n = n << 8 | static_cast<unsigned char>(bytes[at + i - 1]);
    }
    return n;
  };
  return absl::StrFormat("0x%x/0x%x/%d", number(36), number(40), number(44));
}

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
  ProgressBar bar(session.BarStream(args.file == "-"), "save");
  bool begun = false;
  bool stored = false;
  const absl::Status status =
      target.client.SaveDomain(start, [&](const v1::SaveDomainResponse& piece) {
        if (!begun) {
          session.PrintAside(Beginning(args, piece.data()));
          begun = true;
        }
        absl::Status written = file.Append(piece.data());
        bar.Update(piece.pfns_done(), piece.pfns_total());
        if (written.ok() && piece.last()) {
          written = file.Commit();
          stored = written.ok();
        }
        return written;
      });
  bar.Clear();
  if (!status.ok() && stored) {
    session.PrintRemark(
        "note",
        "the image is complete; list shows whether the domain still runs");
  } else if (!status.ok() && begun) {
    session.PrintAside("Failed to save domain, resuming domain");
  }
  return status;
}

// The domain's spec, if the command line has one.
absl::Status FillSpec(Session& session, const RestoreArgs& args,
                      v1::RestoreOptions& options) {
  if (args.files.size() == 2) {
    SIMVISOR_ASSIGN_OR_RETURN(const std::string text,
                              ReadTextFile(args.files[0], kMaxConfigBytes));
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
absl::Status ReadPiece(InputFile& file, bool first, std::string& piece) {
  const size_t enough = first ? kXlHeaderBytes : 1;
  piece.clear();
  size_t before;
  do {
    before = piece.size();
    SIMVISOR_RETURN_IF_ERROR(file.Read(kImagePieceBytes - before, piece));
  } while (piece.size() > before && piece.size() < enough);
  return absl::OkStatus();
}

absl::Status Restore(Session& session, const RestoreArgs& args) {
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
  ProgressBar bar(session.BarStream(false), "restore");
  uint64_t sent = 0;
  const auto response = client->RestoreDomain(
      options, [&](std::string* piece) -> absl::StatusOr<bool> {
        SIMVISOR_RETURN_IF_ERROR(ReadPiece(file, sent == 0, *piece));
        if (const std::string info = XlInfo(*piece);
            sent == 0 && !info.empty()) {
          session.PrintAside(absl::StrCat("Loading new save file ", path,
                                          " (new xl fmt info ", info, ")"));
        }
        sent += piece->size();
        bar.Update(sent, file.size());
        return !piece->empty();
      });
  bar.Clear();
  return session.Show(response);
}

void AddSave(Commands& commands) {
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
      "directly; a terminal is refused.");
}

void AddRestore(Commands& commands) {
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
}

}  // namespace

void AddImageCommands(Commands& commands) {
  AddSave(commands);
  AddRestore(commands);
}

}  // namespace simvisor::client
