// What SUPERVISOR and JOINER say to each other about items of several parts. Plain data.
#pragma once

#include "protocol/job/outcome_class.hpp"

#include <cstdint>
#include <string>

namespace gristmill {

// All parts of the item have ended and are durable: its line may be made.
struct ItemToJoin {
  std::uint64_t item = 0;
  std::uint32_t parts = 0;
  std::string id;     // custom_id
  std::string source; // FILE:LINE
  std::string input;  // fields of --keep as a JSON object; empty = none were asked for
};

struct JoinedItem {
  std::uint64_t item = 0;
  OutcomeClass cls = OutcomeClass::ok;
  std::string code; // of a failed one
  std::string line;
};

} // namespace gristmill
