// fault.

#include <gtest/gtest.h>

#include "tests/client/verbs/verb_fixture.h"

namespace simvisor::client {
namespace {

using FaultVerbsTest = VerbTest;

TEST_F(FaultVerbsTest, Add) {
  Begin("fault add");
  daemon_.Answer("AddFault", {"id: 3"});
  Run("fault add save.piece");
  Run("fault add save.piece --domain web --error UNAVAILABLE --skip 2 "
      "--count 0x10 --probability 0.5");
  Run("fault add save.piece --delay-ms 200");
  Run("fault add save.piece --crash");
  Run("fault add save.piece --crash --delay-ms 5");
  Run("fault add save.piece --skip -1");
  Run("fault add save.piece --delay-ms 60001");
  Note("A word that is misspelt is told what it may be, by its argument");
  daemon_.Forget("AddFault");
  daemon_.Answer("ListFaults", {"points { name: 'save.begin' } points { name: "
                                "'save.piece' }"});
  daemon_.RefuseField("AddFault", "rule.point",
                      "\"save.peice\" is not a fault point");
  daemon_.RefuseField("AddFault", "rule.point",
                      "\"nowhere\" is not a fault point");
  daemon_.RefuseField("AddFault", "rule.error.code",
                      "\"unavailble\" is not a canonical error code");
  daemon_.RefuseField("AddFault", "rule.error.code",
                      "\"FOO\" is not a canonical error code");
  daemon_.RefuseField("AddFault", "rule.probability", "2 is not at most 1");
  Run("fault add save.peice");
  Run("fault add nowhere");
  Run("fault add save.piece --error unavailble");
  Run("fault add save.piece --error FOO");
  Run("fault add save.piece --probability 2");
  Run("fault add save.piece --probability 2 -o json");
  Run("fault add save.piece --porbability 1");
}

TEST_F(FaultVerbsTest, Enable) {
  Begin("fault enable");
  daemon_.Answer("SetFaultInjection", {"changed: true"});
  daemon_.Answer("SetFaultInjection", {""});
  Run("fault enable");
  Run("fault enable");
  Run("fault enable web");
}

TEST_F(FaultVerbsTest, Disable) {
  Begin("fault disable");
  daemon_.Answer("SetFaultInjection", {"changed: true removed: 2"});
  daemon_.Answer("SetFaultInjection", {"changed: true removed: 1"});
  daemon_.Answer("SetFaultInjection", {""});
  Run("fault disable");
  Run("fault disable");
  Run("fault disable");
}

TEST_F(FaultVerbsTest, List) {
  Begin("fault list");
  daemon_.Answer("ListFaults", {""});
  daemon_.Answer(
      "ListFaults",
      {"faults { id: 1 rule { point: 'save.piece' domain: 'web' probability: "
       "0.5 error { code: 'UNAVAILABLE' } skip: 2 count: 16 } hits: 9 acted: "
       "3 } faults { id: 2 rule { point: 'save.stored' probability: 1 "
       "delay_ms: 200 } } faults { id: 3 rule { point: 'save.stored' "
       "probability: 1 crash {} } } points { name: 'save.piece' description: "
       "'between two pieces of an image' }"});
  Run("fault list");
  Run("fault list");
  Run("fault list --points");
  Note("An option is found without its dashes");
  Run("fault list points");
}

TEST_F(FaultVerbsTest, Clear) {
  Begin("fault clear");
  daemon_.Answer("RemoveFaults", {"removed: 1"});
  daemon_.Answer("RemoveFaults", {"removed: 2"});
  Run("fault clear 3");
  Note("Without ids or --all nothing is removed");
  Run("fault clear");
  Run("fault clear --all");
  Run("fault clear first");
  Run("fault clear all");
}

}  // namespace
}  // namespace simvisor::client
