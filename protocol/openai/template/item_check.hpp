// ITEM CHECK: what an item lacks for the job's template and task, found where items are read, so
// that a line that can never be rendered costs no dispatch and no budget. What a chunk's call has
// beside the item's own fields, {{chunk}} and {{chunks}}, and the answers that a step sees are
// asked of no item. Invariant: an item without a fault here has every field that rendering will ask
// for.
#pragma once

#include "protocol/job/spec.hpp"
#include "protocol/openai/template/document_template.hpp"

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::openai {

class ItemCheck {
public:
  explicit ItemCheck(const JobSpec& spec);

  struct Fault {
    std::string why;    // empty = none
    bool blank = false; // all that the template takes of the document is null, empty or only space
  };
  // Of an object that has been checked to be one.
  Fault fault_of_object(std::string_view object) const;
  Fault fault_of_text(std::string_view text) const;
  // Of a batch line's path, below the base URL.
  std::string fault_of_line(std::string_view path) const;

private:
  // What the template of a step takes of an item, beside answers.
  struct StepFields {
    std::string_view option;         // that gives the template
    std::vector<std::string> fields; // as objects have them
    std::string foreign;             // the first that no text document has; empty = none
  };
  using IsAnswer = bool (*)(std::string_view field);
  static StepFields step_fields(std::string_view option, std::string_view prompt,
                                const std::string& text_field, IsAnswer is_answer);
  bool is_of_chunk(std::string_view field) const; // {{chunk}} or {{chunks}} of a job that has them
  std::string first_foreign(const RequestShape& shape) const;

  Task task_;
  bool in_chunks_;
  DocumentTemplate template_;
  std::string foreign_; // the first in the job's template that no text document has; empty = none
  StepFields reduce_, judge_;
};

// The names of an object's members for a sentence: `the fields "id", "text"`.
std::string names_in(std::string_view object);
// The sentences of rendering and of the check, which are the same.
std::string sentence_of_missing_field(std::string_view field, std::string_view object);
// `allowed`: what the template of a text document may use.
std::string sentence_of_fields_in_text(std::string_view field,
                                       std::string_view allowed = "{{text}}");
// Empty = a line of this path may be part of the task.
std::string fault_of_task(Task task, std::string_view path);

} // namespace gristmill::openai
