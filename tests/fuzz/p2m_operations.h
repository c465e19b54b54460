// Operations on a p2m list, chosen by bytes, compared with the plain model.
//
// The first bytes choose ABI, options and size of the list; then each byte
// names an operation, followed by its arguments.  The operations cover
// everything that a list can do, in both phases, and pages may run out at any
// point.  After each operation, result, counts, generation and invariants are
// compared with the model, and at the end every word, leaf and slot.
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

  // Runs all operations.  Returns the first difference from the model, with the
  // number of the operation; nullopt if there is none.
  std::optional<std::string> Run();

 private:
  // Most operations per input, so that inputs stay quick.
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
  // Also compares the shape of its leaf and of a neighbouring one.
  void CompareWord(uint64_t pfn);
  void CompareLeaf(uint64_t leaf);
  // Compares whether a call succeeded, and checks that a failure says that
  // pages ran out.
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
  bool unfit_ = false;  // pages ran out and left the list unusable
  std::optional<std::string> difference_;
};

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_FUZZ_P2M_OPERATIONS_H_
