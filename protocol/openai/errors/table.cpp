#include "protocol/openai/errors/table.hpp"
#include "protocol/openai/api.hpp"

#include "protocol/openai/errors/words.hpp"

#include <algorithm>
#include <array>

namespace gristmill::openai {
namespace {

using enum OutcomeClass;

// Sources: RFC 9110; RFC 6585 (429, 511), RFC 7725 (451), RFC 8470 (425), RFC 4918 (423, 424);
// nginx (497, 499), Cloudflare (520 to 530), Anthropic (529), Zhipu (434), Twitter (420).
struct StatusRow {
  std::uint16_t low, high;
  OutcomeClass cls;
};
constexpr std::array<StatusRow, 27> statuses{{
    {300, 399, config}, // a redirection is never followed
    {401, 401, config},    {402, 402, quota},       {403, 405, config},      {407, 407, config},
    {408, 409, transient}, {410, 410, config}, // the model has reached its end of life
    {413, 413, too_big},   {420, 420, rate},        {423, 425, unavailable}, {426, 426, config},
    {429, 429, rate},      {434, 434, config},      {451, 451, policy},      {497, 497, config},
    {499, 499, gateway},   {400, 499, bad_line}, // of those above the row above decides
    {501, 501, config},    {502, 502, gateway},     {503, 503, unavailable}, {504, 504, gateway},
    {511, 511, config},    {529, 529, overload},    {520, 530, gateway},     {500, 599, transient},
    {0, 299, transient},   {600, 65535, transient},
}};

OutcomeClass class_of_status(std::uint16_t status) {
  return std::find_if(
             statuses.begin(), statuses.end(),
             [status](const StatusRow& row) { return status >= row.low && status <= row.high; })
      ->cls;
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// "The model `m` does not exist": what lacks stands in the same clause as the word.
bool says_no_such_model(std::string_view message) {
  constexpr std::array<std::string_view, 6> lacks{"not found",      "does not exist",
                                                  "doesn't exist",  "not exist",
                                                  "decommissioned", "is not a valid model"};
  constexpr std::array<std::string_view, 3> ends{". ", ": ", ", "};
  const std::string text = json::small_letters(message.substr(0, 600));
  const std::size_t model = text.find("model");
  if (model == text.npos) return false;
  std::string_view clause = std::string_view{text}.substr(model);
  for (const std::string_view end : ends) clause = clause.substr(0, clause.find(end));
  return std::any_of(lacks.begin(), lacks.end(),
                     [clause](std::string_view word) { return has(clause, word); });
}

// A pack of embedding inputs that is too big as a whole; its code stands among other words.
bool is_too_big_pack(const ErrorBody& error) {
  constexpr std::string_view word = "max_tokens_per_request";
  return error.code == word || error.type == word ||
         has(error.message, "max 300000 tokens per request") ||
         has(error.message, "maximum request size");
}

} // namespace

Verdict classify(Api api, std::uint16_t status, const ErrorBody& error) {
  const std::uint16_t said = status != 0 ? status : error.status;
  const bool may_be_pack = api == Api::embeddings && (said == 0 || said == 400);
  if (const WordRow* row = row_that_matches(said, error)) return {row->cls, false};
  if (may_be_pack && is_too_big_pack(error)) return {too_big, false};
  if (error.cls) return {*error.cls, false};
  const bool of_request = said == 0 || (said >= 400 && said <= 422 && said != 401 && said != 413);
  if (of_request && (error.place == "model" || says_no_such_model(error.message)))
    return {config, false};
  // Who answers 200 is there: what failed behind it, it says of this call alone.
  const bool behind = status == 0 && said >= 500 && said != 501 && said != 529;
  if (behind) return {transient, true};
  // 402, 429 and 529 are said by intent; the server's header does not overrule them.
  const bool intended = said == 402 || said == 429 || said == 529;
  return {class_of_status(said), !intended};
}

bool names_tokens(const ErrorBody& error) {
  constexpr std::array<std::string_view, 3> phrases{"tokens per ", "(tpm)", "token rate limit"};
  if (error.type == "tokens" || error.code == "tokens") return true;
  const std::string message = json::small_letters(error.message);
  return std::any_of(phrases.begin(), phrases.end(),
                     [&](std::string_view phrase) { return has(message, phrase); });
}

} // namespace gristmill::openai
