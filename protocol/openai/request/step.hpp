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

// A job's calls of its items or their chunks, of what joins the answers to chunks, and of its
// judge.
class CallForms {
public:
  explicit CallForms(const JobSpec& spec);
  const CallForm& of(const PartNumber& part) const {
    if (part.is_judge()) return judge_;
    return part.is_reduce() ? reduce_ : items_;
  }

private:
  CallForm items_, reduce_, judge_;
};

// An object with the item's members, which {{text}} and {{field}} stand for, and these behind them,
// which are the answers (model_answers.hpp). Of a batch line {{text}} is the user's last message.
std::string step_item(const JobSpec& spec, ItemKind kind, std::string_view item,
                      std::string_view members);

// The same without {{text}}, which does not fit into the step of a document in chunks and is not to
// travel with each.
std::string reduce_item(const JobSpec& spec, ItemKind kind, std::string_view item,
                        std::string_view members);

} // namespace gristmill::openai
