#include "tests/fuzz/notes_restores.h"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "domain/collections/state_codec.h"
#include "domain/image/image_restorer.h"
#include "domain/image/image_saver.h"
#include "tests/fuzz/byte_reader.h"
#include "tests/fuzz/guest_difference.h"
#include "tests/fuzz/notes_guests.h"

namespace simvisor {
namespace {

// Most calls of a StopCheck that any call here may make.
constexpr uint64_t kMaxSteps = 20000;
constexpr size_t kMaxPieces = 2000;
constexpr uint64_t kWritten = 555;  // a pfn that every guest has

// Changes the numbers of notes as the bytes say.
class Changer {
 public:
  Changer(ByteReader& in, std::vector<uint64_t> numbers)
      : in_(in), numbers_(std::move(numbers)) {}

  std::string Notes() {
    for (int changes = 0; changes < 12 && !in_.empty(); ++changes) Change();
    StateWriter out;
    for (const uint64_t number : numbers_) out.Put(number);
    return out.bytes();
  }

 private:
  static constexpr uint64_t kAll = std::numeric_limits<uint64_t>::max();
  static constexpr std::array<uint64_t, 16> kExtremes = {
      0,
      1,
      2,
      127,
      128,
      uint64_t{1} << 18,
      uint64_t{1} << 20,
      (uint64_t{1} << 31) - 1,
      uint64_t{1} << 31,
      (uint64_t{1} << 32) - 1,
      uint64_t{1} << 32,
      uint64_t{1} << 34,
      uint64_t{1} << 48,
      uint64_t{1} << 62,
      uint64_t{1} << 63,
      kAll};

  void Change() {
    if (numbers_.empty()) return;
    const uint8_t what = in_.Byte();
    const size_t at = in_.Below(numbers_.size());
    uint64_t& number = numbers_[at];
    switch (what % 8) {
      case 0:
        number = kExtremes[in_.Byte() % kExtremes.size()];
        break;
      case 1:
        number += static_cast<uint64_t>(static_cast<int8_t>(in_.Byte()));
        break;
      case 2:
        number = numbers_[in_.Below(numbers_.size())];
        break;
      case 3:
        std::swap(number, numbers_[in_.Below(numbers_.size())]);
        break;
      case 4:
        numbers_.erase(numbers_.begin() + at, EndOf(at));
        break;
      case 5: {
        const std::vector<uint64_t> again(numbers_.begin() + at, EndOf(at));
        numbers_.insert(numbers_.begin() + at, again.begin(), again.end());
        break;
      }
      case 6:
        number = in_.Number(1 + what / 8 % 8);
        break;
      case 7:
        numbers_.resize(at);
        break;
    }
  }

  // The end of the 1 to 8 numbers from `at` on that the bytes choose.
  std::vector<uint64_t>::iterator EndOf(size_t at) {
    const size_t count = 1 + in_.Byte() % 8;
    return numbers_.begin() +
           static_cast<ptrdiff_t>(std::min(at + count, numbers_.size()));
  }

  ByteReader& in_;
  std::vector<uint64_t> numbers_;
};

// One run: two hosts, and what went wrong on them.
class Run {
 public:
  explicit Run(absl::Span<const uint8_t> bytes)
      : in_(bytes),
        guest_(NotesGuestsMade()[in_.Byte() % NotesGuestsMade().size()]),
        from_(MakeFuzzHost()),
        to_(MakeFuzzHost()) {}

  NotesOutcome Go() {
    const bool compared = in_.Byte() % 2 == 0;
    const std::string notes = Changer(in_, guest_.numbers).Notes();
    std::shared_ptr<Domain> domain = Restore(notes, compared);
    const bool accepted = domain != nullptr;
    if (accepted) {
      Live(*domain);
      Move(domain);
      Note("destroy", from_->DestroyDomain(domain).status());
    }
    domain = nullptr;
    for (const Host* host : {from_.get(), to_.get()}) {
      Audit(*host);
      if (host->Info().owned == PageCount(kFuzzDom0Pages)) continue;
      Wrong(absl::StrCat(host->Info().owned.value(), " frames are owned"));
    }
    if (wrong_.empty()) return {accepted, std::nullopt};
    return {accepted, wrong_};
  }

 private:
  void Wrong(absl::string_view what) { absl::StrAppend(&wrong_, what, "; "); }
  void Note(absl::string_view call, const absl::Status& status) {
    if (!status.ok()) Wrong(absl::StrCat(call, ": ", status.message()));
  }
  void Audit(const Host& host) {
    for (const std::string& finding : host.Audit().findings) Wrong(finding);
  }

  // Counts the StopCheck calls of one call.
  absl::Status Step() {
    if (++steps_ < kMaxSteps) return absl::OkStatus();
    if (steps_ == kMaxSteps) Wrong("a call takes too many steps");
    return absl::CancelledError("too many steps");
  }
  // Makes a call with a StopCheck that ends it when it takes too long.
  template <typename Call>
  auto Bounded(Call call) {
    steps_ = 0;
    return call([this] { return Step(); });
  }

  // A refusal must be about the image.
  void CheckRefusal(const absl::Status& status) {
    const auto reason = ReasonOf(status);
    for (const Reason known :
         {Reason::kImageMalformed, Reason::kHostAddressSpaceExhausted}) {
      if (reason == std::string(ReasonName(known))) return;
    }
    Wrong(absl::StrCat("refused for another reason: ", status.ToString()));
  }

  std::shared_ptr<Domain> Restore(const std::string& notes, bool compared) {
    const auto incoming = SendGuest(guest_, *from_);
    if (incoming == nullptr) {
      Wrong("the pages were not taken");
      return nullptr;
    }
    GuestNotes given = {.bytes = notes, .record_pages = guest_.record_pages};
    if (compared) {
      given.pages = guest_.record.pages;
      given.vcpus = guest_.record.vcpus;
      given.leaf_pages = guest_.leaf_pages;
    }
    auto domain = Bounded([&](StopCheck stop) {
      return incoming->Awaken(given, LimitsFrom::kNotes, Arrival::kPaused,
                              stop);
    });
    Audit(*from_);
    if (domain.ok()) return *std::move(domain);
    CheckRefusal(domain.status());
    return nullptr;
  }

  // Does everything with the guest that a client can; refusals are fine.
  void Live(Domain& domain) {
    Bounded([&](StopCheck stop) {
      return domain.Unpause({"unpause", stop});
    }).IgnoreError();
    Audit(*from_);
    Bounded([&](StopCheck stop) {
      return domain.balloon().Down({"balloon down", stop}, PageCount(60), true);
    }).IgnoreError();
    Bounded([&](StopCheck stop) {
      return domain.balloon().Up({"balloon up", stop}, PageCount(90), true);
    }).IgnoreError();
    Bounded([&](StopCheck stop) {
      return domain.balloon().Wake({"balloon timer", stop},
                                   domain.balloon().timer());
    }).IgnoreError();
    Bounded([&](StopCheck stop) {
      return domain.p2m().SetRange({"set p2m", stop}, {Pfn(900), PageCount(3)},
                                   P2mClass::kMissing, Mfn(),
                                   RamPolicy::kRelease);
    }).IgnoreError();
    Bounded([&](StopCheck stop) {
      return domain.p2m().MarkIdentity({"mark identity", stop}, Pfn(1000),
                                       Pfn(1040), true);
    }).IgnoreError();
    domain.contents()
        .Write({"write"}, Pfn(kWritten), 5, "written")
        .IgnoreError();
    Look(domain);
    LiveInSpaces(domain);
    Bounded([&](StopCheck stop) {
      return domain.load().Run({"run its load", stop}, 300);
    }).IgnoreError();
    Bounded([&](StopCheck stop) {
      return domain.load().Check({"check its load", stop});
    }).IgnoreError();
    Audit(*from_);
  }

  void Look(Domain& domain) {
    std::vector<uint64_t> pfns;
    for (const uint64_t pfn : guest_.numbers) pfns.push_back(pfn);
    std::vector<P2mWord> words;
    domain.p2m().Translate(pfns, words).IgnoreError();
    domain.p2m().Summary().IgnoreError();
    domain.p2m().FindMfnListList().IgnoreError();
    std::string page(kPageSize, '\0');
    for (const uint64_t pfn : pfns) {
      domain.contents()
          .Read(Pfn(pfn), 0, absl::MakeSpan(&page[0], kPageSize))
          .IgnoreError();
    }
  }

  void LiveInSpaces(Domain& domain) {
    auto made = Bounded([&](StopCheck stop) {
      return domain.processes().Create({"create address spaces", stop}, 3);
    });
    if (!made.ok()) return;
    std::vector<P2mWord> words;
    Note("translate in a process",
         domain.processes().TranslateIn(made->first_id, {700, 1200, 2500},
                                        words));
    Bounded([&](StopCheck stop) {
      return domain.processes().Sync({"sync address spaces", stop});
    }).IgnoreError();
    Note("destroy of a process", Bounded([&](StopCheck stop) {
                                   return domain.processes().Destroy(
                                       {"destroy address spaces", stop},
                                       {made->first_id + 1});
                                 }).status());
  }

  // Saves the guest, if it can be saved, restores it and compares.
  void Move(const std::shared_ptr<Domain>& domain) {
    auto record = Bounded([&](StopCheck stop) {
      return domain->migration().Suspend({"save", stop}, SuspendFor::kSave);
    });
    if (!record.ok()) return;
    ImageSaver saver(domain, *std::move(record), ImageLayer::kLibxc, "");
    std::string image;
    for (size_t pieces = 0; !saver.done(); ++pieces) {
      const size_t before = image.size();
      const absl::Status status = saver.Next(image);
      if (!status.ok()) return Note("save", status);
      if (pieces == kMaxPieces || image.size() == before) {
        return Wrong("a save does not end");
      }
    }
    DomainSpec spec = guest_.spec;
    spec.vcpus = 0;
    ImageRestorer restorer(
        *to_, [&spec](const std::optional<std::string>&) { return spec; },
        LimitsFrom::kNotes);
    Note("feed",
         Bounded([&](StopCheck stop) { return restorer.Feed(image, stop); }));
    if (!restorer.done()) return;
    const auto twin =
        Bounded([&](StopCheck stop) { return restorer.Finish(stop); });
    if (!twin.ok()) return Note("restore again", twin.status());
    Audit(*to_);
    const std::vector<uint64_t> pages = {kWritten, 700};
    if (const auto d = DifferenceBetween(*domain, **twin, pages); d) Wrong(*d);
    Note("destroy again", to_->DestroyDomain(*twin).status());
  }

  ByteReader in_;
  const NotesGuest& guest_;
  const std::unique_ptr<Host> from_, to_;
  uint64_t steps_ = 0;
  std::string wrong_;
};

}  // namespace

NotesOutcome RestoreChangedNotes(absl::Span<const uint8_t> bytes) {
  return Run(bytes).Go();
}

size_t NotesGuests() { return NotesGuestsMade().size(); }

}  // namespace simvisor
