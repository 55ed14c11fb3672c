#include "protocol/openai/errors/body.hpp"

#include "protocol/openai/errors/reader.hpp"
#include "protocol/openai/errors/words.hpp"
#include "protocol/text/member_finder.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace gristmill::openai {
namespace {

using json::Kind;
using json::Value;

constexpr int string_rank = 4;

// What a server writes where nothing is wrong.
bool says_nothing(std::string_view word) {
  constexpr std::array<std::string_view, 7> nothing{"",        "0",    "200", "ok",
                                                    "success", "none", "null"};
  const std::string small = json::small_letters(word);
  return std::find(nothing.begin(), nothing.end(), small) != nothing.end();
}

bool is_nothing(const ErrorBody& error) {
  return says_nothing(error.code) && says_nothing(error.number) && says_nothing(error.message) &&
         error.more.empty();
}

std::optional<ErrorBody> read_base_resp(Value base_resp) {
  const Value status = json::find(base_resp, "status_code");
  if (!status.is(Kind::number) || status.text == "0") return std::nullopt;
  ErrorBody error;
  error.number = status.text;
  error.message = json::text_of(json::find(base_resp, "status_msg"));
  error.cls = class_of_base_resp(json::integer_of(status).value_or(0));
  return error;
}

} // namespace

const std::string& ErrorBody::name() const {
  if (!code.empty()) return code;
  if (!type.empty()) return type;
  const auto word = std::find_if(words.begin(), words.end(), [](const std::string& text) {
    return text.find(' ') == std::string::npos;
  });
  return word == words.end() ? number : *word;
}

std::string described(const ErrorBody& error) {
  if (error.more.empty()) return error.message;
  return fmt::format("{}{}metadata: {}", error.message, error.message.empty() ? "" : "; ",
                     error.more);
}

std::optional<ErrorBody> error_in(Value value) {
  if (!value.is(Kind::object) && !value.is(Kind::string) && !value.is(Kind::array))
    return std::nullopt;
  ErrorReader reader;
  reader.read(value, string_rank);
  ErrorBody error = reader.take();
  if (is_nothing(error) && error.type.empty()) return std::nullopt;
  return error;
}

std::optional<ErrorBody> read_error(Value body, BesideAnswer beside) {
  static const json::MemberFinder finder{{"error", "object", "base_resp"}};
  const std::vector<Value> found = finder.in(body);
  if (auto error = read_base_resp(found[2])) return error;
  auto called_error = error_in(found[0]);
  const bool is_one = called_error || json::text_of(found[1]) == "error";
  if (beside == BesideAnswer::yes && json::text_of(found[1]) != "error") return called_error;
  ErrorReader reader;
  reader.read(body, string_rank);
  ErrorBody error = reader.take();
  // Without the name of an error a type alone may be of anything.
  if (!is_one && is_nothing(error)) return std::nullopt;
  return error;
}

} // namespace gristmill::openai
