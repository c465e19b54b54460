// p2m, frames, audit.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/client/verbs/verb_fixture.h"

namespace simvisor::client {
namespace {

using P2mVerbsTest = VerbTest;

// Two responses whose runs adjoin.
const std::vector<std::string> kTwoRuns = {
    "runs { first_pfn: 0 count: 256 p2m_class: P2M_CLASS_RAM "
    "first_frame: 0x100 }",
    "runs { first_pfn: 256 count: 256 p2m_class: P2M_CLASS_RAM "
    "first_frame: 0x200 }"};

TEST_F(P2mVerbsTest, Dump) {
  Begin("p2m dump");
  Note("Runs of two responses are merged");
  daemon_.Answer("ListP2mRuns", kTwoRuns);
  Run("p2m dump dom2");
  Run("p2m dump dom2 --raw --by-frame");
  Run("p2m dump dom2 -o json");
}

TEST_F(P2mVerbsTest, Lookup) {
  Begin("p2m lookup");
  daemon_.Answer("TranslatePfns",
                 {"classes: P2M_CLASS_RAM classes: P2M_CLASS_MISSING "
                  "frames: 0x1234 frames: 0"});
  Run("p2m lookup dom2 7 0x10");
  Note("Each pfn needs an answer");
  Run("p2m lookup dom2 7");
  Run("p2m lookup dom2 x");
}

TEST_F(P2mVerbsTest, Stat) {
  Begin("p2m stat");
  daemon_.Answer("GetP2mSummary", {"summary { p2m_size: 4096 }"});
  Run("p2m stat dom2");
}

TEST_F(P2mVerbsTest, Map) {
  Begin("p2m map");
  daemon_.Answer("ListP2mRuns", kTwoRuns);
  Run("p2m map dom2 --width 20");
  Run("p2m map dom2");
  Run("p2m map dom2 --raw -o json");
  Run("p2m map dom2 --width 0");
}

TEST_F(P2mVerbsTest, Walk) {
  Begin("p2m walk");
  daemon_.Refuse("GetMfnListList", grpc::StatusCode::FAILED_PRECONDITION,
                 "DOMAIN_NOT_BOOTED", "domain 2 has not booted");
  Run("p2m walk dom2");
  Run("p2m walk");
}

TEST_F(P2mVerbsTest, Set) {
  Begin("p2m set");
  daemon_.Answer("SetP2mRange", {"released_pages: 2 p2m_pages_taken: 1"});
  Run("p2m set web 5 2 ram 0x20 --keep");
  Run("p2m set web 0x5 2 missing --release");
  Run("p2m set dom2 1 1 nonsense");
  Run("p2m set dom2 1 1 ram");
  Run("p2m set dom2 1 1 missing 7");
}

TEST_F(P2mVerbsTest, ForeignMap) {
  Begin("p2m foreign map");
  daemon_.Answer("MapForeignFrames", {"mapped_slots: 1"});
  Run("p2m foreign map dom2 0x10 7");
  daemon_.Forget("MapForeignFrames");
  Note("Pfns are filled in order; failures are reported and fail the command");
  daemon_.Answer("MapForeignFrames",
                 {"mapped_slots: 1 failed_slots: 2 errors { slot: 1 "
                  "reason: 'FRAME_NOT_FOREIGN' message: \"nobody's\" }"});
  Run("p2m foreign map dom2 0x10 7 0x20+2");
  Run("-o json p2m foreign map dom2 1 7+3");
  Run("p2m foreign map dom2 1");
  Run("p2m foreign map dom2 1 7+70000");
  Run("p2m foreign map dom2 1 7+0");
}

TEST_F(P2mVerbsTest, ForeignUnmap) {
  Begin("p2m foreign unmap");
  daemon_.Answer("UnmapForeignFrames", {"unmapped_slots: 5 freed_pages: 1"});
  Run("p2m foreign unmap dom2 0x10+4 9");
  Run("p2m foreign unmap dom2 x+1");
}

TEST_F(P2mVerbsTest, Mfn) {
  Begin("p2m mfn");
  daemon_.Answer("TranslateMfns",
                 {"pfns: 7 pfns: 16 pfns: 0xffffffffffffffff local_pfns: 7 "
                  "local_pfns: 0xffffffffffffffff "
                  "local_pfns: 0xffffffffffffffff"});
  Run("p2m mfn dom2 7 0x10 99");
  Run("p2m mfn dom2");
}

TEST_F(P2mVerbsTest, FramesLookup) {
  Begin("frames lookup");
  daemon_.Answer("LookupFrames",
                 {"runs { first_mfn: 0x40 count: 2 state: FRAME_STATE_OWNED "
                  "domid: 3 first_pfn: 0x10 }",
                  "runs { first_mfn: 0x42 count: 8 state: FRAME_STATE_FREE }"});
  Run("frames lookup 0x40+10");
  Run("frames lookup 0x40 -o json");
  Run("frames lookup x");
}

TEST_F(P2mVerbsTest, FramesRead) {
  Begin("frames read");
  Note("A frame of zeros travels empty");
  daemon_.Answer("ReadFrames", {"frames { mfn: 0x40 }"});
  Run("frames read 0x40");
  Run("frames read 0x40 -f " + folder_ / "frame");
  Run("frames read");
}

TEST_F(P2mVerbsTest, Audit) {
  Begin("audit");
  daemon_.Answer("AuditHost", {"clean: true domains_checked: 3"});
  Run("audit");
  daemon_.Forget("AuditHost");
  daemon_.Answer("AuditHost", {"clean: true domains_checked: 1"});
  Run("audit");
  daemon_.Forget("AuditHost");
  Note("Findings fail the command");
  daemon_.Answer("AuditHost", {"findings: 'frame 0x1 is owned twice'"});
  Run("audit");
  Run("audit -o json");
}

}  // namespace
}  // namespace simvisor::client
