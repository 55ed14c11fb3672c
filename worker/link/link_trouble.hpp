// Why a link is down, in a sentence for the person who runs the worker.
#pragma once

#include "protocol/keys/access.hpp"

#include <optional>
#include <string>

namespace gristmill::worker {

enum class LinkTrouble {
  key_refused,      // the coordinator knows our handshake, but not our key
  handshake_failed, // which of the two sides gave it up, and why, is a matter of chance
  connection_ended,
  nobody_answers,
  takes_no_frames, // our queue for it is full
};

std::string sentence_of(LinkTrouble trouble, const std::string& coordinator,
                        const std::optional<WorkerAccess>& access);

} // namespace gristmill::worker
