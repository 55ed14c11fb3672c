// PART PLAN: how an item is divided into parts, and what stands for each of them in its call.
// Invariant: the same item has the same parts in every life of its job.
#pragma once

#include "actors/intake/intake.hpp"
#include "actors/supervisor/parts/divided_item.hpp"
#include "protocol/ids.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/openai/chunk/document.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <functional>
#include <list>
#include <string>

namespace gristmill::supervisor {

// As a call carries it.
struct RawPart {
  ItemKind kind = ItemKind::batch_line;
  std::string raw;
};

class PartPlan {
public:
  virtual ~PartPlan() = default;
  // The item's first parts are of so many models.
  virtual std::uint32_t models_of(JobId job) const = 0;
  // `tokenizer`: of the job; nullptr = its tokens are estimated.
  virtual Division division_of(JobId job, const intake::Item& item,
                               const bpe::Tokenizer* tokenizer) const = 0;
  // Of a part of level 0. `divided`: its item, unless it has one part; `read` gives the item's
  // bytes, and is called if they are needed.
  using ReadItem = std::function<Result<std::string>()>;
  virtual Result<RawPart> raw_of(const PartId& part, ItemKind kind, const DividedItem* divided,
                                 const ReadItem& read) const = 0;
  // An object with what a step that reduces may use of its item.
  virtual Result<std::string> fields_of(const PartId&, ItemKind, const ReadItem& read) const {
    return read();
  }
  // Whether the job's items of this kind are asked for in chunks, though there be one.
  virtual bool is_chunked(JobId, ItemKind) const { return false; }
};

// As its job says: a document is asked for in chunks, an item of each model, and the judge sees the
// answers.
class JobParts : public PartPlan {
public:
  explicit JobParts(const JobSpec& spec); // outlives it

  std::uint32_t models_of(JobId) const override { return whole_.models; }
  Division division_of(JobId, const intake::Item& item,
                       const bpe::Tokenizer* tokenizer) const override;
  Result<RawPart> raw_of(const PartId& part, ItemKind kind, const DividedItem* divided,
                         const ReadItem& read) const override;
  Result<std::string> fields_of(const PartId& part, ItemKind kind,
                                const ReadItem& read) const override;
  bool is_chunked(JobId, ItemKind kind) const override { return divides(kind); }

private:
  // A document whose chunks are being asked for, so that it is not read again for each.
  struct Kept {
    std::uint64_t item = 0;
    openai::Document document;
  };
  static constexpr std::size_t documents_max = 8, document_bytes_max = 32u << 20;
  bool divides(ItemKind kind) const {
    return spec_.shape.chunk_tokens > 0 && kind != ItemKind::batch_line;
  }
  const openai::Document* find(std::uint64_t item) const;
  const openai::Document& keep(std::uint64_t item, ItemKind kind, std::string_view raw) const;

  const JobSpec& spec_;
  openai::DocumentReader reader_;
  Division whole_;
  mutable std::list<Kept> documents_; // read last, the newest first; bounded in all
};

} // namespace gristmill::supervisor
