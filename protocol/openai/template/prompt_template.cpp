#include "protocol/openai/template/prompt_template.hpp"

#include "protocol/limits.hpp"
#include "protocol/result.hpp"
#include "protocol/text/json_text.hpp"

#include <fmt/format.h>
#include <unordered_set>

namespace gristmill::openai {
namespace {

constexpr std::string_view opening = "{{", closing = "}}", space = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const std::size_t from = text.find_first_not_of(space);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(space) - from + 1);
}

// How many backslashes stand at the end of a text.
std::size_t backslashes_before(std::string_view text) {
  const std::size_t last_other = text.find_last_not_of('\\');
  return text.size() - (last_other == std::string_view::npos ? 0 : last_other + 1);
}

} // namespace

Result<std::optional<PromptTemplate::Piece>> PromptTemplate::next() {
  if (rest_.empty()) return std::nullopt;
  const std::size_t open = rest_.find(opening, literal_);
  if (open == std::string_view::npos) {
    Piece last{rest_, {}};
    rest_ = {};
    return last;
  }
  // Of the backslashes before the braces each pair stands for one, and an odd one for itself.
  const std::size_t backslashes = backslashes_before(rest_.substr(literal_, open - literal_));
  const std::string_view literal = rest_.substr(0, open - (backslashes + 1) / 2);
  if (backslashes % 2 == 1) {
    rest_ = rest_.substr(open);
    literal_ = opening.size();
    return Piece{literal, {}};
  }
  const std::string_view inside = rest_.substr(open + opening.size());
  const std::size_t close = inside.find(closing);
  if (close == std::string_view::npos)
    return fail(ErrorCode::usage,
                fmt::format("expected \"}}}}\" after \"{{{{\" in the template, got its end ({}); "
                            "\\{{{{ stands for braces that are meant",
                            json::printable(rest_.substr(open), 40)));
  Piece piece{literal, trimmed(inside.substr(0, close))};
  if (piece.field.empty())
    return fail(ErrorCode::usage,
                "expected a field's name between \"{{\" and \"}}\" in the template, got nothing; "
                "\\{{ stands for braces that are meant");
  literal_ = 0;
  rest_ = inside.substr(close + closing.size());
  return piece;
}

Result<std::vector<std::string>> template_fields(std::string_view text) {
  std::vector<std::string> fields;
  std::unordered_set<std::string_view> known;
  std::size_t places = 0;
  PromptTemplate prompt{text};
  for (;;) {
    const auto piece = prompt.next();
    GRISTMILL_TRY(piece);
    if (!*piece) return fields;
    const std::string_view field = (*piece)->field;
    if (field.empty()) continue;
    if (++places > limits::template_fields_max)
      return fail(ErrorCode::usage, fmt::format("expected at most {} fields in the template, got "
                                                "more",
                                                limits::template_fields_max));
    if (known.insert(field).second) fields.emplace_back(field);
  }
}

} // namespace gristmill::openai
