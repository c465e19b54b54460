// Saves to images and restores from them, in memory.

#ifndef SIMVISOR_TESTS_SUPPORT_IMAGE_TESTING_H_
#define SIMVISOR_TESTS_SUPPORT_IMAGE_TESTING_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "domain/image/image_restorer.h"
#include "domain/image/image_saver.h"
#include "tests/support/host_testing.h"

namespace simvisor {

// The whole image of a guest, which stays suspended.
inline std::string SaveAll(std::shared_ptr<Domain> domain,
                           ImageLayer layer = ImageLayer::kLibxc) {
  auto record = domain->migration().Suspend({"save"});
  EXPECT_THAT(record, IsOk());
  std::string image;
  if (!record.ok()) return image;
  ImageSaver saver(std::move(domain), *std::move(record), layer,
                   R"({"c_info": {"name": "saved"}})");
  while (!saver.done()) {
    const absl::Status status = saver.Next(image);
    EXPECT_THAT(status, IsOk());
    if (!status.ok()) break;
  }
  return image;
}

inline ImageRestorer::SpecSource SpecOf(const DomainSpec& spec) {
  return [spec](const std::optional<std::string>&) { return spec; };
}

// Restores an image fed in pieces of `piece` bytes.
inline absl::StatusOr<std::shared_ptr<Domain>> RestoreAll(
    Host& host, absl::string_view image, const DomainSpec& spec,
    size_t piece = size_t{1} << 16) {
  ImageRestorer restorer(host, SpecOf(spec), LimitsFrom::kNotes);
  for (size_t at = 0; at < image.size(); at += piece) {
    const absl::Status status = restorer.Feed(image.substr(at, piece));
    if (!status.ok()) return status;
  }
  return restorer.Finish();
}

}  // namespace simvisor

#endif  // SIMVISOR_TESTS_SUPPORT_IMAGE_TESTING_H_
