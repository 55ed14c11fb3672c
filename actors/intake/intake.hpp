// INTAKE turns a job's inputs into items, one after the other, each with its ordinal, its id and
// the place where it can be read again. By suffix and content an input is a file of OpenAI Batch
// lines, of JSON objects, a table with a header, or one text document. What cannot become a call,
// because it is malformed, lacks a field of the job's template or has no text in it, is an item
// too, with the sentence that says why. Ids are unique in their input: of two equal ones the later
// is such an item. Invariant: the same inputs give the same items, so an ordinal means the same
// after a restart.
#pragma once

#include "actors/intake/byte_source.hpp"
#include "actors/intake/csv_table.hpp"
#include "actors/intake/input_format.hpp"
#include "actors/intake/record_reader.hpp"
#include "actors/intake/seen_ids.hpp"
#include "actors/words/input_position.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/openai/template/item_check.hpp"

#include <list>
#include <memory>
#include <optional>
#include <string>

namespace gristmill::intake {

// Where an item stands in the input, to read it again.
struct ItemPlace {
  std::uint32_t input = 0;
  std::uint64_t offset = 0, bytes = 0, line = 0; // line from 1; 0 = the whole file
  ItemKind kind = ItemKind::batch_line;
};

struct Item {
  std::uint64_t ordinal = 0;
  ItemPlace place;
  std::string id;     // custom_id, or the document's id
  std::string raw;    // empty when bad
  std::string bad;    // why it cannot become a call, without its place; empty = good
  bool blank = false; // bad because it is a document without text
};

class Intake {
public:
  enum class Ids : bool { as_they_are, unique };

  // `spec` and `source` must outlive it. Reading begins at `from`. To know the ids before it, the
  // records before it are read first; whoever wants items without that takes ids as they are.
  Intake(const JobSpec& spec, ByteSource& source, InputPosition from, Ids ids = Ids::unique);

  // Reads at most so many of the records before `from`; true when none is left. next() does the
  // same without a bound.
  Result<bool> catch_up(std::size_t records_max);
  // The next item; nothing at the end of the last input (or at the job's limit). An error is a
  // failure to read, not a bad line; here and above, whoever asks again gets what comes after the
  // last item all the same.
  Result<std::optional<Item>> next();
  // Where the item after the last one returned begins.
  InputPosition position() const { return at_; }

  // Whether an item with this id was read in the input that is open. Only of records: a document's
  // id is not remembered, and at the end of an input its ids are forgotten.
  bool has_read(const std::string& id);
  bool reads_records() const { return records_ != nullptr; }
  // Documents without text that became no items, because the job leaves them out.
  std::uint64_t left_out() const { return left_out_; }

  Result<std::string> read_again(const ItemPlace& place);
  std::string source_of(const ItemPlace& place); // "FILE:LINE", or "FILE" for a document
  // The fields of --keep as a JSON object; nothing for a document, or if there are none to keep.
  std::string kept_of(const ItemPlace& place);

private:
  struct Identity {
    std::string id;  // empty = none was given
    std::string bad; // why the record cannot become a call
    bool blank = false;
  };
  struct Header {
    std::uint32_t input = 0;
    CsvHeader header;
  };

  Result<bool> open_input(); // false: no more inputs
  Result<bool> catch_up_further(std::size_t records_max);
  Result<std::optional<Item>> read_next();
  void begin_again();
  Result<> open_records();
  Result<std::optional<Item>> next_record();
  Result<std::optional<Item>> next_document();
  Identity identify(const Record& record) const;
  Identity identify_line(std::string_view line) const;
  Identity identify_object(std::string_view object) const;
  Result<std::uint64_t> first_line_of(const std::string& id, std::uint64_t line);
  Result<std::optional<Item>> item_of(const Record& record);
  Result<std::string> read_bytes(const ItemPlace& place);
  Result<const CsvHeader*> header_of(std::uint32_t input);

  const JobSpec& spec_;
  const openai::ItemCheck check_;
  ByteSource& source_;
  InputPosition at_;
  std::optional<SeenIds> seen_; // nothing: ids are taken as they are
  InputFormat format_;
  std::string name_; // of the input that is open
  std::unique_ptr<RecordReader> records_;
  std::optional<Record> ahead_; // the first record that is not before `from`
  std::list<Header> headers_;   // of the tables read last, the newest first
  std::uint64_t left_out_ = 0;
  bool open_ = false, caught_up_ = true;
};

} // namespace gristmill::intake
