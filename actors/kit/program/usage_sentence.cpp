#include "actors/kit/program/usage_sentence.hpp"

#include <fmt/format.h>

namespace gristmill {
namespace {

std::string_view before(std::string_view text, std::string_view mark) {
  return text.substr(0, text.find(mark));
}

std::string_view after(std::string_view text, std::string_view mark) {
  const auto at = text.find(mark);
  return at == text.npos ? std::string_view{} : text.substr(at + mark.size());
}

// 0.000000 and 2.500000 are 0 and 2.5.
std::string short_number(std::string_view number) {
  std::string text{number};
  if (text.find('.') == text.npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

} // namespace

std::string usage_sentence(std::string_view kind, std::string_view what) {
  // CLI11 gives this error the program's or the command's name for its kind.
  if (const auto extras = after(what, "not expected: "); !extras.empty())
    return fmt::format("expected only the options and arguments that there are, got {}", extras);
  if (what == "A subcommand is required") return "expected one of its commands, got none";
  if (kind == "RequiredError" && what.ends_with(" is required"))
    return fmt::format("expected {}, got none", before(what, " is required"));
  if (kind == "ArgumentMismatch" && what.ends_with(" missing"))
    return fmt::format("{}: expected a value, got none", before(what, ":"));
  if (const auto got = after(what, " required but received "); !got.empty())
    return fmt::format("{}: expected it once, got it {} times", before(what, ":"), got);
  if (const auto value = after(what, " = "); kind == "ConversionError" && !value.empty())
    return fmt::format("{}: expected a number, got {}", before(after(what, ": "), " = "), value);
  const auto range = after(what, " not in range ");
  if (const auto value = after(what, ": Value "); !range.empty() && !value.empty())
    return fmt::format("{}: expected {} to {}, got {}", before(what, ": Value "),
                       short_number(before(range, " to ")), short_number(after(range, " to ")),
                       before(value, " not in range "));
  if (const auto set = after(what, " not in {"); !set.empty())
    return fmt::format("{}: expected one of {}, got {}", before(what, ": "), before(set, "}"),
                       before(after(what, ": "), " not in {"));
  return std::string{what};
}

} // namespace gristmill
