// ITEM CHECK: what an item lacks for the job's template and task, found where items are read, so
// that a line that can never be rendered costs no dispatch and no budget. Invariant: an item
// without a fault here has every field that rendering will ask for.
#pragma once

#include "protocol/job/spec.hpp"
#include "protocol/openai/template/document_template.hpp"

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
  Task task_;
  DocumentTemplate template_;
  std::vector<std::string> judge_fields_; // that the judge's template takes of an object
  std::string judge_foreign_;             // the first that no text document has; empty = none
};

// The names of an object's members for a sentence: `the fields "id", "text"`.
std::string names_in(std::string_view object);
// The sentences of rendering and of the check, which are the same.
std::string sentence_of_missing_field(std::string_view field, std::string_view object);
std::string sentence_of_fields_in_text(std::string_view field);
// Empty = a line of this path may be part of the task.
std::string fault_of_task(Task task, std::string_view path);

} // namespace gristmill::openai
