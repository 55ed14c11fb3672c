#include "actors/joiner/answers.hpp"

#include "protocol/openai/request/canonical.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace gristmill::joiner {
namespace {

std::optional<KnownAnswer> read_answer(journal::LineStore& lines, JobId job, const RequestKey& key,
                                       std::size_t& bytes) {
  const auto line = lines.answer_to(job, key);
  if (!line || !*line) return std::nullopt;
  bytes += (*line)->size();
  auto answer = openai::answer_in(**line);
  return answer ? std::optional{std::move(*answer)} : std::nullopt;
}

} // namespace

LookedUpAnswers look_up(journal::LineStore& lines, JobId job, std::vector<LookUp> asked,
                        std::size_t slice_bytes) {
  LookedUpAnswers answers;
  auto next = asked.begin();
  for (std::size_t bytes = 0; next != asked.end() && bytes < slice_bytes; ++next) {
    answers.found.push_back({std::move(*next), std::nullopt});
    LookedUp& looked = answers.found.back();
    const RequestKey& key = looked.asked.request.key;
    looked.answer = read_answer(lines, job, key, bytes);
    if (!looked.answer) looked.answer = read_answer(lines, job, openai::fallback_key(key), bytes);
  }
  std::move(next, asked.end(), std::back_inserter(answers.rest));
  return answers;
}

std::vector<KeptAnswer> answers_to_keep(journal::LineStore& lines, JobId job,
                                        const std::vector<RequestKey>& keys,
                                        std::string_view scope) {
  std::vector<KeptAnswer> kept;
  std::size_t bytes = 0;
  for (const RequestKey& key : keys)
    if (auto answer = read_answer(lines, job, key, bytes))
      kept.push_back({openai::key_in_scope(key, scope), std::move(*answer)});
  return kept;
}

} // namespace gristmill::joiner
