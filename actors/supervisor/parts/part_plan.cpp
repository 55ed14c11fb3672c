#include "actors/supervisor/parts/part_plan.hpp"

#include "actors/words/streams.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace gristmill::supervisor {

JobParts::JobParts(const JobSpec& spec) : spec_{spec}, reader_{spec} {
  whole_.is_judged = !spec.shape.judge_model.empty();
  whole_.models = streams_of(spec) - whole_.is_judged;
}

Division JobParts::division_of(JobId, const intake::Item& item,
                               const bpe::Tokenizer* tokenizer) const {
  Division division = whole_;
  if (!divides(item.place.kind)) return division;
  const openai::Document& document = keep(item.ordinal, item.place.kind, item.raw);
  division.chunks = openai::chunks_of(
      document.text, {spec_.shape.chunk_tokens, spec_.shape.chunk_overlap}, tokenizer);
  division.parts = static_cast<std::uint32_t>(division.chunks.size());
  if (!spec_.shape.reduce_prompt.empty()) division.reduce_tokens = spec_.shape.chunk_tokens;
  return division;
}

Result<RawPart> JobParts::raw_of(const PartId& part, ItemKind kind, const DividedItem* divided,
                                 const ReadItem& read) const {
  const openai::Document* document = find(part.item);
  if (document == nullptr) {
    auto raw = read();
    GRISTMILL_TRY(raw);
    if (!divides(kind)) return RawPart{kind, std::move(*raw)};
    document = &keep(part.item, kind, *raw);
  }
  const std::uint32_t index = PartNumber::of(part.part).index;
  const auto all = divided == nullptr ? std::size_t{1} : divided->chunks().size();
  std::string_view text = document->text;
  if (divided != nullptr) {
    if (text.size() != divided->chunks().back().end)
      return fail(
          ErrorCode::bad_input,
          fmt::format("expected a text of {} bytes, as it was when the job read it, got {}; "
                      "the input has changed",
                      divided->chunks().back().end, text.size()));
    const openai::Chunk& chunk = divided->chunks().at(index);
    text = text.substr(chunk.begin, chunk.end - chunk.begin);
  }
  return RawPart{ItemKind::json_object,
                 openai::chunk_item(spec_, ItemKind::json_object, document->fields, text, index + 1,
                                    static_cast<std::uint32_t>(all))};
}

Result<std::string> JobParts::fields_of(const PartId& part, ItemKind kind,
                                        const ReadItem& read) const {
  if (kind == ItemKind::text) return "{}";
  if (const openai::Document* known = find(part.item)) return known->fields;
  auto raw = read();
  GRISTMILL_TRY(raw);
  return keep(part.item, kind, *raw).fields;
}

const openai::Document* JobParts::find(std::uint64_t item) const {
  const auto it = std::ranges::find(documents_, item, &Kept::item);
  if (it == documents_.end()) return nullptr;
  documents_.splice(documents_.begin(), documents_, it);
  return &documents_.front().document;
}

const openai::Document& JobParts::keep(std::uint64_t item, ItemKind kind,
                                       std::string_view raw) const {
  if (const openai::Document* known = find(item)) return *known;
  documents_.push_front({item, reader_.read(kind, raw)});
  std::size_t count = 0, bytes = 0;
  std::erase_if(documents_, [&](const Kept& kept) {
    bytes += kept.document.bytes();
    return ++count > 1 && (count > documents_max || bytes > document_bytes_max);
  });
  return documents_.front().document;
}

} // namespace gristmill::supervisor
