// Converts enums of MigrationService.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_SERVER_IMAGES_CONVERT_IMAGE_H_
#define SIMVISOR_SERVER_IMAGES_CONVERT_IMAGE_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "domain/image/stream_format.h"
#include "simvisor/v1/migration_service.pb.h"

namespace simvisor::server {

// INVALID_ARGUMENT ARGUMENT_MALFORMED, naming `field`, for a value that the API
// does not have.  UNSPECIFIED becomes the default that the API states.
absl::StatusOr<ImageLayer> FromProto(absl::string_view field,
                                     v1::ImageLayer layer);
absl::StatusOr<v1::AfterSave> CheckAfterSave(absl::string_view field,
                                             v1::AfterSave after);

}  // namespace simvisor::server

#endif  // SIMVISOR_SERVER_IMAGES_CONVERT_IMAGE_H_
