// guest, address-space.

#include <gtest/gtest.h>

#include <string>

#include "tests/client/verbs/verb_fixture.h"

namespace simvisor::client {
namespace {

class GuestVerbsTest : public VerbTest {
 protected:
  const std::string totals_ =
      " totals { address_spaces: 3 pgd_bytes: 4096 pgd_frames: 3 "
      "pmd_frames: 12 kernel_pmd_copies: 3 on_pgd_list: 3 "
      "entries_rewritten: 8 }";
};

TEST_F(GuestVerbsTest, Read) {
  Begin("guest read");
  daemon_.Answer("ReadGuestMemory", {"data: 'sixteen bytes...and more'"});
  Run("guest read web 0x10 --offset 4000 --length 24");
  Run("guest read web 0x10 -o json");
  Run("guest read web");
  Run("guest read web 1 --offset -1");
}

TEST_F(GuestVerbsTest, Write) {
  Begin("guest write");
  daemon_.Answer("WriteGuestMemory");
  Run("guest write web 7 'two words' --offset 3");
  Run("guest write web 7 --hex '00 ff'");
  Run("guest write web 7 --file " + WriteFile("data", "from a file"));
  Run("guest write dom2 1");
  Run("guest write dom2 1 text --hex 00");
  Run("guest write dom2 1 --hex 0");
}

TEST_F(GuestVerbsTest, Load) {
  Begin("guest load");
  Note("Without numbers it fits the guest, and says what it chose");
  daemon_.Answer("StartGuestLoad",
                 {"load { running: true spec { pages_per_second: 1000 "
                  "working_set_pages: 3500 pattern: LOAD_PATTERN_RANDOM "
                  "seed: 1 } }"});
  Run("guest load web");
  Run("guest load web --pages-per-second 5 --working-set 300 --pattern hotspot "
      "--seed 18446744073709551615 -o json");
  Run("guest load web --pattern sequential --working-set 1g");
  Note("--status shows its progress");
  const std::string load =
      "load { writes: 2500 spec { pages_per_second: 1000 "
      "working_set_pages: 16384 pattern: LOAD_PATTERN_RANDOM seed: 9 } ";
  daemon_.Answer("GetGuestLoad", {load + "running: true }"});
  daemon_.Answer("GetGuestLoad", {load + "}"});
  Run("guest load web --status");
  Run("guest load web --status");
  daemon_.Answer("StopGuestLoad", {load + "}"});
  Run("guest load web --stop");
  Note("A check fails if a page differs, and names the first");
  daemon_.Answer("CheckGuestLoad", {"load { writes: 70 } checked_pages: 300"});
  daemon_.Answer("CheckGuestLoad", {"load { writes: 70 } checked_pages: 300 "
                                    "mismatched_pages: 2 "
                                    "first_bad_pfn: 0x123"});
  Run("guest load web --check");
  Run("guest load web --check");
  Run("guest load web --check -o json");
  Run("guest load");
  Run("guest load web --stop --check");
  Run("guest load web --stop --seed 3");
  Run("guest load web --pattern wild");
  Run("guest load web --working-set 64q");
  Run("guest load web --pages-per-second -1");
  Note("Words that others use as verbs are options");
  Run("guest load stop web");
  Run("guest load start web");
  Run("guest load web stop");
  Run("guest load web --start --stop");
  for (const char* method : {"StartGuestLoad", "StopGuestLoad"}) {
    daemon_.Forget(method);
    daemon_.Refuse(method, grpc::StatusCode::NOT_FOUND, "DOMAIN_NOT_FOUND",
                   "no such domain");
  }
  Run("guest load stop");
  Run("guest load start --stop");
  Run("guest load web --stop");
  Note("Errors about fields name the option");
  daemon_.Forget("StartGuestLoad");
  daemon_.RefuseField("StartGuestLoad", "spec.pages_per_second",
                      "20000000 is above the limit of 10000000");
  Run("guest load web --pages-per-second 20000000");
}

TEST_F(GuestVerbsTest, AddressSpaceCreate) {
  Begin("address-space create");
  daemon_.Answer("CreateAddressSpaces", {"first_id: 5 count: 1" + totals_});
  daemon_.Answer("CreateAddressSpaces", {"first_id: 5 count: 3" + totals_});
  Run("address-space create web");
  Run("address-space create web 3");
  Run("address-space create web 3 -o json");
  Run("address-space create web -3");
  Run("address-space create web many");
  Run("address-space create");
}

TEST_F(GuestVerbsTest, AddressSpaceDestroy) {
  Begin("address-space destroy");
  daemon_.Answer("DestroyAddressSpaces", {totals_});
  Run("address-space destroy web 3 0x10");
  Run("address-space destroy web first");
}

TEST_F(GuestVerbsTest, AddressSpaceList) {
  Begin("address-space list");
  Note("Two responses are one list");
  const std::string pmds =
      "pgd_mfn: 0x1000 pmd_mfns: 0x20 pmd_mfns: 0x21 pmd_mfns: 0x22 "
      "pmd_mfns: 0 ";
  daemon_.Answer("ListAddressSpaces",
                 {"address_spaces { id: 1 " + pmds + "}" + totals_,
                  "address_spaces { id: 2 pgd_offset_bytes: 32 on_pgd_list: "
                  "true " +
                      pmds + "}" + totals_});
  Run("address-space list web");
  Run("address-space list web -o json");
  daemon_.Forget("ListAddressSpaces");
  Note("The list may be empty");
  daemon_.Answer("ListAddressSpaces", {""});
  Run("address-space list web");
}

TEST_F(GuestVerbsTest, AddressSpaceTranslate) {
  Begin("address-space translate");
  daemon_.Answer("TranslateInAddressSpace",
                 {"classes: P2M_CLASS_RAM classes: P2M_CLASS_IDENTITY "
                  "frames: 7 frames: 0x100"});
  Run("address-space translate web 7 0 0x100");
}

TEST_F(GuestVerbsTest, AddressSpaceSync) {
  Begin("address-space sync");
  daemon_.Answer("SyncAddressSpaces",
                 {"tables_walked: 3 entries_rewritten: 1"});
  Run("address-space sync web");
}

}  // namespace
}  // namespace simvisor::client
