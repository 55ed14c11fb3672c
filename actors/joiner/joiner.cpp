#include "actors/joiner/joiner.hpp"

#include "actors/journal/passing.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/line/joined_line.hpp"
#include "protocol/openai/line/model_answers.hpp"
#include "protocol/part_number.hpp"

#include <fmt/format.h>
#include <utility>

namespace gristmill::joiner {

void Joiner::join(JobId job, std::vector<ItemToJoin> items) {
  if (items.empty()) return;
  std::deque<ItemToJoin>& of_job = waiting_[job];
  for (ItemToJoin& item : items) of_job.push_back(std::move(item));
}

JoinStep Joiner::step() {
  JoinStep step;
  auto turn = waiting_.upper_bound(last_);
  if (turn == waiting_.end()) turn = waiting_.begin();
  if (turn == waiting_.end()) return step;
  step.job = last_ = turn->first;
  std::deque<ItemToJoin>& items = turn->second;
  for (std::size_t bytes = 0; !items.empty() && bytes < slice_bytes_; items.pop_front()) {
    auto item = joined(step.job, items.front(), bytes);
    if (!item) {
      step.failure = std::move(item.error());
      if (!journal::passes(step.failure->code)) items.clear();
      break;
    }
    step.items.push_back(std::move(*item));
  }
  if (items.empty()) waiting_.erase(turn);
  step.more = !waiting_.empty();
  return step;
}

Result<JoinedItem> Joiner::joined(JobId job, const ItemToJoin& item, std::size_t& bytes) {
  const auto parts = lines_.parts_of(job, item.item, item.first, item.last);
  GRISTMILL_TRY(parts);
  if (parts->size() != item.parts)
    return fail(ErrorCode::io, fmt::format("expected the lines of {} parts of item {}, got {}",
                                           item.parts, item.item, parts->size()));
  std::vector<openai::PartText> texts;
  for (const journal::PartLine& part : *parts) {
    bytes += part.line.size();
    texts.push_back({part.cls, part.line, part.part.part});
  }
  if (item.step) {
    const bool judges = PartNumber::of(*item.step).is_judge();
    return JoinedItem{.item = item.item,
                      .line =
                          judges ? openai::answer_members(texts) : openai::reduce_members(texts),
                      .step = item.step};
  }
  GRISTMILL_TRY(openai::check_whole(texts));
  openai::Provenance about;
  about.source = item.source;
  about.item = item.item;
  about.input = item.input;
  openai::JoinedLine line =
      openai::joined_line(job, item.id, std::move(about), texts, limits::line_bytes_max);
  return JoinedItem{.item = item.item,
                    .cls = line.cls,
                    .code = std::move(line.code),
                    .line = std::move(line.line),
                    .message = std::move(line.message)};
}

std::size_t Joiner::waiting() const {
  std::size_t all = 0;
  for (const auto& [job, items] : waiting_) all += items.size();
  return all;
}

} // namespace gristmill::joiner
