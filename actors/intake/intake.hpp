// INTAKE turns a job's input files into items, one after the other, each with its ordinal, its id
// and the place where it can be read again. By content and suffix an input is a file of OpenAI
// Batch lines, of JSON objects, or one text document. What cannot become a call is an item too,
// with the sentence that says why. Invariant: the same input gives the same items, so an ordinal
// means the same after a restart.
#pragma once

#include "actors/intake/line_reader.hpp"
#include "actors/kit/input_position.hpp"
#include "protocol/job_spec.hpp"

#include <memory>
#include <optional>
#include <string>

namespace gristmill::intake {

// Where an item stands in the input, to read it again.
struct Place {
  std::uint32_t input = 0;
  std::uint64_t offset = 0, bytes = 0, line = 0; // line from 1; 0 = the whole file
  ItemKind kind = ItemKind::batch_line;
};

struct Item {
  std::uint64_t ordinal = 0;
  Place place;
  std::string id;    // custom_id, or the document's id
  std::string raw;   // empty when bad
  std::string bad;   // why it cannot become a call, without its place; empty = good
};

class Intake {
public:
  // `spec` and `source` must outlive it. Reading begins at `from`.
  Intake(const JobSpec& spec, ByteSource& source, InputPosition from);

  // The next item; nothing at the end of the last input (or at the job's limit). An error is a
  // failure to read, not a bad line.
  Result<std::optional<Item>> next();
  // Where the item after the last one returned begins.
  InputPosition position() const { return at_; }

  Result<std::string> read_again(const Place& place);
  std::string source_of(const Place& place) const; // "FILE:LINE", or "FILE" for a document

private:
  Result<bool> open_input(); // false: no more inputs
  Result<std::optional<Item>> next_line();
  Result<std::optional<Item>> next_document();
  void describe(Item& item, std::string_view line);

  const JobSpec& spec_;
  ByteSource& source_;
  InputPosition at_;
  std::optional<LineReader> lines_;
  ItemKind kind_ = ItemKind::batch_line;
  bool open_ = false;
};

// What the first bytes of an input and its name say of it.
ItemKind detect_kind(std::string_view name, std::string_view head);

} // namespace gristmill::intake
