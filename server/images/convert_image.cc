#include "server/images/convert_image.h"

#include "absl/strings/str_cat.h"
#include "server/convert/argument.h"

namespace simvisor::server {

absl::StatusOr<ImageLayer> FromProto(absl::string_view field,
                                     v1::ImageLayer layer) {
  switch (layer) {
    case v1::IMAGE_LAYER_UNSPECIFIED:
    case v1::IMAGE_LAYER_XL:
      return ImageLayer::kXl;
    case v1::IMAGE_LAYER_LIBXL:
      return ImageLayer::kLibxl;
    case v1::IMAGE_LAYER_LIBXC:
      return ImageLayer::kLibxc;
    default:
      return UnknownValue(
          field, layer,
          "IMAGE_LAYER_XL, IMAGE_LAYER_LIBXL or IMAGE_LAYER_LIBXC");
  }
}

absl::StatusOr<v1::AfterSave> CheckAfterSave(absl::string_view field,
                                             v1::AfterSave after) {
  switch (after) {
    case v1::AFTER_SAVE_UNSPECIFIED:
      return v1::AFTER_SAVE_DESTROY;
    case v1::AFTER_SAVE_DESTROY:
    case v1::AFTER_SAVE_CONTINUE:
    case v1::AFTER_SAVE_PAUSE:
      return after;
    default:
      return UnknownValue(
          field, after,
          "AFTER_SAVE_DESTROY, AFTER_SAVE_CONTINUE or AFTER_SAVE_PAUSE");
  }
}

}  // namespace simvisor::server
