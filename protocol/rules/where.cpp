#include "protocol/rules/where.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <re2/re2.h>

namespace gristmill {
namespace {

constexpr std::size_t shown_bytes_max = 100;

FieldText said_by(json::Value value) {
  switch (value.kind()) {
  case json::Kind::none:
  case json::Kind::null: return std::nullopt;
  case json::Kind::string: return json::text_of(value);
  default: return json::minified(value.text);
  }
}

Result<std::shared_ptr<const re2::RE2>> compiled(std::string_view expression) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  auto made = std::make_shared<const re2::RE2>(
      re2::StringPiece{expression.data(), expression.size()}, options);
  if (!made->ok())
    return fail(ErrorCode::usage,
                fmt::format("expected a regular expression that RE2 takes, got \"{}\": {}",
                            json::printable(expression, shown_bytes_max),
                            json::printable(made->error(), shown_bytes_max)));
  return made;
}

} // namespace

Result<Condition> Condition::read(std::string_view text) {
  const std::size_t sign = text.find_first_of("=~");
  const bool unequal = sign != text.npos && sign > 0 && text[sign] == '=' && text[sign - 1] == '!';
  const std::size_t field_end = unequal ? sign - 1 : sign;
  if (sign == text.npos || field_end == 0)
    return fail(ErrorCode::usage,
                fmt::format("expected FIELD=VALUE, FIELD!=VALUE or FIELD~REGEX, got \"{}\"",
                            json::printable(text, shown_bytes_max)));
  Condition condition;
  condition.field_ = text.substr(0, field_end);
  condition.equal_ = !unequal;
  const std::string_view value = text.substr(sign + 1);
  if (text[sign] == '~') {
    auto expression = compiled(value);
    GRISTMILL_TRY(expression);
    condition.expression_ = std::move(*expression);
  } else {
    condition.value_ = value;
  }
  return condition;
}

bool Condition::holds_of(const FieldText& text) const {
  if (expression_) return text && re2::RE2::PartialMatch(*text, *expression_);
  return (text && *text == value_) == equal_;
}

Where::Where(const std::vector<std::string>& conditions) {
  for (const std::string& text : conditions)
    if (auto condition = Condition::read(text)) conditions_.push_back(std::move(*condition));
}

bool Where::takes_object(std::string_view object) const {
  return std::all_of(conditions_.begin(), conditions_.end(), [&](const Condition& condition) {
    return condition.holds_of(said_by(json::find(json::root(object), condition.field())));
  });
}

bool Where::takes_text(std::string_view text, std::string_view text_field) const {
  return std::all_of(conditions_.begin(), conditions_.end(), [&](const Condition& condition) {
    const bool is_its_field = condition.field() == text_field;
    return condition.holds_of(is_its_field ? FieldText{text} : std::nullopt);
  });
}

} // namespace gristmill
