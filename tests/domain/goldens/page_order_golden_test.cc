// In which order a guest takes its pages, for which roles, and gives them back.
//
// For each boot the file has the pages by role and the words, and after each
// further step what is gone (-) and what is new (+).

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/domain/goldens/golden_calls.h"
#include "tests/domain/goldens/golden_guests.h"
#include "tests/domain/goldens/golden_pages.h"
#include "tests/support/e820_testing.h"
#include "tests/support/golden_file.h"

namespace simvisor {
namespace {

// Something that happens to a guest.
struct Step {
  std::string name;
  std::function<void(GuestScene&)> run;
};

struct Boot {
  std::string name;
  DomainSpec spec;
  MachineOptions machine = {.free = 9000};
  std::vector<Step> before = {};  // before the guest runs
  std::vector<Step> steps = {};
};

uint64_t SizeOf(const GuestScene& s) {
  return calls::Summary(*s.guest)->summary.p2m_size;
}
// A pfn of the room that is used last.
uint64_t LastRoom(const GuestScene& s) {
  return calls::Info(*s.guest)
             .balloon_driver->extra_regions.back()
             .end()
             .value() -
         1;
}

std::vector<Step> BalloonSteps() {
  return {
      {"balloon down 700", [](GuestScene& s) { lives::Down(s, 700); }},
      {"balloon up 300", [](GuestScene& s) { lives::Up(s, 300); }},
      {"map and unmap the last page of the room",
       [](GuestScene& s) { lives::UseForeign(s, {LastRoom(s)}); }},
      {"raise the limit, balloon up 1900",
       [](GuestScene& s) {
         lives::Limit(s, calls::Info(*s.guest).memory.static_max.value());
         lives::Up(s, 1900);
       }},
      {"set a target 1500 below",
       [](GuestScene& s) {
         lives::Target(s, calls::Info(*s.guest).memory.current.value() - 1500);
       }},
      {"balloon down 1", [](GuestScene& s) { lives::Down(s, 1); }},
  };
}

// The words are in [from, from + 4096), and at the end of the area.
std::vector<Step> WordSteps(uint64_t from = 0) {
  return {
      {"set 600 pages identity, release",
       [=](GuestScene& s) { lives::Identity(s, from + 1500, from + 2100); }},
      {"set 3 pages missing, release",
       [=](GuestScene& s) {
         lives::Set(s, {Pfn(from + 2200), PageCount(3)}, P2mClass::kMissing);
       }},
      {"set a page at the end of the area missing",
       [](GuestScene& s) {
         lives::Set(s, {Pfn(SizeOf(s) - 10), PageCount(1)}, P2mClass::kMissing);
       }},
      {"set pages on both sides of a leaf missing",
       [](GuestScene& s) {
         const uint64_t border = SizeOf(s) - 4096;
         lives::Set(s, {Pfn(border - 2), PageCount(4)}, P2mClass::kMissing);
       }},
      {"set a whole leaf of RAM identity, release",
       [=](GuestScene& s) { lives::Identity(s, from + 2048, from + 3072); }},
      {"move a frame to the end of the area",
       [=](GuestScene& s) { lives::MoveFrame(s, from + 1000, SizeOf(s) - 1); }},
      {"set 384 pages missing, keep",
       [=](GuestScene& s) {
         lives::Set(s, {Pfn(from + 3456), PageCount(384)}, P2mClass::kMissing,
                    RamPolicy::kKeep);
       }},
  };
}

std::vector<Step> LoadSteps() {
  return {{"start a load of 60 pages",
           [](GuestScene& s) {
             lives::Load(s, LoadPattern::kSequential, 60, 100);
           }},
          {"balloon down 400", [](GuestScene& s) { lives::Down(s, 400); }},
          {"stop the load", [](GuestScene& s) { lives::EndLoad(s); }}};
}

std::vector<Step> SpaceSteps(uint32_t many) {
  return {
      {"create 4 address spaces", [](GuestScene& s) { lives::Spaces(s, 4); }},
      {"destroy 1 and 3",
       [](GuestScene& s) {
         lives::EndSpaces(s, {1, 3});
       }},
      {absl::StrCat("create ", many),
       [=](GuestScene& s) { lives::Spaces(s, many); }},
      {absl::StrCat("destroy 5 to ", many), [=](GuestScene& s) {
         calls::Ids ids;
         for (uint64_t id = 5; id <= many; ++id) ids.push_back(id);
         lives::EndSpaces(s, ids);
       }}};
}

// Marks that a guest finds when it boots.
std::vector<Step> MarksBeforeBoot() {
  return {{"mark 5 pages identity",
           [](GuestScene& s) { lives::Identity(s, 700, 705); }},
          {"mark two whole leaves identity",
           [](GuestScene& s) { lives::Identity(s, 1024, 3072); }},
          {"mark the end of its RAM identity",
           [](GuestScene& s) { lives::Identity(s, 3900, 4000); }}};
}

std::vector<Step> Then(std::vector<Step> first, std::vector<Step> second) {
  for (Step& step : second) first.push_back(std::move(step));
  return first;
}

DomainSpec WithHoles(DomainSpec spec) {
  spec.e820 =
      MakeMap({Ram(0, 0x9f800), Reserved(0x9f800, 0x100000),
               Ram(0x100000, 9 * kMiB + 0x123),
               Reserved(10 * kMiB, 11 * kMiB + 1), Ram(12 * kMiB, 40 * kMiB)});
  return spec;
}

DomainSpec WithHostMap(DomainSpec spec) {
  spec.e820_host = true;
  return spec;
}

DomainSpec WithHotplug(DomainSpec spec, uint32_t gib) {
  spec.hotplug_limit_gib = gib;
  return spec;
}

DomainSpec WithKernel(DomainSpec spec, PaeKernel kernel) {
  spec.pae_kernel = kernel;
  return spec;
}

std::vector<Boot> Boots() {
  return {
      {.name = "x86_64, tree, faithful room",
       .spec = GuestSpec(k64, kTree, kFaithful, 4000, 8000),
       .steps = Then(BalloonSteps(), LoadSteps())},
      {.name = "x86_64, tree, compact room",
       .spec = GuestSpec(k64, kTree, kCompact, 4000, 8000),
       .steps = Then(WordSteps(), BalloonSteps())},
      {.name = "x86_64, linear, faithful room, holes",
       .spec = WithHoles(GuestSpec(k64, kLinear, kFaithful, 4000, 8000)),
       .steps = BalloonSteps()},
      {.name = "x86_64, linear, compact room, area for 5 GiB",
       .spec = WithHotplug(GuestSpec(k64, kLinear, kCompact, 4000, 8000), 5),
       .steps = Then(WordSteps(), LoadSteps())},
      {.name = "x86_32_pae, tree, faithful room, odd size",
       .spec = GuestSpec(kPae, kTree, kFaithful, 4001, 8003),
       .steps = Then(WordSteps(), SpaceSteps(9))},
      {.name = "x86_32_pae, tree, compact room, holes, area for 9 GiB",
       .spec = WithHotplug(
           WithHoles(GuestSpec(kPae, kTree, kCompact, 4096, 9000)), 9),
       .steps = Then(WordSteps(), BalloonSteps())},
      {.name = "x86_32_pae, linear, faithful room, shared kernel tables",
       .spec = WithKernel(GuestSpec(kPae, kLinear, kFaithful, 4000, 8000),
                          {.shared_kernel_pmd = true}),
       .steps = Then(SpaceSteps(130), BalloonSteps())},
      {.name = "x86_32_pae, linear, compact room, 1 GiB for processes",
       .spec = WithKernel(GuestSpec(kPae, kLinear, kCompact, 4000, 8000),
                          {.user_pgds = 1}),
       .steps = Then(SpaceSteps(9), WordSteps())},
      {.name = "x86_64, tree, compact room, scattered frames",
       .spec = GuestSpec(k64, kTree, kCompact, 4000, 8000),
       .machine = {.free = 9000, .placement = Placement::kScatter},
       .steps = Then(BalloonSteps(), WordSteps())},
      {.name = "x86_64, tree, faithful room, more than a mid",
       .spec = GuestSpec(k64, kTree, kFaithful, 300000, 700000),
       .steps = Then(BalloonSteps(), WordSteps(8192))},
      {.name = "x86_64, tree, compact room, more than a mid",
       .spec = GuestSpec(k64, kTree, kCompact, 5000, 1400000),
       .steps = BalloonSteps()},
      {.name = "x86_64, tree, compact room, area for 4 GiB",
       .spec = WithHotplug(GuestSpec(k64, kTree, kCompact, 4000, 700000), 4),
       .steps = Then(WordSteps(), BalloonSteps())},
      {.name = "x86_64, tree, compact room, marks before it boots",
       .spec = GuestSpec(k64, kTree, kCompact, 4000, 8000),
       .before = MarksBeforeBoot(),
       .steps = LoadSteps()},
      {.name = "x86_32_pae, linear, faithful room, marks before it boots",
       .spec = GuestSpec(kPae, kLinear, kFaithful, 4000, 8000),
       .before = MarksBeforeBoot(),
       .steps = LoadSteps()},
      {.name = "x86_64, tree, faithful room, the machine's map, 4 GiB",
       .spec = WithHostMap(
           GuestSpec(k64, kTree, kFaithful, 1 << 20, (1 << 20) + 4000)),
       .machine = {.map = RealMap()},
       .steps = Then(WordSteps(8192), LoadSteps())},
      {.name = "x86_32_pae, tree, compact room, the machine's map, 4 GiB",
       .spec = WithHostMap(
           GuestSpec(kPae, kTree, kCompact, 1 << 20, (1 << 20) + 4000)),
       .machine = {.map = RealMap()},
       .steps = BalloonSteps()},
  };
}

void AppendLines(const char* sign, const Lines& lines,
                 const std::multiset<std::string>& others, std::string& text) {
  std::multiset<std::string> left = others;
  for (const std::string& line : lines) {
    const auto at = left.find(line);
    if (at != left.end()) {
      left.erase(at);
    } else {
      absl::StrAppend(&text, "  ", sign, line, "\n");
    }
  }
}

void AppendChanges(const Lines& before, const Lines& after, std::string& text) {
  AppendLines("-", before, {after.begin(), after.end()}, text);
  AppendLines("+", after, {before.begin(), before.end()}, text);
}

void AppendBoot(const Boot& boot, std::string& text) {
  MachineOptions machine = boot.machine;
  machine.paused = true;
  GuestScene scene = MakeGuestScene(boot.spec, machine);
  absl::StrAppend(&text, "== ", boot.name, " ==\nbuilt\n");
  Lines before;
  Lines after = WordLines(*scene.guest);
  const auto step_to = [&](const std::string& name, Lines now) {
    before = std::exchange(after, std::move(now));
    absl::StrAppend(&text, name, "\n");
    AppendChanges(before, after, text);
    EXPECT_THAT(calls::Audit(*scene.host).findings, testing::IsEmpty()) << name;
  };
  AppendChanges(before, after, text);
  for (const Step& step : boot.before) {
    step.run(scene);
    step_to(step.name, WordLines(*scene.guest));
  }
  EXPECT_THAT(calls::Unpause(*scene.guest), IsOk());
  step_to("boot", PageLines(*scene.guest));
  for (const Step& step : boot.steps) {
    SCOPED_TRACE(step.name);
    step.run(scene);
    step_to(step.name, PageLines(*scene.guest));
  }
}

// dom0 boots with the machine, and leaves no notes.
void AppendDom0(ToolsView view, uint64_t pages, std::string& text) {
  HostConfig config;
  config.e820 = RealMap();
  config.dom0_memory = PageCount(pages);
  config.dom0_max_memory = PageCount(pages + 5000);
  config.dom0_tools_view = view;
  const auto host = Host::Create(config);
  ASSERT_THAT(host, IsOk());
  const auto dom0 = calls::Find(**host, kDom0Id);
  ASSERT_THAT(dom0, IsOk());
  const auto report = calls::Summary(**dom0);
  ASSERT_THAT(report, IsOk());
  absl::StrAppend(&text, "== dom0, ", view == kTree ? "tree, " : "linear, ",
                  pages, " pages ==\nboot\n");
  AppendChanges({},
                {absl::StrFormat("remapped: %d", report->remapped.value()),
                 absl::StrFormat("released: %d", report->released.value())},
                text);
  AppendChanges({}, LeafLines(**dom0), text);
  AppendChanges({}, WordLines(**dom0), text);
}

TEST(PageOrderGoldenTest, PagesAreTakenAndGivenBackAsTheGoldenFileSays) {
  std::string text;
  for (const Boot& boot : Boots()) {
    SCOPED_TRACE(boot.name);
    AppendBoot(boot, text);
  }
  AppendDom0(kTree, 40000, text);
  AppendDom0(kLinear, 1000000, text);
  ExpectGolden("page_order.txt", text);
}

}  // namespace
}  // namespace simvisor
