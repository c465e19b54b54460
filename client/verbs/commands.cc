#include "client/verbs/commands.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/api/own_reason.h"
#include "client/session/domain_fate.h"
#include "client/ui/exit_code.h"
#include "client/ui/quantities.h"

namespace simvisor::client {

Verb Commands::AddGroup(Verb parent, const std::string& name,
                        const std::string& help) {
  Verb group = parent.AddGroup(name, help);
  group.InheritOptions();
  return group;
}

Verb Commands::Add(Verb parent, const std::string& name,
                   const std::string& help, Action action) {
  Verb command = parent.AddVerb(name, help);
  // Global options may follow the verb.
  command.InheritOptions();
  command.OnChosen([this, action = std::move(action)] { chosen_ = action; });
  return command;
}

absl::Status ForEach(
    Session& session, absl::Span<const std::string> items,
    absl::string_view done,
    absl::FunctionRef<absl::Status(const std::string&)> action) {
  if (items.size() == 1) return action(items.front());
  size_t succeeded = 0;
  const auto summary = [&] {
    return absl::StrCat(succeeded, " of ", items.size(), " ", done);
  };
  for (const std::string& item : items) {
    const absl::Status status = action(item);
    if (ExitCode(status) == kExitUnreachable || IsCancelledHere(status)) {
      session.PrintRemark("note", summary());
      return status;
    }
    if (status.ok()) {
      ++succeeded;
    } else {
      session.PrintError(status);
    }
  }
  if (succeeded == items.size()) return absl::OkStatus();
  return WithReason(absl::FailedPreconditionError(summary()),
                    OwnReason::kPartlyFailed);
}

absl::Status LocateUsageError(const CommandLine& line,
                              absl::string_view command,
                              const absl::Status& error) {
  const std::string domain = line.ValueOf(kDomainName);
  const std::string of =
      ParseDomain(domain).ok() ? absl::StrCat(domain, ": ") : "";
  return UsageError(absl::StrCat(command, ": ", of, error.message()));
}

}  // namespace simvisor::client
