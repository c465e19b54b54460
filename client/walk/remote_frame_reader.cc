#include "client/walk/remote_frame_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "client/api/own_reason.h"

namespace simvisor::client {
namespace {

// Frames in one call: the limit on extents in a request, in case no two frames
// are adjacent.
constexpr size_t kMaxFramesPerCall = 65536;

template <typename Request>
Request RequestFor(absl::Span<const uint64_t> mfns) {
  Request request;
  v1::MfnExtent* last = nullptr;
  for (const uint64_t mfn : mfns) {
    if (last != nullptr && mfn == last->first_mfn() + last->count()) {
      last->set_count(last->count() + 1);
      continue;
    }
    last = request.add_extents();
    last->set_first_mfn(mfn);
    last->set_count(1);
  }
  return request;
}

absl::Status WrongAnswer(absl::string_view method, size_t got, size_t asked) {
  return WithReason(
      absl::InternalError(absl::StrFormat(
          "%s: the answer differs from the request at frame %d of %d", method,
          got, asked)),
      OwnReason::kResponseInvalid);
}

absl::Status ReadSome(const Client& client, absl::Span<const uint64_t> mfns,
                      std::vector<std::string>& contents) {
  size_t got = 0;
  auto status = client.ReadFrames(
      RequestFor<v1::ReadFramesRequest>(mfns),
      [&](const v1::ReadFramesResponse& response) {
        for (const v1::FrameContent& frame : response.frames()) {
          const bool whole =
              frame.content().empty() || frame.content().size() == kFrameBytes;
          if (got == mfns.size() || frame.mfn() != mfns[got] || !whole) {
            return WrongAnswer("ReadFrames", got, mfns.size());
          }
          contents.push_back(frame.content());
          contents.back().resize(kFrameBytes, '\0');
          ++got;
        }
        return absl::OkStatus();
      });
  if (status.ok() && got != mfns.size()) {
    return WrongAnswer("ReadFrames", got, mfns.size());
  }
  return status;
}

absl::Status LookupSome(const Client& client, absl::Span<const uint64_t> mfns,
                        std::vector<std::optional<uint64_t>>& pfns) {
  size_t got = 0;
  auto status = client.LookupFrames(
      RequestFor<v1::LookupFramesRequest>(mfns),
      [&](const v1::LookupFramesResponse& response) {
        for (const v1::FrameRun& run : response.runs()) {
          for (uint64_t i = 0; i < run.count(); ++i, ++got) {
            if (got == mfns.size() || mfns[got] != run.first_mfn() + i) {
              return WrongAnswer("LookupFrames", got, mfns.size());
            }
            pfns.push_back(run.has_first_pfn()
                               ? std::optional(run.first_pfn() + i)
                               : std::nullopt);
          }
        }
        return absl::OkStatus();
      });
  if (status.ok() && got != mfns.size()) {
    return WrongAnswer("LookupFrames", got, mfns.size());
  }
  return status;
}

template <typename Item>
absl::StatusOr<std::vector<Item>> InCalls(
    const Client& client, absl::Span<const uint64_t> mfns,
    absl::Status (*some)(const Client&, absl::Span<const uint64_t>,
                         std::vector<Item>&)) {
  std::vector<Item> items;
  items.reserve(mfns.size());
  for (size_t at = 0; at < mfns.size(); at += kMaxFramesPerCall) {
    SIMVISOR_RETURN_IF_ERROR(
        some(client, mfns.subspan(at, kMaxFramesPerCall), items));
  }
  return items;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> RemoteFrameReader::ReadFrames(
    absl::Span<const uint64_t> mfns) {
  return InCalls(client_, mfns, &ReadSome);
}

absl::StatusOr<std::vector<std::optional<uint64_t>>>
RemoteFrameReader::LookupPfns(absl::Span<const uint64_t> mfns) {
  return InCalls(client_, mfns, &LookupSome);
}

}  // namespace simvisor::client
