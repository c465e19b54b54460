// address-space create, destroy, list, translate, sync.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "client/ui/quantities.h"
#include "client/ui/word_text.h"
#include "client/verbs/commands.h"

namespace simvisor::client {
namespace {

constexpr FieldName kSpaceFields[] = {
    {"count", "COUNT"}, {"ids", "ID"}, {"pfns", "PFN"}};

struct CreateSpacesArgs {
  std::string domain;
  uint32_t count = 1;
};

struct IdsArgs {
  std::string domain;
  std::vector<std::string> ids;
};

struct TranslateInSpaceArgs {
  std::string domain;
  std::string id;
  std::vector<std::string> pfns;
};

std::string Plural(uint64_t count, absl::string_view one,
                   absl::string_view more) {
  return absl::StrCat(count, " ", count == 1 ? one : more);
}

std::string Spaces(uint64_t count) {
  return Plural(count, "address space", "address spaces");
}

std::string DescribeTotals(const v1::AddressSpaceTotals& totals) {
  std::string text = absl::StrCat(
      Spaces(totals.address_spaces()), " in ",
      Plural(totals.pgd_frames() + totals.pmd_frames(), "page", "pages"), ": ",
      totals.pgd_frames(), " of top-level tables (", totals.pgd_bytes(),
      " bytes each), ", totals.pmd_frames(), " of pmds");
  if (totals.shared_kernel_pmd()) {
    return absl::StrCat(text, ", the kernel's shared");
  }
  return absl::StrCat(text, ", ", totals.kernel_pmd_copies(),
                      " of them copies of the kernel's; ", totals.on_pgd_list(),
                      " on pgd_list");
}

absl::Status CreateSpaces(Session& session, const CreateSpacesArgs& args) {
  session.NameFields(kSpaceFields);
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  auto request = target.MakeRequest<v1::CreateAddressSpacesRequest>();
  request.set_count(args.count);
  return session.Show(
      target.client.Call(request),
      [&](const v1::CreateAddressSpacesResponse& made) {
        const uint64_t last = made.first_id() + made.count() - 1;
        session.out() << args.domain << ": created address space"
                      << (made.count() == 1
                              ? absl::StrCat(" ", last)
                              : absl::StrCat("s ", made.first_id(), " to ",
                                             last))
                      << "; " << DescribeTotals(made.totals()) << "\n";
      });
}

absl::Status DestroySpaces(Session& session, const IdsArgs& args) {
  session.NameFields(kSpaceFields);
  v1::DestroyAddressSpacesRequest request;
  for (const std::string& text : args.ids) {
    SIMVISOR_ASSIGN_OR_RETURN(const uint64_t id,
                              ParseNumber("address space", text));
    request.add_ids(id);
  }
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  *request.mutable_domain() = target.ref;
  return session.Show(target.client.Call(request),
                      [&](const v1::DestroyAddressSpacesResponse& left) {
                        session.out()
                            << args.domain << ": "
                            << Spaces(static_cast<uint64_t>(request.ids_size()))
                            << " destroyed; " << DescribeTotals(left.totals())
                            << "\n";
                      });
}

// A pmd without its own frame is the kernel's.
std::string PmdText(uint64_t mfn) {
  return mfn == 0 ? "kernel" : absl::StrFormat("0x%x", mfn);
}

std::string SpaceLine(const v1::AddressSpace& space) {
  std::string line = absl::StrFormat(
      "%8d  %-14s", space.id(),
      absl::StrFormat("0x%x+0x%x", space.pgd_mfn(), space.pgd_offset_bytes()));
  for (const uint64_t mfn : space.pmd_mfns()) {
    absl::StrAppend(&line, absl::StrFormat("  %-10s", PmdText(mfn)));
  }
  return absl::StrCat(line, space.on_pgd_list() ? "  yes\n" : "  no\n");
}

absl::Status ListSpacesText(Session& session, const Target& target,
                            const v1::ListAddressSpacesRequest& request) {
  v1::AddressSpaceTotals totals;
  bool began = false;
  const absl::Status status = target.client.ListAddressSpaces(
      request, [&](const v1::ListAddressSpacesResponse& response) {
        if (!began && response.address_spaces_size() > 0) {
          session.out() << absl::StrFormat(
              "%8s  %-14s  %-10s  %-10s  %-10s  %-10s  %s\n", "ID", "TABLE",
              "PMD0", "PMD1", "PMD2", "PMD3", "LISTED");
          began = true;
        }
        for (const v1::AddressSpace& space : response.address_spaces()) {
          session.out() << SpaceLine(space);
        }
        totals = response.totals();
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  session.out() << DescribeTotals(totals) << "; "
                << Plural(totals.entries_rewritten(), "entry", "entries")
                << " rewritten since boot\n";
  return absl::OkStatus();
}

absl::Status ListSpaces(Session& session, const std::string& domain) {
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(domain));
  const auto request = target.MakeRequest<v1::ListAddressSpacesRequest>();
  if (!session.json()) return ListSpacesText(session, target, request);
  v1::ListAddressSpacesResponse all;
  const absl::Status status = target.client.ListAddressSpaces(
      request, [&](const v1::ListAddressSpacesResponse& response) {
        all.mutable_address_spaces()->MergeFrom(response.address_spaces());
        *all.mutable_totals() = response.totals();
        return absl::OkStatus();
      });
  return status.ok() ? session.PrintJson(all) : status;
}

absl::Status TranslateInSpace(Session& session,
                              const TranslateInSpaceArgs& args) {
  session.NameFields(kSpaceFields);
  v1::TranslateInAddressSpaceRequest request;
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t id,
                            ParseNumber("address space", args.id));
  request.set_id(id);
  for (const std::string& text : args.pfns) {
    SIMVISOR_ASSIGN_OR_RETURN(const uint64_t pfn, ParseNumber("pfn", text));
    request.add_pfns(pfn);
  }
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(args.domain));
  *request.mutable_domain() = target.ref;
  return session.Show(
      target.client.Call(request),
      [&](const v1::TranslateInAddressSpaceResponse& response) {
        for (int i = 0; i < response.classes_size(); ++i) {
          session.out() << absl::StrFormat(
              "0x%x  %s\n", request.pfns(i),
              DescribeWord(response.classes(i), response.frames(i)));
        }
      });
}

absl::Status SyncSpaces(Session& session, const std::string& domain) {
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(domain));
  return session.Show(
      target.client.Call(target.MakeRequest<v1::SyncAddressSpacesRequest>()),
      [&](const v1::SyncAddressSpacesResponse& sync) {
        session.out() << domain << ": "
                      << Plural(sync.tables_walked(), "table", "tables")
                      << " walked, "
                      << Plural(sync.entries_rewritten(), "entry", "entries")
                      << " rewritten\n";
      });
}

void AddChanges(Commands& commands, Verb group) {
  auto create_args = std::make_shared<CreateSpacesArgs>();
  Verb create = commands.Add(group, "create", "Start processes, all or none",
                             [create_args](Session& session) {
                               return CreateSpaces(session, *create_args);
                             });
  create.AddPositional(kDomainName, create_args->domain, kDomainHelp)
      .Required();
  create.AddPositional("COUNT", create_args->count, "How many, up to 65536")
      .ShowDefault();
  auto destroy_args = std::make_shared<IdsArgs>();
  Verb destroy = commands.Add(group, "destroy", "End processes, all or none",
                              [destroy_args](Session& session) {
                                return DestroySpaces(session, *destroy_args);
                              });
  destroy.AddPositional(kDomainName, destroy_args->domain, kDomainHelp)
      .Required();
  destroy.AddPositional("ID", destroy_args->ids, "Ids, as list prints them")
      .Required();
}

void AddLooks(Commands& commands, Verb group) {
  auto listed = std::make_shared<std::string>();
  commands
      .Add(group, "list", "Show where the page tables of each process are",
           [listed](Session& session) { return ListSpaces(session, *listed); })
      .AddPositional(kDomainName, *listed, kDomainHelp)
      .Required();
  auto args = std::make_shared<TranslateInSpaceArgs>();
  Verb translate = commands.Add(
      group, "translate", "Show what pfns map to as a process sees the list",
      [args](Session& session) { return TranslateInSpace(session, *args); });
  translate.AddPositional(kDomainName, args->domain, kDomainHelp).Required();
  translate.AddPositional("ID", args->id, "Id, as list prints it").Required();
  translate.AddPositional("PFN", args->pfns, kPfnHelp).Required();
  auto synced = std::make_shared<std::string>();
  commands
      .Add(group, "sync",
           "Bring listed tables up to date with the kernel's "
           "(vmalloc_sync_all)",
           [synced](Session& session) { return SyncSpaces(session, *synced); })
      .AddPositional(kDomainName, *synced, kDomainHelp)
      .Required();
}

}  // namespace

void AddAddressSpaceCommands(Commands& commands) {
  Verb group = commands.AddGroup(
      "address-space", "Processes of a PAE guest and their kernel page tables");
  AddChanges(commands, group);
  AddLooks(commands, group);
}

}  // namespace simvisor::client
