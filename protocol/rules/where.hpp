// WHERE: which records become items, by their fields: FIELD=VALUE, FIELD!=VALUE or FIELD~REGEX. A
// field is a member of the record itself; what it says is the text of a string, and of any other
// value its JSON. One that is null or missing equals nothing and matches nothing. Several
// conditions all have to hold. Expressions are RE2's, which take a time that grows with the text
// alone, and match anywhere in it. Invariant: whether a record is taken depends on nothing but the
// record.
#pragma once

#include "protocol/result.hpp"
#include "protocol/text/json_text.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace re2 {
class RE2;
}

namespace gristmill {

// A field's text, as far as there is one.
using FieldText = std::optional<std::string>;

class Condition {
public:
  // The error is a sentence: what was expected, what came.
  static Result<Condition> read(std::string_view text);

  const std::string& field() const { return field_; }
  bool holds_of(const FieldText& text) const;

private:
  Condition() = default;

  std::string field_, value_;
  bool equal_ = true;                          // else: not equal
  std::shared_ptr<const re2::RE2> expression_; // of FIELD~REGEX
};

class Where {
public:
  // What is no condition is none; check_where() says so before a job begins.
  explicit Where(const std::vector<std::string>& conditions);

  bool is_empty() const { return conditions_.empty(); }
  bool takes_object(std::string_view object) const; // that has been checked to be one
  // A document is a record with one field.
  bool takes_text(std::string_view text, std::string_view text_field) const;

private:
  std::vector<Condition> conditions_;
};

} // namespace gristmill
