#include "cli/export/json_pointer.hpp"

#include <fmt/format.h>
#include <optional>

namespace gristmill::cli::flat {
namespace {

// Nothing = a tilde that escapes nothing.
std::optional<std::string> unescaped_step(std::string_view spelled) {
  std::string step;
  for (std::size_t at = 0; at < spelled.size(); ++at) {
    if (spelled[at] != '~') {
      step += spelled[at];
      continue;
    }
    const char escaped = at + 1 < spelled.size() ? spelled[++at] : '\0';
    if (escaped != '0' && escaped != '1') return std::nullopt;
    step += escaped == '0' ? '~' : '/';
  }
  return step;
}

json::Value element_of(json::Value array, std::string_view step) {
  const bool padded = step.size() > 1 && step.front() == '0';
  const auto number = json::integer_of({step});
  if (!number || padded) return {};
  json::Elements elements{array};
  auto found = elements.next();
  for (std::uint64_t n = 0; found && n < *number; ++n) found = elements.next();
  return found.value_or(json::Value{});
}

} // namespace

Result<JsonPointer> JsonPointer::of(std::string_view text) {
  JsonPointer pointer;
  while (!text.empty()) {
    text.remove_prefix(1); // its slash
    const std::string_view spelled = text.substr(0, text.find('/'));
    text.remove_prefix(spelled.size());
    auto step = unescaped_step(spelled);
    if (!step)
      return fail(ErrorCode::usage,
                  fmt::format("expected ~0 for a tilde or ~1 for a slash in a JSON pointer, got {}",
                              spelled));
    pointer.steps_.push_back(std::move(*step));
  }
  return pointer;
}

json::Value JsonPointer::in(json::Value document) const {
  json::Value at = document;
  for (const std::string& step : steps_)
    at = at.is(json::Kind::array) ? element_of(at, step) : json::find(at, step);
  return at;
}

} // namespace gristmill::cli::flat
