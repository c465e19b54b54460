// migrate, migrations, migrate-resolve.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "client/api/address.h"
#include "client/api/error.h"
#include "client/api/random_id.h"
#include "client/api/text_check.h"
#include "client/session/migration_fate.h"
#include "client/ui/domain_text.h"
#include "client/ui/exit_code.h"
#include "client/ui/exit_signals.h"
#include "client/ui/progress_bar.h"
#include "client/ui/quantities.h"
#include "client/verbs/commands.h"

namespace simvisor::client {
namespace {

constexpr FieldName kMigrateFields[] = {
    {"target", "HOST"},
    {"migration_id", "--id"},
    {"policy.max_passes", "--max-passes"},
    {"policy.max_bytes_per_second", "--bandwidth"},
};

// Fewer pages go in a moment; that a guest dirties them again means little.
constexpr uint64_t kFewPages = 1000;

struct MigrateArgs {
  std::string domain;
  std::string host;
  bool paused = false;
  uint32_t max_passes = 0;
  std::optional<uint64_t> min_dirty;
  std::string bandwidth;
  uint64_t max_downtime_ms = 0;
  std::string id;
  std::string config;
  bool keep_domid = false;
};

struct ResolveArgs {
  std::string id;
  bool keep = false;
  bool drop = false;
};

// The address for the daemon, which has a different working directory.  As for
// xl, "localhost" is the daemon itself.
absl::StatusOr<std::string> TargetAddress(const std::string& own,
                                          std::string host) {
  if (host == "localhost") host = own;
  SIMVISOR_RETURN_IF_ERROR(CheckAddress(host));
  absl::string_view path = host;
  if (!absl::ConsumePrefix(&path, "unix:")) return host;
  std::error_code error;
  const auto absolute = std::filesystem::absolute(std::string(path), error);
  return error ? host : absl::StrCat("unix:", absolute.string());
}

absl::StatusOr<v1::PrecopyPolicy> PrecopyPolicyOf(const MigrateArgs& args) {
  v1::PrecopyPolicy policy;
  policy.set_max_passes(args.max_passes);
  if (args.min_dirty.has_value()) policy.set_min_dirty_pages(*args.min_dirty);
  policy.set_max_downtime_ms(args.max_downtime_ms);
  if (!args.bandwidth.empty()) {
    const auto bytes = ParseBytes(args.bandwidth);
    if (!bytes.ok()) {
      return UsageError(
          absl::StrCat("--bandwidth: ", bytes.status().message()));
    }
    policy.set_max_bytes_per_second(*bytes);
  }
  return policy;
}

std::string Note(const v1::MigrateDomainResponse& progress) {
  const std::string left =
      progress.pass_left_ms() == 0
          ? ""
          : absl::StrFormat(", %d s left",
                            (progress.pass_left_ms() + 999) / 1000);
  return absl::StrFormat(
      "  %s %d: %d pages sent, %d dirty, %.1f MB/s%s",
      progress.phase() == v1::MIGRATION_PHASE_SUSPENDED ? "last pass" : "pass",
      progress.pass(), progress.data_pages(), progress.dirty_pages(),
      static_cast<double>(progress.bytes_per_second()) / 1e6, left);
}

bool IsWorthANote(const v1::MigrateDomainResponse& progress) {
  return progress.not_converging() && progress.pass_pfns_total() >= kFewPages;
}

std::string NotConverging(const MigrateArgs& args,
                          const v1::MigrateDomainRequest& request,
                          const v1::MigrateDomainResponse& progress) {
  return absl::StrFormat(
      "%s dirties pages as fast as they are sent: %d pages were dirty when "
      "pass %d began, sent at %.1f MB/s; more passes will not shorten its "
      "downtime: "
      "slow the guest down%s, or set --max-downtime",
      DomainText(request.domain()), progress.pass_pfns_total(), progress.pass(),
      static_cast<double>(progress.bytes_per_second()) / 1e6,
      args.bandwidth.empty() ? "" : ", raise --bandwidth");
}

std::string Outcome(const v1::MigrateDomainResponse& moved) {
  return absl::StrFormat(
      "Migration successful: %d passes, %d pages with data, %d bytes, %d ms of "
      "downtime.",
      moved.pass(), moved.data_pages(), moved.bytes_sent(),
      moved.downtime_ms());
}

// Of xl's arguments, those that would change the domain.
absl::Status CheckAbsent(const MigrateArgs& args) {
  if (!args.config.empty()) {
    return UsageError(
        absl::StrCat("-C ", args.config,
                     ": a domain keeps its configuration on the way; "
                     "save it, and restore it with another"));
  }
  if (args.keep_domid) {
    return UsageError("-D: the target always chooses the next free domid");
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::MigrateDomainRequest> RequestOf(const Session& session,
                                                   const MigrateArgs& args) {
  v1::MigrateDomainRequest request;
  auto host = TargetAddress(session.address(), args.host);
  if (!host.ok()) return AsUsageError(host.status());
  request.set_target(*std::move(host));
  SIMVISOR_RETURN_IF_ERROR(AsUsageError(CheckUtf8("--id", args.id)));
  // Chosen here, so that the daemon can be asked for the migration even if it
  // has not answered yet.
  request.set_migration_id(args.id.empty() ? RandomId() : args.id);
  SIMVISOR_ASSIGN_OR_RETURN(*request.mutable_policy(), PrecopyPolicyOf(args));
  request.set_start_paused(args.paused);
  return request;
}

// Sends the domain and shows how far it is, and the outcome.
absl::Status Send(Session& session, const Client& client,
                  const MigrateArgs& args,
                  const v1::MigrateDomainRequest& request,
                  const Interruption& interruption) {
  ProgressBar bar(session.BarStream(false), "migrate");
  v1::MigrateDomainResponse last;
  bool told = false;
  const absl::Status status = client.MigrateDomain(
      request,
      [&](const v1::MigrateDomainResponse& progress) {
        last = progress;
        bar.Update(progress.pass_pfns_done(), progress.pass_pfns_total(),
                   Note(progress));
        if (!told && IsWorthANote(progress)) {
          told = true;
          bar.Clear();
          session.PrintRemark("note", NotConverging(args, request, progress));
        }
        return absl::OkStatus();
      },
      {.must_end = [&] { return interruption.signal() != 0; }});
  bar.Clear();
  if (absl::IsUnavailable(status) && ReasonOf(status).empty() &&
      !last.migration_id().empty()) {
    session.PrintRemark(
        "note",
        absl::StrCat("this daemon may have handed the domain over: '-H ",
                     request.target(), " migrations' shows what ",
                     "became of it there"));
  }
  if (!status.ok()) return status;
  return session.Show(absl::StatusOr<v1::MigrateDomainResponse>(last),
                      [&](const v1::MigrateDomainResponse& moved) {
                        session.PrintAside(Outcome(moved));
                      });
}

absl::Status Migrate(Session& session, const MigrateArgs& args) {
  session.NameFields(kMigrateFields);
  SIMVISOR_RETURN_IF_ERROR(CheckAbsent(args));
  SIMVISOR_ASSIGN_OR_RETURN(v1::MigrateDomainRequest request,
                            RequestOf(session, args));
  SIMVISOR_ASSIGN_OR_RETURN(const std::string own,
                            TargetAddress(session.address(), "localhost"));
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  *request.mutable_domain() = target.ref;
  // Ends the program when it goes, if a signal has come.
  const Interruption interruption;
  const absl::Status status =
      Send(session, target.client, args, request, interruption);
  if (interruption.signal() != 0) {
    EndInterrupted(session, target.client,
                   {.id = request.migration_id(), .own_address = own}, status);
  } else if (absl::IsDeadlineExceeded(status) && ReasonOf(status).empty()) {
    session.PrintRemark(
        "note", FindFate(target.client,
                         {.id = request.migration_id(), .own_address = own}));
  }
  return status;
}

// "UNKNOWN" for MIGRATION_STATE_UNKNOWN.
std::string MigrationStateName(v1::MigrationState state) {
  return std::string(
      absl::StripPrefix(v1::MigrationState_Name(state), "MIGRATION_STATE_"));
}

absl::Status ListMigrations(Session& session) {
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  return session.Show(
      client->ListAllMigrations(), [&](const v1::ListMigrationsResponse& all) {
        session.out() << absl::StrFormat("%-32s %-8s %-10s %5s %s\n", "ID",
                                         "Way", "State", "Dom", "Name / Peer");
        for (const v1::Migration& one : all.migrations()) {
          const bool out = one.direction() == v1::MIGRATION_DIRECTION_OUTGOING;
          session.out() << absl::StrFormat(
              "%-32s %-8s %-10s %5d %s %s %s\n", one.migration_id(),
              out ? "out" : "in", MigrationStateName(one.state()), one.domid(),
              one.name().empty() ? "(unknown)" : one.name(),
              out ? "to" : "from", one.peer());
          if (!one.message().empty()) {
            session.out() << "    " << one.message() << "\n";
          }
        }
      });
}

absl::Status ResolveMigration(Session& session, const ResolveArgs& args) {
  if (args.keep == args.drop) {
    return UsageError("give --keep or --drop, for the copy here");
  }
  SIMVISOR_RETURN_IF_ERROR(AsUsageError(CheckUtf8("ID", args.id)));
  SIMVISOR_ASSIGN_OR_RETURN(const Client* const client, session.Connect());
  v1::ResolveMigrationRequest request;
  request.set_migration_id(args.id);
  request.set_decision(args.keep ? v1::MIGRATION_DECISION_KEEP
                                 : v1::MIGRATION_DECISION_DROP);
  return session.Show(
      client->Call(request), [&](const v1::ResolveMigrationResponse& resolved) {
        session.PrintAside(absl::StrCat(
            "Migration ", args.id, " is ",
            MigrationStateName(resolved.migration().state()), "."));
      });
}

void AddXlOptions(Verb verb, MigrateArgs& args) {
  verb.AddIgnored("-e,-F,--live,--debug", kNoEffectHelp);
  verb.AddIgnoredOption("-s", kNoEffectHelp).ValueName("SSHCOMMAND");
  verb.AddOption("-C", args.config, "xl's option; refused here")
      .ValueName("CONFIG");
  verb.AddFlag("-D", args.keep_domid, "xl's option; refused here");
}

void AddMigrate(Commands& commands) {
  auto args = std::make_shared<MigrateArgs>();
  Verb verb = commands.Add(
      "migrate", "Move a running domain to another daemon",
      [args](Session& session) { return Migrate(session, *args); });
  verb.AddPositional(kDomainName, args->domain, kDomainHelp).Required();
  verb.AddPositional(
          "HOST", args->host,
          "Where the other daemon listens: unix:PATH or ADDRESS:PORT; "
          "localhost is the daemon itself")
      .Required();
  verb.AddFlag("-p,--paused", args->paused,
               "Leave the domain paused on the target");
  AddXlOptions(verb, *args);
  verb.AddOption("--max-passes", args->max_passes,
                 "Most passes while the guest runs; 5 by default")
      .Between(1, 1000);
  verb.AddOption("--min-dirty", args->min_dirty,
                 "End the passes when fewer pages are dirty; 50 by default");
  verb.AddOption(
      "--bandwidth", args->bandwidth,
      "Most bytes to send per second, such as 100m, and at least 4096; "
      "0, the default, sets no limit");
  verb.AddOption("--max-downtime", args->max_downtime_ms,
                 "Longest downtime in milliseconds; the migration fails if it "
                 "would take longer");
  verb.AddOption("--id", args->id,
                 "Id of the migration; a random one by default");
}

void AddResolve(Commands& commands) {
  auto args = std::make_shared<ResolveArgs>();
  Verb verb = commands.Add(
      "migrate-resolve", "Decide about a domain whose other daemon is gone",
      [args](Session& session) { return ResolveMigration(session, *args); });
  verb.AddPositional("ID", args->id, "Id of the migration; see migrations")
      .Required();
  const Argument keep = verb.AddFlag(
      "--keep", args->keep, "Run the copy here; the other one must be gone");
  verb.AddFlag("--drop", args->drop, "Destroy the copy here").Excludes(keep);
}

}  // namespace

void AddMigrateCommands(Commands& commands) {
  AddMigrate(commands);
  commands.Add("migrations", "List migrations to and from the daemon",
               [](Session& session) { return ListMigrations(session); });
  AddResolve(commands);
}

}  // namespace simvisor::client
