// vcpu-list, vcpu-pin.

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/client/verbs/verb_fixture.h"

namespace simvisor::client {
namespace {

constexpr char kWeb[] = " { domid: 1 name: 'web' state: DOMAIN_STATE_RUNNING }";
constexpr char kMail[] =
    " { domid: 2 name: 'mail' state: DOMAIN_STATE_PAUSED }";
constexpr char kGone[] = " { domid: 3 name: 'gone' state: DOMAIN_STATE_DYING }";

std::string Vcpu(int vcpu) {
  return absl::StrCat("vcpus { vcpu: ", vcpu,
                      " hard { ranges { first_cpu: ", vcpu,
                      " count: ", vcpu + 1,
                      " } } soft { ranges { first_cpu: 0 count: 64 } } } ");
}

class VcpuVerbsTest : public VerbTest {
 protected:
  VcpuVerbsTest() {
    daemon_.Answer("GetHost",
                   {"host { cpu_masks { cpus: 64 table_bytes: 520 } }"});
  }
};

TEST_F(VcpuVerbsTest, VcpuList) {
  Begin("vcpu-list");
  Note("Columns are xl's; a domain that is destroyed meanwhile is left out");
  daemon_.Answer("ListDomains", {absl::StrCat("domains", kWeb, "domains", kMail,
                                              "domains", kGone)});
  daemon_.Answer("ListVcpus", {Vcpu(0) + Vcpu(1) + "next_page_token: '2'"});
  daemon_.Answer("ListVcpus", {Vcpu(2)});
  daemon_.Answer("ListVcpus", {Vcpu(0)});
  daemon_.Refuse("ListVcpus", grpc::StatusCode::FAILED_PRECONDITION,
                 "DOMAIN_DYING", "domain 3 is being destroyed");
  Run("vcpu-list");
  Note("... unless it is asked for");
  daemon_.Answer("GetDomain", {absl::StrCat("domain", kGone)});
  Run("vcpu-list gone");
  daemon_.Forget("GetDomain");
  daemon_.Forget("ListVcpus");
  daemon_.Answer("GetDomain", {absl::StrCat("domain", kMail)});
  daemon_.Answer("ListVcpus", {Vcpu(0)});
  Run("vcpu-list mail");
  Run("vcpu-list mail -o json");
  daemon_.Forget("GetDomain");
  daemon_.Refuse("GetDomain", grpc::StatusCode::NOT_FOUND, "DOMAIN_NOT_FOUND",
                 "no such domain");
  Run("vcpu-list nobody");
}

TEST_F(VcpuVerbsTest, VcpuPin) {
  Begin("vcpu-pin");
  daemon_.Answer("SetVcpuAffinity");
  Note("Sets that are not given are not sent");
  Run("vcpu-pin web 2 0-3,^1");
  Run("vcpu-pin web all - all");
  Run("vcpu-pin -f web 0 1 -");
  Note("A dry run prints the sets and changes nothing");
  Run("vcpu-pin -N web 0 0-3,^1");
  Run("vcpu-pin -N web all all,^0 nodes:0");
  Run("vcpu-pin -N web all - 7");
  Run("vcpu-pin -N web all 60-64");
  Run("-N vcpu-pin web all 7");
  Note("A refusal fails in xl's words");
  daemon_.Forget("SetVcpuAffinity");
  daemon_.Refuse("SetVcpuAffinity", grpc::StatusCode::INVALID_ARGUMENT,
                 "VCPU_OUT_OF_RANGE", "refused");
  Run("vcpu-pin web 3 0");
  daemon_.Forget("SetVcpuAffinity");
  daemon_.Refuse("SetVcpuAffinity", grpc::StatusCode::NOT_FOUND,
                 "DOMAIN_NOT_FOUND", "no such domain");
  Run("vcpu-pin nobody 3 0");
  Note("Bad arguments are not sent");
  for (const char* arguments :
       {"web x 0", "web 1x 0", "web '' 0", "web 4294967296 0", "-f web all 0",
        "web 0 0-x", "web 0 0 ^all", "web 0 nodes:1", "web 0 1,^1", "web 0"}) {
    Run(absl::StrCat("vcpu-pin ", arguments));
  }
}

}  // namespace
}  // namespace simvisor::client
