#include "protocol/text/json_tree.hpp"

#include "protocol/text/json_text.hpp"

#include <nlohmann/json.hpp>

namespace gristmill::json {

Result<nlohmann::ordered_json> tree(std::string_view text) {
  if (auto checked = check(text); !checked)
    return fail(ErrorCode::bad_input, std::move(checked.error().message));
  auto parsed = nlohmann::ordered_json::parse(text, nullptr, false);
  if (parsed.is_discarded())
    return fail(ErrorCode::bad_input, "expected JSON, got a number that is out of range");
  return parsed;
}

} // namespace gristmill::json
