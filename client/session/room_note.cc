#include "client/session/room_note.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "base/size.h"
#include "client/session/frames_bar.h"
#include "client/ui/domain_text.h"

namespace simvisor::client {

void NoteRoom(Session& session, const v1::Domain& domain) {
  const v1::DomainMemory& memory = domain.memory();
  const uint64_t most = GuestPages(memory) + memory.balloon_pages();
  if (domain.state() != v1::DOMAIN_STATE_RUNNING ||
      most >= memory.static_max_pages()) {
    return;
  }
  session.PrintRemark(
      "note",
      absl::StrCat(DomainText(domain), " can grow to ", SizeOfPages(most),
                   " of its maxmem of ", SizeOfPages(memory.static_max_pages()),
                   ": its kernel makes room for at most 10 times the memory it "
                   "boots with, besides that memory; for more, create it with "
                   "more memory"));
}

}  // namespace simvisor::client
