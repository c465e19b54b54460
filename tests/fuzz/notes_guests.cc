#include "tests/fuzz/notes_guests.h"

#include <utility>

namespace simvisor {
namespace {

constexpr uint64_t kPages = 2600;

DomainSpec SpecOf(Arch arch, ToolsView view, BalloonRoom room) {
  DomainSpec spec;
  spec.name = "noted";
  spec.arch = arch;
  spec.memory = PageCount(kPages);
  spec.max_memory = PageCount(4000);
  spec.vcpus = 2;
  spec.p2m = {view, room};
  spec.pae_kernel.shared_kernel_pmd = view == ToolsView::kLinear;
  return spec;
}

// Gives the guest a bit of everything.
void Live(Domain& guest) {
  guest.balloon().Down({"balloon down"}, PageCount(300), true).IgnoreError();
  guest.balloon().Up({"balloon up"}, PageCount(40), true).IgnoreError();
  guest.p2m()
      .SetRange({"set p2m"}, {Pfn(1200), PageCount(9)}, P2mClass::kIdentity,
                Mfn(), RamPolicy::kRelease)
      .IgnoreError();
  guest.contents().Write({"write"}, Pfn(700), 9, "noted").IgnoreError();
  if (guest.abi().arch == Arch::kX86_32Pae) {
    guest.processes().Create({"create address spaces"}, 5).IgnoreError();
    guest.processes().Destroy({"destroy address spaces"}, {2}).IgnoreError();
  } else {
    LoadSpec load;
    load.pages_per_second = 1000;
    load.working_set = PageCount(50);
    guest.load().Start({"start a load"}, load).IgnoreError();
    guest.load().Run({"run its load"}, 200).IgnoreError();
  }
}

std::vector<uint64_t> NumbersOf(const std::string& notes) {
  std::vector<uint64_t> numbers;
  uint64_t number = 0;
  int shift = 0;
  for (const char c : notes) {
    const auto byte = static_cast<unsigned char>(c);
    number |= uint64_t{byte & 0x7fu} << shift;
    shift += 7;
    if (byte >= 0x80) continue;
    numbers.push_back(std::exchange(number, 0));
    shift = 0;
  }
  return numbers;
}

NotesGuest Note(Host& host, const DomainSpec& spec) {
  NotesGuest noted;
  noted.spec = spec;
  const auto domain = host.CreateDomain(spec, false, NeverStop).value();
  Live(*domain);
  noted.record = domain->migration().Suspend({"save"}).value();
  noted.numbers = NumbersOf(noted.record.notes);
  for (Pfn at(0); at < noted.record.last_pfn;) {
    at = domain->migration()
             .ReadForImage(ExtentBetween(at, noted.record.last_pfn), 1000,
                           noted.runs)
             .value();
  }
  noted.record_pages = noted.record.notes_pages;
  noted.record_pages.insert(noted.record_pages.end(),
                            {noted.record.start_info, noted.record.gdt});
  if (noted.record.tools.view == ToolsView::kTree) {
    noted.record_pages.insert(noted.record_pages.end(),
                              noted.record.tables.begin(),
                              noted.record.tables.end());
  }
  const std::vector<Pfn> leaves =
      domain->migration()
          .LeafPages(0, (noted.record.last_pfn.value() - 1) /
                                domain->abi().leaf_span() +
                            1)
          .value();
  for (const Pfn leaf : leaves) noted.leaf_pages.push_back(leaf.value());
  host.DestroyDomain(domain).IgnoreError();
  return noted;
}

}  // namespace

std::unique_ptr<Host> MakeFuzzHost() {
  HostConfig config;
  config.e820 = E820Map::SingleRam(PageCount(kFuzzHostPages));
  config.dom0_memory = PageCount(kFuzzDom0Pages);
  return Host::Create(config).value();
}

const std::vector<NotesGuest>& NotesGuestsMade() {
  static const auto* const kGuests = [] {
    auto* const guests = new std::vector<NotesGuest>;
    const auto host = MakeFuzzHost();
    for (const Arch arch : {Arch::kX86_64, Arch::kX86_32Pae}) {
      for (const auto& [view, room] :
           {std::pair(ToolsView::kTree, BalloonRoom::kFaithful),
            std::pair(ToolsView::kLinear, BalloonRoom::kCompact)}) {
        guests->push_back(Note(*host, SpecOf(arch, view, room)));
      }
    }
    return guests;
  }();
  return *kGuests;
}

std::unique_ptr<IncomingDomain> SendGuest(const NotesGuest& guest, Host& host) {
  auto incoming =
      IncomingDomain::Create(host, guest.spec, guest.record.last_pfn);
  if (!incoming.ok()) return nullptr;
  for (const ImageRun& run : guest.runs) {
    if (run.kind == ImageRun::Kind::kAbsent) continue;
    if (!(*incoming)->Receive(run.pfns).ok()) return nullptr;
    if (run.data == nullptr) continue;
    if (!(*incoming)->WritePage(run.pfns.first, *run.data).ok()) return nullptr;
  }
  return *std::move(incoming);
}

}  // namespace simvisor
