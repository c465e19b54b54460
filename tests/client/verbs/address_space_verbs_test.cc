// The address-space verbs against a few canned answers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "client/app.h"
#include "client/ui/exit_code.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "simvisor/v1/address_space_service.grpc.pb.h"
#include "tests/support/scoped_folder.h"

namespace simvisor::client {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FakeSpaces : public v1::AddressSpaceService::Service {
 public:
  grpc::Status CreateAddressSpaces(
      grpc::ServerContext*, const v1::CreateAddressSpacesRequest* request,
      v1::CreateAddressSpacesResponse* response) override {
    response->set_first_id(5);
    response->set_count(request->count());
    *response->mutable_totals() = totals;
    return grpc::Status::OK;
  }

  grpc::Status DestroyAddressSpaces(
      grpc::ServerContext*, const v1::DestroyAddressSpacesRequest* request,
      v1::DestroyAddressSpacesResponse* response) override {
    destroyed.assign(request->ids().begin(), request->ids().end());
    *response->mutable_totals() = totals;
    return grpc::Status::OK;
  }

  // Two responses of one space each, or one without any.
  grpc::Status ListAddressSpaces(
      grpc::ServerContext*, const v1::ListAddressSpacesRequest*,
      grpc::ServerWriter<v1::ListAddressSpacesResponse>* writer) override {
    for (uint64_t id = 1; id <= listed; ++id) {
      v1::ListAddressSpacesResponse response;
      *response.mutable_totals() = totals;
      auto* space = response.add_address_spaces();
      space->set_id(id);
      space->set_pgd_mfn(0x1000);
      space->set_pgd_offset_bytes(static_cast<uint32_t>(32 * (id - 1)));
      for (const uint64_t mfn : {0x20, 0x21, 0x22, 0}) {
        space->add_pmd_mfns(mfn);
      }
      writer->Write(response);
    }
    if (listed == 0) writer->Write(v1::ListAddressSpacesResponse());
    return grpc::Status::OK;
  }

  grpc::Status TranslateInAddressSpace(
      grpc::ServerContext*, const v1::TranslateInAddressSpaceRequest* request,
      v1::TranslateInAddressSpaceResponse* response) override {
    for (const uint64_t pfn : request->pfns()) {
      response->add_classes(pfn == 0 ? v1::P2M_CLASS_RAM
                                     : v1::P2M_CLASS_IDENTITY);
      response->add_frames(pfn == 0 ? request->id() : pfn);
    }
    return grpc::Status::OK;
  }

  grpc::Status SyncAddressSpaces(
      grpc::ServerContext*, const v1::SyncAddressSpacesRequest*,
      v1::SyncAddressSpacesResponse* response) override {
    response->set_tables_walked(3);
    response->set_entries_rewritten(1);
    return grpc::Status::OK;
  }

  v1::AddressSpaceTotals totals;
  uint64_t listed = 2;
  std::vector<uint64_t> destroyed;
};

class AddressSpaceCommandsTest : public ::testing::Test {
 protected:
  AddressSpaceCommandsTest() {
    spaces_.totals.set_address_spaces(3);
    spaces_.totals.set_pgd_bytes(4096);
    spaces_.totals.set_pgd_frames(3);
    spaces_.totals.set_pmd_frames(12);
    spaces_.totals.set_kernel_pmd_copies(3);
    spaces_.totals.set_on_pgd_list(3);
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address_, grpc::InsecureServerCredentials());
    builder.RegisterService(&spaces_);
    server_ = builder.BuildAndStart();
  }

  int Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"-a", address_, "address-space"});
    std::ostringstream out;
    std::ostringstream err;
    const int code = RunApp(arguments, {.out = out, .err = err});
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  ScopedFolder folder_;
  const std::string address_ = "unix:" + folder_ / "fake.sock";
  FakeSpaces spaces_;
  std::unique_ptr<grpc::Server> server_;
  std::string out_;
  std::string err_;
};

TEST_F(AddressSpaceCommandsTest, CreateNamesWhatItMade) {
  EXPECT_EQ(Run({"create", "web"}), kExitDone);
  EXPECT_EQ(out_,
            "web: created address space 5; 3 address spaces in 15 pages: 3 of "
            "top-level tables (4096 bytes each), 12 of pmds, 3 of them copies "
            "of the kernel's; 3 on pgd_list\n");
  EXPECT_EQ(Run({"create", "web", "3"}), kExitDone);
  EXPECT_THAT(out_, HasSubstr("created address spaces 5 to 7; "));
  EXPECT_EQ(Run({"create", "web", "3", "-o", "json"}), kExitDone);
  EXPECT_THAT(out_, HasSubstr("\"first_id\": \"5\""));
}

TEST_F(AddressSpaceCommandsTest, CountsThatAreNoneAreRefused) {
  EXPECT_EQ(Run({"create", "web", "-3"}), kExitUsage);
  EXPECT_EQ(Run({"create", "web", "many"}), kExitUsage);
  EXPECT_EQ(Run({"create"}), kExitUsage);
}

TEST_F(AddressSpaceCommandsTest, DestroySendsItsIds) {
  EXPECT_EQ(Run({"destroy", "web", "3", "0x10"}), kExitDone);
  EXPECT_THAT(spaces_.destroyed, ElementsAre(3, 16));
  EXPECT_THAT(out_, HasSubstr("web: 2 address spaces destroyed; "));
  EXPECT_EQ(Run({"destroy", "web", "first"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("address space 'first'"));
}

TEST_F(AddressSpaceCommandsTest, ListShowsTablesAndWhoseTheirPmdsAre) {
  spaces_.totals.set_entries_rewritten(8);
  EXPECT_EQ(Run({"list", "web"}), kExitDone);
  EXPECT_EQ(
      out_,
      "      ID  TABLE           PMD0        PMD1        PMD2        PMD3      "
      "  LISTED\n"
      "       1  0x1000+0x0      0x20        0x21        0x22        kernel    "
      "  no\n"
      "       2  0x1000+0x20     0x20        0x21        0x22        kernel    "
      "  no\n"
      "3 address spaces in 15 pages: 3 of top-level tables (4096 bytes each), "
      "12 of pmds, 3 of them copies of the kernel's; 3 on pgd_list; 8 entries "
      "rewritten since boot\n");
}

TEST_F(AddressSpaceCommandsTest, AListInJsonIsOneObject) {
  EXPECT_EQ(Run({"list", "web", "-o", "json"}), kExitDone);
  EXPECT_THAT(out_,
              AllOf(HasSubstr("\"id\": \"1\""), HasSubstr("\"id\": \"2\""),
                    HasSubstr("\"pmd_frames\": \"12\"")));
  spaces_.listed = 0;
  EXPECT_EQ(Run({"list", "web"}), kExitDone);
  EXPECT_THAT(out_, testing::StartsWith("0 address spaces in 0 pages"));
}

TEST_F(AddressSpaceCommandsTest, TranslatePrintsAsP2mLookupDoes) {
  EXPECT_EQ(Run({"translate", "web", "7", "0", "0x100"}), kExitDone);
  EXPECT_EQ(out_,
            "0x0  pfn       mfn 0x7\n"
            "0x100  identity  pfn 0x100\n");
}

TEST_F(AddressSpaceCommandsTest, SyncSaysWhatItDid) {
  EXPECT_EQ(Run({"sync", "web"}), kExitDone);
  EXPECT_EQ(out_, "web: 3 tables walked, 1 entry rewritten\n");
}

}  // namespace
}  // namespace simvisor::client
