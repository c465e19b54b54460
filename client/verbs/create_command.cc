// create: a domain from an xl.cfg file.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/session/frames_bar.h"
#include "client/ui/exit_code.h"
#include "client/ui/files.h"
#include "client/verbs/commands.h"
#include "client/xl/domain_config.h"

namespace simvisor::client {
namespace {

struct CreateArgs {
  std::string file;
  std::vector<std::string> overrides;
  bool paused = false;
  bool quiet = false;
  bool dry_run = false;
};

// `error` of a configuration, as one of the command line if the file would do
// without the overrides.
absl::Status Blame(const absl::Status& error, const CreateArgs& args,
                   const std::string& text) {
  std::vector<std::string> ignored;
  const bool file_is_good =
      ParseDomainConfig(args.file, text, {}, ignored).ok();
  return file_is_good ? AsUsageError(error) : error;
}

absl::Status Create(Session& session, const CreateArgs& args) {
  SIMVISOR_ASSIGN_OR_RETURN(const std::string text,
                            ReadFile(args.file, kMaxConfigBytes));
  if (!args.quiet) {
    session.PrintAside(absl::StrCat("Parsing config from ", args.file));
  }
  std::vector<std::string> warnings;
  auto spec = ParseDomainConfig(args.file, text, args.overrides, warnings);
  // Warnings come first: a misspelt key may explain an error.
  for (const std::string& warning : warnings) {
    session.PrintRemark("warning", warning);
  }
  if (!spec.ok()) return Blame(spec.status(), args, text);
  v1::CreateDomainRequest request;
  *request.mutable_spec() = *std::move(spec);
  request.set_start_paused(args.paused);
  if (args.dry_run) return session.PrintJson(request);
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  const auto response = [&] {
    FramesBar bar(session, *client, "create",
                  [&] { return request.spec().memory_pages(); });
    return client->Call(request);
  }();
  return session.Show(response);
}

}  // namespace

void AddCreateCommand(Commands& commands) {
  auto args = std::make_shared<CreateArgs>();
  Verb verb =
      commands.Add("create", "Create a domain from an xl.cfg file and start it",
                   [args](Session& session) { return Create(session, *args); });
  verb.AddPositional("FILE", args->file, "xl.cfg file; - is standard input")
      .Required();
  verb.AddPositional("KEY=VALUE", args->overrides,
                     "Statements that override those in the file");
  verb.AddFlag("-p,--paused", args->paused,
               "Leave it paused; its guest boots when it is unpaused");
  verb.AddFlag("-q,--quiet", args->quiet, "Do not print which file is parsed");
  verb.AddFlag("-n,-N,--dryrun", args->dry_run,
               "Print the request as JSON instead of sending it");
  verb.SetFooter(
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
      "Strings on the command line need quotes that the shell leaves:\n"
      "simvisor create web.cfg 'name=\"web2\"'");
}

}  // namespace simvisor::client
