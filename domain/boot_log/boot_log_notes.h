// Notes for people on how a boot log was read.
//
// Thread safety: pure functions.

#ifndef SIMVISOR_DOMAIN_BOOT_LOG_BOOT_LOG_NOTES_H_
#define SIMVISOR_DOMAIN_BOOT_LOG_BOOT_LOG_NOTES_H_

#include <string>
#include <vector>

#include "domain/boot_log/map_choice.h"

namespace simvisor {

// One sentence each: other maps of the log, RAM that they leave out, and what
// the chosen map may lack.
// REQUIRES: the chosen map is well-formed.
std::vector<std::string> NotesOn(const MapChoice& choice);

}  // namespace simvisor

#endif  // SIMVISOR_DOMAIN_BOOT_LOG_BOOT_LOG_NOTES_H_
