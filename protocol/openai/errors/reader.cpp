#include "protocol/openai/errors/reader.hpp"

#include "protocol/text/header_time.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>

namespace gristmill::openai {

using json::Kind;
using json::Value;

struct ErrorMember {
  std::string_view name; // small letters, no underscores
  enum class Role : std::uint8_t {
    code,
    type,
    status,  // an HTTP status, or a word for one
    word,    // for machines
    message, // the better the higher its rank
    nested,  // more about the error; text is a message
    details, // words only, at any depth
    more,
    wait, // seconds, or a duration
    place // of the request that the message is about
  } role;
  int rank = 0;
};
namespace {

using Role = ErrorMember::Role;

constexpr int levels_max = 6;
constexpr std::size_t elements_max = 3, words_max = 16, more_bytes_max = 600;

constexpr std::array<ErrorMember, 40> member_rows{{
    {"code", Role::code},
    {"errorcode", Role::code},
    {"errcode", Role::code},
    {"type", Role::type},
    {"errortype", Role::type},
    {"statuscode", Role::status},
    {"httpcode", Role::status},
    {"httpstatus", Role::status},
    {"status", Role::status},
    {"reason", Role::word},
    {"quotaid", Role::word},
    {"exceptiontype", Role::word},
    {"message", Role::message, 9},
    {"msg", Role::message, 8},
    {"errormsg", Role::message, 8},
    {"errmsg", Role::message, 8},
    {"errormessage", Role::message, 8},
    {"statusmsg", Role::message, 8},
    {"faultstring", Role::message, 8},
    {"errordescription", Role::message, 7},
    {"detail", Role::nested, 6},
    {"description", Role::message, 5},
    {"exception", Role::nested, 4},
    {"error", Role::nested, 4},
    {"title", Role::message, 3},
    {"errors", Role::nested, 2},
    {"fault", Role::nested, 2},
    {"response", Role::nested, 2},
    {"body", Role::nested, 1},
    {"data", Role::nested, 1},
    {"innererror", Role::details},
    {"details", Role::details},
    {"violations", Role::details},
    {"metadata", Role::more},
    {"retryafter", Role::wait},
    {"retrydelay", Role::wait},
    {"retryafterseconds", Role::wait},
    {"estimatedtime", Role::wait},
    {"loc", Role::place},
    {"param", Role::place},
}};

std::string folded(std::string_view spelled) {
  std::string name;
  for (const char c : json::decoded(spelled))
    if (c != '_' && c != '-') name += c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return name;
}

const ErrorMember* row_of(std::string_view spelled) {
  const std::string name = folded(spelled);
  const auto row = std::find_if(member_rows.begin(), member_rows.end(),
                                [&](const ErrorMember& known) { return known.name == name; });
  return row == member_rows.end() ? nullptr : &*row;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

} // namespace

void ErrorReader::read(Value value, int rank, int level) {
  if (level > levels_max) return;
  switch (value.kind()) {
  case Kind::string: return offer(json::text_of(value), rank);
  case Kind::array: return read_list(value, rank, level);
  case Kind::object: return read_object(value, level);
  default: return;
  }
}

ErrorBody ErrorReader::take() {
  if (error_.retry_after_ms < 0) error_.retry_after_ms = wait_ms_in(error_.message).value_or(-1);
  error_.place = place_;
  return std::move(error_);
}

void ErrorReader::offer(std::string text, int rank) {
  if (text.empty() || rank <= rank_) return;
  rank_ = rank;
  error_.message = std::move(text);
}

// Of many errors the first ones, each with its place in the request.
void ErrorReader::read_list(Value list, int rank, int level) {
  std::string all;
  std::size_t count = 0;
  for (json::Elements elements{list}; count < elements_max; ++count) {
    const auto element = elements.next();
    if (!element) break;
    ErrorReader one;
    one.read(*element, rank, level + 1);
    if (!one.error_.message.empty()) {
      if (!all.empty()) all += "; ";
      if (!one.place_.empty()) all += one.place_ + ": ";
      all += one.error_.message;
    }
    adopt(std::move(one.error_));
  }
  offer(std::move(all), rank);
}

// ASP.NET: {"errors":{"place in the request":["sentence"]}}, beside a title that says less.
void ErrorReader::read_places(Value places, int level) {
  constexpr int above_title = 4;
  std::string all;
  std::size_t count = 0;
  json::Members members{places};
  while (const auto place = members.next()) {
    const std::string sentence =
        json::text_of(json::Elements{place->value}.next().value_or(Value{}));
    if (sentence.empty() || ++count > elements_max) continue;
    all += (all.empty() ? "" : "; ") + json::decoded(place->key) + ": " + sentence;
  }
  offer(std::move(all), above_title + level);
}

void ErrorReader::adopt(ErrorBody other) {
  if (error_.code.empty()) error_.code = std::move(other.code);
  if (error_.number.empty()) error_.number = std::move(other.number);
  if (error_.type.empty()) error_.type = std::move(other.type);
  if (error_.more.empty()) error_.more = std::move(other.more);
  if (error_.status == 0) error_.status = other.status;
  if (error_.retry_after_ms < 0) error_.retry_after_ms = other.retry_after_ms;
  for (std::string& word : other.words) add_word(std::move(word));
}

void ErrorReader::read_object(Value object, int level) {
  json::Members members{object};
  while (const auto member = members.next())
    if (const ErrorMember* row = row_of(member->key)) read_member(*row, member->value, level);
}

void ErrorReader::read_member(const ErrorMember& row, Value value, int level) {
  switch (row.role) {
  case Role::code: return read_code(value, level);
  case Role::type: return read_type(json::text_of(value));
  case Role::status: return read_status(value);
  case Role::word: return read_details(value, level + 1);
  case Role::message:
    if (value.is(Kind::string)) return offer(json::text_of(value), row.rank + level);
    return read(value, row.rank + level, level + 1);
  case Role::nested:
    if (row.name == "errors" && value.is(Kind::object)) read_places(value, level);
    return read(value, row.rank + level, level + 1);
  case Role::details: return read_details(value, level + 1);
  case Role::more:
    if (!value.is(Kind::null) && error_.more.empty())
      error_.more = json::printable(json::minified(value.text), more_bytes_max);
    return;
  case Role::wait: return read_wait(value);
  case Role::place: return read_place(value);
  }
}

void ErrorReader::read_code(Value value, int level) {
  if (value.is(Kind::object) || value.is(Kind::array)) return read_details(value, level + 1);
  const std::string code = value.is(Kind::number) ? std::string{value.text} : json::text_of(value);
  if (!is_number(code)) {
    if (error_.code.empty()) error_.code = code;
    return;
  }
  if (error_.number.empty()) error_.number = code;
  note_status(code);
}

// AWS puts the place of the name before it.
void ErrorReader::read_type(std::string type) {
  const bool is_url = type.find("://") != type.npos;
  if (const std::size_t hash = type.find('#'); hash != type.npos && !is_url)
    type.erase(0, hash + 1);
  if (error_.type.empty() && json::small_letters(type) != "error") error_.type = std::move(type);
}

void ErrorReader::read_status(Value value) {
  if (value.is(Kind::number)) return note_status(value.text);
  std::string text = json::text_of(value);
  if (is_number(text)) return note_status(text);
  const std::string small = json::small_letters(text);
  if (small != "error" && !small.starts_with("fail")) add_word(std::move(text));
}

void ErrorReader::note_status(std::string_view text) {
  std::uint16_t status = 0;
  std::from_chars(text.data(), text.data() + text.size(), status);
  if (error_.status == 0 && status >= 400 && status < 600) error_.status = status;
}

void ErrorReader::read_details(Value value, int level) {
  if (level > levels_max) return;
  if (value.is(Kind::string)) {
    std::string text = json::text_of(value);
    offer(text, 0);
    return add_word(std::move(text));
  }
  json::Elements elements{value};
  while (const auto element = elements.next()) {
    if (element->is(Kind::string)) offer(json::text_of(*element), 0);
    if (element->is(Kind::object)) read_details(*element, level + 1);
  }
  json::Members members{value};
  while (const auto member = members.next()) {
    const ErrorMember* row = row_of(member->key);
    if (row == nullptr) continue;
    if (row->role == Role::wait) read_wait(member->value);
    if (row->role == Role::word || row->role == Role::code) add_word(json::text_of(member->value));
    if (row->role == Role::details) read_details(member->value, level + 1);
    if (row->role == Role::message) offer(json::text_of(member->value), 0);
  }
}

void ErrorReader::add_word(std::string word) {
  if (!word.empty() && error_.words.size() < words_max) error_.words.push_back(std::move(word));
}

void ErrorReader::read_wait(Value value) {
  constexpr double most_s = 86'400;
  const std::string text = value.is(Kind::number) ? std::string{value.text} : json::text_of(value);
  const auto seconds = seconds_until(text, 0);
  if (error_.retry_after_ms < 0 && seconds && *seconds >= 0 && *seconds <= most_s)
    error_.retry_after_ms = static_cast<std::int64_t>(*seconds * 1e3);
}

void ErrorReader::read_place(Value value) {
  place_ = json::text_of(value);
  json::Elements elements{value};
  while (const auto element = elements.next()) {
    const std::string part =
        element->is(Kind::number) ? std::string{element->text} : json::text_of(*element);
    if (!part.empty()) place_ += (place_.empty() ? "" : ".") + part;
  }
}

} // namespace gristmill::openai
