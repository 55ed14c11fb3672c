// Plans of tests: an item as parts 0 to N - 1 of one model.
#pragma once

#include "actors/supervisor/parts/part_plan.hpp"

namespace gristmill::supervisor_test {

class CountedParts : public supervisor::PartPlan {
public:
  std::uint32_t models_of(JobId) const override { return 1; }
  supervisor::Division division_of(JobId, const intake::Item& item,
                                   const bpe::Tokenizer*) const override {
    supervisor::Division division;
    division.parts = count_of(item.ordinal);
    return division;
  }
  Result<supervisor::RawPart> raw_of(const PartId& part, ItemKind kind,
                                     const supervisor::DividedItem*,
                                     const ReadItem& read) const override {
    auto item = read();
    GRISTMILL_TRY(item);
    return supervisor::RawPart{kind, text_of(part, std::move(*item))};
  }
  virtual std::uint32_t count_of(std::uint64_t item) const = 0;
  virtual std::string text_of(const PartId&, std::string item) const { return item; }
};

} // namespace gristmill::supervisor_test
