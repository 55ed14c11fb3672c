// A named event that a room wants logged: a stable name and a few fields, never prompt text, answer
// text or a secret. Rooms return events; shells write them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gristmill {

struct Event {
  std::string_view name; // "worker.lost"
  std::vector<std::pair<std::string_view, std::string>> fields;
  bool warning = false;
};

} // namespace gristmill
