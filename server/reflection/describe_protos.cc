#include "server/reflection/describe_protos.h"

#include <grpcpp/support/status.h>

#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/quote.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"

namespace simvisor::server {
namespace {

namespace reflection = grpc::reflection::v1alpha;
using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

const DescriptorPool& Pool() { return *DescriptorPool::generated_pool(); }

void NotFound(absl::string_view what, const std::string& name,
              reflection::ServerReflectionResponse* response) {
  reflection::ErrorResponse* const error = response->mutable_error_response();
  error->set_error_code(grpc::StatusCode::NOT_FOUND);
  error->set_error_message(
      absl::StrCat("there is no ", what, " ", Quoted(name)));
}

// Adds `file` after what it imports, each file once.
void AddFile(const FileDescriptor* file,
             absl::flat_hash_set<const FileDescriptor*>& seen,
             reflection::FileDescriptorResponse* out) {
  if (!seen.insert(file).second) return;
  for (int i = 0; i < file->dependency_count(); ++i) {
    AddFile(file->dependency(i), seen, out);
  }
  google::protobuf::FileDescriptorProto proto;
  file->CopyTo(&proto);
  proto.SerializeToString(out->add_file_descriptor_proto());
}

void AnswerFile(const FileDescriptor* file, absl::string_view what,
                const std::string& name,
                reflection::ServerReflectionResponse* response) {
  if (file == nullptr) return NotFound(what, name, response);
  absl::flat_hash_set<const FileDescriptor*> seen;
  AddFile(file, seen, response->mutable_file_descriptor_response());
}

void AnswerExtension(const reflection::ExtensionRequest& request,
                     reflection::ServerReflectionResponse* response) {
  const Descriptor* const type =
      Pool().FindMessageTypeByName(request.containing_type());
  if (type == nullptr) {
    return NotFound("message", request.containing_type(), response);
  }
  const FieldDescriptor* const field =
      Pool().FindExtensionByNumber(type, request.extension_number());
  AnswerFile(field == nullptr ? nullptr : field->file(), "such extension of",
             request.containing_type(), response);
}

void AnswerExtensionNumbers(const std::string& name,
                            reflection::ServerReflectionResponse* response) {
  const Descriptor* const type = Pool().FindMessageTypeByName(name);
  if (type == nullptr) return NotFound("message", name, response);
  std::vector<const FieldDescriptor*> fields;
  Pool().FindAllExtensions(type, &fields);
  auto* const numbers = response->mutable_all_extension_numbers_response();
  numbers->set_base_type_name(name);
  for (const FieldDescriptor* field : fields) {
    numbers->add_extension_number(field->number());
  }
}

}  // namespace

void DescribeProtos(absl::Span<const std::string> services,
                    const reflection::ServerReflectionRequest& request,
                    reflection::ServerReflectionResponse* response) {
  using Request = reflection::ServerReflectionRequest;
  response->set_valid_host(request.host());
  *response->mutable_original_request() = request;
  switch (request.message_request_case()) {
    case Request::kFileByFilename: {
      const std::string& name = request.file_by_filename();
      return AnswerFile(Pool().FindFileByName(name), "file", name, response);
    }
    case Request::kFileContainingSymbol: {
      const std::string& name = request.file_containing_symbol();
      return AnswerFile(Pool().FindFileContainingSymbol(name), "symbol", name,
                        response);
    }
    case Request::kFileContainingExtension:
      return AnswerExtension(request.file_containing_extension(), response);
    case Request::kAllExtensionNumbersOfType:
      return AnswerExtensionNumbers(request.all_extension_numbers_of_type(),
                                    response);
    case Request::kListServices:
      for (const std::string& name : services) {
        response->mutable_list_services_response()->add_service()->set_name(
            name);
      }
      return;
    case Request::MESSAGE_REQUEST_NOT_SET:
      break;
  }
  reflection::ErrorResponse* const error = response->mutable_error_response();
  error->set_error_code(grpc::StatusCode::INVALID_ARGUMENT);
  error->set_error_message("message_request: not set; ask for something");
}

}  // namespace simvisor::server
