// FIELD: what a column of a table holds, as its user names it:
//
//   NAME                     one of known_fields(): custom_id, status, content, …
//   content.MEMBER           a member of an answer that is JSON
//   content/POINTER          whatever else is in such an answer
//   input.FIELD              what --keep copied from the input
//   answers.N  answers.MODEL the text of one of several models, N from 1 in the order of -m
//   labels.N   labels.MODEL  … and its label
//   /POINTER                 whatever else is in the line, by a JSON pointer
//
// Invariant: a field that was read from its name gives one JSON value of any result line, or
// nothing where the line has none; it is never an error that a line lacks something.
#pragma once

#include "cli/export/opened_line.hpp"
#include "protocol/result.hpp"

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::cli::flat {

struct KnownField {
  std::string_view name;
  json::Value (*read)(OpenedLine& line);
};
std::span<const KnownField> known_fields();

class Field {
public:
  // Errors (usage) say what the fields are.
  static Result<Field> named(std::string_view name);

  const std::string& name() const { return name_; }
  json::Value in(OpenedLine& line) const { return read_(line); }
  // Whether it is one of a result's own, or may be in no line at all because of a slip in its name.
  bool is_known() const { return known_; }

private:
  using Read = std::function<json::Value(OpenedLine&)>;
  Field(std::string_view name, bool known, Read read)
      : name_{name}, known_{known}, read_{std::move(read)} {}
  static Result<Field> of_pointer(std::string_view name, std::string_view pointer,
                                  json::Value (*document)(OpenedLine&));

  std::string name_;
  bool known_;
  Read read_;
};

// What is shown if nobody says anything: the same of every result, so that who reads a table does
// not depend on what is in it.
inline constexpr std::string_view default_fields =
    "custom_id,status,content,label,error_code,error_message";

// Names separated by commas; each once, because those who read tables rename or drop the second.
Result<std::vector<Field>> fields_named(std::string_view names);

} // namespace gristmill::cli::flat
