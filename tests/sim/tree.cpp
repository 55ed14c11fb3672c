#include "tests/sim/tree.hpp"

#include "protocol/openai/chunk/reduce.hpp"
#include "protocol/openai/tokens/estimate.hpp"
#include "tests/sim/provider.hpp"
#include "tests/unit/protocol/openai/tokens/bpe/small_ranks.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace gristmill::sim {
namespace {

using Numbers = std::vector<std::uint32_t>;

const bpe::Tokenizer* tokenizer_of(const JobPlan& job) {
  return job.counted ? sim_tokenizer().get() : nullptr;
}

std::uint32_t size_of(const JobPlan& job, std::size_t plan, std::uint64_t item,
                      std::uint32_t part) {
  return openai::answer_size(answer_text(plan, {{}, item, part}), tokenizer_of(job));
}

// Answers that go together, two at least, and none by itself.
std::vector<Numbers> groups_of(const Numbers& level, const JobPlan& job, std::size_t plan,
                               std::uint64_t item, std::uint32_t most) {
  std::vector<Numbers> groups;
  std::uint32_t tokens = 0;
  for (const std::uint32_t part : level) {
    const std::uint32_t size = size_of(job, plan, item, part);
    const bool fits = !groups.empty() && (groups.back().size() < 2 || tokens + size <= most);
    if (!fits) {
      groups.emplace_back();
      tokens = 0;
    }
    groups.back().push_back(part);
    tokens += size;
  }
  if (groups.size() < 2 || groups.back().size() > 1) return groups;
  Numbers& before = groups[groups.size() - 2];
  if (before.size() == 2) {
    before.push_back(groups.back().front());
    groups.pop_back();
  } else {
    groups.back().insert(groups.back().begin(), before.back());
    before.pop_back();
  }
  return groups;
}

} // namespace

Tree Tree::of(const JobPlan& job, std::size_t plan, std::uint64_t number) {
  const std::uint64_t item = job.twin_of(number);
  Tree tree;
  const std::uint32_t most = job.reduced ? chunk_tokens(job, plan) : 0;
  Numbers judged;
  for (std::uint32_t model = 0; model < job.models; ++model) {
    Numbers level;
    for (std::uint32_t n = 0; n < job.parts; ++n) level.push_back(PartNumber{model, 0, n}.value());
    tree.parts.insert(tree.parts.end(), level.begin(), level.end());
    for (std::uint32_t height = 1; job.reduced && (height == 1 || level.size() > 1); ++height) {
      Numbers above;
      for (Numbers& group : groups_of(level, job, plan, item, most)) {
        above.push_back(
            PartNumber{model, height, static_cast<std::uint32_t>(above.size())}.value());
        tree.steps[above.back()] = std::move(group);
      }
      level = std::move(above);
    }
    judged.insert(judged.end(), level.begin(), level.end());
    tree.tops.push_back(std::move(level));
  }
  if (job.judged) tree.steps[PartNumber::judge(job.models).value()] = std::move(judged);
  return tree;
}

std::vector<std::uint32_t> Tree::all() const {
  Numbers numbers = parts;
  for (const auto& [step, sees] : steps) numbers.push_back(step);
  return numbers;
}

std::string paragraph(std::size_t plan, std::uint64_t item, std::uint32_t n) {
  return fmt::format("text {} item {} part {} {:x>{}}", plan, item, n, "", 60 + plan % 7);
}

std::uint32_t chunk_tokens(const JobPlan& job, std::size_t plan) {
  const std::string longest = paragraph(plan, job.items, job.parts) + "\n\n";
  if (job.counted) return static_cast<std::uint32_t>(sim_tokenizer()->count(longest)) + 1;
  return static_cast<std::uint32_t>(std::ceil(openai::text_tokens(longest).likely)) + 1;
}

const std::shared_ptr<const bpe::Tokenizer>& sim_tokenizer() {
  static const auto tokenizer = std::make_shared<const bpe::Tokenizer>(
      bpe::Tokenizer::read(test::rank_file({" t", "te", " p", "it"}), "like-cl100k_base").value());
  return tokenizer;
}

} // namespace gristmill::sim
