// ITEM QUESTION: a user's question how one item stands, and SUPERVISOR's answer.
#pragma once

#include "actors/words/wait_reason.hpp"
#include "protocol/ids.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace gristmill::supervisor {

// An item that somebody asks about: by its id, or by its number in the order of the input.
struct ItemQuestion {
  std::string id; // empty = by number
  std::uint64_t item = 0;
};

// What is known of it. `reason` says where it stands; of one that is out (`call` is set) only
// COORDINATOR knows.
struct ItemStanding {
  std::string id;
  std::optional<std::uint64_t> item;
  CallId call;
  std::uint32_t tries = 0; // attempts that ended
  WaitReason reason;
};

} // namespace gristmill::supervisor
