#include "server/images/xl_config.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/printable.h"
#include "base/status_macros.h"
#include "base/uuid.h"
#include "domain/host/host.h"

namespace simvisor::server {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;
using google::protobuf::Value;

constexpr uint64_t kKibPerPage = kPageSize / 1024;
// A longer list would not fit into the layer; the pins of such a domain are not
// saved.
constexpr size_t kMaxPinnedCpus = 65536;

absl::Status Malformed(absl::string_view what,
                       std::initializer_list<Fact> facts = {}) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, Reason::kImageMalformed,
      absl::StrCat("the domain's configuration in the image: ", what), facts);
}

Value& Field(Struct& in, const char* name) {
  return (*in.mutable_fields())[name];
}

void PutMemory(Struct& build, const char* name, PageCount pages) {
  Field(build, name)
      .set_number_value(static_cast<double>(pages.value() * kKibPerPage));
}

ListValue CpusOf(const CpuRanges& ranges) {
  ListValue cpus;
  for (const CpuRange& range : ranges) {
    for (uint32_t i = 0; i < range.count; ++i) {
      cpus.add_values()->set_number_value(range.first + i);
    }
  }
  return cpus;
}

// The affinities in `ranges`, one per virtual CPU.
void PutAffinity(Struct& build, const char* name,
                 const std::vector<CpuRanges>& ranges) {
  ListValue* const all = Field(build, name).mutable_list_value();
  for (const CpuRanges& one : ranges) {
    *all->add_values()->mutable_list_value() = CpusOf(one);
  }
}

// Whether there are pins to save.
bool ArePinned(const std::vector<VcpuInfo>& vcpus) {
  size_t named = 0;
  bool pinned = false;
  for (const VcpuInfo& vcpu : vcpus) {
    for (const CpuRange& range : vcpu.hard) named += range.count;
    for (const CpuRange& range : vcpu.soft) named += range.count;
    pinned = pinned || !vcpu.anywhere;
  }
  return pinned && named <= kMaxPinnedCpus;
}

const Value* Find(const Struct& in, const char* name) {
  const auto at = in.fields().find(name);
  return at == in.fields().end() ? nullptr : &at->second;
}

// A whole number up to `most`; `missing` if there is none.
absl::StatusOr<uint64_t> Number(const Struct& in, const char* name,
                                uint64_t most, uint64_t missing) {
  const Value* const value = Find(in, name);
  if (value == nullptr) return missing;
  const double number = value->number_value();
  const bool whole = value->kind_case() == Value::kNumberValue && number >= 0 &&
                     number == std::floor(number) &&
                     number <= static_cast<double>(most);
  if (!whole) {
    return Malformed(absl::StrCat(name, " must be a whole number up to ", most),
                     {{fact::kField, name}, {fact::kLimit, most}});
  }
  return static_cast<uint64_t>(number);
}

absl::StatusOr<CpuRanges> Cpus(const char* name, const Value& list) {
  CpuRanges ranges;
  for (const Value& cpu : list.list_value().values()) {
    const double number = cpu.number_value();
    if (cpu.kind_case() != Value::kNumberValue || number < 0 ||
        number >= kMaxHostCpus || number != std::floor(number)) {
      return Malformed(
          absl::StrCat(name, " must be lists of CPUs below ", kMaxHostCpus),
          {{fact::kField, name}, {fact::kLimit, kMaxHostCpus}});
    }
    ranges.push_back({static_cast<uint32_t>(number), 1});
  }
  return ranges;
}

absl::Status TakeAffinities(const Struct& build, DomainSpec& spec) {
  const Value* const hard = Find(build, "vcpu_hard_affinity");
  const Value* const soft = Find(build, "vcpu_soft_affinity");
  const auto count = [](const Value* list) {
    return list == nullptr ? 0 : list->list_value().values_size();
  };
  if (count(hard) > static_cast<int>(spec.vcpus) ||
      count(soft) > static_cast<int>(spec.vcpus)) {
    return Malformed("it has more affinities than virtual CPUs");
  }
  spec.vcpu_affinities.resize(std::max(count(hard), count(soft)));
  // A single entry would apply to all virtual CPUs.
  if (spec.vcpu_affinities.size() == 1) {
    spec.vcpu_affinities.resize(spec.vcpus > 1 ? 2 : 1);
  }
  for (int i = 0; i < count(hard); ++i) {
    SIMVISOR_ASSIGN_OR_RETURN(
        spec.vcpu_affinities[i].hard,
        Cpus("vcpu_hard_affinity", hard->list_value().values(i)));
  }
  for (int i = 0; i < count(soft); ++i) {
    SIMVISOR_ASSIGN_OR_RETURN(
        spec.vcpu_affinities[i].soft,
        Cpus("vcpu_soft_affinity", soft->list_value().values(i)));
  }
  return absl::OkStatus();
}

absl::Status TakeCreateInfo(const Struct& info, DomainSpec& spec) {
  const Value* const type = Find(info, "type");
  if (type != nullptr && type->string_value() != "pv") {
    return Malformed("only PV domains, type \"pv\", are simulated",
                     {{fact::kField, "type"}});
  }
  const Value* const name = Find(info, "name");
  if (name == nullptr || name->string_value().empty()) {
    return Malformed("c_info has no name", {{fact::kField, "name"}});
  }
  spec.name = name->string_value();
  if (const Value* const uuid = Find(info, "uuid"); uuid != nullptr) {
    const absl::StatusOr<Uuid> parsed = ParseUuid("uuid", uuid->string_value());
    if (!parsed.ok()) {
      return Malformed(
          parsed.status().message(),
          {{fact::kField, "uuid"}, {fact::kValue, uuid->string_value()}});
    }
    spec.uuid = *parsed;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> MakeXlConfig(Domain& domain) {
  const DomainInfo info = domain.Info();
  Struct config;
  Struct& create = *Field(config, "c_info").mutable_struct_value();
  Field(create, "type").set_string_value("pv");
  Field(create, "name").set_string_value(info.name);
  Field(create, "uuid").set_string_value(UuidToString(info.uuid));
  Struct& build = *Field(config, "b_info").mutable_struct_value();
  Field(build, "max_vcpus").set_number_value(info.vcpus);
  *Field(build, "avail_vcpus").mutable_list_value() = CpusOf({{0, info.vcpus}});
  PutMemory(build, "max_memkb", info.memory.static_max);
  PutMemory(build, "target_memkb", info.memory.target);
  SIMVISOR_ASSIGN_OR_RETURN(const std::vector<VcpuInfo> vcpus,
                            domain.vcpus().List(0, info.vcpus));
  if (ArePinned(vcpus)) {
    std::vector<CpuRanges> hard, soft;
    for (const VcpuInfo& vcpu : vcpus) {
      hard.push_back(vcpu.hard);
      soft.push_back(vcpu.soft);
    }
    PutAffinity(build, "vcpu_hard_affinity", hard);
    PutAffinity(build, "vcpu_soft_affinity", soft);
  }
  Field(build, "type.pv").mutable_struct_value();
  std::string json;
  const auto written = google::protobuf::util::MessageToJsonString(
      config, &json, google::protobuf::util::JsonPrintOptions());
  if (!written.ok()) {
    return MakeError(absl::StatusCode::kInternal, Reason::kInternal,
                     absl::StrCat("the configuration of domain ",
                                  info.id.value(), " cannot be written"));
  }
  return json;
}

absl::StatusOr<DomainSpec> ParseXlConfig(absl::string_view json) {
  if (const auto fault = FindNonUtf8(json)) {
    return Malformed(
        absl::StrCat(*fault,
                     ", as JSON is; give the domain a name of your own "
                     "(restore --name)"));
  }
  Struct config;
  if (!google::protobuf::util::JsonStringToMessage({json.data(), json.size()},
                                                   &config)
           .ok()) {
    return Malformed("it is not a JSON object");
  }
  const Value* const create = Find(config, "c_info");
  const Value* const build = Find(config, "b_info");
  if (create == nullptr || build == nullptr) {
    return Malformed("it has no c_info or no b_info");
  }
  DomainSpec spec;
  SIMVISOR_RETURN_IF_ERROR(TakeCreateInfo(create->struct_value(), spec));
  const Struct& info = build->struct_value();
  constexpr uint64_t kMaxKib = (uint64_t{1} << 32) * kKibPerPage;
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t vcpus,
                            Number(info, "max_vcpus", kMaxVcpus, 1));
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t target,
                            Number(info, "target_memkb", kMaxKib, 0));
  SIMVISOR_ASSIGN_OR_RETURN(const uint64_t most,
                            Number(info, "max_memkb", kMaxKib, 0));
  spec.vcpus = static_cast<uint32_t>(std::max<uint64_t>(vcpus, 1));
  spec.memory = PageCount(target / kKibPerPage);
  spec.max_memory = PageCount(most / kKibPerPage);
  SIMVISOR_RETURN_IF_ERROR(TakeAffinities(info, spec));
  return spec;
}

}  // namespace simvisor::server
