#include "protocol/openai/errors/words.hpp"

#include <algorithm>
#include <array>

namespace gristmill::openai {
namespace {

using enum OutcomeClass;

// More of a sentence repeats the request.
constexpr std::size_t text_bytes_max = 4'096;

struct NumberRow {
  std::uint64_t number;
  OutcomeClass cls;
};
// https://platform.minimax.io/docs/api-reference/errorcode
constexpr std::array<NumberRow, 15> base_resp_numbers{{
    {1002, rate},
    {1039, rate},
    {1041, rate},
    {2045, ramp},
    {1008, quota},
    {2056, quota},
    {1004, config},
    {2049, config},
    {1026, policy},
    {1027, policy},
    {1042, bad_line},
    {2013, bad_line},
    {1001, gateway},
    {1024, transient},
    {1033, transient},
}};

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

// "limit: 0" does not stand in "limit: 0.5" or "limit: 05".
bool ends_a_word(std::string_view rest) {
  if (rest.empty() || is_word_character(rest.front())) return rest.empty();
  return !(rest.size() > 1 && rest[0] == '.' && rest[1] >= '0' && rest[1] <= '9');
}

bool has_phrase(std::string_view text, std::string_view phrase) {
  for (std::size_t at = text.find(phrase); at != text.npos; at = text.find(phrase, at + 1)) {
    const bool begins =
        at == 0 || !is_word_character(phrase.front()) || !is_word_character(text[at - 1]);
    const bool ends =
        !is_word_character(phrase.back()) || ends_a_word(text.substr(at + phrase.size()));
    if (begins && ends) return true;
  }
  return false;
}

// From there on a message repeats the request, in which anything may stand: vLLM, FastAPI and
// LiteLLM add it in the notation of Python or JSON.
std::string_view before_the_echo(std::string_view message) {
  constexpr std::array<std::string_view, 5> members{"input", "messages", "content", "prompt",
                                                    "body"};
  std::size_t end = std::min(message.size(), text_bytes_max);
  for (const std::string_view member : members)
    for (const char quote : {'\'', '"'}) {
      std::string begins{quote};
      begins.append(member).push_back(quote);
      begins.push_back(':');
      end = std::min(end, message.find(begins));
    }
  end = std::min(end, message.find("input_value="));
  return message.substr(0, end);
}

struct Said {
  std::vector<std::string> words;
  std::string text;
};

Said said_by(const ErrorBody& error) {
  Said said;
  for (const std::string* word : {&error.code, &error.type, &error.number})
    if (!word->empty()) said.words.push_back(json::small_letters(*word));
  for (const std::string& word : error.words) said.words.push_back(json::small_letters(word));
  said.text = json::small_letters(before_the_echo(error.message)) + "\n" +
              json::small_letters(before_the_echo(error.more));
  return said;
}

bool matches(const WordRow& row, const Said& said) {
  if (row.in == In::text) return has_phrase(said.text, row.word);
  return std::any_of(said.words.begin(), said.words.end(), [&row](const std::string& word) {
    switch (row.in) {
    case In::code: return word == row.word;
    case In::prefix: return word.starts_with(row.word);
    default: return word.find(row.word) != word.npos;
    }
  });
}

} // namespace

const WordRow* row_that_matches(std::uint16_t status, const ErrorBody& error) {
  const Said said = said_by(error);
  if (said.words.empty() && said.text.size() == 1) return nullptr;
  for (const auto rows : {rows_of_accounts(), rows_of_requests()})
    for (const WordRow& row : rows) {
      const bool applies = status == 0 || (status >= row.at.low && status <= row.at.high);
      if (applies && matches(row, said)) return &row;
    }
  return nullptr;
}

OutcomeClass class_of_base_resp(std::uint64_t number) {
  const auto row =
      std::find_if(base_resp_numbers.begin(), base_resp_numbers.end(),
                   [number](const NumberRow& known) { return known.number == number; });
  return row == base_resp_numbers.end() ? transient : row->cls;
}

} // namespace gristmill::openai
