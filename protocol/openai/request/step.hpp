// STEP: a part that sees answers of other parts. Its call is one of a job of its own: another
// template, another model. Invariant: what a step is asked follows from the item and those answers
// alone, so that it is the same whenever it is made.
#pragma once

#include "protocol/job/spec.hpp"
#include "protocol/openai/template/document_template.hpp"
#include "protocol/part_number.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace gristmill::openai {

// What calls are made of.
struct CallForm {
  explicit CallForm(JobSpec of) : spec{std::move(of)}, documents{spec} {}
  JobSpec spec;
  DocumentTemplate documents;
};

// A job's calls of its items, and those of its judge.
class CallForms {
public:
  explicit CallForms(const JobSpec& spec);
  const CallForm& of(const PartNumber& part) const { return part.is_judge() ? judge_ : items_; }

private:
  CallForm items_, judge_;
};

// An object with the item's members, which {{text}} and {{field}} stand for, and these behind them,
// which are the answers (model_answers.hpp). Of a batch line {{text}} is the user's last message.
std::string step_item(const JobSpec& spec, ItemKind kind, std::string_view item,
                      std::string_view members);

} // namespace gristmill::openai
