#include "protocol/openai/tokens/bpe/encodings.hpp"

#include "protocol/openai/tokens/bpe/newer_characters.hpp"
#include "protocol/openai/tokens/bpe/rank_file.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <initializer_list>

namespace gristmill::bpe {
namespace {

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string all;
  for (const std::string_view part : parts) all += part;
  return all;
}

// Members of a class in brackets.
struct Characters {
  std::string space = R"(\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f})"
                      R"(\x{205f}\x{3000})";
  std::string letters =
      joined({R"(\p{L})", newer::upper, newer::lower, newer::modifiers, newer::other_letters});
  std::string numbers = joined({R"(\p{N})", newer::numbers});
  std::string no_case =
      joined({R"(\p{Lm}\p{Lo}\p{M})", newer::modifiers, newer::other_letters, newer::marks});
  std::string upper = joined({R"(\p{Lu}\p{Lt})", newer::upper, no_case});
  std::string lower = joined({R"(\p{Ll})", newer::lower, no_case});
};

// GPT-2's: ` ?` stays with what follows, and a run of space leaves its last character to a word.
std::string r50k_pattern() {
  const Characters of;
  return joined({"'(?:[sdmt]|ll|ve|re)",
                 "| ?[",
                 of.letters,
                 "]++",
                 "| ?[",
                 of.numbers,
                 "]++",
                 "| ?[^",
                 of.space,
                 of.letters,
                 of.numbers,
                 "]++",
                 "|[",
                 of.space,
                 R"(]++\z)",
                 "|[",
                 of.space,
                 "]+(?![^",
                 of.space,
                 "])",
                 "|[",
                 of.space,
                 "]"});
}

std::string cl100k_pattern() {
  const Characters of;
  return joined({"'(?i:[sdmt]|ll|ve|re)",
                 R"(|[^\r\n)",
                 of.letters,
                 of.numbers,
                 "]?+[",
                 of.letters,
                 "]++",
                 "|[",
                 of.numbers,
                 "]{1,3}+",
                 "| ?[^",
                 of.space,
                 of.letters,
                 of.numbers,
                 R"(]++[\r\n]*+)",
                 "|[",
                 of.space,
                 R"(]++\z)",
                 "|[",
                 of.space,
                 R"(]*[\r\n])",
                 "|[",
                 of.space,
                 "]+(?![^",
                 of.space,
                 "])",
                 "|[",
                 of.space,
                 "]"});
}

std::string o200k_pattern() {
  const Characters of;
  const std::string before = joined({R"([^\r\n)", of.letters, of.numbers, "]?"});
  constexpr std::string_view contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";
  return joined({before,
                 "[",
                 of.upper,
                 "]*[",
                 of.lower,
                 "]+",
                 contraction,
                 "|",
                 before,
                 "[",
                 of.upper,
                 "]+[",
                 of.lower,
                 "]*",
                 contraction,
                 "|[",
                 of.numbers,
                 "]{1,3}",
                 "| ?[^",
                 of.space,
                 of.letters,
                 of.numbers,
                 R"(]+[\r\n/]*)",
                 "|[",
                 of.space,
                 R"(]*[\r\n]+)",
                 "|[",
                 of.space,
                 "]+(?![^",
                 of.space,
                 "])",
                 "|[",
                 of.space,
                 "]+"});
}

struct Row {
  std::string_view name;
  std::size_t ranks;
  std::string (*pattern)();
};
// Of equal numbers the first is meant if nobody says more.
constexpr Row rows[] = {
    {"cl100k_base", 100'256, cl100k_pattern},
    {"o200k_base", 199'998, o200k_pattern},
    {"o200k_harmony", 199'998, o200k_pattern},
    {"p50k_base", p50k_ranks, r50k_pattern},
    {"p50k_edit", p50k_ranks, r50k_pattern},
    {"r50k_base", 50'256, r50k_pattern},
    {"gpt2", 50'256, r50k_pattern},
};
constexpr std::string_view like = "like-";

std::string known_numbers() {
  std::string all;
  for (const Row& row : rows)
    all += fmt::format("{}{} ({})", all.empty() ? "" : ", ", row.ranks, row.name);
  return all;
}

std::string known_names() {
  std::string all;
  for (const Row& row : rows) (all += all.empty() ? "" : ", ") += row.name;
  return all;
}

} // namespace

Result<Encoding> encoding_of(std::string_view name, std::size_t ranks) {
  const bool any_number = name.starts_with(like);
  const std::string_view wanted = any_number ? name.substr(like.size()) : name;
  const auto row = std::ranges::find_if(rows, [&](const Row& known) {
    return name.empty() ? known.ranks == ranks : known.name == wanted;
  });
  if (row != std::end(rows) && (any_number || row->ranks == ranks))
    return Encoding{std::string{name.empty() ? row->name : name}, row->pattern()};
  if (name.empty())
    return fail(ErrorCode::bad_input,
                fmt::format("expected as many ranks as an encoding of OpenAI has, {}, got {}; take "
                            "the whole file, or say {}NAME if its texts are split as those of NAME",
                            known_numbers(), ranks, like));
  if (row == std::end(rows))
    return fail(ErrorCode::usage,
                fmt::format("expected {} or {}NAME with one of these as the name of an encoding, "
                            "got \"{}\"",
                            known_names(), like, json::printable(name, 80)));
  return fail(
      ErrorCode::bad_input,
      fmt::format("expected the {} ranks of {}, got {}; take its whole file, or say {}{} if "
                  "the ranks are others but texts are split that way",
                  row->ranks, row->name, ranks, like, row->name));
}

} // namespace gristmill::bpe
