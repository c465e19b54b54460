#include "server/convert/common.h"

#include <limits>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "base/uuid.h"
#include "server/convert/argument.h"

namespace simvisor::server {
namespace {

constexpr char kDomainField[] = "domain";
constexpr int kMaxListedExtents = 65536;

absl::StatusOr<DomainSelector> DomidFromProto(uint32_t domid) {
  if (domid < kFirstReservedDomainId) {
    return DomainSelector(DomainId(static_cast<uint16_t>(domid)));
  }
  return MakeError(
      absl::StatusCode::kNotFound, Reason::kDomainNotFound,
      absl::StrCat(kDomainField, ".domid: ", domid,
                   ": no such domain; domids "
                   "end at ",
                   kFirstReservedDomainId - 1),
      {{fact::kValue, domid}, {fact::kLimit, kFirstReservedDomainId - 1}});
}

absl::StatusOr<E820Entry> EntryFromProto(absl::string_view field, int index,
                                         const v1::E820Entry& entry) {
  if (entry.type() < v1::E820_TYPE_RAM ||
      entry.type() > v1::E820_TYPE_UNUSABLE) {
    return UnknownValue(absl::StrFormat("%s.entries[%d].type", field, index),
                        entry.type(), "RAM, RESERVED, ACPI, NVS or UNUSABLE");
  }
  return E820Entry{.start = entry.start_bytes(),
                   .size = entry.size_bytes(),
                   .type = static_cast<E820Type>(entry.type())};
}

absl::StatusOr<MfnExtent> ExtentFromProto(int index,
                                          const v1::MfnExtent& extent) {
  const std::string field = absl::StrFormat("extents[%d]", index);
  if (extent.count() == 0) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, Reason::kRangeInvalid,
        absl::StrCat(field,
                     ".count: an extent has at least 1 "
                     "frame"),
        {{fact::kField, absl::StrCat(field, ".count")}, {fact::kValue, 0}});
  }
  const uint64_t last = std::numeric_limits<uint64_t>::max();
  if (extent.count() > last - extent.first_mfn()) {
    return MakeError(
        absl::StatusCode::kOutOfRange, Reason::kMfnOutOfRange,
        absl::StrFormat("%s: %d frames from mfn 0x%x are more than there are "
                        "numbers; GetHost tells max_mfn",
                        field, extent.count(), extent.first_mfn()),
        {{fact::kField, field}, {fact::kValue, Hex(extent.first_mfn())}});
  }
  return MfnExtent{Mfn(extent.first_mfn()), PageCount(extent.count())};
}

}  // namespace

absl::StatusOr<DomainSelector> FromProto(const v1::DomainRef& ref) {
  switch (ref.ref_case()) {
    case v1::DomainRef::kDomid:
      return DomidFromProto(ref.domid());
    case v1::DomainRef::kName:
      if (ref.name().empty()) break;
      return DomainSelector(ref.name());
    case v1::DomainRef::kUuid: {
      SIMVISOR_ASSIGN_OR_RETURN(const Uuid uuid,
                                ParseUuid("domain.uuid", ref.uuid()));
      return DomainSelector(uuid);
    }
    case v1::DomainRef::REF_NOT_SET:
      break;
  }
  return ArgumentMissing(kDomainField, "give a domid, a name or a uuid");
}

absl::StatusOr<Arch> FromProto(absl::string_view field, v1::Arch arch) {
  switch (arch) {
    case v1::ARCH_UNSPECIFIED:
    case v1::ARCH_X86_64:
      return Arch::kX86_64;
    case v1::ARCH_X86_32_PAE:
      return Arch::kX86_32Pae;
    default:
      return UnknownValue(field, arch, "ARCH_X86_64 or ARCH_X86_32_PAE");
  }
}

v1::Arch ToProto(Arch arch) {
  switch (arch) {
    case Arch::kX86_64:
      return v1::ARCH_X86_64;
    case Arch::kX86_32Pae:
      return v1::ARCH_X86_32_PAE;
  }
  return v1::ARCH_UNSPECIFIED;
}

absl::StatusOr<E820Map> FromProto(absl::string_view field,
                                  const v1::E820Map& map) {
  std::vector<E820Entry> entries;
  entries.reserve(map.entries_size());
  for (int i = 0; i < map.entries_size(); ++i) {
    SIMVISOR_ASSIGN_OR_RETURN(E820Entry entry,
                              EntryFromProto(field, i, map.entries(i)));
    entries.push_back(entry);
  }
  return E820Map::Create(std::move(entries));
}

void ToProto(const E820Map& map, v1::E820Map* out) {
  for (const E820Entry& entry : map.entries()) {
    v1::E820Entry* added = out->add_entries();
    added->set_start_bytes(entry.start);
    added->set_size_bytes(entry.size);
    added->set_type(static_cast<v1::E820Type>(entry.type));
  }
}

absl::StatusOr<P2mClass> FromProto(absl::string_view field, v1::P2mClass c) {
  switch (c) {
    case v1::P2M_CLASS_RAM:
      return P2mClass::kRam;
    case v1::P2M_CLASS_IDENTITY:
      return P2mClass::kIdentity;
    case v1::P2M_CLASS_MISSING:
      return P2mClass::kMissing;
    case v1::P2M_CLASS_UNSPECIFIED:
      return ArgumentMissing(field, "give MISSING, IDENTITY or RAM");
    default:
      return ArgumentMalformed(
          field, absl::StrCat(static_cast<int>(c),
                              " cannot be set; give MISSING, IDENTITY or RAM"));
  }
}

v1::P2mClass ToProto(P2mClass c) {
  switch (c) {
    case P2mClass::kRam:
      return v1::P2M_CLASS_RAM;
    case P2mClass::kIdentity:
      return v1::P2M_CLASS_IDENTITY;
    case P2mClass::kForeign:
      return v1::P2M_CLASS_FOREIGN;
    case P2mClass::kMissing:
      return v1::P2M_CLASS_MISSING;
  }
  return v1::P2M_CLASS_UNSPECIFIED;
}

absl::StatusOr<std::vector<MfnExtent>> FromProto(
    const google::protobuf::RepeatedPtrField<v1::MfnExtent>& extents) {
  SIMVISOR_RETURN_IF_ERROR(
      CheckListSize("extents", extents.size(), kMaxListedExtents));
  std::vector<MfnExtent> out;
  out.reserve(extents.size());
  for (int i = 0; i < extents.size(); ++i) {
    SIMVISOR_ASSIGN_OR_RETURN(MfnExtent extent, ExtentFromProto(i, extents[i]));
    out.push_back(extent);
  }
  return out;
}

}  // namespace simvisor::server
