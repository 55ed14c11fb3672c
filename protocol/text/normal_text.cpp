#include "protocol/text/normal_text.hpp"

#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <stdexcept>
#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uniset.h>

namespace gristmill {
namespace {

void expect(UErrorCode status) {
  if (U_FAILURE(status)) throw std::runtime_error{std::string{"ICU: "} + u_errorName(status)};
}

// Later characters stand for themselves: to this release they had no meaning.
const icu::Normalizer2& composing() {
  static const icu::UnicodeSet known = [] {
    UErrorCode status = U_ZERO_ERROR;
    icu::UnicodeSet set{u"[:age=14.0:]", status};
    expect(status);
    set.freeze();
    return set;
  }();
  static const icu::FilteredNormalizer2 filtered = [] {
    UErrorCode status = U_ZERO_ERROR;
    const icu::Normalizer2* all = icu::Normalizer2::getNFCInstance(status);
    expect(status);
    return icu::FilteredNormalizer2{*all, known};
  }();
  return filtered;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0; });
}

std::string composed(std::string_view text) {
  if (is_ascii(text)) return std::string{text};
  std::string out;
  icu::StringByteSink<std::string> sink{&out, static_cast<int32_t>(text.size())};
  UErrorCode status = U_ZERO_ERROR;
  composing().normalizeUTF8(0, {text.data(), static_cast<int32_t>(text.size())}, sink, nullptr,
                            status);
  expect(status);
  return out;
}

std::string with_plain_line_ends(std::string text) {
  if (text.find("\r\n") == text.npos) return text;
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at)
    if (text[at] != '\r' || at + 1 == text.size() || text[at + 1] != '\n') out += text[at];
  return out;
}

// A string's closing quote, from behind its opening one; the end if it has none.
std::size_t closing_quote(std::string_view json, std::size_t at) {
  while (at < json.size() && json[at] != '"') at += json[at] == '\\' ? 2 : 1;
  return std::min(at, json.size());
}

// The strings of a checked document that are values, one after the other.
class StringValues {
public:
  StringValues(std::string_view json, std::string_view but) : json_{json}, but_{but} {}

  // As spelled between its quotes; false: there are no more.
  bool next(std::string_view& spelled) {
    for (; at_ < json_.size(); ++at_) {
      const char c = json_[at_];
      depth_ += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
      if (c != '"') continue;
      const std::size_t close = closing_quote(json_, at_ + 1);
      spelled = json_.substr(at_ + 1, close - at_ - 1);
      at_ = close;
      const std::size_t behind = json::after_space(json_, std::min(close + 1, json_.size()));
      if (behind < json_.size() && json_[behind] == ':') {
        is_but_ = depth_ == 1 && json::same_key(spelled, but_);
        continue;
      }
      if (depth_ == 1 && is_but_) continue;
      ++at_;
      return true;
    }
    return false;
  }

private:
  std::string_view json_, but_;
  std::size_t at_ = 0;
  int depth_ = 0;
  bool is_but_ = false; // the object's member that is being read
};

// Most records have neither, and need not be looked at string by string.
bool may_change(std::string_view json) {
  return !is_ascii(json) || json.find("\\u") != json.npos || json.find("\\r\\n") != json.npos;
}

} // namespace

std::optional<std::string> normal_text(std::string_view text) {
  if (is_ascii(text) && text.find("\r\n") == text.npos) return std::nullopt;
  std::string normal = with_plain_line_ends(composed(text));
  if (normal == text) return std::nullopt;
  return normal;
}

std::optional<std::string> normal_object(std::string_view object, std::string_view id) {
  if (!may_change(object) || !json::check(object)) return std::nullopt;
  std::string out;
  std::size_t copied = 0;
  std::string_view spelled;
  for (StringValues values{object, id}; values.next(spelled);) {
    const bool has_escape = spelled.find('\\') != spelled.npos;
    if (!has_escape && is_ascii(spelled)) continue;
    const auto normal = normal_text(has_escape ? json::decoded(spelled) : std::string{spelled});
    if (!normal) continue;
    const auto open = static_cast<std::size_t>(spelled.data() - object.data()) - 1;
    out += object.substr(copied, open - copied);
    json::append_string(out, *normal);
    copied = open + spelled.size() + 2;
  }
  if (copied == 0) return std::nullopt;
  out += object.substr(copied);
  return out;
}

} // namespace gristmill
