#include "actors/merger/array_writer.hpp"

#include "protocol/text/json_text.hpp"

#include <bit>
#include <fmt/format.h>
#include <limits>

namespace gristmill::merger {
namespace {

constexpr std::string_view magic{"\x93NUMPY\x01\x00", 8};
constexpr std::size_t alignment = 64;

void append_member(std::string& out, std::string_view key, std::string_view text) {
  out += key;
  json::append_string(out, text);
}

} // namespace

std::string npy_header(std::uint64_t rows, std::uint64_t dimensions) {
  std::string text = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}",
                                 rows, dimensions);
  const std::size_t bare = magic.size() + 2 + text.size() + 1;
  text.append((alignment - bare % alignment) % alignment, ' ');
  text += '\n';
  std::string header{magic};
  header += static_cast<char>(text.size() & 0xff);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

Result<> ArrayWriter::add(const LineFacts& facts) {
  if (!facts.failed) {
    GRISTMILL_TRY(check(facts));
    if (!begun_) GRISTMILL_TRY(begin(facts.vectors[0].size()));
  }
  GRISTMILL_TRY(write_id(facts));
  ++row_;
  if (!begun_) return {};
  return write_row(facts.failed ? std::span<const float>{nothing_} : facts.vectors[0]);
}

Result<> ArrayWriter::finish() {
  return begun_ ? Result<>{} : begin(0);
}

Result<> ArrayWriter::check(const LineFacts& facts) const {
  std::string got;
  if (facts.vectors.unreadable > 0) {
    got = "one that is neither an array of numbers nor base64 of float32";
  } else if (facts.vectors.size() != 1) {
    got = fmt::format("{} of them", facts.vectors.size());
  } else if (begun_ && facts.vectors[0].size() != nothing_.size()) {
    got =
        fmt::format("one of {}, where the first has {}", facts.vectors[0].size(), nothing_.size());
  }
  if (got.empty()) return {};
  return fail(ErrorCode::bad_input,
              fmt::format("{} (\"{}\"): expected one embedding for a row of the array, got {}; the "
                          "answers are kept: the same command with -o NAME.jsonl and the same "
                          "--state writes them as lines",
                          facts.source, json::printable(facts.custom_id, 100), got));
}

Result<> ArrayWriter::begin(std::size_t dimensions) {
  begun_ = true;
  nothing_.assign(dimensions, std::numeric_limits<float>::quiet_NaN());
  GRISTMILL_TRY(files_.write(npy_header(rows_, dimensions)));
  for (std::uint64_t row = 0; row < row_; ++row) GRISTMILL_TRY(write_row(nothing_));
  return {};
}

Result<> ArrayWriter::write_row(std::span<const float> row) {
  bytes_.clear();
  for (const float value : row) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) bytes_ += static_cast<char>(bits >> shift & 0xff);
  }
  return files_.write(bytes_);
}

Result<> ArrayWriter::write_id(const LineFacts& facts) {
  std::string line = fmt::format("{{\"row\":{}", row_);
  append_member(line, ",\"custom_id\":", facts.custom_id);
  append_member(line, ",\"source\":", facts.source);
  line += facts.failed ? ",\"failed\":true" : ",\"failed\":false";
  if (facts.failed) {
    const std::string code = facts.error_code.empty() ? fmt::format("http_{}", facts.http_status)
                                                      : std::string{facts.error_code};
    append_member(line, ",\"error\":{\"code\":", code);
    append_member(line, ",\"message\":", facts.error_message);
    line += '}';
  }
  line += "}\n";
  return files_.write_ids(line);
}

} // namespace gristmill::merger
