// DOCUMENT TEMPLATE: a job's system text and prompt, read once for all its items, and what they
// make of one. Invariant: the size of the text is known before any of it is made, because a
// template may repeat a document as often as it likes.
#pragma once

#include "protocol/job/spec.hpp"
#include "protocol/text/member_finder.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::openai {

class DocumentTemplate {
public:
  explicit DocumentTemplate(const JobSpec& spec);

  struct Text {
    std::string system, prompt;
  };
  // Errors: a field that the item does not have (bad_input), or more than
  // limits::request_bytes_max (conflict).
  Result<Text> fill(ItemKind kind, std::string_view raw) const;
  // Why fill() would make too much of a checked item, as a sentence; empty = it would not.
  std::string why_too_long(ItemKind kind, std::string_view raw) const;
  // The first bytes of system text and prompt together, with the values as the item spells them.
  std::string beginning(ItemKind kind, std::string_view raw, std::size_t bytes_max) const;

  // The names as objects have them, each once, in their order.
  const std::vector<std::string>& fields() const { return fields_; }
  const json::MemberFinder& finder() const { return finder_; }
  // Those of them that are the document itself, by their place: the text field where the template
  // uses it, else all.
  const std::vector<std::size_t>& content() const { return content_; }
  // The first field that no text document has; empty = none.
  const std::string& foreign() const { return foreign_; }
  // The most often that one field is used. Different fields share the item's bytes.
  std::size_t most_uses() const;

private:
  struct Piece {
    std::string literal;
    std::optional<std::size_t> field; // after it: its place in fields_
  };
  using Pieces = std::vector<Piece>;
  // What an item has for each of the fields.
  struct Values {
    ItemKind kind;
    std::vector<json::Value> spelled; // of an object
    std::string_view text;            // of a text document
    std::size_t bytes_of(std::size_t field) const;
    std::string_view spelled_text(std::size_t field) const;
  };

  void read(std::string_view text, const std::string& text_field, Pieces& pieces);
  Values values_of(ItemKind kind, std::string_view raw) const;
  Result<Values> checked_values(ItemKind kind, std::string_view raw) const;
  std::size_t bytes_of(const Values& values) const;

  Pieces system_, prompt_;
  std::vector<std::string> fields_;
  std::vector<std::size_t> uses_; // of each field
  std::vector<std::size_t> content_;
  json::MemberFinder finder_;
  std::string foreign_;
  std::optional<Error> fault_; // of the template itself
};

} // namespace gristmill::openai
