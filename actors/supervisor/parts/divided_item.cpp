#include "actors/supervisor/parts/divided_item.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/openai/chunk/reduce.hpp"

#include <algorithm>
#include <numeric>

namespace gristmill::supervisor {

// ---- one model
// -----------------------------------------------------------------------------------

std::pair<std::uint32_t, std::uint32_t> Branch::joins(std::uint32_t index) const {
  const bool last = index + 1 == groups_.size();
  return {groups_.at(index), last ? children_ : groups_[index + 1]};
}

std::vector<std::uint32_t> Branch::open_more(std::uint32_t most) {
  std::vector<std::uint32_t> opened;
  for (; next_ < parts_.size() && open_ < most; ++next_) {
    if (parts_[next_] != Part::waits) continue;
    open(next_);
    opened.push_back(number_of(next_));
  }
  return opened;
}

void Branch::open(std::uint32_t index) {
  GRISTMILL_CHECK(parts_.at(index) == Part::waits, "part {} was opened before", index);
  parts_[index] = Part::open;
  ++open_;
}

void Branch::end(std::uint32_t index, bool failed, std::uint32_t size) {
  Part& part = parts_.at(index);
  GRISTMILL_CHECK(part == Part::waits || part == Part::open, "part {} ended twice", index);
  open_ -= part == Part::open;
  part = Part::ended;
  ++ended_;
  failed_ |= failed;
  if (size == 0) return;
  sizes_.resize(parts_.size());
  sizes_[index] = size;
}

std::vector<std::uint32_t> Branch::opened() const {
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t index = 0; index < parts_.size(); ++index)
    if (parts_[index] == Part::open) numbers.push_back(number_of(index));
  return numbers;
}

std::optional<std::uint32_t> Branch::drop_waiting() {
  const auto first = std::ranges::find(parts_, Part::waits);
  if (first == parts_.end()) return std::nullopt;
  const auto index = static_cast<std::uint32_t>(first - parts_.begin());
  open(index);
  dropped_ += static_cast<std::uint32_t>(std::ranges::count(parts_, Part::waits));
  failed_ = true;
  std::ranges::replace(parts_, Part::waits, Part::dropped);
  next_ = static_cast<std::uint32_t>(parts_.size());
  return number_of(index);
}

// One answer at level 0 is reduced, too, so that all items' answers have one form.
void Branch::go_on(std::uint32_t reduce_tokens) {
  GRISTMILL_CHECK(is_level_over() && !over_, "{} of {} parts have ended", ended_, parts_.size());
  const bool is_top = first_.level > 0 && parts_.size() == 1;
  const bool has_failed = failed_ && !mutated("reduce_of_failed_item");
  over_ = has_failed || reduce_tokens == 0 || is_top || is_judges();
  if (over_) return;
  sizes_.resize(parts_.size());
  groups_ = openai::groups_of(sizes_, reduce_tokens);
  children_ = static_cast<std::uint32_t>(parts_.size());
  below_ += ended_;
  ++first_.level;
  parts_.assign(groups_.size(), Part::waits);
  sizes_.clear();
  next_ = open_ = ended_ = 0;
}

// ---- the item
// ------------------------------------------------------------------------------------

DividedItem::DividedItem(intake::ItemPlace place_of_it, std::string id_of_it,
                         const Division& division, const journal::EndedParts& recovered)
    : place{place_of_it}, id{std::move(id_of_it)}, models_{division.models},
      reduce_tokens_{division.reduce_tokens}, open_most_{division.open_most},
      is_judged_{division.is_judged}, chunks_{division.chunks} {
  GRISTMILL_CHECK(!division.is_whole(), "an item of one part is not divided");
  for (std::uint32_t model = 0; model < models_; ++model)
    recover(branches_.emplace_back(PartNumber{model, 0, 0}, division.parts), recovered);
  begin_judge();
  if (branches_.size() > models_) recover(branches_.back(), recovered);
}

// What has ended is durable, so that its levels go on at once.
void DividedItem::recover(Branch& branch, const journal::EndedParts& recovered) {
  const bool called_again = mutated("answered_part_called_again");
  for (bool more = !called_again; more;) {
    const auto [from, to] =
        std::pair{PartNumber::of(branch.number_of(0)).value(),
                  PartNumber::of(branch.number_of(0)).value() | (PartNumber::indices_max - 1)};
    for (auto it = recovered.answered.lower_bound(from);
         it != recovered.answered.end() && it->first <= to; ++it)
      if (branch.has(PartNumber::of(it->first)))
        branch.end(PartNumber::of(it->first).index, false,
                   mutated("answer_sizes_forgotten") ? 1 : it->second);
    for (auto it = recovered.failed.lower_bound(from); it != recovered.failed.end() && *it <= to;
         ++it)
      if (branch.has(PartNumber::of(*it))) branch.end(PartNumber::of(*it).index, true, 0);
    more = branch.is_level_over();
    if (more) branch.go_on(reduce_tokens_);
    more &= !branch.is_over();
  }
}

const Branch* DividedItem::branch_of(const PartNumber& part) const {
  return part.model < branches_.size() ? &branches_[part.model] : nullptr;
}

bool DividedItem::has_ended(const PartNumber& part) const {
  const Branch* branch = branch_of(part);
  return branch != nullptr && branch->has_ended(part);
}

std::uint64_t DividedItem::ended() const {
  return std::accumulate(
      branches_.begin(), branches_.end(), std::uint64_t{0},
      [](std::uint64_t sum, const Branch& branch) { return sum + branch.ended(); });
}

bool DividedItem::is_over() const {
  return std::ranges::all_of(branches_, &Branch::is_over);
}

void DividedItem::go_on(std::uint32_t model) {
  branches_.at(model).go_on(reduce_tokens_);
  begin_judge();
}

// Nobody sees the answers of an item of which one is missing.
void DividedItem::begin_judge() {
  if (!is_judged_ || branches_.size() > models_ || !is_over()) return;
  const bool failed = std::ranges::any_of(branches_, &Branch::has_failed);
  if (!failed || mutated("judge_of_failed_item"))
    branches_.emplace_back(PartNumber::judge(models_), 1);
}

std::vector<std::uint32_t> DividedItem::open_more(std::uint32_t most) {
  std::vector<std::uint32_t> opened;
  for (Branch& branch : branches_) {
    const auto more = branch.open_more(std::min(most, open_most_));
    opened.insert(opened.end(), more.begin(), more.end());
  }
  return opened;
}

std::vector<std::uint32_t> DividedItem::opened() const {
  std::vector<std::uint32_t> numbers;
  for (const Branch& branch : branches_) {
    const auto opened = branch.opened();
    numbers.insert(numbers.end(), opened.begin(), opened.end());
  }
  return numbers;
}

std::vector<std::uint32_t> DividedItem::drop_waiting() {
  std::vector<std::uint32_t> opened;
  for (Branch& branch : branches_)
    if (const auto says_so = branch.drop_waiting()) opened.push_back(*says_so);
  return opened;
}

} // namespace gristmill::supervisor
