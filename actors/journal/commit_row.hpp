// COMMIT ROW: what one group says about one job, in the form in which the journal keeps it. The
// items go into one blob, so that a row costs a few bytes per item and a restart rebuilds a job
// from its rows alone, without reading a result line.
//
//   items    = { entry }                 what is reopened, then all lines in the order of the
//                                        segment, all part lines in the order of theirs, then notes
//   entry    = head bytes                kind 0 completed
//            | head bytes class          kind 1 failed
//            | head attempts deaths      kind 2 note about an item that is not terminal
//            | head attempts deaths tries   kind 3 the same, of an item on its fallback model
//            | head                      kind 4 reopened: the item's line holds no more
//            | head part …               kind 5 of one of the item's several parts, as follows
//            | head bytes key            kind 6 completed, and its request is known by its key
//   part     = varint(number * 8 + kind), then as of an entry of that kind, which is one of 0 to 3
//            | varint(number * 8 + 4) bytes size   completed, and a step joins its answer with
//                                        others; size > 0, in tokens
//            | varint(number * 8 + 5) bytes size key   completed, with its key; size may be 0
//   head     = varint(zigzag(item - item of the entry before) * 8 + kind); before the first: 0
//   key      = 16 bytes
//   bytes    = varint, of the line in its segment, newline included
//   attempts, deaths, tries, class = varint; attempts are of the present model, tries of both
//   varint   = 7 bits a byte, lowest first, the high bit set on all but the last byte
//   zigzag   = 0, -1, 1, -2, … as 0, 1, 2, 3, …
//
// Invariant: reading what was written gives it back, and no bytes whatever make reading fail other
// than by an Error.
#pragma once

#include "actors/journal/journal_store.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::journal {

// One bit per item must fit the memory of a small machine even when a row is damaged.
inline constexpr std::uint64_t items_max = std::uint64_t{1} << 32;

enum class EntryKind : std::uint8_t {
  completed = 0,
  failed = 1,
  attempts = 2,
  fallback = 3,
  reopened = 4,
};
constexpr bool is_note(EntryKind kind) {
  return kind == EntryKind::attempts || kind == EntryKind::fallback;
}

struct ItemEntry {
  EntryKind kind = EntryKind::completed;
  std::uint64_t item = 0;
  std::optional<std::uint32_t> part = {}; // set: one of several
  std::uint64_t bytes = 0;                // of a line
  std::uint32_t size = 0;                 // of a part's answer, if a step joins it with others
  RequestKey key = {};                    // of a completed one, if it has one
  OutcomeClass cls = OutcomeClass::ok;    // of a failed one
  std::uint32_t attempts = 0, deaths = 0; // of a note
  std::uint32_t tries = 0;                // of a note on the fallback model
  bool operator==(const ItemEntry&) const = default;
};

class ItemsWriter {
public:
  void add(const ItemEntry& entry); // entry.item < items_max
  const std::string& blob() const { return blob_; }

private:
  std::string blob_;
  std::uint64_t previous_ = 0;
};

class ItemsReader {
public:
  explicit ItemsReader(std::string_view blob) : rest_{blob} {}
  // False at the end. After an error the reader is of no more use.
  Result<bool> next(ItemEntry& entry);

private:
  bool varint(std::uint64_t& value);
  bool key(RequestKey& key);
  Result<bool> rest_of(ItemEntry& entry);

  std::string_view rest_;
  std::uint64_t previous_ = 0;
};

struct CommitRow {
  JobId job;
  std::uint64_t reopened = 0, completed = 0, failed = 0;
  JobNote note;                         // the sum of the group's, with the greatest low
  std::vector<const ResultLine*> lines; // in the group, which must outlive the row
  std::vector<const PartLine*> parts;   // likewise
  ItemsWriter items;
  std::uint64_t whole_bytes = 0;   // of `lines` with their bodies, newlines included
  std::set<std::string> stored_in; // as of ResultLine
};

// One row for each job that the group has lines, attempts or notes of, lowest job first.
std::vector<CommitRow> commit_rows(const Group& group);

} // namespace gristmill::journal
