// mmu, and --no-wait of changes.

#include <gtest/gtest.h>

#include "tests/client/verbs/verb_fixture.h"

namespace simvisor::client {
namespace {

using MmuVerbsTest = VerbTest;

constexpr char kTwo[] =
    "mmus { subscription: 3 domid: 1 name: 'gru' state: "
    "SECONDARY_MMU_STATE_LIVE rule: RETRY_RULE_INTERVAL events: "
    "EVENT_FILTER_MAPPED intervals { first_pfn: 16 count: 16 } intervals { "
    "first_pfn: 64 count: 1 } mapped_pages: 12 writable_pages: 4 mapped_runs: "
    "2 faults: 20 installs: 14 retries: 6 begins: 5 ends: 3 aborts: 1 "
    "pages_invalidated: 2 unanswered_events: 1 oldest_unanswered_ms: 1250 "
    "max_answer_us: 900 lease_left_ms: 3750 } mmus { subscription: 4 domid: 1 "
    "name: 'map' state: SECONDARY_MMU_STATE_DETACHED rule: RETRY_RULE_GLOBAL "
    "events: EVENT_FILTER_ALL stale_accesses: 2 lease_left_ms: 100 }";

TEST_F(MmuVerbsTest, List) {
  Begin("mmu list");
  daemon_.Answer("ListSecondaryMmus", {kTwo});
  Run("mmu list");
  Run("mmu list web");
  Run("mmu list -o json");
  daemon_.Forget("ListSecondaryMmus");
  daemon_.Answer("ListSecondaryMmus");
  Run("mmu list web");
}

TEST_F(MmuVerbsTest, Stat) {
  Begin("mmu stat");
  daemon_.Answer("GetDomain",
                 {"domain { secondary_mmus { subscriptions: 2 mapped_pages: 12 "
                  "open_ranges: 1 seq: 4 epoch: 2 fences: 1 waiting_changes: 1 "
                  "} }"});
  daemon_.Answer("ListSecondaryMmus", {kTwo});
  Run("mmu stat web");
  Run("mmu stat web 4");
  Run("mmu stat web 4 -o json");
  Run("mmu stat web 5");
  Run("mmu stat web x");
}

TEST_F(MmuVerbsTest, Mappings) {
  Begin("mmu mappings");
  daemon_.Answer("ListSecondaryMappings",
                 {"runs { first_pfn: 16 first_mfn: 4096 count: 4 }",
                  "runs { first_pfn: 64 first_mfn: 8192 count: 1 writable: "
                  "true }"});
  Run("mmu mappings 3");
  Run("mmu mappings 3 -o json");
  daemon_.Forget("ListSecondaryMappings");
  daemon_.Refuse("ListSecondaryMappings", grpc::StatusCode::NOT_FOUND,
                 "SECONDARY_MMU_NOT_FOUND", "no subscription 9");
  Run("mmu mappings 9");
  Run("mmu mappings web");
}

TEST_F(MmuVerbsTest, Young) {
  Begin("mmu young");
  daemon_.Answer("SampleAccessed",
                 {"young { first_pfn: 16 count: 4 } young { first_pfn: 64 "
                  "count: 1 } asked: 3 silent: 1"});
  Run("mmu young web 0-0xff");
  Run("mmu young web 16+4 --clear --wait 250ms");
  Run("mmu young web 16 -o json");
  Run("mmu young web 5-4");
  Run("mmu young web 5+0");
  Run("mmu young web 5 --wait soon");
}

TEST_F(MmuVerbsTest, Fence) {
  Begin("mmu fence");
  daemon_.Answer("FenceSecondaryMmu");
  Run("mmu fence 3");
  daemon_.Forget("FenceSecondaryMmu");
  daemon_.Refuse("FenceSecondaryMmu", grpc::StatusCode::NOT_FOUND,
                 "SECONDARY_MMU_NOT_FOUND", "no subscription 3");
  Run("mmu fence 3");
}

TEST_F(MmuVerbsTest, Attach) {
  Begin("mmu attach");
  // The call ends when all is said, whatever the client still sends.
  daemon_.Refuse(
      "Subscribe", grpc::StatusCode::ABORTED, "SECONDARY_MMU_FENCED",
      "web (1): secondary MMU: it was fenced; subscribe again",
      {"ev: 1 registered { subscription: 3 epoch: 1 lease_ms: 5000 }",
       "ev: 2 begin { range_id: 1 reason: INVALIDATE_REASON_UNMAP blockable: "
       "true pfns { first_pfn: 28 count: 4 } pfns { first_pfn: 64 count: 1 } }",
       "ev: 3 end { range_id: 1 seq: 1 }",
       "ev: 4 begin { range_id: 2 reason: INVALIDATE_REASON_PROTECT pfns { "
       "first_pfn: 0 count: 64 } }",
       "ev: 5 abort { range_id: 2 seq: 2 }",
       "ev: 6 page { range_id: 3 pfn: 7 reason: INVALIDATE_REASON_REPLACE }",
       "ev: 7 young { pfns { first_pfn: 0 count: 64 } }"});
  Run("mmu attach web");
  Run("mmu attach web --name gru --range 16-31 --range 64 --rule global "
      "--events mapped --lease 250ms --window 8 --resumable --nack");
  Run("mmu attach web -o json --stuck");
  Note("What it is told must be in order, or it leaves");
  daemon_.Forget("Subscribe");
  daemon_.Refuse("Subscribe", grpc::StatusCode::ABORTED, "SECONDARY_MMU_FENCED",
                 "web (1): secondary MMU: it was fenced; subscribe again",
                 {"ev: 1 registered { subscription: 3 lease_ms: 5000 }",
                  "ev: 3 end { range_id: 1 }"});
  Run("mmu attach web");
  daemon_.Forget("Subscribe");
  daemon_.Refuse("Subscribe", grpc::StatusCode::FAILED_PRECONDITION,
                 "DOMAIN_SUSPENDED", "web (1): register: it is suspended");
  Run("mmu attach web");
  Run("mmu attach web --write");
  Run("mmu attach web --stuck --nack");
  Run("mmu attach web --rule fair");
  Run("mmu attach web --range 9-8");
  Run("mmu attach web --lease never");
}

TEST_F(MmuVerbsTest, Check) {
  Begin("mmu check");
  daemon_.Answer("ListSecondaryMmus", {kTwo});
  Run("mmu check web none");
  Run("mmu check web map");
  Run("mmu check web map -o json");
  daemon_.Forget("ListSecondaryMmus");
  daemon_.Refuse("ListSecondaryMmus", grpc::StatusCode::NOT_FOUND,
                 "DOMAIN_NOT_FOUND", "no domain is named web");
  Run("mmu check web map");
}

}  // namespace
}  // namespace simvisor::client
