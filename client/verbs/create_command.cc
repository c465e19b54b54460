// create: domains from xl.cfg files.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "client/api/own_reason.h"
#include "client/session/domain_fate.h"
#include "client/session/frames_bar.h"
#include "client/session/room_note.h"
#include "client/ui/exit_code.h"
#include "client/ui/exit_signals.h"
#include "client/ui/image_file.h"
#include "client/ui/xl_json.h"
#include "client/verbs/commands.h"
#include "client/xl/domain_config.h"

namespace simvisor::client {
namespace {

// The keys of a file that fill in fields of a spec.
constexpr FieldName kSpecFields[] = {
    {"spec.arch", "arch"},
    {"spec.pci_devices", "pci"},
    {"spec.pae_kernel", "shared_kernel_pmd and kernel_split"},
    {"spec.vcpu_affinities", "cpus and cpus_soft"},
};

struct CreateArgs {
  std::vector<std::string> words;  // files, and KEY=VALUE
  std::string defconfig;
  bool paused = false;
  bool quiet = false;
  bool dry_run = false;
};

// The words by their kind.
struct CreateWords {
  std::vector<std::string> files;
  std::vector<std::string> overrides;
};

// A name of a key has no slash, a path may have an equals sign behind one.
bool IsOverride(absl::string_view word) {
  const size_t equals = word.find('=');
  return equals != absl::string_view::npos && word.find('/') > equals;
}

absl::StatusOr<CreateWords> SortWords(const CreateArgs& args) {
  CreateWords words;
  if (!args.defconfig.empty()) words.files.push_back(args.defconfig);
  for (const std::string& word : args.words) {
    (IsOverride(word) ? words.overrides : words.files).push_back(word);
  }
  if (words.files.empty()) return UsageError("FILE is required");
  if (std::count(words.files.begin(), words.files.end(), "-") > 1) {
    return UsageError("only one FILE can be standard input");
  }
  return words;
}

// `error` of a configuration, as one of the command line if the file would do
// without the overrides.
absl::Status Blame(const absl::Status& error, const std::string& file,
                   const std::string& text) {
  std::vector<std::string> ignored;
  const bool file_is_good = ParseDomainConfig(file, text, {}, ignored).ok();
  return file_is_good ? AsUsageError(error) : error;
}

absl::StatusOr<v1::DomainSpec> ReadSpec(
    Session& session, const std::string& file,
    const std::vector<std::string>& overrides, bool quiet) {
  SIMVISOR_ASSIGN_OR_RETURN(
      const std::string text,
      ReadTextFile(file, kMaxConfigBytes,
                   absl::StrCat("'restore ", file, "' takes it")));
  if (!quiet) session.PrintAside(absl::StrCat("Parsing config from ", file));
  std::vector<std::string> warnings;
  auto spec = ParseDomainConfig(file, text, overrides, warnings);
  // Warnings come first: a misspelt key may explain an error.
  for (const std::string& warning : warnings) {
    session.PrintRemark("warning", warning);
  }
  if (!spec.ok()) {
    return WithReason(Blame(spec.status(), file, text),
                      OwnReason::kConfigInvalid);
  }
  return spec;
}

// What xl create -n prints; with -o json, the request.
absl::Status PrintPlan(Session& session,
                       const v1::CreateDomainRequest& request) {
  if (session.json()) return session.PrintJson(request);
  session.PrintJson(XlConfigOf(request.spec()));
  return absl::OkStatus();
}

absl::Status CreateOne(Session& session, const v1::CreateDomainRequest& request,
                       const Interruption& interruption) {
  if (interruption.signal() != 0) return InterruptedError();
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  const CallLimits limits = EndSoonAfter(interruption);
  const auto response = [&] {
    FramesBar bar(session, *client, "create", limits, [&](const CallLimits&) {
      return request.spec().memory_pages();
    });
    return client->Call(request, limits);
  }();
  if (response.ok()) NoteRoom(session, response->domain());
  return session.Show(response);
}

// What became of the last domain that was asked for, if any was.
std::string FateOfLast(Session& session, const Client& client,
                       const v1::DomainRef& last) {
  if (last.name().empty()) return "no domain was created";
  AnnounceAsking(session);
  return FindDomainFate(client, last, "was not created");
}

// Creates the domains of `requests`, one for each of `files`; a signal leaves
// out those that have not begun.
absl::Status CreateAll(Session& session, const std::vector<std::string>& files,
                       const std::vector<v1::CreateDomainRequest>& requests) {
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  // Ends the program when it goes, if a signal has come.
  const Interruption interruption;
  v1::DomainRef last;
  size_t next = 0;
  const absl::Status status =
      ForEach(session, files, "domains created", [&](const std::string&) {
        const v1::CreateDomainRequest& request = requests[next++];
        if (interruption.signal() == 0) {
          last.set_name(request.spec().name());
        }
        return CreateOne(session, request, interruption);
      });
  if (interruption.signal() != 0) {
    EndInterrupted(session, status, FateOfLast(session, *client, last));
  }
  return status;
}

absl::Status Create(Session& session, const CreateArgs& args) {
  session.NameFields(kSpecFields);
  SIMVISOR_ASSIGN_OR_RETURN(const CreateWords words, SortWords(args));
  // A file that is wrong is noticed before the first domain is created.
  std::vector<v1::CreateDomainRequest> requests;
  for (const std::string& file : words.files) {
    SIMVISOR_ASSIGN_OR_RETURN(
        auto spec, ReadSpec(session, file, words.overrides, args.quiet));
    v1::CreateDomainRequest& request = requests.emplace_back();
    *request.mutable_spec() = std::move(spec);
    request.set_start_paused(args.paused);
  }
  if (!args.dry_run) return CreateAll(session, words.files, requests);
  size_t next = 0;
  return ForEach(session, words.files, "files read", [&](const std::string&) {
    return PrintPlan(session, requests[next++]);
  });
}

}  // namespace

void AddCreateCommand(Commands& commands) {
  auto args = std::make_shared<CreateArgs>();
  Verb verb =
      commands.Add("create", "Create domains from xl.cfg files and start them",
                   [args](Session& session) { return Create(session, *args); });
  verb.AddPositional("FILE|KEY=VALUE", args->words,
                     "xl.cfg files, one for each domain, - for standard "
                     "input; and\nstatements that override those in each file");
  verb.AddOption("-f,--defconfig", args->defconfig,
                 "The xl.cfg file of a domain; unlike in xl, a FILE without -f "
                 "is\none more domain")
      .ValueName("FILE");
  verb.AddFlag("-p,--paused", args->paused,
               "Leave it paused; its guest boots when it is unpaused");
  verb.AddFlag("-q,--quiet", args->quiet, "Do not print which file is parsed");
  verb.AddFlag("-n,-N,--dryrun", args->dry_run,
               "Print the configuration as xl's JSON instead of creating "
               "the\ndomain; with -o json, the request");
  verb.AddIgnored(
      "-c,-d,-e,-F,-i,--ignore-global-affinity-masks,-V,--vncviewer,-A,"
      "--vncviewer-autopass",
      kNoEffectHelp);
  verb.SetFooter(absl::StrCat(
      "All files are read first; if one is wrong, no domain is created.  If\n"
      "creating a domain fails, the others are created all the same, and the\n"
      "exit code is 1.  After Ctrl-C or another signal a call in progress has "
      "2\n"
      "seconds to end, and a note says what became of its domain.\n"
      "\n"
      "Keys: name, uuid, type (pv), memory and maxmem (MiB), vcpus,\n"
      "maxvcpus, cpus, cpus_soft, e820_host, pci.  xl's other keys have\n"
      "no effect and are named in one warning; each unknown key gets a\n"
      "warning of its own.  A pci device is "
      "[DDDD:]BB:DD.F[@VSLOT][,KEY=VALUE]\n"
      "or bdf=..., with * for F for all functions; a device that\n"
      "another domain has is refused.  Names are UTF-8.  Keys that xl does not "
      "have:\n"
      "  arch=\"x86_64\"|\"x86_32_pae\"         guest ABI [x86_64]\n"
      "  memory_hotplug_limit=GIB           GiB that the p2m area has room "
      "for\n"
      "                                     at least [0]\n"
      "  tools_view=\"tree\"|\"linear\"         where tools find the p2m list "
      "[tree]\n"
      "  balloon_room=\"faithful\"|\"compact\"  p2m leaves of unused room to\n"
      "                                     balloon [faithful]\n"
      "  balloon_max_retry=N                failed rounds in a row after "
      "which\n"
      "                                     the balloon driver gives up; 0:\n"
      "                                     never [4]\n"
      "  shared_kernel_pmd=0|1              PAE: processes share the kernel's "
      "page\n"
      "                                     tables [0]\n"
      "  kernel_split=\"3g1g\"|\"2g2g\"|\"1g3g\"  PAE: user and kernel "
      "addresses [3g1g]\n"
      "Strings on the command line need quotes that the shell leaves:\n",
      commands.program().name(), " create web.cfg 'name=\"web2\"'"));
}

}  // namespace simvisor::client
