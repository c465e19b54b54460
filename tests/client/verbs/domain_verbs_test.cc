// create, list, info, domid, domname, destroy, pause, unpause, rename.

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/client/verbs/verb_fixture.h"

namespace simvisor::client {
namespace {

std::string Described(int domid, absl::string_view more = "") {
  return absl::StrCat("domid: ", domid, " name: 'dom", domid,
                      "' vcpus: 1 state: DOMAIN_STATE_RUNNING memory { "
                      "current_pages: ",
                      256 * (domid + 1), " } ", more);
}

std::string Listed(int domid) {
  return absl::StrCat("domains { ", Described(domid), " } ");
}

class DomainVerbsTest : public VerbTest {
 protected:
  void HaveDom2() {
    daemon_.Answer("GetDomain", {absl::StrCat("domain { ", Described(2),
                                              " arch: ARCH_X86_32_PAE }")});
  }
  void HaveNone(const std::string& method) {
    daemon_.Refuse(method, grpc::StatusCode::NOT_FOUND, "DOMAIN_NOT_FOUND",
                   "no such domain; list shows those that do");
  }
};

TEST_F(DomainVerbsTest, Create) {
  Begin("create");
  Note("The command line overrides the file; unknown keys are named");
  daemon_.Answer("CreateDomain", {absl::StrCat("domain {", Described(7), "}")});
  const std::string file =
      WriteFile("a.cfg", "name = \"web\"\nmemory = 64\nbogus = 1\n");
  Run(absl::StrCat("create ", file, " memory=32 -p"));
  Run(absl::StrCat("create -q ", file));
  Run(absl::StrCat("create -n -o json ", file));
  Note("A kernel without room for all of maxmem is noted");
  daemon_.Forget("CreateDomain");
  daemon_.Answer("CreateDomain",
                 {"domain { domid: 7 name: 'web' state: DOMAIN_STATE_RUNNING "
                  "memory { current_pages: 16384 static_max_pages: 1048576 "
                  "balloon_pages: 163840 } }"});
  Run(absl::StrCat("create -q ", file));
  Note("A dry run sends nothing");
  const std::string plain = WriteFile("b.cfg", "name = \"db\"");
  Run(absl::StrCat("create -n ", plain));
  Run(absl::StrCat("-N create -q ", plain, " vcpus=2"));
  Note("xl's other options change nothing");
  Run(absl::StrCat("create -q -cdeFV -A ", plain));
  Run(absl::StrCat("create -qpf ", plain, " memory=8"));
  Run(absl::StrCat("create --defconfig=", plain, " --quiet"));
  Note("Each file is a domain; KEY=VALUE applies to every file");
  Run(absl::StrCat("create -q ", plain, " ", file, " memory=16"));
  Note("A file that is wrong is noticed before anything is sent");
  Run(absl::StrCat("create -q ", plain, " ", folder_ / "none.cfg"));
  Note("After a failure the other domains are created");
  daemon_.Forget("CreateDomain");
  daemon_.Refuse("CreateDomain", grpc::StatusCode::ALREADY_EXISTS,
                 "DOMAIN_EXISTS", "a domain named 'db' exists");
  daemon_.Answer("CreateDomain", {absl::StrCat("domain {", Described(8), "}")});
  Run(absl::StrCat("create -q ", plain, " ", file));
  Run(absl::StrCat("create -q ", plain, " ", file, " -o json"));
  Note("A bad file fails, and a missing one is named");
  Run(absl::StrCat("create ", WriteFile("c.cfg", "memory = 64")));
  Run(absl::StrCat("create ", folder_ / "none.cfg"));
  Run("create");
  Note("An image is for restore");
  Run(absl::StrCat("create ", WriteFile("web.img", "LibxlFmt and more")));
}

TEST_F(DomainVerbsTest, List) {
  Begin("list");
  Note("Every page is listed");
  daemon_.Answer("ListDomains",
                 {Listed(0) + Listed(1) + "next_page_token: '2'"});
  daemon_.Answer("ListDomains",
                 {Listed(2) + Listed(3) + "next_page_token: '4'"});
  daemon_.Answer("ListDomains", {Listed(4)});
  Run("list");
  HaveDom2();
  Note("-v names UUID and ABI");
  Run("list -v dom2");
  Note("JSON keeps names and defaults");
  Run("list dom2 -o json");
  Note("-l answers as xl does, other options of xl change nothing");
  Run("list -l dom2");
  Run("list -cnZ dom2");
  Note("A missing domain fails in one line, in xl's words if xl has them");
  daemon_.Forget("GetDomain");
  HaveNone("GetDomain");
  Run("list 999");
  Run("list nobody");
  Run("list nobody -o json");
  Run("list 4294967296");
  Run("list --nonsense");
  daemon_.Forget("ListDomains");
  Note("Domains in handover, and an incoming domain");
  const std::string web =
      "domid: 5 name: 'web' state: DOMAIN_STATE_PAUSED suspended: true ";
  daemon_.Answer("ListDomains",
                 {absl::StrCat("domains { ", web, "handover: HANDOVER_OUTGOING",
                               " } domains { ", Described(6),
                               " handover: HANDOVER_INCOMING } "
                               "incoming { domid: 9 name: 'db' "
                               "claimed_pages: 2560 }")});
  Run("list");
  daemon_.Forget("ListDomains");
  daemon_.Answer("ListDomains", {absl::StrCat("domains { ", web, "}")});
  Run("list");
}

TEST_F(DomainVerbsTest, Info) {
  Begin("info");
  daemon_.Answer("GetHost", {"host { total_pages: 262144 free_pages: 131072 "
                             "cpu_masks { cpus: 64 table_bytes: 520 } }"});
  Run("info");
  Run("info free_memory");
  Run("info free_memory -o json");
  Run("info -n free_memory");
  Run("info free");
}

TEST_F(DomainVerbsTest, Domid) {
  Begin("domid");
  HaveDom2();
  Run("domid dom2");
  daemon_.Forget("GetDomain");
  HaveNone("GetDomain");
  Run("domid nobody");
}

TEST_F(DomainVerbsTest, Domname) {
  Begin("domname");
  HaveDom2();
  Run("domname 2");
  daemon_.Forget("GetDomain");
  HaveNone("GetDomain");
  Run("domname 3");
}

TEST_F(DomainVerbsTest, Destroy) {
  Begin("destroy");
  daemon_.Answer("DestroyDomain");
  Run("destroy web");
  daemon_.Forget("DestroyDomain");
  HaveNone("DestroyDomain");
  Note("An unknown name is an invalid identifier, a domid is not");
  Run("destroy nobody");
  Run("destroy 9");
  Run("destroy");
  Note("After a failure the other domains are destroyed");
  daemon_.Forget("DestroyDomain");
  HaveNone("DestroyDomain");
  daemon_.Answer("DestroyDomain");
  Run("destroy -f a b");
  Run("destroy c d");
  Note("... but not if the daemon cannot be reached");
  RunWithoutAddress(absl::StrCat("-H unix:", folder_ / "none", " destroy a b"));
}

TEST_F(DomainVerbsTest, Pause) {
  Begin("pause");
  daemon_.Answer("PauseDomain");
  Run("pause web");
  Note("A method that the daemon lacks is named by its code");
  daemon_.Forget("PauseDomain");
  Run("pause web");
}

TEST_F(DomainVerbsTest, Unpause) {
  Begin("unpause");
  daemon_.Answer("UnpauseDomain");
  Run("unpause 00000000-0000-0000-0000-000000000001");
  Note("A guest that boots by it may have less room than maxmem says");
  const std::string running =
      "domain { domid: 7 name: 'web' state: DOMAIN_STATE_RUNNING "
      "balloon_driver { } memory { current_pages: 16384 balloon_pages: 163840 "
      "static_max_pages: 1048576 } }";
  daemon_.Answer("GetDomain",
                 {"domain { domid: 7 name: 'web' state: DOMAIN_STATE_PAUSED "
                  "memory { current_pages: 16384 static_max_pages: 1048576 } "
                  "}"});
  daemon_.Answer("GetDomain", {running});
  Run("unpause web");
  Note("... one that has booted was told so then");
  daemon_.Forget("GetDomain");
  daemon_.Answer("GetDomain", {running});
  Run("unpause web");
  daemon_.Forget("GetDomain");
  daemon_.Forget("UnpauseDomain");
  daemon_.Refuse("UnpauseDomain", grpc::StatusCode::FAILED_PRECONDITION,
                 "DOMAIN_DYING", "domain 1: unpause: it is being destroyed");
  Run("unpause 1");
}

TEST_F(DomainVerbsTest, Rename) {
  Begin("rename");
  daemon_.Answer("RenameDomain");
  Run("rename 3 db");
  daemon_.Forget("RenameDomain");
  daemon_.Refuse("RenameDomain", grpc::StatusCode::ALREADY_EXISTS,
                 "DOMAIN_EXISTS", "a domain named 'db' exists");
  Run("rename web db");
  Run("rename web db -o json");
  Note("A domain that does not exist is one line, as with every verb");
  daemon_.Forget("RenameDomain");
  HaveNone("RenameDomain");
  Run("rename nobody db");
  Run("rename 77 db");
  Note("A name that is not UTF-8 is refused before the call");
  Run("rename web d\xff");
}

}  // namespace
}  // namespace simvisor::client
