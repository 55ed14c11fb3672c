#include "actors/joiner/answers.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace gristmill::joiner {

LookedUpAnswers look_up(journal::LineStore& lines, JobId job, std::vector<LookUp> asked,
                        std::size_t slice_bytes) {
  LookedUpAnswers answers;
  auto next = asked.begin();
  for (std::size_t bytes = 0; next != asked.end() && bytes < slice_bytes; ++next) {
    LookedUp looked{std::move(*next), std::nullopt};
    const auto line = lines.answer_to(job, looked.asked.key);
    if (line && *line) {
      bytes += (*line)->size();
      if (auto answer = openai::answer_in(**line)) looked.answer = std::move(*answer);
    }
    answers.found.push_back(std::move(looked));
  }
  std::move(next, asked.end(), std::back_inserter(answers.rest));
  return answers;
}

} // namespace gristmill::joiner
