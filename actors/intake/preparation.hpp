// PREPARATION: what a job does with records before they are items: it may write their text in one
// spelling (--normalise), and leave records out (--where, then --drop-empty, then --sample). The
// sample is drawn by where a record stands, so it is the same whatever else changes in the input,
// and a larger one has all of a smaller one. Invariant: what becomes of a record follows from the
// job, the record and its place.
#pragma once

#include "protocol/job/preprocessed.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/rules/where.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::intake {

// What the sample knows a record by.
struct RecordPlace {
  std::uint32_t input = 0;
  std::uint64_t line = 0; // from 1; 0 = the whole file
};

class Preparation {
public:
  explicit Preparation(const JobSpec& spec);

  // A record's text as its item has it.
  struct Text {
    std::string_view given;
    std::optional<std::string> made{}; // instead of it
    bool mended = false;               // it had bytes that were no UTF-8
    std::string_view text() const { return made ? std::string_view{*made} : given; }
  };
  bool normalises() const { return normalise_; }
  Text object(std::string_view given, std::string_view id_field) const; // or what should be one
  Text document(std::string_view given) const;

  enum class Fate : std::uint8_t { item, where, empty, sample };
  // Whether the job's conditions hold: of a record's object, of a document.
  bool has_conditions() const { return !where_.is_empty(); }
  bool takes_object(std::string_view object) const { return where_.takes_object(object); }
  bool takes_document(std::string_view text) const { return where_.takes_text(text, text_field_); }
  // `taken`: they do, or nobody can tell; `blank`: there is no text in it.
  Fate fate_of(bool taken, bool blank, RecordPlace place) const;

private:
  Text mended(std::string_view given) const;
  bool is_in_sample(RecordPlace place) const;

  bool normalise_, drop_empty_;
  const Where where_;
  const std::string text_field_;
  Percentage sample_;
  std::uint64_t seed_;
};

} // namespace gristmill::intake
