// identity mark, p2m set.

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/exit_code.h"
#include "client/cli/quantities.h"

namespace simvisor::client {
namespace {

// MarkIdentityRangeRequest's name for the end of the list.
constexpr uint64_t kEndOfList = UINT64_MAX;

struct MarkArgs {
  std::string domain;
  std::string start;
  std::string end;
  bool release = false;
};

struct SetArgs {
  std::string domain;
  std::string first;
  std::string count;
  std::string class_name;
  std::string mfn;
  bool release = false;
  bool keep = false;
};

absl::Status Mark(Session& session, const MarkArgs& args) {
  auto start = ParseNumber("pfn", args.start);
  if (!start.ok()) return start.status();
  auto end = args.end == "end" ? absl::StatusOr<uint64_t>(kEndOfList)
                               : ParseNumber("pfn", args.end);
  if (!end.ok()) return end.status();
  auto target = session.Open(args.domain);
  if (!target.ok()) return target.status();
  auto request = target->MakeRequest<v1::MarkIdentityRangeRequest>();
  request.set_start_pfn(*start);
  request.set_end_pfn(*end);
  request.set_release_ram(args.release);
  return session.Show(target->client.MarkIdentityRange(request),
                      [&](const v1::MarkIdentityRangeResponse& response) {
                        session.out()
                            << args.domain << ": " << response.marked_pages()
                            << " pfns are identity, "
                            << response.released_pages() << " frames released, "
                            << response.p2m_pages_taken()
                            << " pages taken for the p2m list\n";
                      });
}

// REQUIRES: one of the names that the parser lets through.
v1::P2mClass ClassNamed(const std::string& name) {
  if (name == "ram") return v1::P2M_CLASS_RAM;
  return name == "identity" ? v1::P2M_CLASS_IDENTITY : v1::P2M_CLASS_MISSING;
}

v1::RamPolicy PolicyOf(const SetArgs& args) {
  if (args.release) return v1::RAM_POLICY_RELEASE;
  return args.keep ? v1::RAM_POLICY_KEEP : v1::RAM_POLICY_REFUSE;
}

absl::Status FillSet(const SetArgs& args, v1::SetP2mRangeRequest& request) {
  auto first = ParseNumber("pfn", args.first);
  if (!first.ok()) return first.status();
  auto count = ParseNumber("number of pfns", args.count);
  if (!count.ok()) return count.status();
  request.set_first_pfn(*first);
  request.set_count(*count);
  request.set_p2m_class(ClassNamed(args.class_name));
  request.set_ram_policy(PolicyOf(args));
  const bool is_ram = request.p2m_class() == v1::P2M_CLASS_RAM;
  if (is_ram == args.mfn.empty()) {
    return UsageError(is_ram ? "p2m set: ram needs the MFN of the first pfn"
                             : "p2m set: only ram takes an MFN");
  }
  if (!is_ram) return absl::OkStatus();
  auto mfn = ParseNumber("mfn", args.mfn);
  if (!mfn.ok()) return mfn.status();
  request.set_first_mfn(*mfn);
  return absl::OkStatus();
}

absl::Status Set(Session& session, const SetArgs& args) {
  v1::SetP2mRangeRequest request;
  const absl::Status filled = FillSet(args, request);
  if (!filled.ok()) return filled;
  auto target = session.Open(args.domain);
  if (!target.ok()) return target.status();
  *request.mutable_domain() = target->ref;
  return session.Show(target->client.SetP2mRange(request),
                      [&](const v1::SetP2mRangeResponse& response) {
                        session.out()
                            << args.domain << ": " << request.count()
                            << " pfns set, " << response.released_pages()
                            << " frames released, "
                            << response.p2m_pages_taken()
                            << " pages taken for the p2m list\n";
                      });
}

}  // namespace

void AddIdentityCommands(Commands& commands) {
  CLI::App& group =
      commands.AddGroup("identity", "Ranges that map pfns to equal mfns");
  auto args = std::make_shared<MarkArgs>();
  CLI::App& verb =
      commands.Add(group, "mark", "Make every word of a range identity",
                   [args](Session& session) { return Mark(session, *args); });
  verb.add_option("DOM", args->domain, kDomainHelp)->required();
  verb.add_option("START", args->start, "First pfn, decimal or 0x...")
      ->required();
  verb.add_option("END", args->end, "One past the last pfn, or 'end'")
      ->required();
  verb.add_flag("--release", args->release,
                "Free the frames of RAM in the range, which is refused "
                "otherwise");
}

void AddP2mSetCommand(Commands& commands, CLI::App& p2m) {
  auto args = std::make_shared<SetArgs>();
  CLI::App& verb =
      commands.Add(p2m, "set", "Set every word of a range",
                   [args](Session& session) { return Set(session, *args); });
  verb.add_option("DOM", args->domain, kDomainHelp)->required();
  verb.add_option("PFN", args->first, "First pfn, decimal or 0x...")
      ->required();
  verb.add_option("COUNT", args->count, "Number of pfns")->required();
  verb.add_option("CLASS", args->class_name, "What the words become")
      ->required()
      ->check(CLI::IsMember({"missing", "identity", "ram"}));
  verb.add_option("MFN", args->mfn,
                  "ram: frame of the first pfn, the others follow in order");
  CLI::Option* release = verb.add_flag(
      "--release", args->release, "Free frames under words that are RAM now");
  verb.add_flag("--keep", args->keep,
                "Leave such frames with the domain, in no word")
      ->excludes(release);
}

}  // namespace simvisor::client
