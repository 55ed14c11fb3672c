#include "actors/supervisor/parts/part_plan.hpp"

#include "actors/words/streams.hpp"
#include "protocol/openai/request/step.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace gristmill::supervisor {

JobParts::JobParts(const JobSpec& spec) : spec_{spec} {
  whole_.is_judged = !spec.shape.judge_model.empty();
  whole_.models = streams_of(spec) - whole_.is_judged;
  if (spec.shape.chunk_tokens == 0) return;
  const openai::CallForms forms{spec};
  for (const std::uint32_t level : {0u, 1u})
    for (const std::string& field : forms.of(PartNumber{0, level, 0}).documents.fields())
      if (field != spec.shape.text_field) fields_.push_back(field);
}

// What nobody uses need not travel with each chunk.
std::string JobParts::rest_of(ItemKind kind, std::string_view raw) const {
  if (kind == ItemKind::text || fields_.empty()) return "{}";
  std::string rest;
  json::Members members{json::root(raw)};
  while (const auto member = members.next())
    if (std::ranges::any_of(fields_, [&](const auto& field) { return member->named(field); }))
      rest += fmt::format("{}\"{}\":{}", rest.empty() ? '{' : ',', member->key, member->value.text);
  return rest.empty() ? "{}" : rest + "}";
}

Division JobParts::division_of(JobId, const intake::Item& item) const {
  Division division = whole_;
  if (!is_chunked(item.place.kind)) return division;
  const Document& document = keep(item.ordinal, item.place.kind, item.raw);
  division.chunks =
      openai::chunks_of(document.text, {spec_.shape.chunk_tokens, spec_.shape.chunk_overlap});
  division.parts = static_cast<std::uint32_t>(division.chunks.size());
  if (!spec_.shape.reduce_prompt.empty()) division.reduce_tokens = spec_.shape.chunk_tokens;
  return division;
}

Result<RawPart> JobParts::raw_of(const PartId& part, ItemKind kind, const DividedItem* divided,
                                 const ReadItem& read) const {
  const Document* document = find(part.item);
  if (document == nullptr) {
    auto raw = read();
    GRISTMILL_TRY(raw);
    if (!is_chunked(kind)) return RawPart{kind, std::move(*raw)};
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
                 openai::chunk_item(spec_, ItemKind::json_object, document->rest, text, index + 1,
                                    static_cast<std::uint32_t>(all))};
}

Result<std::string> JobParts::fields_of(const PartId& part, ItemKind kind,
                                        const ReadItem& read) const {
  if (kind == ItemKind::text) return "{}";
  if (const Document* known = find(part.item)) return known->rest;
  auto raw = read();
  GRISTMILL_TRY(raw);
  return keep(part.item, kind, *raw).rest;
}

const JobParts::Document* JobParts::find(std::uint64_t item) const {
  const auto it = std::ranges::find(documents_, item, &Document::item);
  if (it == documents_.end()) return nullptr;
  documents_.splice(documents_.begin(), documents_, it);
  return &documents_.front();
}

const JobParts::Document& JobParts::keep(std::uint64_t item, ItemKind kind,
                                         std::string_view raw) const {
  if (const Document* known = find(item)) return *known;
  documents_.push_front({item, openai::text_of_item(spec_, kind, raw), rest_of(kind, raw)});
  std::size_t count = 0, bytes = 0;
  std::erase_if(documents_, [&](const Document& document) {
    bytes += document.bytes();
    return ++count > 1 && (count > documents_max || bytes > document_bytes_max);
  });
  return documents_.front();
}

} // namespace gristmill::supervisor
