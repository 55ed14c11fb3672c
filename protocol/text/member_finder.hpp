// MEMBER FINDER: many members of a JSON object in one walk, where json::find() would take one for
// each of them. Invariant: as there, the last of equal members counts.
#pragma once

#include "protocol/text/json_text.hpp"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace gristmill::json {

class MemberFinder {
public:
  explicit MemberFinder(const std::vector<std::string>& names); // each once
  std::vector<Value> in(Value object) const;                    // in the order of the names

private:
  std::map<std::string, std::size_t, std::less<>> places_;
};

} // namespace gristmill::json
