// Every public function of the library with empty and with huge arguments: a
// documented error or a harmless answer, and a machine whose audit is clean.

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "domain/host/host.h"
#include "domain/host/incoming_domain.h"
#include "domain/image/image_restorer.h"
#include "domain/migration/precopy.h"
#include "domain/p2m/p2m_list.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/host_testing.h"
#include "tests/support/status_matchers.h"

namespace simvisor {
namespace {

using Code = absl::StatusCode;

constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
// Numbers close to ends and overflows.
constexpr uint64_t kExtremes[] = {
    0,
    1,
    (uint64_t{1} << 32) - 1,
    uint64_t{1} << 34,
    uint64_t{1} << 40,
    uint64_t{1} << 43,
    uint64_t{1} << 47,
    uint64_t{1} << 52,
    uint64_t{1} << 63,
    kMost - 1,
    kMost,
};

auto Refuses(Code code, Reason reason) {
  return IsError(code, reason, testing::_);
}

HostConfig SmallConfig() {
  HostConfig config;
  config.e820 = E820Map::SingleRam(PageCount(20000));
  config.dom0_memory = PageCount(kDom0Pages);
  return config;
}

TEST(LibraryExtremesTest, MachineWithoutRamIsRefused) {
  EXPECT_THAT(Host::Create(HostConfig()),
              Refuses(Code::kInvalidArgument, Reason::kMemorySizeInvalid));
  HostConfig config = SmallConfig();
  config.e820 = E820Map::SingleRam(PageCount(0));
  EXPECT_THAT(Host::Create(config),
              Refuses(Code::kInvalidArgument, Reason::kMemorySizeInvalid));
}

TEST(LibraryExtremesTest, MachinesOfAnySizeAreMadeOrRefused) {
  for (const uint64_t pages : kExtremes) {
    SCOPED_TRACE(pages);
    HostConfig config = SmallConfig();
    config.e820 = E820Map::SingleRam(PageCount(pages));
    const auto host = Host::Create(config);
    if (host.ok()) {
      EXPECT_THAT((*host)->Audit().findings, testing::IsEmpty());
    }
  }
}

TEST(LibraryExtremesTest, ConfigsOfAnyValueAreTakenOrRefused) {
  for (const uint64_t value : kExtremes) {
    SCOPED_TRACE(value);
    HostConfig config = SmallConfig();
    config.dom0_memory = PageCount(value);
    EXPECT_FALSE(Host::Create(config).ok());
    config = SmallConfig();
    config.dom0_max_memory = PageCount(value);
    Host::Create(config).IgnoreError();
    config = SmallConfig();
    config.dom0_hotplug_limit_gib = static_cast<uint32_t>(value);
    Host::Create(config).IgnoreError();
    config = SmallConfig();
    config.cpus = static_cast<uint32_t>(value);
    Host::Create(config).IgnoreError();
    config = SmallConfig();
    config.contents_limit = PageCount(value);
    config.placement = Placement::kScatter;
    config.seed = value;
    EXPECT_THAT(Host::Create(config), IsOk());
  }
}

TEST(LibraryExtremesTest, PoolsOfAnyExtentsAreMadeOrRefused) {
  const auto create = [](std::vector<MfnExtent> ram) {
    return FramePool::Create(ram, Mfn(256), Placement::kLowest, 1);
  };
  EXPECT_THAT(create({}),
              Refuses(Code::kInvalidArgument, Reason::kMemorySizeInvalid));
  EXPECT_THAT(create({{Mfn(0), PageCount(0)}}),
              Refuses(Code::kInvalidArgument, Reason::kE820Malformed));
  EXPECT_THAT(create({{Mfn(9), PageCount(9)}, {Mfn(17), PageCount(1)}}),
              Refuses(Code::kInvalidArgument, Reason::kE820Malformed));
  EXPECT_THAT(create({{Mfn(kMost), PageCount(1)}}),
              Refuses(Code::kInvalidArgument, Reason::kE820Malformed));
  EXPECT_THAT(create({{Mfn(1), PageCount(kMost)}}),
              Refuses(Code::kInvalidArgument, Reason::kE820Malformed));
  const auto pool = create({{Mfn(0), PageCount(1000)}});
  ASSERT_THAT(pool, IsOk());
  for (const uint64_t value : kExtremes) {
    SCOPED_TRACE(value);
    if (value > 1000) {
      EXPECT_FALSE((*pool)->Claim(PageCount(value)).ok());
      EXPECT_EQ((*pool)->Lookup(Mfn(value)).state, FrameState::kNotRam);
    }
    EXPECT_LE((*pool)->ClaimUpTo(PageCount(value)).remaining(), PageCount(744));
    EXPECT_FALSE((*pool)->MapForeign(Mfn(value), DomainId(1)).ok());
  }
  (*pool)->Free({});
  EXPECT_THAT((*pool)->CheckInvariants(), IsOk());
}

TEST(LibraryExtremesTest, MemoryMapsOfAnyEntriesAreMadeOrRefused) {
  EXPECT_FALSE(E820Map::Create({}).ok());
  EXPECT_FALSE(E820Map::ParseBootLog("").ok());
  EXPECT_EQ(E820Map().EndPage(), Pfn(0));
  for (const uint64_t start : kExtremes) {
    for (const uint64_t size : kExtremes) {
      SCOPED_TRACE(testing::Message() << start << " " << size);
      E820Map::Create({{start, size, E820Type::kRam}}).IgnoreError();
      GuestE820FromHost(E820Map(), PageCount(start), PageCount(size))
          .IgnoreError();
      GuestE820FromHost(E820Map::SingleRam(PageCount(start)), PageCount(size),
                        PageCount(size))
          .IgnoreError();
    }
    DefaultHostE820(PageCount(start)).IgnoreError();
    E820Map::SingleRam(PageCount(start)).RamPages();
  }
}

TEST(LibraryExtremesTest, ListsOfAnySizeAreMadeOrRefused) {
  for (const uint64_t size : kExtremes) {
    SCOPED_TRACE(size);
    for (const Abi* const abi : {&kAbiX86_64, &kAbiX86_32Pae}) {
      const auto words = P2mWords::Create(*abi, Pfn(size));
      if (!words.ok()) {
        EXPECT_THAT(words, Refuses(Code::kResourceExhausted,
                                   Reason::kHostAddressSpaceExhausted));
        continue;
      }
      for (const uint64_t pfn : kExtremes) {
        (*words)->Lookup(Pfn(pfn));
      }
      EXPECT_EQ((*words)->size(), Pfn(0));
      CountWords(**words);
    }
  }
}

// A host with two guests, one of them PAE.
class LibraryExtremesHostTest : public testing::Test {
 protected:
  LibraryExtremesHostTest()
      : host_(MakeHost(40000)),
        guest_(MustCreate(*host_, MakeSpec("guest", 4000, 5000))) {
    DomainSpec spec = MakeSpec("pae", 4000);
    spec.arch = Arch::kX86_32Pae;
    pae_ = MustCreate(*host_, spec);
  }
  ~LibraryExtremesHostTest() override {
    EXPECT_THAT(host_->Audit().findings, testing::IsEmpty());
  }

  std::unique_ptr<Host> host_;
  std::shared_ptr<Domain> guest_;
  std::shared_ptr<Domain> pae_;
};

TEST_F(LibraryExtremesHostTest, SelectorsThatNameNothingFindNothing) {
  for (const DomainSelector& selector :
       {DomainSelector(DomainId(0xffff)), DomainSelector(std::string()),
        DomainSelector(std::string(1 << 20, 'x')), DomainSelector(Uuid{1})}) {
    EXPECT_EQ(host_->TryFind(selector), nullptr);
    EXPECT_FALSE(host_->FindGuest(selector, "").ok());
    EXPECT_FALSE(host_->DestroyDomain(selector).ok());
    EXPECT_FALSE(host_->RenameDomain(selector, "").ok());
    ForeignReport report;
    EXPECT_FALSE(
        host_->UnmapForeign({"unmap foreign"}, selector, {}, report).ok());
  }
  EXPECT_THAT(host_->List(DomainId(0xffff), 1), testing::IsEmpty());
  EXPECT_THAT(host_->List(DomainId(0), 0), testing::IsEmpty());
  EXPECT_EQ(host_->List(DomainId(0), kMost).size(), 3u);
}

TEST_F(LibraryExtremesHostTest, SpecsOfAnyValueAreBuiltOrRefused) {
  const auto create = [&](const DomainSpec& spec) {
    const auto domain = host_->CreateDomain(spec, false, NeverStop);
    if (domain.ok()) {
      EXPECT_THAT(host_->DestroyDomain(*domain), IsOk());
    }
  };
  create(DomainSpec());
  for (const uint64_t value : kExtremes) {
    SCOPED_TRACE(value);
    for (const Arch arch : {Arch::kX86_64, Arch::kX86_32Pae}) {
      DomainSpec spec = MakeSpec("new", value);
      spec.arch = arch;
      create(spec);
      spec = MakeSpec("new", 2000, value);
      spec.arch = arch;
      create(spec);
      spec.e820_host = true;
      create(spec);
      spec = MakeSpec("new", 2000);
      spec.arch = arch;
      spec.hotplug_limit_gib = static_cast<uint32_t>(value);
      create(spec);
      spec = MakeSpec("new", 2000);
      spec.arch = arch;
      spec.vcpus = static_cast<uint32_t>(value);
      spec.balloon_max_retry = static_cast<uint32_t>(value);
      create(spec);
      spec = MakeSpec("new", 2000);
      spec.arch = arch;
      spec.pae_kernel.user_pgds = static_cast<int>(value);
      create(spec);
      spec = MakeSpec("new", 2000);
      spec.arch = arch;
      spec.e820 = E820Map::SingleRam(PageCount(value));
      create(spec);
      spec = MakeSpec("new", 2000);
      spec.vcpu_affinities = {
          {{{static_cast<uint32_t>(value), static_cast<uint32_t>(value)}}, {}}};
      create(spec);
    }
  }
}

TEST_F(LibraryExtremesHostTest, FramesOfAnyNumberAreShownOrRefused) {
  std::vector<FrameRun> runs;
  Page page;
  bool zero = false;
  for (const uint64_t first : kExtremes) {
    for (const uint64_t count : kExtremes) {
      host_->LookupFrames({Mfn(first), PageCount(count)}, 1, runs)
          .IgnoreError();
      host_->LookupFrames({Mfn(first), PageCount(count)}, 0, runs)
          .IgnoreError();
    }
    host_->ReadFrame(Mfn(first), absl::MakeSpan(page), &zero).IgnoreError();
    EXPECT_FALSE(guest_->contents()
                     .ReadFrame(Mfn(first), absl::MakeSpan(page), &zero)
                     .ok() &&
                 first > 40000);
  }
}

TEST_F(LibraryExtremesHostTest, MemoryMovesByAnyCountOrNotAtAll) {
  for (const auto& domain : {guest_, pae_}) {
    for (const uint64_t value : kExtremes) {
      SCOPED_TRACE(value);
      const PageCount pages(value);
      for (const bool partial : {false, true}) {
        domain->balloon().Down({"balloon down"}, pages, partial).IgnoreError();
        domain->balloon().Up({"balloon up"}, pages, partial).IgnoreError();
      }
      domain->balloon().SetTarget({"set memory target"}, pages).IgnoreError();
      domain->balloon().SetMaximum({"set maximum memory"}, pages).IgnoreError();
      domain->balloon().Wake({"balloon timer"}, {value, 0}).IgnoreError();
      domain->migration().Resume({"resume"}, value, false).IgnoreError();
    }
  }
}

TEST_F(LibraryExtremesHostTest, WordsOfAnyPfnsAreReadAndSetOrRefused) {
  for (const auto& domain : {guest_, pae_}) {
    const DomainP2m p2m = domain->p2m();
    std::vector<P2mWord> words;
    std::vector<MfnTranslation> answers;
    std::vector<P2mRun> runs;
    std::vector<ImageRun> image;
    uint64_t generation = 0;
    ForeignReport report;
    EXPECT_THAT(p2m.Translate({}, words), IsOk());
    EXPECT_THAT(p2m.TranslateMfns({}, answers), IsOk());
    EXPECT_THAT(p2m.Translate(kExtremes, words), IsOk());
    EXPECT_THAT(p2m.TranslateMfns(kExtremes, answers), IsOk());
    p2m.MapForeign({"map foreign"}, {}, report).IgnoreError();
    host_->UnmapForeign({"unmap foreign"}, domain->id(), {}, report)
        .IgnoreError();
    host_->UnmapForeign({"unmap foreign"}, domain->id(), kExtremes, report)
        .IgnoreError();
    for (const uint64_t first : kExtremes) {
      EXPECT_TRUE(domain->migration().PfnOfFrame(Mfn(first)).is_none() ||
                  first < 40000);
      domain->migration().LeafPages(first, 1).IgnoreError();
      domain->migration().LeafPages(0, 1).IgnoreError();
      for (const uint64_t value : kExtremes) {
        SCOPED_TRACE(testing::Message() << first << " " << value);
        const PfnExtent pfns = {Pfn(first), PageCount(value)};
        const ForeignSlot slot = {Pfn(first), Mfn(value)};
        p2m.MapForeign({"map foreign"}, {&slot, 1}, report).IgnoreError();
        p2m.ListRuns(Pfn(first), Pfn(value), P2mView::kResolved,
                     RunMerge::kByFrame, 1, runs, &generation)
            .IgnoreError();
        if (first > 1) {
          p2m.MarkIdentity({"mark identity"}, Pfn(first), Pfn(value), true)
              .IgnoreError();
        }
        for (const P2mClass wanted :
             {P2mClass::kMissing, P2mClass::kIdentity, P2mClass::kRam}) {
          p2m.SetRange({"set p2m"}, pfns, wanted, Mfn(value),
                       RamPolicy::kRefuse)
              .IgnoreError();
        }
      }
    }
  }
}

TEST_F(LibraryExtremesHostTest, MemoryIsReadAndWrittenOrRefused) {
  std::string bytes(2 * kPageSize, 'x');
  for (const auto& domain : {guest_, pae_}) {
    for (const uint64_t pfn : kExtremes) {
      for (const uint64_t offset : kExtremes) {
        const auto span = absl::MakeSpan(&bytes[0], bytes.size());
        domain->contents().Read(Pfn(pfn), offset, span).IgnoreError();
        domain->contents()
            .Write({"write"}, Pfn(pfn), offset, bytes)
            .IgnoreError();
        EXPECT_FALSE(domain->contents().Read(Pfn(pfn), offset, {}).ok());
        EXPECT_FALSE(
            domain->contents().Write({"write"}, Pfn(pfn), offset, "").ok());
      }
    }
  }
}

TEST_F(LibraryExtremesHostTest, LoadsOfAnyValueAreStartedOrRefused) {
  for (const uint64_t value : kExtremes) {
    SCOPED_TRACE(value);
    for (const uint64_t pages : {uint64_t{100}, value}) {
      LoadSpec spec;
      spec.pages_per_second = value;
      spec.working_set = PageCount(pages);
      spec.seed = value;
      if (!guest_->load().Start({"start a load"}, spec).ok()) continue;
      std::vector<PfnExtent> extents;
      EXPECT_THAT(guest_->load().ListPages(value, 0, extents), IsOk());
      EXPECT_THAT(guest_->load().ListPages(value, kMost, extents), IsOk());
      EXPECT_THAT(guest_->load().Run({"run its load"}, 0), IsOk());
      EXPECT_THAT(guest_->load().Run({"run its load"}, 500), IsOk());
      EXPECT_THAT(guest_->load().Check({"check its load"}), IsOk());
      EXPECT_THAT(guest_->load().Stop({"stop its load"}), IsOk());
    }
  }
  EXPECT_FALSE(guest_->load().Run({"run its load"}, kMost).ok());
}

TEST_F(LibraryExtremesHostTest, ProcessesAndCpusOfAnyNumberOrNone) {
  std::vector<AddressSpaceInfo> spaces;
  std::vector<P2mWord> words;
  for (const uint64_t value : kExtremes) {
    SCOPED_TRACE(value);
    const auto small = static_cast<uint32_t>(value);
    for (const auto& domain : {guest_, pae_}) {
      domain->processes()
          .Create({"create address spaces"}, small)
          .IgnoreError();
      domain->processes()
          .Destroy({"destroy address spaces"}, {&value, 1})
          .IgnoreError();
      domain->processes().List(value, 0, spaces).IgnoreError();
      domain->processes().List(value, 5, spaces).IgnoreError();
      domain->processes().TranslateIn(value, kExtremes, words).IgnoreError();
      const CpuRanges cpus = {{small, small}};
      domain->vcpus().SetAffinity({&small, 1}, &cpus, nullptr).IgnoreError();
      domain->vcpus().SetAffinity({}, nullptr, nullptr).IgnoreError();
      domain->vcpus().List(small, 0).IgnoreError();
      domain->vcpus().List(small, kMost).IgnoreError();
    }
  }
}

TEST_F(LibraryExtremesHostTest, IncomingDomainsOfAnySizeComeOrAreRefused) {
  for (const uint64_t end : kExtremes) {
    for (const uint64_t claim : kExtremes) {
      SCOPED_TRACE(testing::Message() << end << " " << claim);
      const auto incoming = IncomingDomain::Create(*host_, MakeSpec("in", 0),
                                                   Pfn(end), PageCount(claim));
      if (!incoming.ok()) continue;
      (*incoming)->Receive({Pfn(0), PageCount(0)}).IgnoreError();
      (*incoming)->Receive({Pfn(0), PageCount(1)}).IgnoreError();
      EXPECT_FALSE((*incoming)->Awaken({.bytes = ""}).ok());
    }
  }
}

TEST_F(LibraryExtremesHostTest, ImagesOfNothingAreRefused) {
  const auto spec = [](const std::optional<std::string>&) {
    return absl::StatusOr<DomainSpec>(MakeSpec("in", 0));
  };
  for (const std::string& bytes :
       {std::string(), std::string(1, '\0'), std::string(1 << 16, '\0'),
        std::string(1 << 16, '\xff')}) {
    ImageRestorer restorer(*host_, spec, LimitsFrom::kNotes, PageCount(kMost));
    restorer.Feed("").IgnoreError();
    restorer.Feed(bytes).IgnoreError();
    EXPECT_FALSE(restorer.Finish().ok());
  }
}

TEST_F(LibraryExtremesHostTest, MigrationsOfAnyPolicyEnd) {
  for (const uint64_t value : kExtremes) {
    SCOPED_TRACE(value);
    PrecopyPolicy policy;
    policy.max_passes = static_cast<uint32_t>(value);
    policy.min_dirty = PageCount(value);
    policy.max_bytes_per_second = value;
    policy.max_downtime_ms = value;
    PrecopyStats stats;
    stats.passes = static_cast<uint32_t>(value);
    stats.dirty = PageCount(value);
    stats.dirty_now = PageCount(value);
    stats.bytes_per_second = value;
    EstimateDowntimeMs(stats);
    KeepsDowntime(policy, stats);
    DecidePrecopy(policy, stats);
    const auto precopy = Precopy::Begin(guest_, policy, "");
    ASSERT_THAT(precopy, IsOk());
    std::string out;
    while (!(*precopy)->pass_done()) {
      out.clear();
      ASSERT_THAT((*precopy)->Next(out), IsOk());
    }
    if ((*precopy)->Turn(value).ok() && (*precopy)->suspended()) {
      EXPECT_THAT(guest_->migration().Resume({"resume"},
                                             (*precopy)->suspension(), false),
                  IsOk());
    }
  }
}

}  // namespace
}  // namespace simvisor
