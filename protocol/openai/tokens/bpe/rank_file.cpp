#include "protocol/openai/tokens/bpe/rank_file.hpp"

#include "protocol/limits.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <optional>
#include <sodium.h>
#include <utility>

namespace gristmill::bpe {
namespace {

constexpr std::string_view what_to_do = "; take the .tiktoken file anew";

std::optional<std::string> bytes_of(std::string_view base64) {
  std::string bytes(base64.size(), '\0');
  std::size_t size = 0;
  const char* end = nullptr;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), base64.data(),
                        base64.size(), nullptr, &size, &end, sodium_base64_VARIANT_ORIGINAL) != 0 ||
      end != base64.data() + base64.size() || size == 0)
    return std::nullopt;
  bytes.resize(size);
  return bytes;
}

std::optional<Rank> number_of(std::string_view digits) {
  Rank rank = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), rank);
  if (fault != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return rank;
}

class RankReader {
public:
  // Empty lines take no memory: a token's has at least six bytes.
  static std::size_t tokens_max(std::string_view text) {
    const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
    return std::min(lines, text.size() / 6 + 1);
  }

  explicit RankReader(std::string_view text) : text_{text}, table_{tokens_max(text)} {}

  Result<RankTable> read() && {
    if (text_.empty()) return bad("lines `BASE64 RANK`", "an empty file", 1);
    while (!text_.empty()) {
      ++line_;
      const std::size_t end = text_.find('\n');
      std::string_view line = text_.substr(0, end);
      text_.remove_prefix(end == std::string_view::npos ? text_.size() : end + 1);
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (!line.empty()) GRISTMILL_TRY(take(line));
    }
    GRISTMILL_TRY(check());
    return std::move(table_);
  }

private:
  tl::unexpected<Error> bad(std::string_view expected, std::string_view got,
                            std::size_t line) const {
    return fail(ErrorCode::bad_input,
                fmt::format("expected {}, got {}: line {}{}", expected, got, line, what_to_do));
  }

  Result<> take(std::string_view line) {
    const std::size_t space = line.find(' ');
    const auto shown = [line] { return fmt::format("\"{}\"", json::printable(line, 80)); };
    if (space == std::string_view::npos) return bad("a line `BASE64 RANK`", shown(), line_);
    const auto bytes = bytes_of(line.substr(0, space));
    if (!bytes) return bad("a token's bytes in base64", shown(), line_);
    const auto rank = number_of(line.substr(space + 1));
    if (!rank) return bad(fmt::format("rank {} after a token", next_), shown(), line_);
    if (next_ == p50k_left_out && *rank == next_ + 1) {
      line_left_out_ = line_;
      ++next_;
    }
    if (*rank != next_) return bad(fmt::format("rank {}", next_), fmt::format("{}", *rank), line_);
    if (!table_.add(*bytes, next_++))
      return bad("each token once", fmt::format("one of before, {}", shown()), line_);
    return {};
  }

  Result<> check() const {
    if (line_left_out_ > 0 && table_.size() != p50k_ranks)
      return bad(fmt::format("rank {}", p50k_left_out), fmt::format("{}", p50k_left_out + 1),
                 line_left_out_);
    for (unsigned byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      if (table_.rank_of({&c, 1}) == no_rank)
        return bad("a token of each single byte",
                   fmt::format("{} tokens, but none of byte 0x{:02x}", table_.size(), byte), line_);
    }
    return {};
  }

  std::string_view text_;
  RankTable table_;
  std::size_t line_ = 0, line_left_out_ = 0;
  Rank next_ = 0;
};

} // namespace

Result<RankTable> read_ranks(std::string_view text) {
  if (RankReader::tokens_max(text) > limits::ranks_max)
    return fail(ErrorCode::bad_input, fmt::format("expected at most {} ranks, got more lines{}",
                                                  limits::ranks_max, what_to_do));
  return RankReader{text}.read();
}

} // namespace gristmill::bpe
