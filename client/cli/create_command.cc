// create: a domain from an xl.cfg file.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/files.h"
#include "client/cli/frames_bar.h"
#include "client/xl/domain_config.h"

namespace simvisor::client {
namespace {

constexpr size_t kMaxConfigBytes = 1 << 20;

struct CreateArgs {
  std::string file;
  std::vector<std::string> overrides;
  bool paused = false;
  bool quiet = false;
  bool dry_run = false;
};

absl::Status Create(Session& session, const CreateArgs& args) {
  auto text = ReadFile(args.file, kMaxConfigBytes);
  if (!text.ok()) return text.status();
  if (!args.quiet) session.err() << "Parsing config from " << args.file << "\n";
  std::vector<std::string> warnings;
  auto spec = ParseDomainConfig(args.file, *text, args.overrides, warnings);
  // A misspelt key may be what is behind an error.
  for (const std::string& warning : warnings) {
    session.err() << "warning: " << warning << "\n";
  }
  if (!spec.ok()) return spec.status();
  v1::CreateDomainRequest request;
  *request.mutable_spec() = *std::move(spec);
  request.set_start_paused(args.paused);
  if (args.dry_run) return session.PrintJson(request);
  auto client = session.Connect();
  if (!client.ok()) return client.status();
  const auto response = [&] {
    FramesBar bar(session, **client, "create",
                  [&] { return request.spec().memory_pages(); });
    return (*client)->CreateDomain(request);
  }();
  return session.Show(response);
}

}  // namespace

void AddCreateCommand(Commands& commands) {
  auto args = std::make_shared<CreateArgs>();
  CLI::App& verb =
      commands.Add("create", "Create a domain from an xl.cfg file and start it",
                   [args](Session& session) { return Create(session, *args); });
  verb.add_option("FILE", args->file, "xl.cfg file; - is standard input")
      ->required();
  verb.add_option("KEY=VALUE", args->overrides,
                  "Statements that override those of the file");
  verb.add_flag("-p,--paused", args->paused,
                "Leave it as built; its guest boots when it is unpaused");
  verb.add_flag("-q,--quiet", args->quiet, "Do not say what is parsed");
  verb.add_flag("-n,-N,--dryrun", args->dry_run,
                "Print the request as JSON instead of sending it");
  verb.footer(
      "Keys in use: name, uuid, type (pv), memory and maxmem (MiB), vcpus,\n"
      "maxvcpus, e820_host, pci, simvisor_hotplug_limit (GiB that the p2m "
      "area\n"
      "is sized for), simvisor_balloon_max_retry (failed rounds of the "
      "balloon\n"
      "driver before it gives up; 0: any number).  xl's other keys are "
      "accepted without effect; unknown\n"
      "ones are named in a warning.  Text on the command line needs quotes\n"
      "that reach the parser: simvisor create web.cfg 'name=\"web2\"'");
}

}  // namespace simvisor::client
