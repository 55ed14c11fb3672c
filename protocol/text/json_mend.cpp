#include "protocol/text/json_mend.hpp"

#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>

namespace gristmill::json {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
constexpr std::string_view replacement_escape = "\\ufffd";

std::string_view without_surroundings(std::string_view text) {
  constexpr std::string_view around{" \t\r\n\0", 5};
  const auto trim = [&] {
    text.remove_prefix(std::min(text.find_first_not_of(around), text.size()));
  };
  trim();
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  trim();
  const std::size_t last = text.find_last_not_of(around);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Not a number, as others write it where JSON has no word for it.
constexpr std::array<std::string_view, 3> no_numbers{"nan", "inf", "infinity"};
bool is_no_number(std::string_view word) {
  return std::find(no_numbers.begin(), no_numbers.end(), small_letters(word)) != no_numbers.end();
}
bool begins_no_number(std::string_view word) {
  return std::any_of(no_numbers.begin(), no_numbers.end(), [word](std::string_view known) {
    return known.starts_with(small_letters(word));
  });
}

// One pass over text in UTF-8; what it does not understand it copies.
class Mender {
public:
  Mender(std::string_view text, std::size_t bytes_max, std::string& out)
      : text_{text}, bytes_max_{bytes_max}, out_{out} {}

  bool run() {
    while (at_ < text_.size()) {
      if (text_[at_] == '"') {
        string();
      } else if (is_letter(text_[at_]) || starts_negative_word()) {
        word();
      } else {
        out_ += text_[at_++];
      }
      if (out_.size() > bytes_max_) return false;
    }
    return true;
  }

private:
  bool starts_negative_word() const {
    return text_[at_] == '-' && at_ + 1 < text_.size() && is_letter(text_[at_ + 1]);
  }

  void word() {
    std::size_t end = at_ + 1;
    while (end < text_.size() && is_letter(text_[end])) ++end;
    const std::string_view spelled = text_.substr(at_, end - at_);
    const std::string_view letters = spelled.substr(spelled.front() == '-' ? 1 : 0);
    const bool is_cut = end == text_.size() && begins_no_number(letters);
    if (!is_cut) out_ += is_no_number(letters) ? "null" : spelled;
    at_ = end;
  }

  void string() {
    out_ += text_[at_++];
    while (at_ < text_.size() && out_.size() <= bytes_max_) {
      const char* from = text_.data() + at_;
      const char* stop = end_of_plain(from, text_.data() + text_.size());
      out_.append(from, stop);
      at_ += static_cast<std::size_t>(stop - from);
      if (at_ == text_.size()) return;
      if (text_[at_] == '"') {
        out_ += text_[at_++];
        return;
      }
      if (text_[at_] == '\\') {
        escape();
      } else {
        fmt::format_to(std::back_inserter(out_), "\\u{:04x}",
                       static_cast<unsigned>(static_cast<unsigned char>(text_[at_++])));
      }
    }
  }

  void escape() {
    const auto unit = unit_at(at_);
    if (!unit) { // the character behind it is no end of the string
      out_ += text_.substr(at_, 2);
      at_ = std::min(at_ + 2, text_.size());
      return;
    }
    const bool high = *unit >= 0xd800 && *unit <= 0xdbff;
    const bool low = *unit >= 0xdc00 && *unit <= 0xdfff;
    const auto next = high ? unit_at(at_ + 6) : std::nullopt;
    const bool pair = next && *next >= 0xdc00 && *next <= 0xdfff;
    const std::size_t bytes = pair ? 12 : 6;
    out_ += (high || low) && !pair ? replacement_escape : text_.substr(at_, bytes);
    at_ += bytes;
  }

  // Of the \uXXXX that begins there.
  std::optional<unsigned> unit_at(std::size_t at) const {
    if (at + 6 > text_.size() || text_[at] != '\\' || text_[at + 1] != 'u') return std::nullopt;
    unsigned unit = 0;
    const char* from = text_.data() + at + 2;
    const auto [stop, error] = std::from_chars(from, from + 4, unit, 16);
    return error == std::errc{} && stop == from + 4 ? std::optional{unit} : std::nullopt;
  }

  std::string_view text_;
  std::size_t bytes_max_, at_ = 0;
  std::string& out_;
};

} // namespace

Mended mended(std::string_view text, std::size_t bytes_max, std::string& room) {
  text = without_surroundings(text);
  if (!fault_of(text)) return {text, std::nullopt};
  const std::string repaired = is_utf8(text) ? std::string{} : as_utf8(text);
  room.clear();
  Mender mender{repaired.empty() ? text : repaired, bytes_max, room};
  if (!mender.run())
    return {room, Fault{fmt::format("expected at most {} bytes, got more", bytes_max), false}};
  return {room, fault_of(room)};
}

} // namespace gristmill::json
