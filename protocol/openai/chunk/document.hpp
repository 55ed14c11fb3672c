// DOCUMENT: an item whose text is divided, as the calls for its chunks are made of it: the text,
// and the other fields that the job's templates use. Invariant: what no template uses travels with
// no chunk and with no step.
#pragma once

#include "protocol/job/spec.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::openai {

struct Document {
  std::string text;
  std::string fields; // a JSON object
  std::size_t bytes() const { return text.size() + fields.size(); }
};

class DocumentReader {
public:
  explicit DocumentReader(const JobSpec& spec);             // outlives it
  Document read(ItemKind kind, std::string_view raw) const; // of no batch line

private:
  const JobSpec& spec_;
  std::vector<std::string> used_; // by some template, but for the text
};

// The text that is divided: a document, or the text field of an object as a template has it.
std::string text_of_item(const JobSpec& spec, ItemKind kind, std::string_view raw);

// What stands for chunk `number` (from 1) of `of` in its call: an object with the item's members,
// but in the text field only the chunk, and "chunk" and "chunks" as numbers. A text field that has
// one of these names keeps the chunk.
std::string chunk_item(const JobSpec& spec, ItemKind kind, std::string_view raw,
                       std::string_view chunk, std::uint32_t number, std::uint32_t of);

} // namespace gristmill::openai
