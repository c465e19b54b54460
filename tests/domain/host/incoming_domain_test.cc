#include "domain/host/incoming_domain.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "domain/frames/page_contents.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"
#include "tests/support/mapping_epoch.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;
using testing::HasSubstr;

class IncomingDomainTest : public testing::Test {
 protected:
  std::unique_ptr<IncomingDomain> Begin(uint64_t end, uint64_t claim = 0) {
    auto incoming = IncomingDomain::Create(*host_, MakeSpec("comer", 0),
                                           Pfn(end), PageCount(claim));
    EXPECT_THAT(incoming, IsOk());
    return *std::move(incoming);
  }

  std::unique_ptr<Host> host_ = MakeHost(10000);
};

TEST_F(IncomingDomainTest, IsNotFoundAndHasItsName) {
  const auto incoming = Begin(1000);
  EXPECT_THAT(host_->Find(incoming->id()),
              IsError(Code::kNotFound, Reason::kDomainNotFound, HasSubstr("")));
  EXPECT_THAT(host_->CreateDomain(MakeSpec("comer", 500), false, NeverStop),
              IsError(Code::kAlreadyExists, Reason::kNameInUse,
                      HasSubstr("create of domain \"comer\"")));
  ExpectClean(*host_, kDom0Pages);
}

TEST_F(IncomingDomainTest, IsListedAsIncoming) {
  EXPECT_THAT(host_->ListIncoming(kDom0Id, 10), testing::IsEmpty());
  {
    const auto incoming = Begin(1000, 700);
    auto listed = host_->ListIncoming(kDom0Id, 10);
    ASSERT_THAT(listed, testing::SizeIs(1));
    EXPECT_EQ(listed[0].id, incoming->id());
    EXPECT_EQ(listed[0].name, "comer");
    EXPECT_EQ(listed[0].claimed, PageCount(700));
    EXPECT_EQ(host_->Info().claimed, PageCount(700));
    EXPECT_EQ(host_->Info().incoming, 1u);
    EXPECT_EQ(host_->Info().domains, 1u);
    EXPECT_THAT(incoming->Receive({Pfn(0), PageCount(900)}), IsOk());
    listed = host_->ListIncoming(kDom0Id, 10);
    EXPECT_EQ(listed.at(0).claimed, PageCount(900));
    EXPECT_THAT(host_->ListIncoming(DomainId(2), 10), testing::IsEmpty());
    EXPECT_THAT(host_->ListIncoming(kDom0Id, 0), testing::IsEmpty());
  }
  EXPECT_THAT(host_->ListIncoming(kDom0Id, 10), testing::IsEmpty());
  EXPECT_EQ(host_->Info().incoming, 0u);
  EXPECT_EQ(host_->Info().claimed, PageCount(0));
}

TEST_F(IncomingDomainTest, FramesArePromisedOnceForEachPage) {
  const auto incoming = Begin(8000);
  EXPECT_THAT(incoming->Receive({Pfn(0), PageCount(6000)}), IsOk());
  EXPECT_THAT(incoming->Receive({Pfn(0), PageCount(6000)}), IsOk());
  EXPECT_THAT(incoming->Receive({Pfn(5990), PageCount(2010)}),
              IsError(Code::kResourceExhausted, Reason::kHostMemoryExhausted,
                      HasSubstr("pfn 0x1766")));
  EXPECT_EQ(host_->Info().free.value(), 10000 - 256 - kDom0Pages);
  ExpectClean(*host_, kDom0Pages);
}

TEST_F(IncomingDomainTest, ClaimIsMadeFirst) {
  EXPECT_THAT(IncomingDomain::Create(*host_, MakeSpec("comer", 0), Pfn(100),
                                     PageCount(9000)),
              IsError(Code::kResourceExhausted, Reason::kHostMemoryExhausted,
                      HasSubstr("9000")));
  const auto incoming = Begin(1000, 7000);
  EXPECT_THAT(host_->CreateDomain(MakeSpec("other", 2000), false, NeverStop),
              IsError(Code::kResourceExhausted, Reason::kHostMemoryExhausted,
                      HasSubstr("2000")));
}

TEST_F(IncomingDomainTest, PfnsMustFitAGuest) {
  for (const uint64_t end : {uint64_t{0}, (uint64_t{1} << 34) + 1}) {
    EXPECT_THAT(IncomingDomain::Create(*host_, MakeSpec("comer", 0), Pfn(end)),
                IsError(Code::kInvalidArgument, Reason::kMemorySizeInvalid,
                        HasSubstr("restore of domain \"comer\"")));
  }
  ExpectClean(*host_, kDom0Pages);
}

TEST_F(IncomingDomainTest, ForeignKernelGetsFramesAndContents) {
  const auto incoming = Begin(600);
  ASSERT_THAT(incoming->Receive({Pfn(0), PageCount(100)}), IsOk());
  ASSERT_THAT(incoming->Receive({Pfn(500), PageCount(100)}), IsOk());
  Page page{};
  page[7] = 'x';
  ASSERT_THAT(incoming->WritePage(Pfn(510), page), IsOk());
  ASSERT_THAT(incoming->PlaceFrames(), IsOk());
  EXPECT_NE(incoming->FrameAt(Pfn(510)), Mfn::None());
  EXPECT_EQ(incoming->FrameAt(Pfn(100)), Mfn::None());
  page[8] = 'y';
  ASSERT_THAT(incoming->WritePage(Pfn(510), page), IsOk());
  const std::vector<uint64_t> leaves = {0, 1};
  const auto domain = incoming->AdoptForeignKernel(leaves, 3);
  ASSERT_THAT(domain, IsOk());
  EXPECT_EQ((*domain)->Info().vcpus, 3u);
  EXPECT_EQ((*domain)->Info().memory.current, PageCount(200));
  EXPECT_EQ(EpochOf(**domain), 2u);
  std::string read(2, '\0');
  ASSERT_THAT(
      (*domain)->contents().Read(Pfn(510), 7, absl::MakeSpan(&read[0], 2)),
      IsOk());
  EXPECT_EQ(read, "xy");
  ExpectClean(*host_, kDom0Pages + 200);
}

// A domain that migrates to the host it is on.
class StandInTest : public testing::Test {
 protected:
  // What arrives for `leaving`.
  absl::StatusOr<std::unique_ptr<IncomingDomain>> Begin(Uuid uuid) {
    DomainSpec spec = MakeSpec("web", 0);
    spec.uuid = uuid;
    return IncomingDomain::Create(*host_, spec, Pfn(600), PageCount(0),
                                  web_.get());
  }
  std::shared_ptr<Domain> Arrive() {
    auto incoming = Begin(web_->Info().uuid);
    EXPECT_THAT(incoming, IsOk());
    EXPECT_THAT((*incoming)->Receive({Pfn(0), PageCount(100)}), IsOk());
    EXPECT_THAT((*incoming)->PlaceFrames(), IsOk());
    auto arrived = (*incoming)->AdoptForeignKernel({}, 1);
    EXPECT_THAT(arrived, IsOk());
    return *arrived;
  }
  DomainId Found(const DomainSelector& selector) const {
    const auto found = host_->Find(selector);
    EXPECT_THAT(found, IsOk());
    return found.ok() ? (*found)->id() : kDom0Id;
  }

  std::unique_ptr<Host> host_ = MakeHost(10000);
  std::shared_ptr<Domain> web_ = MustCreate(*host_, MakeSpec("web", 1000));
};

TEST_F(StandInTest, HasANameOfItsOwnUntilItTakesOver) {
  const Uuid uuid = web_->Info().uuid;
  {
    const auto incoming = Begin(uuid);
    ASSERT_THAT(incoming, IsOk());
    EXPECT_EQ(host_->ListIncoming(kDom0Id, 10).at(0).name, "web--incoming");
  }
  EXPECT_THAT(host_->ListIncoming(kDom0Id, 10), testing::IsEmpty());
  const auto arrived = Arrive();
  EXPECT_EQ(arrived->name(), "web--incoming");
  EXPECT_EQ(Found(std::string("web")), web_->id());
  EXPECT_EQ(Found(uuid), web_->id());
  host_->TakeOver(*arrived);
  EXPECT_EQ(arrived->name(), "web");
  EXPECT_EQ(web_->name(), "web--migratedaway");
  EXPECT_EQ(Found(std::string("web")), arrived->id());
  EXPECT_EQ(Found(std::string("web--migratedaway")), web_->id());
  EXPECT_EQ(Found(uuid), arrived->id());
  ASSERT_THAT(host_->DestroyDomain(web_->id()), IsOk());
  EXPECT_EQ(Found(std::string("web")), arrived->id());
  EXPECT_EQ(Found(uuid), arrived->id());
  // Only once.
  ASSERT_THAT(host_->RenameDomain(arrived->id(), "db"), IsOk());
  host_->TakeOver(*arrived);
  EXPECT_EQ(arrived->name(), "db");
  MustCreate(*host_, MakeSpec("web", 500));
  MustCreate(*host_, MakeSpec("web--migratedaway", 500));
}

TEST_F(StandInTest, OneThatGoesLeavesTheOtherItsNameAndUuid) {
  const Uuid uuid = web_->Info().uuid;
  const auto arrived = Arrive();
  ASSERT_THAT(host_->DestroyDomain(arrived->id()), IsOk());
  EXPECT_EQ(Found(std::string("web")), web_->id());
  EXPECT_EQ(Found(uuid), web_->id());
  EXPECT_EQ(web_->name(), "web");
}

TEST_F(StandInTest, NameThatAThirdDomainHasTakenStaysThere) {
  const auto arrived = Arrive();
  ASSERT_THAT(host_->RenameDomain(web_->id(), "old"), IsOk());
  const auto third = MustCreate(*host_, MakeSpec("web", 500));
  host_->TakeOver(*arrived);
  EXPECT_EQ(arrived->name(), "web--incoming");
  EXPECT_EQ(Found(std::string("web")), third->id());
  EXPECT_EQ(Found(web_->Info().uuid), arrived->id());
  EXPECT_EQ(web_->name(), "old");
}

TEST_F(StandInTest, UuidOfADomainThatGoesStaysWithItsStandIn) {
  const Uuid uuid = web_->Info().uuid;
  const auto arrived = Arrive();
  ASSERT_THAT(host_->DestroyDomain(web_->id()), IsOk());
  EXPECT_EQ(Found(uuid), arrived->id());
  DomainSpec spec = MakeSpec("other", 500);
  spec.uuid = uuid;
  EXPECT_THAT(host_->CreateDomain(spec, false, NeverStop),
              IsError(Code::kAlreadyExists, Reason::kUuidInUse,
                      HasSubstr("web--incoming (2)")));
  host_->TakeOver(*arrived);
  EXPECT_EQ(Found(std::string("web")), arrived->id());
  EXPECT_EQ(Found(uuid), arrived->id());
}

TEST_F(StandInTest, DomainThatHasTheLastNameOfTheOtherKeepsIt) {
  const auto away = MustCreate(*host_, MakeSpec("web--migratedaway", 500));
  const auto arrived = Arrive();
  host_->TakeOver(*arrived);
  EXPECT_EQ(Found(std::string("web--migratedaway")), away->id());
  // The one that left is found by its id.
  ASSERT_THAT(host_->RenameDomain(web_->id(), "left"), IsOk());
  EXPECT_EQ(Found(std::string("left")), web_->id());
  EXPECT_EQ(Found(std::string("web--migratedaway")), away->id());
  EXPECT_EQ(Found(std::string("web")), arrived->id());
}

TEST_F(StandInTest, OtherDomainsAreRefusedTheName) {
  EXPECT_THAT(Begin(Uuid{7}), IsError(Code::kAlreadyExists, Reason::kNameInUse,
                                      HasSubstr("\"web\"")));
  const auto first = Arrive();
  EXPECT_THAT(Begin(web_->Info().uuid),
              IsError(Code::kAlreadyExists, Reason::kNameInUse,
                      HasSubstr("web--incoming")));
}

TEST_F(IncomingDomainTest, ForeignKernelStaysWhenTheOtherGoes) {
  auto incoming = Begin(600);
  ASSERT_THAT(incoming->Receive({Pfn(0), PageCount(100)}), IsOk());
  ASSERT_THAT(incoming->PlaceFrames(), IsOk());
  ASSERT_THAT(incoming->AdoptForeignKernel({}, 1), IsOk());
  incoming = nullptr;
  EXPECT_THAT(host_->Find(std::string("comer")), IsOk());
  ExpectClean(*host_, kDom0Pages + 100);
}

}  // namespace
}  // namespace simvisor
