// destroy, pause, unpause, rename.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/api/text_check.h"
#include "client/session/frames_bar.h"
#include "client/session/room_note.h"
#include "client/ui/exit_code.h"
#include "client/ui/quantities.h"
#include "client/verbs/commands.h"

namespace simvisor::client {
namespace {

struct RenameArgs {
  std::string domain;
  std::string new_name;
};

// libxl's error number.
int LibxlError(const absl::Status& status) {
  return absl::IsNotFound(status) ? -21 : -3;
}

absl::Status Destroy(Session& session, const std::string& domain) {
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(domain));
  const auto response = [&] {
    FramesBar bar(
        session, target.client, "destroy", {},
        [&](const CallLimits& limits) { return CurrentPages(target, limits); });
    return target.client.Call(target.MakeRequest<v1::DestroyDomainRequest>());
  }();
  if (!response.ok()) {
    return InVerbsWords(
        absl::StrCat("destroy failed (rc=", LibxlError(response.status()), ")"),
        target.ref, response.status());
  }
  return session.Show(response);
}

absl::Status DestroyAll(Session& session,
                        const std::vector<std::string>& domains) {
  for (const std::string& domain : domains) {
    SIMVISOR_RETURN_IF_ERROR(ParseDomain(domain).status());
  }
  return ForEach(
      session, domains, "domains destroyed",
      [&](const std::string& domain) { return Destroy(session, domain); });
}

absl::Status Pause(Session& session, const std::string& domain) {
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(domain));
  return session.Show(
      target.client.Call(target.MakeRequest<v1::PauseDomainRequest>()));
}

absl::Status Unpause(Session& session, const std::string& domain) {
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(domain));
  const auto get = [&] {
    return target.client.Call(target.MakeRequest<v1::GetDomainRequest>());
  };
  // Its guest boots now if it has no driver yet.  If this fails, unpausing says
  // why.
  const auto before = get();
  const bool boots = before.ok() && !before->domain().has_balloon_driver();
  const auto response =
      target.client.Call(target.MakeRequest<v1::UnpauseDomainRequest>());
  if (response.ok() && boots) {
    const auto after = get();
    if (after.ok()) NoteRoom(session, after->domain());
  }
  return session.Show(response);
}

absl::Status Rename(Session& session, const RenameArgs& args) {
  SIMVISOR_RETURN_IF_ERROR(AsUsageError(CheckUtf8("new name", args.new_name)));
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  auto request = target.MakeRequest<v1::RenameDomainRequest>();
  request.set_new_name(args.new_name);
  const auto response = target.client.Call(request);
  if (!response.ok()) {
    return InVerbsWords(absl::StrCat("Can't rename domain '", args.domain, "'"),
                        target.ref, response.status());
  }
  return session.Show(response);
}

void AddSimple(Commands& commands, const std::string& name,
               const std::string& help,
               absl::Status (*action)(Session&, const std::string&)) {
  auto domain = std::make_shared<std::string>();
  commands
      .Add(name, help,
           [domain, action](Session& session) {
             return action(session, *domain);
           })
      .AddPositional(kDomainName, *domain, kDomainHelp)
      .Required();
}

}  // namespace

void AddLifecycleCommands(Commands& commands) {
  auto domains = std::make_shared<std::vector<std::string>>();
  Verb destroy = commands.Add(
      "destroy", "Destroy domains and free their memory",
      [domains](Session& session) { return DestroyAll(session, *domains); });
  destroy.AddPositional(kDomainName, *domains, kDomainHelp).Required();
  destroy.AddIgnored("-f", kNoEffectHelp);
  destroy.SetFooter(
      "If destroying a domain fails, the others are destroyed all the same, "
      "and\nthe exit code is 1.");
  AddSimple(commands, "pause",
            "Pause a domain (unlike xl, a failure gives exit code 1)", &Pause);
  AddSimple(commands, "unpause",
            "Unpause a domain (unlike xl, a failure gives exit code 1)",
            &Unpause);
  auto args = std::make_shared<RenameArgs>();
  Verb rename =
      commands.Add("rename", "Give a domain another name",
                   [args](Session& session) { return Rename(session, *args); });
  rename.AddPositional(kDomainName, args->domain, kDomainHelp).Required();
  rename.AddPositional("NEWNAME", args->new_name, "Its new name").Required();
}

}  // namespace simvisor::client
