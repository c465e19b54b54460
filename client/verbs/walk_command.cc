// p2m walk: the p2m list as Xen's saver reads it.

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "client/ui/json.h"
#include "client/ui/progress_bar.h"
#include "client/verbs/commands.h"
#include "client/walk/p2m_walk.h"
#include "client/walk/remote_frame_reader.h"

namespace simvisor::client {
namespace {

P2mRoot RootOf(const v1::GetMfnListListResponse& response) {
  return {.root_mfn = response.root_mfn(),
          .p2m_cr3 = response.p2m_cr3(),
          .p2m_vaddr = response.p2m_vaddr(),
          .max_pfn = response.max_pfn(),
          .max_mfn = response.max_mfn(),
          .words_per_page = response.words_per_page(),
          .word_bytes = response.word_bytes()};
}

void PrintWay(const P2mRoot& root, const P2mWalk& walk, std::ostream& out) {
  if (root.p2m_cr3 != 0) {
    out << absl::StrFormat("list    p2m_cr3 0x%x, p2m_vaddr 0x%x", root.p2m_cr3,
                           root.p2m_vaddr);
  } else {
    out << absl::StrFormat("root    mfn 0x%x", root.root_mfn);
  }
  out << absl::StrFormat(", max_pfn 0x%x, %d words of %d bytes in a page\n",
                         walk.max_pfn, root.words_per_page, root.word_bytes);
  if (root.p2m_cr3 != 0) {
    out << absl::StrFormat("tables  pages %d, entries %d\n", walk.table_pages,
                           walk.table_entries);
    return;
  }
  out << absl::StrFormat("top     pages 1, entries %d\n", walk.top_entries);
  out << absl::StrFormat("mids    pages %d, entries %d\n", walk.mid_pages,
                         walk.leaf_entries);
}

void PrintText(const P2mRoot& root, const P2mWalk& walk, std::ostream& out) {
  PrintWay(root, walk, out);
  out << absl::StrFormat("leaves  pages %d, words %d\n", walk.leaf_pages,
                         walk.words.total());
  if (walk.trimmed_max_pfn < walk.max_pfn) {
    out << absl::StrFormat(
        "trim    max_pfn 0x%x: the %s in equal entries\n", walk.trimmed_max_pfn,
        root.p2m_cr3 != 0 ? "level 2 tables end" : "top page ends");
  }
  const WordCounts& words = walk.words;
  out << absl::StrFormat(
      "words   ram %d, identity %d, foreign %d, missing %d, abnormal %d\n",
      words.ram, words.identity, words.foreign, words.missing, words.abnormal);
  out << absl::StrFormat("passed  checks %d, frames read %d\n", walk.checks,
                         walk.frames_read);
}

Json WalkToJson(const P2mRoot& root, const P2mWalk& walk) {
  Json json;
  if (root.p2m_cr3 != 0) {
    json = {{"p2m_cr3", root.p2m_cr3},
            {"p2m_vaddr", root.p2m_vaddr},
            {"table_pages", walk.table_pages},
            {"table_entries", walk.table_entries}};
  } else {
    json = {{"root_mfn", root.root_mfn},
            {"top_entries", walk.top_entries},
            {"mid_pages", walk.mid_pages}};
  }
  json.update({{"max_pfn", walk.max_pfn},
               {"trimmed_max_pfn", walk.trimmed_max_pfn},
               {"leaf_entries", walk.leaf_entries},
               {"leaf_pages", walk.leaf_pages},
               {"frames_read", walk.frames_read},
               {"checks", walk.checks},
               {"words",
                {{"ram", walk.words.ram},
                 {"identity", walk.words.identity},
                 {"foreign", walk.words.foreign},
                 {"missing", walk.words.missing},
                 {"abnormal", walk.words.abnormal}}}});
  return json;
}

absl::StatusOr<v1::GetMfnListListResponse> GetRoot(const Target& target) {
  return target.client.Call(target.MakeRequest<v1::GetMfnListListRequest>());
}

// A walk takes many calls, so a change between two of them may look like a
// fault.  Xen fails a live save if the generation has changed.
void NoteIfChanged(Session& session, const Target& target,
                   uint64_t generation) {
  const auto now = GetRoot(target);
  if (!now.ok() || now->generation() == generation) return;
  session.PrintRemark(
      "note",
      absl::StrCat("the list's mapping changed during the walk (generation ",
                   generation, ", then ", now->generation(),
                   "); pause the domain and walk again"));
}

absl::Status Walk(Session& session, const std::string& domain) {
  SIMVISOR_ASSIGN_OR_RETURN(const Target target, session.Open(domain));
  SIMVISOR_ASSIGN_OR_RETURN(const auto response, GetRoot(target));
  const P2mRoot root = RootOf(response);
  RemoteFrameReader reader(target.client);
  ProgressBar bar(session.BarStream(false), "p2m walk");
  auto walk = WalkP2m(root, reader, [&bar](uint64_t done, uint64_t total) {
    bar.Update(done, total);
  });
  bar.Clear();
  NoteIfChanged(session, target, response.generation());
  if (!walk.ok()) return walk.status();
  if (session.json()) {
    session.PrintJson(WalkToJson(root, *walk));
  } else {
    PrintText(root, *walk, session.out());
  }
  return absl::OkStatus();
}

}  // namespace

void AddWalkCommand(Commands& commands, Verb p2m) {
  auto domain = std::make_shared<std::string>();
  Verb verb = commands.Add(
      p2m, "walk", "Walk the p2m list by mfn, with Xen's own checks",
      [domain](Session& session) { return Walk(session, *domain); });
  verb.AddPositional(kDomainName, *domain, kDomainHelp).Required();
  verb.SetFooter(
      "Reads frames as a toolstack does when it saves the domain: the tree's\n"
      "top, mid and leaf pages, or the page tables under p2m_cr3 if the guest\n"
      "shows its list that way (tools_view).  The first check that fails is\n"
      "printed, and the exit code is 1.  Words are classed as a toolstack "
      "sees\n"
      "them: shared identity leaves read as missing.");
}

}  // namespace simvisor::client
