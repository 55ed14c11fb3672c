// What SUPERVISOR and JOINER say to each other about items of several parts. Plain data.
#pragma once

#include "protocol/job/outcome_class.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace gristmill {

// So many parts of the item have ended and are durable: its line may be made, or what one more part
// is asked, which sees their answers.
struct ItemToJoin {
  std::uint64_t item = 0;
  std::uint32_t parts = 0;
  std::string id;     // custom_id
  std::string source; // FILE:LINE
  std::string input;  // fields of --keep as a JSON object; empty = none were asked for
  std::optional<std::uint32_t> step = {}; // the number of that part
  // Of a step that joins some answers of one model: the numbers of those parts, as [first, last).
  std::uint32_t first = 0, last = ~0u;
};

struct JoinedItem {
  std::uint64_t item = 0;
  OutcomeClass cls = OutcomeClass::ok;
  std::string code = {}; // of a failed one
  std::string line = {};
  // Set: `line` is what this part is to see of the others: members of a JSON object,
  // "answer.1":"…","answer.2":"…" of a judge, "answers":"…" of a step that reduces.
  std::optional<std::uint32_t> step = {};
  std::string message = {}; // of a failed item: which part of it has, and why
};

} // namespace gristmill
