// DIVIDED ITEM: an item of several parts, until its joined line is durable. Each model has a branch
// of its own: the item's chunks, or the item as a whole, at level 0, and above it, if answers are
// reduced, levels of steps, each of which joins some answers of the level below, until one is left.
// The judge's branch begins when all others are over. Few parts of a branch are open at a time;
// further ones open as those end. Invariant: a level begins when all below it are durable, and it
// follows from the sizes of their answers alone, so that it is the same in every life of a job.
#pragma once

#include "actors/intake/intake.hpp"
#include "actors/words/records.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/chunk/chunks.hpp"
#include "protocol/part_number.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gristmill::supervisor {

// How an item is divided.
struct Division {
  std::uint32_t models = 1;
  std::uint32_t parts = 1; // at each model
  bool is_judged = false;
  std::uint32_t reduce_tokens = 0; // of answers that one step joins, at most; 0 = there are none
  openai::Chunks chunks = {};      // of its text; empty = its parts are none
  std::uint32_t open_most = limits::open_chunks_max; // parts of each model at a time

  bool is_whole() const { return models * parts == 1 && !is_judged && reduce_tokens == 0; }
};

// One model's part of it, or the judge's. Parts are named by their index in the present level.
class Branch {
public:
  Branch(PartNumber first, std::uint32_t count) : first_{first}, parts_(count, Part::waits) {}

  std::uint32_t number_of(std::uint32_t index) const {
    return PartNumber{first_.model, first_.level, index}.value();
  }
  bool has(const PartNumber& part) const {
    return part.level == first_.level && part.index < parts_.size();
  }
  // … or is not asked any more.
  bool has_ended(const PartNumber& part) const {
    return part.level < first_.level || (has(part) && parts_[part.index] >= Part::ended);
  }
  bool waits(const PartNumber& part) const {
    return has(part) && parts_[part.index] == Part::waits;
  }
  bool has_more() const { return next_ < parts_.size(); }
  bool has_failed() const { return failed_; }
  bool is_judges() const { return first_.is_judge(); }
  // All parts of the level have ended; their lines need not be durable.
  bool is_level_over() const { return ended_ + dropped_ == parts_.size(); }
  bool is_over() const { return over_; }
  std::uint64_t ended() const { return below_ + ended_; } // of all levels
  // Of a step: which parts of the level below it joins, as [first, last).
  std::pair<std::uint32_t, std::uint32_t> joins(std::uint32_t index) const;

  // The next parts to be opened, so that at most so many are.
  std::vector<std::uint32_t> open_more(std::uint32_t most);
  void open(std::uint32_t index); // this one, though others go before it
  void end(std::uint32_t index, bool failed, std::uint32_t size);
  std::vector<std::uint32_t> opened() const; // numbers
  // Parts that wait to be opened are not asked any more: it has failed. One of them is open from
  // now on, to say so in its line; none: no part waits.
  std::optional<std::uint32_t> drop_waiting();
  // The level is over and durable: the next one begins, or all is over.
  void go_on(std::uint32_t reduce_tokens);

private:
  enum class Part : std::uint8_t { waits, open, ended, dropped };

  PartNumber first_; // of the level
  std::vector<Part> parts_;
  std::vector<std::uint32_t> sizes_;  // of the level's answers, if a step joins them
  std::vector<std::uint32_t> groups_; // above level 0: where in the level below each step begins
  std::uint32_t next_ = 0;            // none before it waits
  std::uint32_t open_ = 0, ended_ = 0, dropped_ = 0;
  std::uint32_t children_ = 0; // parts of the level below
  std::uint64_t below_ = 0;    // … of all of them
  bool failed_ = false, over_ = false;
};

class DividedItem {
public:
  // `recovered`: its parts that ended in an earlier life.
  DividedItem(intake::ItemPlace place, std::string id, const Division& division,
              const journal::EndedParts& recovered = {});

  intake::ItemPlace place;
  std::string id;

  const openai::Chunks& chunks() const { return chunks_; }
  const std::vector<Branch>& branches() const { return branches_; }
  const Branch* branch_of(const PartNumber& part) const;
  Branch* branch_of(const PartNumber& part) {
    return const_cast<Branch*>(std::as_const(*this).branch_of(part));
  }
  bool has_ended(const PartNumber& part) const;
  std::uint64_t ended() const; // parts
  bool reduces() const { return reduce_tokens_ > 0; }
  bool is_over() const; // its line may be made
  // The level of the model is over and durable: what of the item begins is open next, and there may
  // be nothing.
  void go_on(std::uint32_t model);
  // As numbers of parts: the next of all branches, to be opened; at most so many of each.
  std::vector<std::uint32_t> open_more(std::uint32_t most = ~0u);
  std::vector<std::uint32_t> opened() const; // numbers of those that are open
  std::vector<std::uint32_t> drop_waiting();

private:
  void recover(Branch& branch, const journal::EndedParts& recovered);
  void begin_judge();

  std::uint32_t models_, reduce_tokens_, open_most_;
  bool is_judged_;
  openai::Chunks chunks_;
  std::vector<Branch> branches_; // in the order of the models; the judge's, once it has begun, last
};

} // namespace gristmill::supervisor
