// Operations on a p2m list, spelt by bytes, beside the plain model.
//
// The first bytes choose ABI, options and size of the list; then each byte
// names an operation, followed by its arguments.  Everything that a list can be
// asked to do is among them, in both phases, with pages running out at will.
// After each operation result, counts, generation and invariants are compared
// with the model, and in the end every word, leaf and slot.
//
// Thread safety: thread-compatible.

#ifndef SIMVISOR_TESTS_FUZZ_P2M_OPERATIONS_H_
#define SIMVISOR_TESTS_FUZZ_P2M_OPERATIONS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "domain/p2m/p2m_list.h"
#include "tests/fuzz/byte_reader.h"
#include "tests/support/limited_pages.h"
#include "tests/support/p2m_list_model.h"
#include "tests/support/p2m_pages.h"

namespace simvisor {

class P2mOperations {
 public:
  explicit P2mOperations(absl::Span<const uint8_t> bytes);

  // Runs them all.  Returns the first difference from the model, with the
  // number of the operation; nullopt if there is none.
  std::optional<std::string> Run();

 private:
  // A list is good for no more than these, for inputs must stay quick.
  static constexpr int kMaxOperations = 80;
  static constexpr int kMaxWideRanges = 3;

  void BuildList();
  void OneBeforeRelocation();
  void OneAfterRelocation();

  // Arguments.
  uint64_t PickPfn();
  uint64_t PickPfnInList() { return PickPfn() % model_->size(); }
  PfnExtent PickRange();
  PfnExtent PickExtra();
  P2mWord PickWord(uint64_t pfn);
  P2mList::RangeFill PickFill();

  // Operations.
  void StoreOrClear();
  void MarkIdentity();
  void ChangeExtra();
  void Relocate();
  void Publish();
  void TrySetOne();
  void SetOne();
  void AllocOne();
  void AllocMany();
  void SetMany();
  void PrepareMany();
  void ReplaceFrames();
  void LimitPages();
  void LookUp();
  void Dump();
  void Render();

  // Comparisons.
  void Differ(absl::string_view what, uint64_t at, absl::string_view list,
              absl::string_view model);
  void Compare(absl::string_view what, uint64_t list, uint64_t model);
  // With the shape of its leaf and of one beside it.
  void CompareWord(uint64_t pfn);
  void CompareLeaf(uint64_t leaf);
  // Whether a call came off, and if not, that it says that pages ran out.
  void CompareTaking(absl::string_view what, const absl::Status& status,
                     bool model);
  void ExpectError(absl::string_view what, const absl::Status& status,
                   absl::StatusCode code);
  void CompareStructure();
  void CompareEverything();
  void CompareSummary();
  void CompareRun(const P2mRun& run);

  ByteReader bytes_;
  const Abi& abi_;
  const P2mOptions options_;
  LimitedPages source_;
  TestList list_;
  std::unique_ptr<P2mListModel> model_;
  uint64_t left_ = ~uint64_t{0};  // of the model
  uint64_t capacity_ = 0;
  int wide_ranges_ = 0;
  int operation_ = 0;
  bool unfit_ = false;  // pages ran out where no list survives
  std::optional<std::string> difference_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_FUZZ_P2M_OPERATIONS_H_
