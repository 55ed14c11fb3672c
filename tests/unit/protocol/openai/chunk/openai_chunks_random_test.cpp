// What holds of the chunks of any text: texts drawn from many scripts, and the longest of one kind.
#include "protocol/openai/chunk/chunks.hpp"
#include "protocol/openai/tokens/estimate.hpp"
#include "protocol/text/json_text.hpp"

#include <catch2/catch.hpp>
#include <ctime>
#include <random>

namespace openai_chunks_random_test {

using namespace gristmill;
using namespace gristmill::openai;

namespace {

constexpr std::string_view valid_pieces[] = {
    "the",        "miller ",     "corn.",    "Mr. ",       "3.14",      "1984 ",
    "(well) ",    "“so?” ",      "Straße ",  "é",          "мельница ", "камнями.",
    "مطحنة ",     "؟ ",          "चक्की।",    "โรงสี",       "磨坊主",    "。",
    "，",         "「水」",      "ミル",     "제분소 ",    "😀",         "👩‍👩‍👧 ",
    "…",          " ",           "  ",       "\t",         "\n",        "\r\n",
    "\n\n",       "\n \t\n",     "\n# ",     "\n\n## a",   "\n    ",    "```",
    "_-_",        "\u00a0",      "\u2028",   "\u3000",     "\x01",      "e\u0301",
    "0123456789", "aaaaaaaaaaa", "!!!!!!!!", "\u202e מים "};
constexpr std::string_view bad_pieces[] = {
    "\xff", "\xe3\x80", "\xed\xa0\x80", "\xc0\x80", "\xf0\x9f\x98", "\x80", "\xf5\x80\x80\x80"};

using Random = std::mt19937;
std::size_t below(Random& random, std::size_t n) {
  return random() % n;
}

// Some texts have few kinds of pieces, so that there are long words and long space, too.
std::string random_text(Random& random, bool valid) {
  const std::size_t kinds = 1 + below(random, std::size(valid_pieces));
  const std::size_t first = below(random, std::size(valid_pieces));
  std::string text;
  for (std::size_t pieces = below(random, 600); pieces > 0; --pieces) {
    text += valid_pieces[(first + below(random, kinds)) % std::size(valid_pieces)];
    if (!valid && below(random, 8) == 0) text += bad_pieces[below(random, std::size(bad_pieces))];
  }
  return text;
}

// Of text as it is sent.
double tokens_in(std::string_view text) {
  return text_tokens(json::as_utf8(text)).likely;
}

std::string_view text_in(std::string_view text, std::uint32_t begin, std::uint32_t end) {
  return text.substr(begin, end - begin);
}

bool is_between_sequences(std::string_view text, std::uint32_t at) {
  if (json::is_utf8(text)) return at == text.size() || (text[at] & 0xc0) != 0x80;
  for (std::uint32_t before = 1; before <= std::min(at, 3u); ++before)
    for (std::uint32_t bytes = before + 1; bytes <= 4; ++bytes) {
      const std::string_view one = text.substr(at - before, bytes);
      if (one.size() == bytes && json::is_utf8(one) && (one[0] & 0xc0) == 0xc0 &&
          std::ranges::all_of(one.substr(1), [](char c) { return (c & 0xc0) == 0x80; }))
        return false;
    }
  return true;
}

// The first of the rules that does not hold; empty = all do.
std::string broken_rule(std::string_view text, ChunkSize size) {
  constexpr double rounding = 1e-6;
  const Chunks chunks = chunks_of(text, size);
  if (chunks.empty() || chunks.front().begin != 0 || chunks.back().end != text.size())
    return "from the first byte to the last";
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const auto [begin, end, gap] = chunks[i];
    if (end <= begin) return "not empty";
    if (!is_between_sequences(text, begin) || !is_between_sequences(text, end))
      return "not within a sequence";
    if (tokens_in(text_in(text, begin, end)) > size.tokens + rounding) return "at most so many";
    if (gap != gap_at_end(text_in(text, begin, end))) return "the gap at its end";
    if (i == 0) continue;
    const Chunk& before = chunks[i - 1];
    if (begin <= before.begin || end <= before.end) return "progress";
    if (begin > before.end) return "nothing left out";
    if (size.overlap == 0 && begin != before.end) return "nothing twice";
    if (tokens_in(text_in(text, begin, before.end)) > size.overlap + rounding)
      return "so much repeated";
  }
  return {};
}

std::string repeated(std::string_view text, std::size_t bytes) {
  std::string all;
  while (all.size() < bytes) all += text;
  return all;
}

} // namespace

TEST_CASE("Chunks cover any text, in order, whole characters, within their sizes") {
  Random random{20'261'201};
  for (int i = 0; i < 400; ++i) {
    const std::string text = random_text(random, i % 8 != 0);
    if (text.empty()) continue;
    const auto tokens = static_cast<std::uint32_t>(16 + below(random, 1u << below(random, 11)));
    const auto overlap = static_cast<std::uint32_t>(below(random, (tokens + 1) / 2));
    INFO("text " << i << ", " << tokens << " tokens, overlap " << overlap);
    REQUIRE(broken_rule(text, {tokens, 0}) == "");
    REQUIRE(broken_rule(text, {tokens, overlap}) == "");
    REQUIRE(broken_rule(text, {16, 7}) == "");
  }
}

TEST_CASE("Half of what is new in a chunk is never given away for a better end") {
  Random random{7};
  constexpr std::string_view behind[] = {" ", " ", ". ", "\n", "\n\n", "\n\n# "};
  for (int i = 0; i < 100; ++i) {
    std::string text;
    for (int word = 0; word < 2'000; ++word) {
      text += "mil";
      text += behind[below(random, std::size(behind))];
    }
    const auto tokens = static_cast<std::uint32_t>(16 + below(random, 200));
    const auto overlap = static_cast<std::uint32_t>(below(random, (tokens + 1) / 2));
    const Chunks chunks = chunks_of(text, {tokens, overlap});
    std::uint32_t before = 0;
    for (std::size_t c = 0; c + 1 < chunks.size(); before = chunks[c++].end) {
      INFO("text " << i << ", chunk " << c << ", " << tokens << " tokens, overlap " << overlap);
      const double room = tokens - tokens_in(text_in(text, chunks[c].begin, before));
      constexpr double next_word = 5; // with its marks, which may have been too much
      REQUIRE(tokens_in(text_in(text, before, chunks[c].end)) > (room - next_word) / 2);
    }
  }
}

// In time that grows with its bytes alone: less than a second of a processor, whatever else runs.
// The bound is for sanitizers; what is quadratic takes hours.
TEST_CASE("Three megabytes of anything are divided at once") {
  const auto unit = GENERATE(std::string_view{"The miller poured the corn.\n"}, "x", "\n", " ",
                             "。", "磨", "#", "\"", "\xff", "\n                    ");
  INFO("\"" << unit << "\"");
  const std::string text = repeated(unit, 3'000'000);
  for (const ChunkSize size : {ChunkSize{16, 7}, {2'000'000, 999'999}}) {
    const std::clock_t start = std::clock();
    const Chunks chunks = chunks_of(text, size);
    CHECK((std::clock() - start) / CLOCKS_PER_SEC < 30);
    CHECK(chunks.back().end == text.size());
  }
}

TEST_CASE("A long word, a long line and long space have their bounds, too") {
  const auto unit = GENERATE(std::string_view{"x"}, "\n", " ", "磨", "\xff", "a ", "0", "!", "é");
  INFO("\"" << unit << "\"");
  const std::string text = repeated(unit, 3'000);
  for (const ChunkSize size : {ChunkSize{16, 0}, {16, 7}, {17, 8}, {500, 249}})
    CHECK(broken_rule(text, size) == "");
}

} // namespace openai_chunks_random_test
